"""Kafka: clients and their errors, topics, reading from given offsets, writing one transaction per step."""

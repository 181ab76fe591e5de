"""The Kafka side: clients and their errors, topics, consuming from given offsets, one transaction per step."""

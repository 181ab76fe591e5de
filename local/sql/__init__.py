"""Confluent Cloud's Flink SQL on open-source Flink: statements, tables, jobs and the workspace that runs them."""

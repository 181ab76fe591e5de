"""Measurements of the client's speed, compared with Kafka's limit and with other programs: `python -m benchmarks`."""

"""How fast the client is, beside Kafka's own limit and other ways to do its job: `python -m benchmarks`."""

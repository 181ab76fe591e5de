"""The services of the local stack, each a process: Kafka, Schema Registry, Flink. All listen on 127.0.0.1 only."""

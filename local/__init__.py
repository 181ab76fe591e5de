"""The pipeline on one machine: Kafka, Schema Registry and Flink as ordinary processes, no Docker, no system Java."""

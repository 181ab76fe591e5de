"""Schema Registry and Avro in Confluent's wire format, in blocks of records."""

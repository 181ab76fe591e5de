"""Your own purchases: read a file, load it into Kafka, run the pipeline, write the labels."""

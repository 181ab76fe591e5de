"""What the tests are made of, one noun per file; the judges (oracle, original, avro_rows) do without the client."""

"""What the tests are made of, one noun per file; nothing here imports the client."""

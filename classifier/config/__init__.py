"""Configuration of a run: command line options, configuration file, properties of the client libraries."""

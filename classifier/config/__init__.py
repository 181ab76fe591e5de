"""What one run is configured with: command line options, INI file, client properties."""

"""What a run does instead of labelling, and then exits: check, preview, export, print the configuration."""

"""Draws the pictures of README.md and docs/: from text sources and from runs of the pipeline, none by hand."""

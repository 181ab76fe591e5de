"""Draws the pictures of README.md: from text sources and from runs of the pipeline, none by hand."""

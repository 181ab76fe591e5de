"""Draws the pictures of README.md and docs/ from text sources and from runs of the pipeline; none is drawn by hand."""

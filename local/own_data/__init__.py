"""Purchases of your own, from a file to labels."""

"""Measures beside throughput: one file each."""

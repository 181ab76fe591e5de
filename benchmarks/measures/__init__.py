"""The measurements other than throughput, one per module."""

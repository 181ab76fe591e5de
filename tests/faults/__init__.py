"""Faults against the real services: a scenario per file, short by pytest, long by `python -m tests.faults.chaos`."""

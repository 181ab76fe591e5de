"""Faults against the real services: a scenario per file, run short by pytest and long by `python -m tests.faults.chaos`."""

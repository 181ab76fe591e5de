"""What is measured: one program per line of the table, each run as a process of its own.

Some run in another environment than the benchmarks, so nothing here but `original` imports more than the line itself
needs.
"""

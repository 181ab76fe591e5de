"""The measured programs, each run as a separate process.

Some run in another virtual environment, so modules here import only what the program itself needs.
"""

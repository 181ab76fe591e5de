"""What people look at: one noun per file, imported by user_classifier.py only when asked for."""

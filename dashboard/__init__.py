"""The labels in a browser: a page on 127.0.0.1 that reads `user_labeling` and keeps itself up to date."""

"""Users and their rows: the input changelog, the user table, the output topic and the committed offsets."""

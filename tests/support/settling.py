"""A user table brought to rest, as the client does it."""

from classifier.users.table import UserTable


def settle(table: UserTable, *, at_end: bool = True) -> None:
    """Choose current rows; at the end, users without one go."""
    table.settle()
    if at_end:
        table.delete(set(table.rowless))

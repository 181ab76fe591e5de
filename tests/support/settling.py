"""A user table settled as by the client."""

from classifier.users.table import UserTable


def settle(table: UserTable, *, at_end: bool = True) -> None:
    """Choose current rows; at the end of the input, delete users without one."""
    table.settle()
    if at_end:
        table.delete(set(table.rowless))

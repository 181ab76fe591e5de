"""What `user_labeling` is told of one user, by name."""

from collections.abc import Iterable
from typing import NamedTuple

from classifier.user_table import Changes

Totals = tuple[float, int]


class Told(NamedTuple):
    """The client's Change."""

    user_id: str
    row: Totals | None
    label: int
    pending: dict[Totals, int]


def told(changes: Changes) -> list[Told]:
    """Each change by name."""
    return [Told(*each) for each in changes]


def by_column(said: Iterable[Told]) -> Changes:
    """What was said, as it is read back."""
    found = Changes()
    for user_id, row, label, pending in said:
        found.labels[user_id], found.pending[user_id] = label, pending
        if row is not None:
            found.rows[user_id] = row
    return found

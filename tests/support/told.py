"""What `user_labeling` is told of one user, by name."""

from collections.abc import Iterable
from typing import NamedTuple

from classifier.user_table import Changes, Labelled

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


def read(said: Labelled) -> list[Told]:
    """Each user by name, as it is read back."""
    return [Told(user, said.rows.get(user), label, said.pending.get(user, {})) for user, label in said.labels.items()]


def by_column(said: Iterable[Told]) -> Labelled:
    """What was said, as it is read back."""
    found = Labelled()
    for user_id, row, label, pending in said:
        found.labels[user_id], found.pending[user_id] = label, pending
        if row is not None:
            found.rows[user_id] = row
    return found

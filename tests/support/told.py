"""What `user_labeling` is told of one user, by name."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from classifier.users.table import LabelledUsers, UserChanges

Totals = tuple[float, int]


class Told(NamedTuple):
    """The client's Change."""

    user_id: str
    row: Totals | None
    label: int
    pending: dict[Totals, int]


def told(changes: UserChanges) -> list[Told]:
    """Each change by name."""
    return [Told(*each) for each in changes]


def read(said: LabelledUsers) -> list[Told]:
    """Each user by name, as it is read back."""
    there = zip(said.user_ids, said.rows, said.labels.tolist(), strict=True)
    held = [Told(*each, said.pending.get(each[0], {})) for each in there]
    gone = said.pending.keys() - set(said.user_ids)
    return held + [Told(user_id, None, -1, said.pending[user_id]) for user_id in gone]


def by_column(said: Iterable[Told]) -> LabelledUsers:
    """What was said, as it is read back."""
    words = sorted({each.user_id: each for each in said}.values())
    there = [each for each in words if each.row is not None]
    labels = np.array([each.label for each in there], np.int32)
    pending = {each.user_id: each.pending for each in words}
    return LabelledUsers([each.user_id for each in there], [each.row for each in there if each.row], labels, pending)

"""What `user_labeling` holds of one user, by name instead of by column."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from classifier.row import Row
from classifier.users.table import LabelledUsers, UserChanges

Totals = Row


class UserState(NamedTuple):
    """A row, a label and pending rows; the row is None for a deleted user."""

    user_id: str
    row: Totals | None
    label: int
    pending: dict[Totals, int]


def states_to_write(changes: UserChanges) -> list[UserState]:
    """The users that a step writes."""
    return [UserState(*each) for each in changes]


def states_read(users: LabelledUsers) -> list[UserState]:
    """The users that a restore has read, those without a row last."""
    rows = zip(users.user_ids, users.rows, users.labels.tolist(), strict=True)
    with_row = [UserState(*each, users.pending.get(each[0], {})) for each in rows]
    rowless = users.pending.keys() - set(users.user_ids)
    return with_row + [UserState(user_id, None, -1, users.pending[user_id]) for user_id in rowless]


def by_column(states: Iterable[UserState]) -> LabelledUsers:
    """The last state of each user, as a restore reads it."""
    last = sorted({each.user_id: each for each in states}.values())
    with_row = [each for each in last if each.row is not None]
    labels = np.array([each.label for each in with_row], np.int32)
    pending = {each.user_id: each.pending for each in last}
    rows = [each.row for each in with_row if each.row]
    return LabelledUsers([each.user_id for each in with_row], rows, labels, pending)

"""The numbers on the page: of each label, of the newest record, of a user."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np

from classifier.formatting import format_amount, format_count, format_percentage
from classifier.label_names import label_name
from classifier.reports.summary import per_label
from classifier.users.table import NO_LABEL
from dashboard.table import Snapshot

MAX_FOUND = 20
NO_LABEL_TEXT = "no label"  # of users who are deleted, or were not there before


class LabelFigures(NamedTuple):
    """The numbers of one label, as text."""

    label: int  # NO_LABEL for all users
    users: str
    share: str
    revenue: str  # share of the sum of all amounts
    mean_amount: str
    mean_transactions: str


class Found(NamedTuple):
    """One user."""

    user_id: str
    amount: float
    n_transactions: int
    label: int
    changed: int  # timestamp of the newest record in ms


def label_figures(snapshot: Snapshot) -> list[LabelFigures]:
    """Return the numbers of each label, and as the last ones those of all users."""
    labels = snapshot.present_labels
    n_labels = snapshot.n_labels
    rows = [*per_label(snapshot.totals, labels, n_labels).itertuples()]
    rows += per_label(snapshot.totals, np.zeros_like(labels), 1).itertuples()
    revenue = float(snapshot.totals[:, 0].sum())
    return [
        LabelFigures(
            label if label < n_labels else NO_LABEL,
            f"{row.users:,}",
            format_percentage(row.users, len(labels)),
            f"{row.total_amount / revenue:.1%}" if revenue > 0 else "-",
            format_amount(row.mean_amount),
            f"{row.mean_transactions:,.1f}" if row.users else "-",
        )
        for label, row in enumerate(rows)
    ]


def find(snapshot: Snapshot, text: str, index: int | None) -> list[Found]:
    """Return the user with exactly this user_id, whose index is given; else some users with the text in theirs."""
    n_users = len(snapshot.labels)
    if index is not None and index < n_users:
        return [user_at(snapshot, index)]
    return list(_containing(snapshot, text, n_users))


def _containing(snapshot: Snapshot, text: str, n_users: int) -> Iterator[Found]:
    """Yield users with a text in their user_id, in the order of user_id, without deleted ones."""
    user_ids = snapshot.user_ids
    matching = [index for index in range(n_users) if text in user_ids[index]]
    present = [index for index in matching if snapshot.labels[index] != NO_LABEL]
    for index in sorted(present, key=user_ids.__getitem__)[:MAX_FOUND]:
        yield user_at(snapshot, index)


def user_at(snapshot: Snapshot, index: int) -> Found:
    """Return the user with an index."""
    columns = (snapshot.amounts, snapshot.counts, snapshot.labels, snapshot.changed)
    amount, count, label, changed = (column[index].item() for column in columns)
    return Found(snapshot.user_ids[index], amount, count, label, changed)


def label_text(label: int, names: Sequence[str]) -> str:
    """Return number and name of a label, or 'no label'."""
    return NO_LABEL_TEXT if label == NO_LABEL else label_name(label, names)


def age_text(milliseconds: int, now: float | None = None) -> str:
    """Return the age of a timestamp: '40 s ago', '3 h 5 min ago'; '-' for none."""
    if not milliseconds:
        return "-"
    seconds = max(0, round((time.time() if now is None else now) - milliseconds / 1000))
    minutes = seconds // 60
    hours = seconds // 3600
    days = seconds // 86_400
    if not minutes:
        return f"{seconds} s ago"
    if not hours:
        return f"{minutes} min {seconds % 60} s ago"
    if not days:
        return f"{hours} h {minutes % 60} min ago"
    return f"{format_count(days, 'day')} {hours % 24} h ago"


def time_text(milliseconds: int) -> str:
    """Return the local time of a timestamp; '-' for none, as of users whose records were deleted with the topic."""
    return local_time(milliseconds / 1000) if milliseconds else "-"


def local_time(seconds: float) -> str:
    """Return a time in seconds since 1970 as local date and time."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S}"

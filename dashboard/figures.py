"""What the page says in numbers: of each label, of the newest record, of a user."""

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

MOST_FOUND = 20
GONE = "not there"


class LabelFigures(NamedTuple):
    """One label in numbers, as text."""

    label: int
    users: str
    share: str
    revenue: str  # share of all that is spent
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
    """Return the numbers of each label, and of all as the last one."""
    labels, n_labels = snapshot.labels_there, snapshot.n_labels
    rows = [*per_label(snapshot.totals, labels, n_labels).itertuples()]
    rows += per_label(snapshot.totals, np.zeros_like(labels), 1).itertuples()
    whole = float(snapshot.totals[:, 0].sum())
    return [
        LabelFigures(
            label if label < n_labels else NO_LABEL,
            f"{row.users:,}",
            format_percentage(row.users, len(labels)),
            f"{row.total_amount / whole:.1%}" if whole > 0 else "-",
            format_amount(row.mean_amount),
            f"{row.mean_transactions:,.1f}" if row.users else "-",
        )
        for label, row in enumerate(rows)
    ]


def find(snapshot: Snapshot, text: str, place: int | None) -> list[Found]:
    """Return the user of this name, who has `place`; else some of those with the text in their names, as it is."""
    n_users = len(snapshot.labels)
    if place is not None and place < n_users:
        return [user_at(snapshot, place)]
    return list(_with(snapshot, text, n_users))


def _with(snapshot: Snapshot, text: str, n_users: int) -> Iterator[Found]:
    """Yield users with a text in their names who are there, by name."""
    user_ids = snapshot.user_ids
    holding = [at for at in range(n_users) if text in user_ids[at]]
    there = [at for at in holding if snapshot.labels[at] != NO_LABEL]
    for at in sorted(there, key=user_ids.__getitem__)[:MOST_FOUND]:
        yield user_at(snapshot, at)


def user_at(snapshot: Snapshot, place: int) -> Found:
    """Return the user at a place."""
    columns = (snapshot.amounts, snapshot.counts, snapshot.labels, snapshot.changed)
    amount, count, label, changed = (column[place].item() for column in columns)
    return Found(snapshot.user_ids[place], amount, count, label, changed)


def named(label: int, names: Sequence[str]) -> str:
    """Return how a label is called."""
    return GONE if label == NO_LABEL else label_name(label, names)


def age(milliseconds: int, now: float | None = None) -> str:
    """Return how long ago a timestamp was: '40 s ago', '3 h 5 min ago'."""
    if not milliseconds:
        return "-"
    seconds = max(0, round((time.time() if now is None else now) - milliseconds / 1000))
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86_400
    if not minutes:
        return f"{seconds} s ago"
    if not hours:
        return f"{minutes} min {seconds % 60} s ago"
    if not days:
        return f"{hours} h {minutes % 60} min ago"
    return f"{format_count(days, 'day')} {hours % 24} h ago"


def moment(milliseconds: int) -> str:
    """Return when a timestamp was, '-' where there is none: the record of who is gone went with its topic."""
    return clock(milliseconds / 1000) if milliseconds else "-"


def clock(seconds: float) -> str:
    """Return a time of day, as the clock of this machine shows it."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M:%S}"

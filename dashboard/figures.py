"""The numbers on the page: of each label, of the newest record, of a user."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from classifier.features import AMOUNT, Features, Value
from classifier.formatting import format_count, format_percentage
from classifier.label_names import label_name
from classifier.users.table import NO_LABEL
from dashboard.table import Snapshot
from dashboard.values import mean_text

MAX_FOUND = 20
NO_LABEL_TEXT = "no label"  # of users who are deleted, or were not there before


class LabelFigures(NamedTuple):
    """The numbers of one label, as text."""

    label: int  # NO_LABEL for all users
    users: str
    share: str
    revenue: str | None  # share of the sum of all amounts; None where the features have no amount
    means: Sequence[str]  # by feature


class Found(NamedTuple):
    """One user."""

    user_id: str
    values: tuple[Value, ...]  # by feature
    label: int
    changed: int  # timestamp of the newest record in ms


def label_figures(snapshot: Snapshot) -> list[LabelFigures]:
    """Return the numbers of each label, and as the last ones those of all users."""
    n_users = len(snapshot.present)
    features = snapshot.features.items
    newest = [snapshot.newest(each.name) for each in features]
    shares = revenue_shares(snapshot)
    return [
        LabelFigures(
            label if label < snapshot.n_labels else NO_LABEL,
            f"{users:,}",
            format_percentage(users, n_users),
            shares[label] if shares else None,
            [mean_text(*each) for each in zip(features, of_label.tolist(), newest, strict=True)],
        )
        for label, (users, of_label) in enumerate(zip([*snapshot.sizes(), n_users], means(snapshot), strict=True))
    ]


def means(snapshot: Snapshot) -> NDArray[np.float64]:
    """Return the means of each label and of all users, of shape (n_labels + 1, n_features); NaN without users."""
    columns = []
    for each in snapshot.features.items:
        values = snapshot.column(each.name)
        # Of microseconds since 1970, a sum has no digits left for seconds.
        origin = snapshot.newest(each.name) if each.units_per_day and len(values) else 0.0
        columns.append(origin + means_by_label(snapshot, values - origin))
    return np.column_stack(columns)


def means_by_label(snapshot: Snapshot, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of a column for each label, and as the last one that of all users; NaN without users."""
    sums = np.bincount(snapshot.present_labels, values, snapshot.n_labels)
    n_users = np.append(snapshot.sizes(), len(values))
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float64] = np.append(sums, values.sum()) / n_users
    return found


def revenue_shares(snapshot: Snapshot) -> list[str]:
    """Return the share of each label in the sum of all amounts, and as the last one that of all users."""
    if AMOUNT not in snapshot.features.names:
        return []
    amounts = snapshot.column(AMOUNT)
    revenue = float(amounts.sum())
    of_labels = np.bincount(snapshot.present_labels, amounts, snapshot.n_labels).tolist()
    return [f"{each / revenue:.1%}" if revenue > 0 else "-" for each in (*of_labels, revenue)]


def order_text(features: Features) -> str:
    """Return what the numbers of the labels mean."""
    first = features.items[0]
    if first.name == AMOUNT:
        return "Users with label 0 spend least."
    if first.units_per_day:
        return f"Label 0 has the most recent {first.name} in the mean."
    return f"Label 0 has the smallest mean {first.name}."


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
    values = tuple(column[index].item() for column in snapshot.values)
    return Found(snapshot.user_ids[index], values, int(snapshot.labels[index]), int(snapshot.changed[index]))


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

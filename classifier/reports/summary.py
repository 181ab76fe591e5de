"""The clusters as a table: what the users of each label spend, and who moved."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from classifier.clustering.scaling import Scaling, Weights, scale_suffix
from classifier.formatting import format_amount, format_percentage, format_user_id, format_users
from classifier.label_names import label_name
from classifier.reports.periodic import Clock, Periodic
from classifier.reports.step import Step

SUMMARY_SECONDS = 60.0
CHANGED = 0.05  # share of the users; borders that follow the users a little move fewer
MOST_MOVES = 12  # kinds of moves that are listed; ten labels can have ninety
ROW = "{:<{width}}  {:>11}  {:>7}  {:>15}  {:>18}  {:>17}  {}"
HEADINGS = ("users", "share", "mean amount", "total amount", "mean transactions", "centre")


class Shown(NamedTuple):
    """What is kept of a step that was shown."""

    user_ids: Sequence[str]
    labels: NDArray[np.int32]
    centers: NDArray[np.float64]
    scaling: Scaling


class Summary(Periodic):
    """Echoes a table after the first step, every `SUMMARY_SECONDS` while labels come, and at the end."""

    def __init__(self, echo: Callable[[str], object], names: Sequence[str] = (), clock: Clock = time.monotonic) -> None:
        super().__init__(self._echo_table, SUMMARY_SECONDS, clock)
        self._echo, self._names = echo, names
        self._before: Shown | None = None

    def _echo_table(self, step: Step) -> None:
        for line in summary_lines(step, self._names):
            self._echo(line)
        if (before := self._before) is not None:
            ids_and_labels = before.user_ids, before.labels, step.user_ids, step.labels
            self._echo("since the last summary: " + moves(*ids_and_labels, step.weights))
            if told := change_of_clusters(before, step):
                self._echo(told)
        self._before = Shown(step.user_ids, step.labels, step.centers, step.scaling)


def per_label(
    totals: NDArray[np.float64], labels: NDArray[np.int32], n_labels: int, weights: Weights | None = None
) -> pd.DataFrame:
    """Count and add up the users of each label.

    Parameters
    ----------
    totals : ndarray of shape (n_users, 2)
        total_amount in the currency of the input, num_transactions as a count.
    labels : ndarray of shape (n_users,)
    n_labels : int
        A label without users has a row, too.
    weights : ndarray of shape (n_users,), optional
        How many users each row stands for, one by default.

    Returns
    -------
    DataFrame
        Index label; columns users, mean_amount, total_amount, mean_transactions. The means of a label without
        users are NaN.
    """
    users = np.ones(len(labels)) if weights is None else weights
    amounts, transactions = totals[:, 0] * users, totals[:, 1] * users
    frame = pd.DataFrame({"label": labels, "users": users, "total_amount": amounts, "transactions": transactions})
    found = frame.groupby("label").sum().reindex(pd.RangeIndex(n_labels, name="label"), fill_value=0.0)
    found.insert(1, "mean_amount", found["total_amount"] / found["users"])
    found["mean_transactions"] = found.pop("transactions") / found["users"]
    return found.astype({"users": np.int64})


def summary_lines(step: Step, names: Sequence[str] = ()) -> list[str]:
    """Return the table, a line for each label and one for all."""
    n_users, n_labels = step.n_users, len(step.centers)
    titles = [label_name(label, names) for label in range(n_labels)]
    width = max(len(title) for title in ("label", *titles))
    lines = [ROW.format("label", *HEADINGS, width=width) + scale_suffix(step.scaling.name)]
    rows = per_label(step.totals, step.labels, n_labels, step.weights).itertuples()
    for title, row, place in zip(titles, rows, step.centers.tolist(), strict=True):
        cells = (*table_cells(row, n_users), center(place))
        lines.append(ROW.format(title, *cells, width=width))
    for row in per_label(step.totals, np.zeros_like(step.labels), 1, step.weights).itertuples():
        lines.append(ROW.format("all", *table_cells(row, n_users), "", width=width).rstrip())
    return lines


def table_cells(row: Any, n_users: int) -> list[str]:
    """Return one row of `per_label` as text, with the share of all users."""
    transactions = f"{row.mean_transactions:,.1f}" if row.users else "-"
    share_ = format_percentage(row.users, n_users)
    return [f"{row.users:,}", share_, format_amount(row.mean_amount), format_amount(row.total_amount), transactions]


def moves(
    ids_before: Sequence[str],
    before: NDArray[np.int32],
    user_ids: Sequence[str],
    labels: NDArray[np.int32],
    weights: Weights | None = None,
) -> str:
    """Tell who changed labels: '12 users 1 -> 2, 1 user 0 -> 1, 5 new, 2 gone'.

    Users are matched by user_id. The table keeps its list of user_ids while none comes or goes: then there is
    nothing to match. Rows that stand for several users are cells: those moved whose cell has another label.
    """
    n_new = n_gone = 0
    n_users = np.ones(len(labels), np.int64) if weights is None else weights
    if ids_before is not user_ids:
        at = pd.Index(ids_before, dtype=object).get_indexer(pd.Index(user_ids, dtype=object))
        both = at >= 0
        if weights is None:
            n_new, n_gone = int((~both).sum()), len(ids_before) - int(both.sum())
        before, labels, n_users = before[at[both]], labels[both], n_users[both]
    moved = before != labels
    pairs, of_pair = np.unique(np.column_stack((before[moved], labels[moved])), axis=0, return_inverse=True)
    counts = np.bincount(of_pair.ravel(), n_users[moved], len(pairs)).astype(np.int64)
    most_first = np.argsort(-counts, kind="stable")
    told = [f"{format_users(counts[i])} {pairs[i, 0]} -> {pairs[i, 1]}" for i in most_first[:MOST_MOVES]]
    if len(counts) > MOST_MOVES:
        told.append(f"{format_users(counts[most_first[MOST_MOVES:]].sum())} otherwise")
    told = told or ["nobody moved"]
    return ", ".join(told + [f"{n:,} {what}" for n, what in ((n_new, "new"), (n_gone, "gone")) if n])


def change_of_clusters(before: Shown, step: Step) -> str | None:
    """Say so where many users have another label although they would have kept it with the centres of before."""
    if len(before.centers) != len(step.centers) or not len(step.labels):
        return None
    moved = before.scaling.nearest(step.totals, before.centers) != step.labels
    n_moved = int(np.count_nonzero(moved) if step.weights is None else step.weights[moved].sum())
    if n_moved < CHANGED * step.n_users:
        return None
    centers = zip(before.centers.tolist(), step.centers.tolist(), strict=True)
    told = [f"{label} from {center(old)} to {center(new)}" for label, (old, new) in enumerate(centers)]
    return (
        f"the clusters have changed: with those of before, {format_users(n_moved)}"
        f" ({format_percentage(n_moved, step.n_users)}) would"
        f" have another label; centres: {', '.join(told)}"
    )


def center(place: Sequence[float]) -> str:
    """Return a centre as text, in the units of the input."""
    return f"{format_amount(place[0])} / {place[1]:,.1f}"


def first_users(step: Step, names: Sequence[str] = (), n: int = 20) -> list[str]:
    """Return the first users and their labels as the lines of a table."""
    ids = [format_user_id(user_id) for user_id in step.user_ids[:n]]
    width = max(len(user_id) for user_id in ("user_id", *ids))
    lines = [f"{'user_id':<{width}}  {'total_amount':>18}  {'num_transactions':>16}  label"]
    for user_id, (amount, count), label in zip(ids, step.totals[:n].tolist(), step.labels[:n].tolist(), strict=True):
        lines.append(f"{user_id:<{width}}  {format_amount(amount):>18}  {count:>16,.0f}  {label_name(label, names)}")
    if len(step.user_ids) > n:
        lines.append(f"... and {format_users(len(step.user_ids) - n)} more")
    return lines

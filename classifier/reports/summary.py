"""The clusters as a table: what the users of each label spend, and how many changed label."""

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
MIN_CHANGED = 0.05  # share of the users; small shifts of the borders, as users change, move fewer
MAX_MOVES = 12  # pairs of labels listed; ten labels have ninety pairs
ROW_FORMAT = "{:<{width}}  {:>11}  {:>7}  {:>15}  {:>18}  {:>17}  {}"
HEADINGS = ("users", "share", "mean amount", "total amount", "mean transactions", "centre")


class ShownStep(NamedTuple):
    """What the next summary needs of the step that was shown."""

    user_ids: Sequence[str]
    labels: NDArray[np.int32]
    centers: NDArray[np.float64]
    scaling: Scaling


class Summary(Periodic):
    """Prints a table after the first step, then at most every `SUMMARY_SECONDS`, and at the end."""

    def __init__(self, echo: Callable[[str], object], names: Sequence[str] = (), clock: Clock = time.monotonic) -> None:
        super().__init__(self._echo_table, SUMMARY_SECONDS, clock)
        self._echo = echo
        self._names = names
        self._before: ShownStep | None = None

    def _echo_table(self, step: Step) -> None:
        for line in summary_lines(step, self._names):
            self._echo(line)
        before = self._before
        if before is not None:
            moved = moves(before.user_ids, before.labels, step.user_ids, step.labels, step.weights)
            self._echo(f"since the last summary: {moved}")
            note = changed_clusters_note(before, step)
            if note:
                self._echo(note)
        self._before = ShownStep(step.user_ids, step.labels, step.centers, step.scaling)


def per_label(
    totals: NDArray[np.float64], labels: NDArray[np.int32], n_labels: int, weights: Weights | None = None
) -> pd.DataFrame:
    """Return number and totals of the users of each label.

    Parameters
    ----------
    totals : ndarray of shape (n_users, 2)
        total_amount in the currency of the input, num_transactions as a count.
    labels : ndarray of shape (n_users,)
    n_labels : int
        Labels without users have a row, too.
    weights : ndarray of shape (n_users,), optional
        How many users each row represents, by default one.

    Returns
    -------
    DataFrame
        Index label; columns users, mean_amount, total_amount, mean_transactions. Without users, the means are NaN.
    """
    users = np.ones(len(labels)) if weights is None else weights
    columns = {
        "label": labels,
        "users": users,
        "total_amount": totals[:, 0] * users,
        "transactions": totals[:, 1] * users,
    }
    sums = pd.DataFrame(columns).groupby("label").sum()
    found = sums.reindex(pd.RangeIndex(n_labels, name="label"), fill_value=0.0)
    found.insert(1, "mean_amount", found["total_amount"] / found["users"])
    found["mean_transactions"] = found.pop("transactions") / found["users"]
    return found.astype({"users": np.int64})


def summary_lines(step: Step, names: Sequence[str] = ()) -> list[str]:
    """Return the table, a line for each label and one for all."""
    n_labels = len(step.centers)
    titles = [label_name(label, names) for label in range(n_labels)]
    width = max(len(title) for title in ("label", *titles))
    lines = [ROW_FORMAT.format("label", *HEADINGS, width=width) + scale_suffix(step.scaling.name)]
    rows = per_label(step.totals, step.labels, n_labels, step.weights).itertuples()
    for title, row, center in zip(titles, rows, step.centers.tolist(), strict=True):
        texts = (*row_texts(row, step.n_users), center_text(center))
        lines.append(ROW_FORMAT.format(title, *texts, width=width))
    for row in per_label(step.totals, np.zeros_like(step.labels), 1, step.weights).itertuples():
        lines.append(ROW_FORMAT.format("all", *row_texts(row, step.n_users), "", width=width).rstrip())
    return lines


def row_texts(row: Any, n_users: int) -> list[str]:
    """Return one row of `per_label` as texts, with the share of all users."""
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
    """Return how many users changed labels: '12 users 1 -> 2, 1 user 0 -> 1, 5 new, 2 deleted'.

    Users are matched by user_id, unless the table has the same list as before, because no user was added or deleted.
    With `weights`, rows are cells (--cells), and all users of a cell move with its label.
    """
    n_new = 0
    n_deleted = 0
    n_users = np.ones(len(labels), np.int64) if weights is None else weights
    if ids_before is not user_ids:
        index_before = pd.Index(ids_before, dtype=object).get_indexer(pd.Index(user_ids, dtype=object))
        in_both = index_before >= 0
        if weights is None:
            n_new = int((~in_both).sum())
            n_deleted = len(ids_before) - int(in_both.sum())
        before = before[index_before[in_both]]
        labels = labels[in_both]
        n_users = n_users[in_both]
    moved = before != labels
    pairs, pair_of = np.unique(np.column_stack((before[moved], labels[moved])), axis=0, return_inverse=True)
    counts = np.bincount(pair_of.ravel(), n_users[moved], len(pairs)).astype(np.int64)
    most_first = np.argsort(-counts, kind="stable")
    texts = [f"{format_users(counts[i])} {pairs[i, 0]} -> {pairs[i, 1]}" for i in most_first[:MAX_MOVES]]
    if len(counts) > MAX_MOVES:
        texts.append(f"{format_users(counts[most_first[MAX_MOVES:]].sum())} in other moves")
    if not texts:
        texts.append("no user moved")
    if n_new:
        texts.append(f"{n_new:,} new")
    if n_deleted:
        texts.append(f"{n_deleted:,} deleted")
    return ", ".join(texts)


def changed_clusters_note(before: ShownStep, step: Step) -> str | None:
    """Return how the centres moved if that alone gives many users another label, else None.

    These users have another label than the nearest of the centres shown before.
    """
    if len(before.centers) != len(step.centers) or not len(step.labels):
        return None
    moved = before.scaling.nearest(step.totals, before.centers) != step.labels
    n_moved = int(np.count_nonzero(moved) if step.weights is None else step.weights[moved].sum())
    if n_moved < MIN_CHANGED * step.n_users:
        return None
    centers = zip(before.centers.tolist(), step.centers.tolist(), strict=True)
    shifts = [f"{label} from {center_text(old)} to {center_text(new)}" for label, (old, new) in enumerate(centers)]
    return (
        f"the clusters have changed: with the previous centres, {format_users(n_moved)}"
        f" ({format_percentage(n_moved, step.n_users)}) would"
        f" have another label; centres: {', '.join(shifts)}"
    )


def center_text(center: Sequence[float]) -> str:
    """Return a centre as text, in the units of the input."""
    return f"{format_amount(center[0])} / {center[1]:,.1f}"


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

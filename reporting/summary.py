"""The clusters as a table: what the users of each label spend, and who moved."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from reporting import Step
from reporting.names import label_name
from reporting.periodic import Clock, Periodic

SUMMARY_SECONDS = 60.0
MOST_MOVES = 12  # kinds of moves that are listed; ten labels can have ninety
WIDEST_USER_ID = 40  # characters
LARGEST_IN_FULL = 1e12  # larger amounts are shown as 1.23e+15
ROW = "{:<{width}}  {:>11}  {:>7}  {:>15}  {:>18}  {:>17}  {}"
HEADINGS = ("users", "share", "mean amount", "total amount", "mean transactions", "centre")


class Summary(Periodic):
    """Echoes a table after the first step, every `SUMMARY_SECONDS` while labels come, and at the end."""

    def __init__(
        self, echo: Callable[[str], object], names: Sequence[str] = (), clock: Clock = time.monotonic
    ) -> None:
        super().__init__(self._echo_table, SUMMARY_SECONDS, clock)
        self._echo, self._names = echo, names
        self._before: tuple[Sequence[str], NDArray[np.int32]] | None = None

    def _echo_table(self, step: Step) -> None:
        for line in summary_lines(step, self._names):
            self._echo(line)
        if self._before is not None:
            self._echo("since the last summary: " + moves(*self._before, step.user_ids, step.labels))
        self._before = step.user_ids, step.labels


def per_label(totals: NDArray[np.float64], labels: NDArray[np.int32], n_labels: int) -> pd.DataFrame:
    """Count and add up the users of each label.

    Parameters
    ----------
    totals : ndarray of shape (n_users, 2)
        total_amount in the currency of the input, num_transactions as a count.
    labels : ndarray of shape (n_users,)
    n_labels : int
        A label without users has a row, too.

    Returns
    -------
    DataFrame
        Index label; columns users, share (0 to 1), mean_amount, total_amount, mean_transactions. The means of a
        label without users are NaN.
    """
    frame = pd.DataFrame({"label": labels, "amount": totals[:, 0], "transactions": totals[:, 1]})
    found = frame.groupby("label").agg(
        users=("amount", "size"),
        mean_amount=("amount", "mean"),
        total_amount=("amount", "sum"),
        mean_transactions=("transactions", "mean"),
    )
    found = found.reindex(pd.RangeIndex(n_labels, name="label"))
    found = found.fillna({"users": 0, "total_amount": 0.0}).astype({"users": np.int64})
    found.insert(1, "share", found["users"] / max(len(labels), 1))
    return found


def summary_lines(step: Step, names: Sequence[str] = ()) -> list[str]:
    """Return the table, a line for each label and one for all."""
    table = per_label(step.totals, step.labels, len(step.centers))
    titles = [label_name(label, names) for label in range(len(table))]
    width = max(len(title) for title in ("label", *titles))
    lines = [ROW.format("label", *HEADINGS, width=width)]
    for title, row, (amount, transactions) in zip(titles, table.itertuples(), step.centers.tolist(), strict=True):
        lines.append(table_row(title, width, row, f"{money(amount)} / {transactions:,.1f}"))
    if len(step.labels):
        everyone = per_label(step.totals, np.zeros_like(step.labels), 1)
        lines += [table_row("all", width, row, "") for row in everyone.itertuples()]
    return [line.rstrip() for line in lines]


def table_row(title: str, width: int, row: Any, centre: str) -> str:
    """Lay out one row of `per_label`."""
    mean, total = money(row.mean_amount), money(row.total_amount)
    share, transactions = f"{row.share:.1%}", f"{row.mean_transactions:,.1f}" if row.users else "-"
    return ROW.format(title, f"{row.users:,}", share, mean, total, transactions, centre, width=width)


def money(amount: float) -> str:
    """Return an amount, to the hundredth where it can be read so."""
    if np.isnan(amount):
        return "-"
    return f"{amount:,.2f}" if abs(amount) < LARGEST_IN_FULL else f"{amount:.3g}"


def moves(
    ids_before: Sequence[str], before: NDArray[np.int32], user_ids: Sequence[str], labels: NDArray[np.int32]
) -> str:
    """Tell who changed labels: '12 users 1 -> 2, 1 user 0 -> 1, 5 new, 2 gone'.

    Users are matched by user_id. The table keeps its list of user_ids while none comes or goes: then there is
    nothing to match.
    """
    n_new = n_gone = 0
    if ids_before is not user_ids:
        at = pd.Index(ids_before, dtype=object).get_indexer(pd.Index(user_ids, dtype=object))
        both = at >= 0
        n_new, n_gone = int((~both).sum()), len(ids_before) - int(both.sum())
        before, labels = before[at[both]], labels[both]
    moved = before != labels
    pairs, counts = np.unique(np.column_stack((before[moved], labels[moved])), axis=0, return_counts=True)
    most_first = np.argsort(-counts, kind="stable")
    told = [f"{users(counts[i])} {pairs[i, 0]} -> {pairs[i, 1]}" for i in most_first[:MOST_MOVES]]
    if len(counts) > MOST_MOVES:
        told.append(f"{users(counts[most_first[MOST_MOVES:]].sum())} otherwise")
    told = told or ["nobody moved"]
    return ", ".join(told + [f"{n:,} {what}" for n, what in ((n_new, "new"), (n_gone, "gone")) if n])


def users(n_users: int) -> str:
    """Return '1 user', '12 users'."""
    return f"{n_users:,} user{'' if n_users == 1 else 's'}"


def first_users(step: Step, names: Sequence[str] = (), n: int = 20) -> list[str]:
    """Return the first users and their labels as the lines of a table."""
    ids = [readable(user_id) for user_id in step.user_ids[:n]]
    width = max(len(user_id) for user_id in ("user_id", *ids))
    lines = [f"{'user_id':<{width}}  {'total_amount':>18}  {'num_transactions':>16}  label"]
    for user_id, (amount, count), label in zip(ids, step.totals[:n].tolist(), step.labels[:n].tolist(), strict=True):
        lines.append(f"{user_id:<{width}}  {money(amount):>18}  {count:>16,.0f}  {label_name(label, names)}")
    if len(step.user_ids) > n:
        lines.append(f"... and {users(len(step.user_ids) - n)} more")
    return lines


def readable(user_id: str) -> str:
    """Return a user_id that fits into a column; control characters would move the cursor."""
    text = user_id if user_id.isprintable() else repr(user_id)[1:-1]
    return text if len(text) <= WIDEST_USER_ID else text[: WIDEST_USER_ID - 1] + "…"

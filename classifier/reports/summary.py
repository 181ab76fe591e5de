"""The clusters as a table: the means of the users of each label, and how many changed label."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from classifier.clustering.scaling import Scaling, Weights, scale_suffix
from classifier.features import AMOUNT, COUNT, Features
from classifier.formatting import format_amount, format_percentage, format_user_id, format_users
from classifier.label_names import label_name
from classifier.reports.influence import influence_lines
from classifier.reports.periodic import Clock, Periodic
from classifier.reports.step import Step
from classifier.reports.values import AMOUNT_WIDTH, MINUTE, center_text, mean_text, value_text, value_width

SUMMARY_SECONDS = 60.0
MIN_CHANGED = 0.05  # share of the users; small shifts of the borders, as users change, move fewer
MAX_MOVES = 12  # pairs of labels listed; ten labels have ninety pairs
MEAN_WIDTH = 15  # characters of a column of means
HEADINGS = {AMOUNT: "mean amount", COUNT: "mean transactions"}  # of others: mean and the name


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
        self._advised = False

    def _echo_table(self, step: Step) -> None:
        for line in summary_lines(step, self._names):
            self._echo(line)
        shares, *advice = influence_lines(step.totals, step.scaling, step.features, step.weights) or [""]
        if shares:
            self._echo(shares)
        if advice and not self._advised:
            self._advised = True
            self._echo(advice[0])
        before = self._before
        if before is not None:
            moved = moves(before.user_ids, before.labels, step.user_ids, step.labels, step.weights)
            self._echo(f"since the last summary: {moved}")
            note = changed_clusters_note(before, step)
            if note:
                self._echo(note)
        self._before = ShownStep(step.user_ids, step.labels, step.centers, step.scaling)


class LabelSums(NamedTuple):
    """Number and sums of the users of each label."""

    users: NDArray[np.int64]  # shape (n_labels,)
    sums: NDArray[np.float64]  # shape (n_labels, n_features), in the units of the input

    @property
    def means(self) -> NDArray[np.float64]:
        """Means, of the same shape; NaN for a label without users."""
        n_users = self.users[:, None]
        return np.divide(self.sums, n_users, out=np.full_like(self.sums, np.nan), where=n_users > 0)


def label_sums(
    totals: NDArray[np.float64], labels: NDArray[np.int32], n_labels: int, weights: Weights | None = None
) -> LabelSums:
    """Return number and sums of the users of each label.

    Parameters
    ----------
    totals : ndarray of shape (n_users, n_features)
        In the units of the input.
    labels : ndarray of shape (n_users,)
    n_labels : int
        Labels without users have a row, too.
    weights : ndarray of shape (n_users,), optional
        How many users each row represents, by default one.
    """
    users = np.ones(len(labels)) if weights is None else weights
    columns = pd.DataFrame(np.column_stack((users, totals * users[:, None])))
    found = columns.groupby(labels).sum().reindex(range(n_labels), fill_value=0.0).to_numpy()
    return LabelSums(found[:, 0].astype(np.int64), found[:, 1:])


def headings_of(features: Features) -> Iterator[tuple[str, int]]:
    """Yield headings and widths: one for each feature, two for total_amount, whose sum is the revenue of a label."""
    for feature in features.items:
        heading = HEADINGS.get(feature.name, f"mean {feature.name}")
        yield heading, max(len(heading), MINUTE if feature.units_per_day else MEAN_WIDTH)
        if feature.name == AMOUNT:
            yield "total amount", AMOUNT_WIDTH


def texts_of(found: LabelSums, features: Features, n_users: int) -> Iterator[list[str]]:
    """Yield for each label the number and share of its users, and the texts under `headings_of`."""
    for n_of_label, means, sums in zip(found.users.tolist(), found.means.tolist(), found.sums.tolist(), strict=True):
        texts = [f"{n_of_label:,}", format_percentage(n_of_label, n_users)]
        for feature, mean, total in zip(features.items, means, sums, strict=True):
            texts.append(mean_text(feature, mean))
            if feature.name == AMOUNT:
                texts.append(format_amount(total))
        yield texts


def summary_lines(step: Step, names: Sequence[str] = ()) -> list[str]:
    """Return the table, a line for each label and one for all."""
    features, n_users, n_labels = step.features, step.n_users, len(step.centers)
    titles = [label_name(label, names) for label in range(n_labels)]
    headings, widths = zip(("users", 11), ("share", 7), *headings_of(features), strict=True)
    title_width = max(len(title) for title in ("label", *titles))

    def line(title: str, texts: Sequence[str], center: str = "") -> str:
        padded = [f"{text:>{width}}" for text, width in zip(texts, widths, strict=True)]
        return "  ".join((f"{title:<{title_width}}", *padded, center)).rstrip()

    lines = [line("label", headings, "centre") + scale_suffix(step.scaling.name)]
    by_label = label_sums(step.totals, step.labels, n_labels, step.weights)
    centers = [center_text(center, features, step.scaling.ages) for center in step.centers.tolist()]
    lines += map(line, titles, texts_of(by_label, features, n_users), centers)
    every = label_sums(step.totals, np.zeros_like(step.labels), 1, step.weights)
    lines += [line("all", texts) for texts in texts_of(every, features, n_users)]
    return lines


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
    features = step.features
    shifts = [
        f"{label} from {center_text(old, features, before.scaling.ages)}"
        f" to {center_text(new, features, step.scaling.ages)}"
        for label, (old, new) in enumerate(centers)
    ]
    return (
        f"the clusters have changed: with the previous centres, {format_users(n_moved)}"
        f" ({format_percentage(n_moved, step.n_users)}) would"
        f" have another label; centres: {', '.join(shifts)}"
    )


def first_users(step: Step, names: Sequence[str] = (), n: int = 20) -> list[str]:
    """Return the first users and their labels as the lines of a table."""
    features = step.features.items
    widths = [value_width(feature) for feature in features]
    ids = [format_user_id(user_id) for user_id in step.user_ids[:n]]
    id_width = max(len(user_id) for user_id in ("user_id", *ids))

    def line(user_id: str, texts: Iterable[str], label: str) -> str:
        padded = [f"{text:>{width}}" for text, width in zip(texts, widths, strict=True)]
        return "  ".join((f"{user_id:<{id_width}}", *padded, label))

    lines = [line("user_id", step.features.names, "label")]
    for user_id, values, label in zip(ids, step.totals[:n].tolist(), step.labels[:n].tolist(), strict=True):
        lines.append(line(user_id, map(value_text, features, values), label_name(label, names)))
    if len(step.user_ids) > n:
        lines.append(f"... and {format_users(len(step.user_ids) - n)} more")
    return lines

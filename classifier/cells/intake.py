"""--cells: the number of users of each cell, as Flink counts them, and the labels of cells that are there.

Guarantee: at an end of the input, the counts are those that its topic holds, and the changes are what its labels differ
in from the labels of one fit on these counts, whatever was restored on the way. Both topics are read from their
beginning at every start, so there is nothing to keep beside them. Nothing is written.
"""

import logging
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from numpy.typing import NDArray

from classifier.cells.codec import LABEL, NUM_USERS, CellCodec
from classifier.cells.lattice import (
    AMOUNT_BINS,
    COUNT_BINS,
    SPREAD,
    Numbers,
    corners,
    lattice_up_to,
    middles,
    points_in,
)
from classifier.clustering.model import ClusterFunction, Clusters, kmeans_class
from classifier.clustering.number_of_clusters import Chosen
from classifier.clustering.scaling import Scaling
from classifier.config.settings import Settings
from classifier.errors import RecordError, StateError
from classifier.formatting import format_percentage
from classifier.kafka.client import POLL_SECONDS, Kafka
from classifier.kafka.record import BadRecord, Headers, Record, position_of
from classifier.kafka.sink import OutputRecord
from classifier.kafka.source import MAX_POLL_RECORDS, Topic, newest_records
from classifier.kafka.topics import TopicWatch
from classifier.reports import Report
from classifier.reports.step import Step
from classifier.serialization.avro import RECORDS_PER_BLOCK
from classifier.serialization.registry import SchemaRegistry
from classifier.stop import StopRequest

log = logging.getLogger("user_classifier")
CELLS_PER_DECODE = 20_000  # cells of which the last record is kept before records are decoded; earlier ones never are
MOST_AT_BORDERS = 0.01  # share of the users; with more, cells are too large for them
UNLABELLED = -1
CHOSEN = "chosen"  # header of the label of cell 0: what -k auto has chosen
FINER = (
    "%s of the users lie in cells through which a border runs, and may have the label of the other side; finer cells"
    f" make it fewer, see docs/scale-out.md: larger constants than {AMOUNT_BINS:.0f} and {COUNT_BINS:.0f} in"
    " sql/scale_out and classifier/cells/lattice.py"
)


class CellChanges(NamedTuple):
    """Labels that the output does not have yet."""

    cells: Numbers
    labels: NDArray[Any]

    def __len__(self) -> int:
        return len(self.cells)


class CellBatch:
    """What was read since the last step: of each cell the last record."""

    def __init__(self) -> None:
        self.n_records, self.net, self.bad = 0, dict[bytes | None, Record](), list[BadRecord]()

    def clear(self) -> None:
        """Begin anew after a step, which has taken `net` already."""
        self.n_records, self.bad = 0, []


class CellIntake:
    """Keeps the users of each cell as the input tells them: `restore` once, then `gather` and `settle` again and again.

    For the loop it is what `UserIntake` is for users.
    """

    unit, commits = "cell", "labels"
    rebuild = needs_another_end = deletions_due = (
        False  # it is always read from the beginning, and nothing waits for a second end
    )
    incomplete = True  # labels are a difference to the output: they may come in any parts

    def __init__(
        self,
        settings: Settings,
        kafka: Kafka,
        registry: SchemaRegistry,
        consumer: Consumer,
        stop: StopRequest,
        report: Report,
    ) -> None:
        self.settings, self.consumer, self._stop, self._report = settings, consumer, stop, report
        topics = settings.topic, settings.output
        self._input, self._output = (Topic(kafka, consumer, name, uses_group=False) for name in topics)
        self._counts = CellCodec(registry, settings.topic, NUM_USERS)
        self._labels = CellCodec(registry, settings.output, LABEL)
        self.watch = TopicWatch(kafka, settings)
        self._advised = False
        kafka.on_wait = self.heartbeat

    def heartbeat(self) -> bool:
        """Tell reports that the client is alive while it does not read the input; return whether it is to go on."""
        self._report.read(0, None)
        return not self._stop.requested

    # restore: the labels that are there, then the counts

    def restore(self) -> None:
        """Read the labels, and the counts as they are now."""
        self.watch.start()
        self.batch, self._users = CellBatch(), dict[int, int]()
        self.cells, self.weights = np.empty(0, np.int64), np.empty(0, np.int64)
        self.choice: Chosen | None = None
        beginnings = dict.fromkeys(self._output.partitions(), OFFSET_BEGINNING)
        known = dict[int, int]()
        for newest in newest_records(self._output.read_from(beginnings, self.heartbeat), self._stop):
            self._take_labels([*newest.values()], known)
        if self._stop.requested:
            return
        self._told_choice: Chosen | None = self.choice
        self._known = CellChanges(*as_arrays(known))
        kmeans_class()  # imports scikit-learn while brokers look for the first records
        log.info("%s: labels of %d cells restored from %s", self.settings.topic, len(known), self.settings.output)
        self._read_counts()

    def _take_labels(self, messages: list[Record], known: dict[int, int]) -> None:
        for message, found in zip(messages, self._labels.decode(messages), strict=True):
            if isinstance(found, RecordError):
                raise StateError(f"{position_of(message)}: no label of a cell ({found}); choose another output with -o")
            cell, label = found
            known[cell] = UNLABELLED if label is None else label
            if cell == 0:
                self.choice = chosen_of(message.headers())

    def _read_counts(self) -> None:
        """Read what the input holds by now: labels of a fit on a part of it would move users, and then move them back.

        One that is written to all the time is hardly ever at its end.
        """
        bounds = {partition: self._input.watermarks(partition) for partition in self._input.partitions()}
        self.source = self._input.read_from({partition: low for partition, (low, _) in bounds.items()})
        while any(self.source.positions[partition] < end for partition, (_, end) in bounds.items()):
            if self._stop.requested or self.source.at_end:
                break
            self.gather()

    # gather and settle: from records to counts

    def gather(self, limit: int = MAX_POLL_RECORDS) -> None:
        """Take what has arrived, up to `limit` records; the restore may have left a batch more than full."""
        messages = self.source.read(max(1, min(limit, MAX_POLL_RECORDS)), POLL_SECONDS)
        self._report.read(len(messages), sum(self.source.lag().values()))
        self.batch.n_records += len(messages)
        self.batch.net.update({message.key(): message for message in messages})
        if len(self.batch.net) >= CELLS_PER_DECODE:
            self._apply()

    def settle(self, *, last: bool = False, max_deletions: int | None = None) -> None:
        """Take what was read into the counts."""
        self._apply()
        if self.batch.bad:
            self._handle(self.batch.bad)
        self.cells, self.weights = as_arrays(self._users)

    def input_ended(self) -> None:
        """An end tells nothing more."""

    def _apply(self) -> None:
        messages, self.batch.net = [*self.batch.net.values()], {}
        for message, found in zip(messages, self._counts.decode(messages), strict=True):
            if isinstance(found, RecordError):
                self.batch.bad.append(BadRecord(message, found))
            elif found[1]:
                self._users[found[0]] = found[1]
            else:
                self._users.pop(found[0], None)

    def _handle(self, bad: list[BadRecord]) -> None:
        """Stop at records that cannot be read, or skip them."""
        if self.settings.error_handling_mode == "fail":
            raise RecordError(f"{bad[0]}; to skip such records: --error-handling-mode ignore")
        self._report.bad(len(bad))
        log.warning("%d records cannot be read (mode ignore), the first: %s", len(bad), bad[0])

    # fit: points that stand for users, and the labels of all cells

    @property
    def n_users(self) -> int:
        """How many users there are."""
        return int(self.weights.sum())

    @property
    def totals(self) -> NDArray[np.float64]:
        """The middle of each cell in which there are users, `weights` beside it being their number."""
        return middles(self.cells)

    def fit(self, cluster: ClusterFunction, n_clusters: int) -> Clusters:
        """Fit on points spread over each cell; a cell gets the label of the centre nearest to its middle.

        Where there are no more cells than clusters, each is a point: its users are equal, and stay together.
        """
        spread = SPREAD if len(self.cells) > n_clusters else (1, 1)
        n_points = spread[0] * spread[1]
        weights = np.repeat(self.weights / n_points, n_points)
        found = cluster(points_in(self.cells, spread), n_clusters, weights=weights)
        if not len(self.cells):
            return found
        self._tell_of_borders(found)
        return found._replace(labels=found.scaling.nearest(self.totals, found.centers))

    def _tell_of_borders(self, found: Clusters) -> None:
        """Log in which share of the users' cells a label can be another than that of a fit on users."""
        n_at_borders = users_at_borders(self.cells, self.weights, found.centers, found.scaling)
        many = n_at_borders > MOST_AT_BORDERS * self.n_users
        told = format_percentage(n_at_borders, self.n_users)
        log.info("%d cells, %s of the users in cells through which a border runs", len(self.cells), told)
        if many and not self._advised:
            log.warning(FINER, told)
        self._advised = many

    def relabel(self, found: Clusters) -> CellChanges:
        """Return the labels that change, those of cells in which nobody is yet among them."""
        known = self._known
        if not len(self.cells):
            return CellChanges(known.cells[:0], known.labels[:0])
        cells = np.union1d(lattice_up_to(self.cells), known.cells)
        labels = found.scaling.nearest(middles(cells), found.centers)
        before = np.full(len(cells), UNLABELLED, np.int32)
        before[np.searchsorted(cells, known.cells)] = known.labels
        self._now = CellChanges(cells, labels)
        changed = labels != before
        changed[0] |= self.choice != self._told_choice  # kept beside the label of cell 0
        return CellChanges(cells[changed], labels[changed])

    # what a step leaves behind

    def records(self, changes: CellChanges) -> Iterator[OutputRecord]:
        """Encode labels, as they are written."""
        for start in range(0, len(changes), RECORDS_PER_BLOCK):
            cells, labels = (column[start : start + RECORDS_PER_BLOCK].tolist() for column in changes)
            for cell, (key, value) in zip(cells, self._labels.encode(cells, labels), strict=True):
                headers = None if cell or self.choice is None else chosen_headers(self.choice)
                yield self.settings.output, key, value, headers

    def offsets(self) -> list[TopicPartition]:
        """No offsets are committed."""
        return []

    unfinished = offsets

    def owns_offsets(self, *offsets: list[TopicPartition]) -> bool:
        """Nothing tells a transaction that took too long from a takeover: the safe answer."""
        return False

    def committed_now(self) -> dict[int, TopicPartition]:
        """No offsets are committed."""
        return {}

    def step_committed(self, offsets: list[TopicPartition]) -> None:
        """Note that all that changed is in the output."""
        if len(self.cells):
            self._known, self._told_choice = self._now, self.choice

    def step(self, found: Clusters, n_changes: int, fit_seconds: float, commit_seconds: float) -> Step:
        """Return what reports are told of a step; cells stand in the place of users, with their weights."""
        told = list(map(str, self.cells.tolist())), self.totals, found.labels, found.centers, self.batch.n_records
        how: dict[str, Any] = {"scaling": found.scaling, "weights": self.weights}
        return Step(*told, n_changes, fit_seconds, commit_seconds, self.source.lag(), **how)


def users_at_borders(cells: Numbers, users: Numbers, centers: NDArray[np.float64], scaling: Scaling) -> int:
    """Return how many users are in cells whose corners do not all have the same nearest centre.

    Where they have, the whole cell has, as what is nearest to a centre is convex; no label in it can be wrong.
    """
    nearest = scaling.nearest(corners(cells), centers).reshape(-1, 4)
    return int(users[(nearest != nearest[:, :1]).any(axis=1)].sum())


def as_arrays(numbers: dict[int, int]) -> tuple[Numbers, Numbers]:
    """Return cells, ascending, and the number of each."""
    cells = np.fromiter(numbers.keys(), np.int64, len(numbers))
    order = np.argsort(cells)
    return cells[order], np.fromiter(numbers.values(), np.int64, len(numbers))[order]


def chosen_headers(choice: Chosen) -> Headers:
    """Return the header that keeps what -k auto has chosen."""
    return [(CHOSEN, f"{choice.n_clusters} {choice.scale}".encode())]


def chosen_of(headers: Headers) -> Chosen | None:
    """Decode what `chosen_headers` encoded; None where there is nothing of the kind."""
    for name, value in headers or ():
        number, _, scale = bytes(value or b"").partition(b" ")
        if name == CHOSEN and number.isdigit():
            return Chosen(int(number), scale.decode(errors="replace"))
    return None

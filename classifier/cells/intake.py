"""The intake of --cells: reads the number of users in each cell, which Flink counts, and labels cells.

Guarantee: at an end of the input, the counts are those of the input topic, and the changes are the difference between
the labels in the output and the labels of one fit on these counts, whatever was restored on the way. Both topics are
read from their beginning at every start, so no offsets are committed.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from numpy.typing import NDArray

from classifier.cells.codec import LABEL, NUM_USERS, CellCodec
from classifier.cells.headers import check_layout, choice_in, output_headers, partitions_in
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
from classifier.features import TOTALS
from classifier.formatting import format_percentage
from classifier.kafka.caught_up import CaughtUp
from classifier.kafka.client import POLL_SECONDS, Kafka
from classifier.kafka.end_check import EndCheck
from classifier.kafka.last_written import LastWritten
from classifier.kafka.record import BadRecord, Record, position_of
from classifier.kafka.sink import OutputRecord
from classifier.kafka.source import MAX_POLL_RECORDS, Topic, newest_records
from classifier.kafka.topics import TopicWatch
from classifier.reports import Report
from classifier.reports.step import Step
from classifier.serialization.avro import RECORDS_PER_BLOCK
from classifier.serialization.registry import SchemaRegistry
from classifier.stop import StopRequest

log = logging.getLogger("user_classifier")
CELLS_PER_DECODE = 20_000  # cells whose last record is kept until records are decoded; earlier records never are
MAX_SHARE_AT_BORDERS = 0.01  # of the users; if more, cells are too large
UNLABELLED = -1
TOO_MANY_AT_BORDERS = (
    "%s of the users are in cells that a cluster border crosses and may have the label of the other side; finer cells"
    f" reduce this, see docs/scale-out.md: larger constants than {AMOUNT_BINS:.0f} and {COUNT_BINS:.0f} in"
    " sql/scale_out and classifier/cells/lattice.py"
)


@dataclass(frozen=True)
class CellLabels:
    """Labels of cells."""

    cells: Numbers  # ascending
    labels: NDArray[np.int32]  # shape (n_cells,)

    def __len__(self) -> int:
        return len(self.cells)

    @property
    def n_relabelled(self) -> int:
        """As changes: all of them, as a record holds nothing but a label."""
        return len(self)


class CellBatch:
    """The records read since the last step: of each cell the last one."""

    def __init__(self) -> None:
        self.n_records = 0
        self.net: dict[bytes | None, Record] = {}
        self.bad: list[BadRecord] = []

    @property
    def n_net(self) -> int:
        """Changes left, records that cannot be read included."""
        return len(self.net) + len(self.bad)

    def clear(self) -> None:
        """Start the next batch after a step, which has emptied `net` already."""
        self.n_records = 0
        self.bad = []


class CellIntake:
    """The intake of cells, see `classifier.loop.intake.Intake`."""

    unit = "cell"
    features = TOTALS
    commits = "labels"
    divisible = True  # a record holds nothing but a label
    needs_another_end = False  # a cell without users is known from its count
    deletions_due = False

    def __init__(
        self,
        settings: Settings,
        kafka: Kafka,
        registry: SchemaRegistry,
        consumer: Consumer,
        stop: StopRequest,
        report: Report,
    ) -> None:
        self.settings = settings
        self.consumer = consumer
        self._stop = stop
        self._report = report
        self._input = Topic(kafka, consumer, settings.topic, uses_group=False)
        self._output = Topic(kafka, consumer, settings.output, uses_group=False)
        self._count_codec = CellCodec(registry, settings.topic, NUM_USERS)
        self._label_codec = CellCodec(registry, settings.output, LABEL)
        self.watch = TopicWatch(kafka, settings)
        self._caught_up = CaughtUp(self._input)
        self._warned_of_borders = False
        self._last_written = LastWritten(settings.topic)  # of each cell
        # From here on as of the last restore:
        self.batch = CellBatch()
        self.source = self._input.read_from({})
        self._end_check = EndCheck()
        self.cells: Numbers = np.empty(0, np.int64)  # with users, ascending
        self.weights: Numbers = np.empty(0, np.int64)  # users of each
        self.choice: Chosen | None = None
        self._n_users: dict[int, int] = {}  # by cell
        self._written = CellLabels(self.cells, np.empty(0, np.int32))  # in the output
        self._written_choice: Chosen | None = None
        self._n_partitions = 0  # of the output
        self._n_partitions_written: int | None = None  # as its labels say; None where they do not
        self._fitted = self._written  # labels of the last fit
        self._changes = self._written  # of the last `relabel`
        kafka.on_wait = self.heartbeat
        registry.on_wait = self.heartbeat

    def heartbeat(self) -> bool:
        """Report that the client is alive while it does not read the input; return whether to continue."""
        self._report.read(0, None)
        return not self._stop.requested

    # restore: the labels in the output, then the counts in the input

    def restore(self) -> None:
        """Read the labels, and all counts."""
        self._report.restored(complete=False)
        self.watch.start()
        self.batch = CellBatch()
        self.cells = np.empty(0, np.int64)
        self.weights = np.empty(0, np.int64)
        self.choice = None
        self._n_users = {}
        partitions = self._output.partitions()
        self._n_partitions = len(partitions)
        self._n_partitions_written = None
        beginnings = dict.fromkeys(partitions, OFFSET_BEGINNING)
        labels: dict[int, int] = {}
        for newest in newest_records(self._output.read_from(beginnings, self.heartbeat), self._stop):
            self._take_labels([*newest.values()], labels)
        if self._stop.requested:
            return
        check_layout(self.settings.output, self._n_partitions_written, self._n_partitions)
        cells, numbers = as_arrays(labels)
        self._written = CellLabels(cells, numbers.astype(np.int32))
        self._written_choice = self.choice
        kmeans_class()  # imports scikit-learn while brokers look for the first records
        log.info("%s: labels of %d cells restored from %s", self.settings.topic, len(cells), self.settings.output)
        self._read_counts()

    def committed_now(self) -> dict[int, TopicPartition]:
        """No offsets are committed."""
        return {}

    def _take_labels(self, messages: list[Record], labels: dict[int, int]) -> None:
        for message, found in zip(messages, self._label_codec.decode(messages), strict=True):
            if isinstance(found, RecordError):
                raise StateError(f"{position_of(message)}: not a cell's label ({found}); choose another output with -o")
            cell, label = found
            labels[cell] = UNLABELLED if label is None else label
            if cell == 0:
                self.choice = choice_in(message.headers())
                self._n_partitions_written = partitions_in(message.headers())

    def _read_counts(self) -> None:
        """Read all that the input holds by now: a fit on a part of it would move users to other labels and back.

        An input that is written to all the time may never be at its end, so its size at the start counts.
        """
        self._caught_up.begin_full_read()
        first_offsets = self._input.first_offsets(self._input.partitions())
        self.source = self._input.read_from(first_offsets)
        self._end_check = EndCheck()
        self._last_written.begin(first_offsets, {})
        request = self.source.request_ends()
        while not self._stop.requested:
            ends = request.wait()
            if ends is not None and self.source.take_ends(ends):
                self._report.restored(complete=True)
                break
            self.gather()

    # gather and settle: from records to counts

    @property
    def at_end(self) -> bool:
        """Whether every partition of the input has been read to its end."""
        return self.source.at_end

    def gather(self, limit: int = MAX_POLL_RECORDS) -> None:
        """Poll once and add up to `limit` records to the batch; at least one, as a restore may have overfilled it."""
        messages = self.source.read(max(1, min(limit, MAX_POLL_RECORDS)), POLL_SECONDS)
        self._report.read(len(messages), sum(self.source.lag().values()))
        self.batch.n_records += len(messages)
        is_newest = self._last_written.is_newest
        for message in messages:
            if is_newest(message.key(), message.partition(), message.timestamp()[1]):
                self.batch.net[message.key()] = message
        if len(self.batch.net) >= CELLS_PER_DECODE:
            self._apply()

    def settle(self, *, last: bool = False, max_deletions: int | None = None) -> None:
        """Apply the batch to the counts. A cell without users is not deleted: its label is for users to come."""
        self._apply()
        self._last_written.note_end(self.source)
        if self.batch.bad:
            self._handle(self.batch.bad)
        self.cells, self.weights = as_arrays(self._n_users)

    def confirm_end(self) -> bool:
        """Return whether the leaders confirm that the input has been read to its end."""
        confirmed = self._end_check.confirm(self.source)
        self._caught_up.note(self._end_check.caught_up_at, stopping=self._stop.requested)
        return confirmed

    def check(self) -> None:
        """Raise TopicsChanged if a topic changed; ask the leaders for records that were not read."""
        self.watch.check()
        self.confirm_end()

    def input_ended(self) -> None:
        """Take note of an end: counts read before it need not be compared for long."""
        self._last_written.note_end(self.source)

    def _apply(self) -> None:
        messages = [*self.batch.net.values()]
        self.batch.net = {}
        for message, found in zip(messages, self._count_codec.decode(messages), strict=True):
            if isinstance(found, RecordError):
                self.batch.bad.append(BadRecord(message, found))
                continue
            cell, n_users = found
            if n_users:
                self._n_users[cell] = n_users
            else:
                self._n_users.pop(cell, None)

    def _handle(self, bad: list[BadRecord]) -> None:
        """Stop at records that cannot be read, or report that they are skipped."""
        if self.settings.error_handling_mode == "fail":
            raise RecordError(f"{bad[0]}; to skip such records: --error-handling-mode ignore")
        self._report.bad(len(bad))
        log.warning("%d records cannot be read (mode ignore), the first: %s", len(bad), bad[0])

    # fit: points that stand for users, and labels for all cells

    @property
    def n_users(self) -> int:
        """Number of users."""
        return int(self.weights.sum())

    @property
    def totals(self) -> NDArray[np.float64]:
        """The middle of each cell with users, shape (n_cells, 2); `weights` are the users of each."""
        return middles(self.cells)

    def fit(self, cluster: ClusterFunction, n_clusters: int) -> Clusters:
        """Fit points spread over each cell; a cell gets the label of the center nearest to its middle.

        Where there are no more cells than clusters, each cell is one point, so that its users stay together.
        """
        spread = SPREAD if len(self.cells) > n_clusters else (1, 1)
        n_points = spread[0] * spread[1]
        weights = np.repeat(self.weights / n_points, n_points)
        found = cluster(points_in(self.cells, spread), n_clusters, weights=weights)
        if not len(self.cells):
            return found
        self._log_users_at_borders(found)
        return found._replace(labels=found.scaling.nearest(self.totals, found.centers))

    def _log_users_at_borders(self, found: Clusters) -> None:
        """Log the share of users that may have another label than in a fit on users; warn if it becomes too large."""
        n_at_borders = users_at_borders(self.cells, self.weights, found.centers, found.scaling)
        too_many = n_at_borders > MAX_SHARE_AT_BORDERS * self.n_users
        share = format_percentage(n_at_borders, self.n_users)
        log.info("%d cells, %s of the users in cells that a cluster border crosses", len(self.cells), share)
        if too_many and not self._warned_of_borders:
            log.warning(TOO_MANY_AT_BORDERS, share)
        self._warned_of_borders = too_many

    # what a step writes

    def relabel(self, found: Clusters) -> CellLabels:
        """Return the labels that change, those of cells without users included."""
        written = self._written
        if not len(self.cells):
            self._changes = CellLabels(written.cells[:0], written.labels[:0])
            return self._changes
        cells = np.union1d(lattice_up_to(self.cells), written.cells)
        labels = found.scaling.nearest(middles(cells), found.centers)
        before = np.full(len(cells), UNLABELLED, np.int32)
        before[np.searchsorted(cells, written.cells)] = written.labels
        changed = labels != before
        headers_written = self._written_choice, self._n_partitions_written
        changed[0] |= (self.choice, self._n_partitions) != headers_written  # of the record of cell 0
        self._fitted = CellLabels(cells, labels)
        self._changes = CellLabels(cells[changed], labels[changed])
        return self._changes

    def records(self) -> Iterator[OutputRecord]:
        """Encode the changes of the last `relabel` one by one."""
        changes = self._changes
        for start in range(0, len(changes), RECORDS_PER_BLOCK):
            block = slice(start, start + RECORDS_PER_BLOCK)
            cells = changes.cells[block].tolist()
            labels = changes.labels[block].tolist()
            for cell, (key, value) in zip(cells, self._label_codec.encode(cells, labels), strict=True):
                headers = None if cell else output_headers(self.choice, self._n_partitions)
                yield self.settings.output, key, value, headers

    def step(self, found: Clusters, n_changes: int, fit_seconds: float, commit_seconds: float) -> Step:
        """Return the step for reports and the log: with cells for users, weighted."""
        return Step(
            user_ids=list(map(str, self.cells.tolist())),
            totals=self.totals,
            labels=found.labels,
            centers=found.centers,
            n_records=self.batch.n_records,
            n_changes=n_changes,
            fit_seconds=fit_seconds,
            commit_seconds=commit_seconds,
            lag=self.source.lag(),
            scaling=found.scaling,
            weights=self.weights,
        )

    def offsets(self) -> list[TopicPartition]:
        """No offsets are committed."""
        return []

    def part_offsets(self) -> list[TopicPartition]:
        """No offsets are committed."""
        return []

    def owns_offsets(self, *offsets: list[TopicPartition]) -> bool:
        """Return False, the safe answer: without offsets, a timed-out transaction looks like a takeover."""
        return False

    def step_committed(self, offsets: list[TopicPartition]) -> None:
        """Take note that the labels of the last fit are in the output."""
        if len(self.cells):
            self._written = self._fitted
            self._written_choice = self.choice
            self._n_partitions_written = self._n_partitions


def users_at_borders(cells: Numbers, users: Numbers, centers: NDArray[np.float64], scaling: Scaling) -> int:
    """Return how many users are in cells whose corners have different nearest centers.

    Where the corners agree, so does all of the cell, as the area nearest to a center is convex: its label is right.
    """
    nearest = scaling.nearest(corners(cells), centers).reshape(-1, 4)
    return int(users[(nearest != nearest[:, :1]).any(axis=1)].sum())


def as_arrays(numbers: dict[int, int]) -> tuple[Numbers, Numbers]:
    """Return cells, ascending, and the number of each."""
    cells = np.fromiter(numbers.keys(), np.int64, len(numbers))
    order = np.argsort(cells)
    return cells[order], np.fromiter(numbers.values(), np.int64, len(numbers))[order]

"""The intake of users: restores the user table, reads the input into it, and encodes what a fit changes.

Guarantee: once settled at an end of the input, the table is the one that reading all of the input from its beginning
gives, whatever was restored on the way. Each record that cannot be read is reported, skipped or kept once.
"""

import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition
from numpy.typing import NDArray

from classifier.clustering.model import ClusterFunction, Clusters, kmeans_class
from classifier.clustering.number_of_clusters import Chosen
from classifier.config.settings import Settings
from classifier.errors import RecordError, RestoreNeeded
from classifier.formatting import format_users
from classifier.kafka.client import POLL_SECONDS, Kafka
from classifier.kafka.end_check import EndCheck
from classifier.kafka.last_written import LastWritten
from classifier.kafka.record import BadRecord, Record
from classifier.kafka.sink import OutputRecord
from classifier.kafka.source import MAX_POLL_RECORDS, Topic
from classifier.kafka.topics import TopicWatch
from classifier.loop.schedule import ENDS_APART_SECONDS
from classifier.reports import Report
from classifier.reports.step import Step
from classifier.serialization.avro import AvroReader
from classifier.serialization.registry import SchemaRegistry
from classifier.stop import StopRequest
from classifier.users.changelog import Batch, RowBytes, apply_last, apply_retract, last_rows, records_of, users_of
from classifier.users.deletions import Deletions
from classifier.users.duplicate_rows import DuplicateRows, RowOrder
from classifier.users.input_features import find_features
from classifier.users.input_keys import InputKeys
from classifier.users.offset_metadata import output_layout, unordered_since
from classifier.users.output import label_records, read_labels
from classifier.users.output_codec import KeyCodec, LabelCodec
from classifier.users.progress import Progress, warn_of_lost_retractions
from classifier.users.table import LabelledUsers, UserChanges, UserTable
from classifier.users.wrong_mode import check_no_retraction, check_retractions

log = logging.getLogger("user_classifier")


class UserIntake:
    """The intake of users, see `classifier.loop.intake.Intake`."""

    unit = "user"
    commits = "offsets"
    weights = None  # each row is one user

    def __init__(
        self,
        settings: Settings,
        kafka: Kafka,
        registry: SchemaRegistry,
        consumer: Consumer,
        stop: StopRequest,
        report: Report,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._clock = clock
        self.consumer = consumer
        self._stop = stop
        self._report = report
        self._input = Topic(kafka, consumer, settings.topic)
        self._output = Topic(kafka, consumer, settings.output)
        self._keys = KeyCodec(registry, settings.output)
        self.features = find_features(settings, kafka, registry)
        self._labels = LabelCodec(registry, settings.output, self.features, replaces_others=settings.rebuild)
        if self._keys.are_avro:
            log.info("%s: keys are Avro, as subject %s-key exists", settings.output, settings.output)
        self._input_keys = InputKeys(registry, settings.topic) if settings.changelog_mode == "upsert" else None
        self._reader = AvroReader(registry, self.features)
        self.watch = TopicWatch(kafka, settings)
        self._progress = Progress(settings, self._input, self.watch, self.heartbeat)
        self._duplicates = DuplicateRows(settings.topic)
        self._last_written = LastWritten(settings.topic)  # of each user; in mode retract, rows show it
        # From here on as of the last restore:
        self.batch = Batch(settings.changelog_mode)
        self.table = UserTable(self.features)
        self.source = self._input.read_from({})
        self.choice: Chosen | None = None
        self._end_check = EndCheck()
        self._deletions = Deletions()
        self._row_bytes: RowBytes = {}  # of the new rows of the last `settle`, until they are encoded
        self._changes: UserChanges | None = None  # of the last `relabel`, until they are encoded
        kafka.on_wait = self.heartbeat
        registry.on_wait = self.heartbeat

    def heartbeat(self) -> bool:
        """Report that the client is alive while it does not read the input; return whether to continue."""
        self._report.read(0, None)
        return not self._stop.requested

    # restore: the table from the output, and the input from the offsets that belong to it

    def restore(self) -> None:
        """Rebuild the table from the output, and read the input from the committed offsets."""
        self._report.restored(complete=False)
        self.batch = Batch(self.settings.changelog_mode)
        self.table = UserTable(self.features)
        self._row_bytes = {}
        self._changes = None
        progress = self._progress
        progress.begin()
        partitions = self._output.partitions()
        labelled = self._read_output(partitions)
        if self._stop.requested:
            return
        layout = output_layout(len(partitions), self._keys)
        progress.restore(layout, has_labels=bool(labelled.user_ids or labelled.pending or labelled.unreadable))
        self.choice = progress.choice
        self.source = self._input.read_from(self._load(labelled))
        self._deletions = Deletions(rebuild=progress.unconfirmed, ends_apart=ENDS_APART_SECONDS, clock=self._clock)
        self._end_check = EndCheck()
        confirmed_offsets = {} if progress.unconfirmed else progress.committed
        is_ordered = self._duplicates.begin(self.table, progress.batch_start, confirmed_offsets)
        if is_ordered and not progress.unconfirmed:
            self.table.mark_all_ordered()
        # Writers that did not know a new partition yet may have written newer rows to the others.
        all_again = progress.has_new_partitions and not progress.unconfirmed
        since = dict.fromkeys(progress.batch_start, 0) if all_again else unordered_since(confirmed_offsets)
        self._last_written.begin(progress.batch_start, since)
        self._read_ages()
        # The rows restored may come from records with op headers, which another process has read.
        self.batch.ops_seen = len(self.table) > 0
        kmeans_class()  # imports scikit-learn while the first records arrive
        log.info("%s: %d users restored from %s", self.settings.topic, len(self.table), self.settings.output)
        self._report.restored(complete=True)

    def _read_output(self, partitions: list[int]) -> LabelledUsers:
        source = self._output.read_from(dict.fromkeys(partitions, OFFSET_BEGINNING), self.heartbeat)
        labelled = read_labels(source, self._keys, self._labels, self._stop, rebuild=self._progress.unconfirmed)
        self.consumer.unassign()  # an open fetch delays the calls that follow by fetch.wait.max.ms each
        return labelled

    def _load(self, labelled: LabelledUsers) -> dict[int, int]:
        """Load the table; return the offset in each partition that belongs to it."""
        progress = self._progress
        start = progress.start_offsets(len(labelled.user_ids))
        if progress.has_state:
            self.table.load(labelled, confirmed=not progress.unconfirmed)
            if not progress.unconfirmed:
                progress.check_rows(self.table.row_checksum())
                warn_of_lost_retractions(progress.committed.values(), self.table.n_unmatched)
        return start

    def _read_ages(self) -> None:
        """In the modes in which the last record counts, read again the records that may not be the last ones."""
        since = self._last_written.since
        if self.settings.changelog_mode == "retract" or since == self.source.positions:
            return
        for messages in self._read_again(self._input.available(since), "newest records of users"):
            batch = Batch(self.settings.changelog_mode)
            batch.take(messages)
            for _ in last_rows(batch.last, self._reader, self._input_keys, self._last_written.is_newest, bad={}):
                pass

    def committed_now(self) -> dict[int, TopicPartition]:
        """Return the group's committed offsets by partition, as the broker knows them now."""
        return self._progress.committed_now()

    # gather and settle: from records to current rows

    @property
    def at_end(self) -> bool:
        """Whether every partition of the input has been read to its end."""
        return self.source.at_end

    def gather(self, limit: int = MAX_POLL_RECORDS) -> None:
        """Poll once and add up to `limit` records to the batch."""
        messages = self.source.read(min(limit, MAX_POLL_RECORDS), POLL_SECONDS)
        self._report.read(len(messages), sum(self.source.lag().values()))
        self._progress.last_read.update(self.source.last_read)
        self.batch.take(messages)
        check_no_retraction(self.batch, self._progress.rebuild_option)

    def settle(self, *, last: bool = False, max_deletions: int | None = None) -> None:
        """Apply the batch to the table. At an end of the input, delete users and order the rows of others.

        Both only if the leaders confirm the end, see `deletions` and `duplicate_rows`. The `last` settling has no next
        end: one is enough. If more than `max_deletions` users are due, the others stay until another end.
        """
        self._row_bytes = self._apply()
        self.table.settle()
        self._mark_unordered()
        self._deletions.settled(self.table.rowless)
        self._last_written.note_end(self.source)
        if not (self.source.at_end or last):
            return
        if not self._awaits_end:
            self._request_end()  # the leaders answer during the fit, see `input_ended`
        elif self.confirm_end():
            due = self._deletions.due(self.table.rowless, last=last)
            self.table.delete(set(itertools.islice(due, max_deletions)))
            self._deletions.end_confirmed(self.table.rowless)
            check_retractions(self.batch, self.table, self.settings.topic, self._progress.rebuild_option)
            self._order_rows(last=last)

    @property
    def _awaits_end(self) -> bool:
        """Whether the next confirmed end may delete a user or order rows, and so has to come before a fit."""
        return bool(self.table.rowless or self.table.duplicated)

    def _request_end(self) -> None:
        """Ask the leaders for the end of the input, unless they were asked and have not answered."""
        if not self._end_check.requested:
            self._end_check.request(self.source)
            self._deletions.end_requested(self.table.rowless)

    def confirm_end(self) -> bool:
        """Return whether the leaders confirm that the input has been read to its end; False until all have answered."""
        self._request_end()
        confirmed = self._end_check.confirm(self.source)
        self._progress.caught_up.note(self._end_check.caught_up_at, stopping=self._stop.requested)
        return confirmed

    @property
    def deletions_due(self) -> bool:
        """Whether a `last` step may delete users."""
        return bool(self.table.rowless)

    @property
    def needs_another_end(self) -> bool:
        """Whether the next end of the input may change something even if no record arrives before it.

        Not while a leader has not answered: a step would find the same as the last one.
        """
        if self._end_check.unanswered:
            return False
        duplicates = self._duplicates.needs_another_end or (self.table.duplicated and self.table.settled_since_end)
        return bool(self.table.rowless or duplicates or self._progress.caught_up.to_commit)

    def input_ended(self) -> None:
        """Take note of an end at which no user is rowless or has several rows: what is read after it is newer.

        A step is due for the others, and `settle` takes note of the end.
        """
        self._last_written.note_end(self.source)
        if self.table.settled_since_end and not self._awaits_end and self.confirm_end():
            self._order_rows(last=False)

    def check(self) -> None:
        """Raise TopicsChanged if a topic changed; ask the leaders for records that were not read, unless steps do."""
        self.watch.check()
        if not (self._awaits_end and self.source.at_end):
            self.confirm_end()

    def _apply(self) -> RowBytes:
        """Apply the batch to the table, and handle the records that cannot be read."""
        batch = self.batch
        if batch.changelog_mode == "retract":
            row_bytes, bad = apply_retract(batch.net, self._reader, self.table)
        else:
            is_newest = self._last_written.is_newest
            row_bytes, bad = apply_last(batch.last, self._reader, self.table, self._input_keys, is_newest)
        batch.net = {}
        batch.last = {}
        if bad:
            again = self._read_again(self._progress.batch_start, "records that cannot be read")
            batch.bad += records_of(bad, batch, again)
        if batch.bad:
            self._handle(batch.bad)
        return row_bytes

    # records that cannot be read

    def _handle(self, bad: list[BadRecord]) -> None:
        """Stop at records that cannot be read, or report that they are skipped or kept."""
        mode = self.settings.error_handling_mode
        bad.sort(key=lambda each: (each.message.partition(), each.message.offset()))
        if mode == "fail":
            raise RecordError(f"{bad[0]}; to skip such records: --error-handling-mode ignore, to keep them: log")
        self._report.bad(len(bad))
        log.warning("%d records cannot be read (mode %s), the first: %s", len(bad), mode, bad[0])

    def _read_again(self, start: Mapping[int, int], wanted: str) -> Iterator[list[Record]]:
        """Yield the records read since the offsets `start`; then read on where the input was."""
        until = dict(self.source.positions)
        again = self._input.read_from(start)
        while not again.take_ends(until):
            if not self.heartbeat():
                raise RestoreNeeded(f"stopped while looking for the {wanted}")
            messages = again.read(MAX_POLL_RECORDS, POLL_SECONDS)
            yield [message for message in messages if message.offset() < until[message.partition()]]
        self.source = self._input.read_from(until)

    # users with more than one row, see `duplicate_rows`

    def _mark_unordered(self) -> None:
        """Mark users some of whose rows were retracted and added again within the batch: netting loses their order."""
        duplicated = self.table.duplicated
        if duplicated and self.batch.readded:
            if not self.batch.many_readded:
                duplicated = duplicated & set(users_of(self.batch.readded, self._reader))
            self.table.mark_unordered(duplicated)

    def _order_rows(self, *, last: bool) -> None:
        """At a confirmed end, order the rows of users with more than one; read them again where that takes it."""
        if self._end_check.positions != self.source.positions:
            return  # what was read since the leaders were asked may be older than what is read next
        if self._duplicates.input_ended(self.table, last=last):
            if self._stop.requested:
                return  # it may take long; the mark makes the next start do it
            self._reorder_rows()
        self.table.input_ended()
        self._duplicates.rows_ordered(self.table, self.source.positions)

    def _reorder_rows(self) -> None:
        """Read the records of unordered rows again, and order the rows by them."""
        unordered = self.table.unordered
        log.info("%s: reading again to find the newest rows of %s", self.settings.topic, format_users(len(unordered)))
        order = RowOrder((user_id, row) for user_id in unordered for row in self.table.rows_of(user_id))
        start = self._input.available(self._duplicates.since)
        for messages in self._read_again(start, "newest rows"):
            for message, user_row, sign in self.batch.rows_in(messages, self._reader):
                order.take(message, user_row, sign)
        self.table.reorder(order.in_order())

    # fit, and what a step writes

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.table)

    @property
    def totals(self) -> NDArray[np.float64]:
        """The current row of each user, in the order of user_id; shape (n_users, 2)."""
        return self.table.totals

    @property
    def divisible(self) -> bool:
        """Whether all records of the next step may be committed before its offsets: it completes the output."""
        return self._progress.incomplete

    def fit(self, cluster: ClusterFunction, n_clusters: int) -> Clusters:
        """Fit the users."""
        return cluster(self.table.totals, n_clusters)

    def relabel(self, found: Clusters) -> UserChanges:
        """Take the labels of a fit; return what they change in the output."""
        self._changes = self.table.relabel(found.labels)
        return self._changes

    def records(self) -> Iterator[OutputRecord]:
        """Encode the changes of the last `relabel` one by one, from the bytes that their rows were read from."""
        changes = self._changes
        row_bytes = self._row_bytes
        self._changes = None
        self._row_bytes = {}
        return label_records(changes or (), self._keys, self._labels, self.settings.output, row_bytes)

    def step(self, found: Clusters, n_changes: int, fit_seconds: float, commit_seconds: float) -> Step:
        """Return the step for reports and the log."""
        return Step(
            user_ids=self.table.user_ids,
            totals=self.table.totals,
            labels=found.labels,
            centers=found.centers,
            n_records=self.batch.n_records,
            n_changes=n_changes,
            fit_seconds=fit_seconds,
            commit_seconds=commit_seconds,
            lag=self.source.lag(),
            n_several=self._duplicates.n_duplicated,
            scaling=found.scaling,
            features=self.features,
        )

    def offsets(self) -> list[TopicPartition]:
        """Return the offsets to commit with a step, each with its mark."""
        since = (self._duplicates if self.settings.changelog_mode == "retract" else self._last_written).since
        n_duplicated = self._duplicates.n_duplicated
        return self._progress.offsets(self.source.positions, self.table, self.choice, n_duplicated, since)

    def part_offsets(self) -> list[TopicPartition]:
        """Return the offsets to commit with each part of a step that completes the output, else nothing."""
        return self._progress.part_offsets(self.table, self.choice)

    def owns_offsets(self, *offsets: list[TopicPartition]) -> bool:
        """Return whether the committed offsets are the ones this instance knows, or `offsets`: no takeover."""
        return self._progress.owns_offsets(*offsets)

    def step_committed(self, offsets: list[TopicPartition]) -> None:
        """Take note that a step was committed with these offsets."""
        self._progress.step_committed(offsets)

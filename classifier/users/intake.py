"""The input, from the record to the table of users: restored, read, netted, decoded, settled.

Guarantee: once settled at an end of the input, the table is the one that reading all of it from the beginning gives,
whatever was restored on the way. Records that cannot be read are named, or kept aside, each once. Nothing is written.
"""

import itertools
import logging
from collections.abc import Iterator, Mapping

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, OFFSET_INVALID, Consumer, TopicPartition
from numpy.typing import NDArray

from classifier import __version__
from classifier.clustering.model import ClusterFunction, Clusters, kmeans_class
from classifier.clustering.number_of_clusters import Chosen
from classifier.config.settings import Settings
from classifier.errors import RecordError, RestoreNeeded, StateError
from classifier.formatting import abbreviated, format_users
from classifier.kafka.client import POLL_SECONDS, Kafka
from classifier.kafka.record import BadRecord, Record
from classifier.kafka.sink import OutputRecord
from classifier.kafka.source import MAX_POLL_RECORDS, Topic, offsets_of
from classifier.kafka.topics import TopicWatch
from classifier.reports import Report
from classifier.reports.step import Step
from classifier.serialization.avro import AvroReader
from classifier.serialization.registry import SchemaRegistry
from classifier.stop import StopRequest
from classifier.users.changelog import Batch, Broken, Sources, apply_last, apply_retract, retract_changelog, users_of
from classifier.users.duplicate_rows import DuplicateRows, RowOrder
from classifier.users.input_keys import InputKeys
from classifier.users.offset_metadata import (
    UNFINISHED,
    check_format,
    check_ids,
    check_layout,
    check_marks,
    check_range,
    chosen_before,
    ids_of,
    is_unfinished,
    mark,
    marks_of,
    output_layout,
    warn_of_dropped,
)
from classifier.users.output import label_records, read_labels
from classifier.users.output_codec import KeyCodec, LabelCodec
from classifier.users.table import LabelledUsers, UserChanges, UserTable

log = logging.getLogger("user_classifier")
AGAIN = "to start over: run again with --rebuild"


class UserIntake:
    """Keeps the table of users as the input tells it: `restore` once, then `gather` and `settle` again and again."""

    unit, commits = "user", "offsets"  # what labels are of, and what a step leaves beside them
    weights = None  # each row is one user

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
        self._names = {"input": settings.topic, "output": settings.output}
        self._input, self._output = (Topic(kafka, consumer, name) for name in self._names.values())
        self.key_codec, self.label_codec = KeyCodec(registry, settings.output), LabelCodec(registry, settings.output)
        if self.key_codec.are_avro:
            log.info("%s has Avro keys, as its subject %s-key says, and keeps them", settings.output, settings.output)
        self._input_keys = InputKeys(registry, settings.topic) if settings.changelog_mode == "upsert" else None
        self._reader, self.watch = AvroReader(registry), TopicWatch(kafka, settings)
        self._several = DuplicateRows(settings.topic)
        kafka.on_wait = self.heartbeat  # a client that waits is alive
        self.rebuild = settings.rebuild  # until the first step is committed
        self.incomplete = False  # whether the output is still to be made what the input says, by the first step

    # restore: the table from the output, the place in the input from the offsets that belong to it

    def restore(self) -> None:
        """Rebuild the table from the output, and read the input from the offsets that belong to it."""
        settings, before = self.settings, self.ids
        self.watch.start()
        self.batch, self.table = Batch(settings.changelog_mode), UserTable()
        if not self.rebuild:  # before the output is read, whose records may be of a newer version, too
            check_format(self.committed_now().values(), AGAIN)
        beginnings = dict.fromkeys(self._output.partitions(), OFFSET_BEGINNING)
        said = read_labels(
            self._output.read_from(beginnings, self.heartbeat), self.key_codec, self.label_codec, self._stop
        )
        self.consumer.unassign()  # an open fetch holds up the calls below for fetch.wait.max.ms each
        if self._stop.requested:
            return
        self.committed = self.committed_now()  # the offsets as this instance knows them, with their marks
        self.choice: Chosen | None = None if self.rebuild else chosen_before(self.committed.values())
        self._check_identity(before)
        self.layout = output_layout(len(beginnings), self.key_codec)
        if said.user_ids or said.pending:
            check_layout(self.committed.values(), settings.output, self.layout)
        anew = self.rebuild or is_unfinished(self.committed.values())  # the input has to confirm what is there
        self.incomplete = anew or all(at.offset == OFFSET_INVALID for at in self.committed.values())
        self.source = self._input.read_from(self._load(said, confirmed=not anew))
        self._began = dict(self.source.positions)  # of the batch
        self._ended = False  # whether the last step came at the end, with nothing read since
        if self._several.begin(self.table, self._began, {} if anew else self.committed) and not anew:
            self.table.mark_all_ordered()
        # Users without a row at the last end. In a rebuild, all those the input does not have (None): they go at the
        # first end, so that -k auto does not count them.
        self._rowless_at_last_end: set[str] | None = None if anew else set()
        # What was restored may hold rows whose headers another process saw.
        self.batch.ops_seen = len(self.table) > 0
        kmeans_class()  # imports scikit-learn while the first records arrive
        log.info("%s: %d users restored from %s", settings.topic, len(self.table), settings.output)

    @property
    def ids(self) -> dict[str, str]:
        """The ids of input and output as of the restore, nothing where none is known."""
        return {role: self.watch.topic_id(name) for role, name in self._names.items()}

    def _check_identity(self, before: dict[str, str]) -> None:
        """Raise StateError where a topic is another than that of the marks, or of the restore before."""
        if not self.rebuild:
            check_ids([before, *marks_of(self.committed.values())], self.ids, self._names, AGAIN)

    def committed_now(self) -> dict[int, TopicPartition]:
        """Return the group's offsets as the broker knows them."""
        return self._input.committed(self.settings.group)

    def _load(self, said: LabelledUsers, *, confirmed: bool) -> dict[int, int]:
        """Load the table; return the offset in each partition that belongs to it."""
        settings, committed, n_users = self.settings, self.committed, len(said.user_ids)
        bounds = {partition: self._input.watermarks(partition) for partition in committed}
        if self.rebuild:
            self.table.load(said, confirmed=False)
            return {partition: low for partition, (low, _) in bounds.items()}
        if not check_marks(committed.values(), settings.output, n_users, settings.changelog_mode, AGAIN):
            return {partition: at[settings.reset_to] for partition, at in bounds.items()}
        if confirmed:
            check_range(committed, bounds, AGAIN)
        else:  # what retention has taken since the labelling began, no start would find
            log.info("%s: an unfinished labelling, of %d users so far; it goes on", settings.output, n_users)
            check_range(committed, {partition: (0, high) for partition, (_, high) in bounds.items()}, AGAIN)
        self.table.load(said, confirmed=confirmed)
        if confirmed:
            warn_of_dropped(committed.values(), self.table.n_unmatched)
        # A partition without an offset is a new one: from its beginning, whatever the file says.
        return {partition: max(bounds[partition][0], at.offset) for partition, at in committed.items()}

    def heartbeat(self) -> bool:
        """Tell reports that the client is alive while it does not read the input; return whether it is to go on."""
        self._report.read(0, None)
        return not self._stop.requested

    # gather and settle: from records to current rows

    def gather(self, limit: int = MAX_POLL_RECORDS) -> None:
        """Take what has arrived, up to `limit` records."""
        messages = self.source.read(min(limit, MAX_POLL_RECORDS), POLL_SECONDS)
        self._ended = self._ended and not messages
        self._report.read(len(messages), sum(self.source.lag().values()))
        self.batch.take(messages)
        if self.batch.taken_back is not None:
            told = retract_changelog(self.batch.taken_back)
            raise StateError(f"{told}: run with --changelog-mode retract{self._anew}")

    def settle(self, *, last: bool = False, max_deletions: int | None = None) -> None:
        """Take the batch into the table, and settle that; drop users who are without a row at two ends in a row.

        Of one transaction, some partitions can be read a moment before others. So at one end a user may be
        without a row whose old one has been taken back and whose new one is still to come. The next end is that of
        the next step, --batch-interval later. The `last` settling has no next end: one is enough. Should more than
        `max_deletions` be to be dropped, the others wait for another end.
        """
        at_end = self._ended = self.source.at_end or (last and self._ended)
        self._sources = self._apply()
        self.table.settle()
        if self.table.duplicated and self.batch.returned:
            returned = self.table.duplicated
            if not self.batch.many_returned:
                returned = returned & set(users_of(self.batch.returned, self._reader))
            self.table.mark_unordered(returned)
        self._rowless_at_last_end = (
            set(self.table.rowless)
            if self._rowless_at_last_end is None
            else self._rowless_at_last_end & self.table.rowless
        )
        if at_end:
            gone = self.table.rowless if last else self._rowless_at_last_end
            self.table.delete(set(itertools.islice(gone, max_deletions)))
            self._rowless_at_last_end = set(self.table.rowless)
            self.check_retractions()
            self._look_at_several_rows(last=last)

    @property
    def deletions_due(self) -> bool:
        """Whether a stop has users to delete. After reading again, no partition has told yet that this is its end."""
        return bool(self.table.rowless) and (self.source.at_end or self._ended)

    @property
    def needs_another_end(self) -> bool:
        """Whether the next end of the input will tell more than the last one, even if no record comes."""
        several = self._several.needs_another_end or (self.table.duplicated and self.table.settled_since_end)
        return bool(self.table.rowless or several)

    def input_ended(self) -> None:
        """Take note of an end that no record follows: steps may all have come before it."""
        self.check_retractions()
        if not self.table.duplicated:  # who is to be looked at waits for a step
            self._look_at_several_rows(last=False)

    def _apply(self) -> Sources:
        """Take the batch into the table, and handle the records that cannot be read."""
        batch = self.batch
        if batch.changelog_mode == "retract":
            sources, broken = apply_retract(batch.net, self._reader, self.table)
        else:
            sources, broken = apply_last(batch.net, self._reader, self.table, self._input_keys)
        batch.net = {}
        batch.bad += self._records_of(broken) if broken else []
        if batch.bad:
            self._handle(batch.bad)
        return sources

    def _records_of(self, broken: Broken) -> list[BadRecord]:
        """Read the batch again, and return the records that are broken."""
        bad = list[BadRecord]()
        known = {(each.message.partition(), each.message.offset()) for each in self.batch.bad}
        for message in itertools.chain.from_iterable(self._read_again(self._began, "records that cannot be read")):
            if (message.partition(), message.offset()) not in known:
                error = broken.get(self.batch.entry(message))
                bad += [BadRecord(message, error)] if error else []
        return bad

    def _read_again(self, start: Mapping[int, int], wanted: str) -> Iterator[list[Record]]:
        """Read again what was read since `start`; then go on where the input was."""
        until = dict(self.source.positions)
        again = self._input.read_from(start)
        while any(again.positions[partition] < end for partition, end in until.items()):
            if not self.heartbeat():
                raise RestoreNeeded(f"stopped while looking for the {wanted}")
            messages = again.read(MAX_POLL_RECORDS, POLL_SECONDS)
            yield [message for message in messages if message.offset() < until[message.partition()]]
        self.source = self._input.read_from(until)

    def _look_at_several_rows(self, *, last: bool) -> None:
        """At an end, put in order the rows of users who have several, where reading has not told it."""
        if self._several.input_ended(self.table, last=last):
            if self._stop.requested:
                return  # it may take long; what is kept beside the offsets has the next start do it
            self._reorder_rows()
        self.table.input_ended()
        self._several.ordered(self.table, self.source.positions)

    def _reorder_rows(self) -> None:
        """Look at the records of rows that lie as they were read."""
        unordered = self.table.unordered
        log.info("%s: reading again which rows of %s are the newest", self.settings.topic, format_users(len(unordered)))
        newest = RowOrder((user_id, row) for user_id in unordered for row in self.table.rows_of(user_id))
        lows = {partition: self._input.watermarks(partition)[0] for partition in self._several.since}
        since = {partition: max(at, lows[partition]) for partition, at in self._several.since.items()}
        for messages in self._read_again(since, "newest rows"):
            for change in self.batch.changes(messages, self._reader):
                newest.take(*change)
        self.table.reorder(newest.in_order())

    def _handle(self, bad: list[BadRecord]) -> None:
        """Stop at, skip or keep records that cannot be read."""
        mode = self.settings.error_handling_mode
        bad.sort(key=lambda each: (each.message.partition(), each.message.offset()))
        if mode == "fail":
            raise RecordError(f"{bad[0]}; to skip such records: --error-handling-mode ignore, to keep them: log")
        self._report.bad(len(bad))
        log.warning("%d records cannot be read (mode %s), the first: %s", len(bad), mode, bad[0])

    def check_retractions(self) -> None:
        """Raise StateError for a changelog that never retracts: its old rows would pile up as pending."""
        if self.settings.changelog_mode != "retract" or self.batch.ops_seen:
            return
        n_rows, user_id = self.table.most_rows()
        if n_rows > 1:
            raise StateError(
                f"{self.settings.topic}: user_id {abbreviated(user_id)} has {n_rows} rows and no record has an op"
                " header, so nothing ever retracts one; this is no retract changelog: run with --changelog-mode"
                f" {'upsert' if self.batch.keys_seen else 'append'}{self._anew}"
            )

    @property
    def _anew(self) -> str:
        """What another mode takes beside its name: offsets of one mode are none of another."""
        return " --rebuild" if any(at.offset != OFFSET_INVALID for at in self.committed.values()) else ""

    # fit, and what a step leaves behind

    @property
    def n_users(self) -> int:
        """How many users there are."""
        return len(self.table)

    @property
    def totals(self) -> NDArray[np.float64]:
        """The current row of each user, in the order of user_id."""
        return self.table.totals

    def fit(self, cluster: ClusterFunction, n_clusters: int) -> Clusters:
        """Fit on users."""
        return cluster(self.table.totals, n_clusters)

    def relabel(self, found: Clusters) -> UserChanges:
        """Take the labels of a fit; return what changed since the last time."""
        return self.table.relabel(found.labels)

    def records(self, changes: UserChanges) -> Iterator[OutputRecord]:
        """Encode labels, as they are written, from the bytes that their rows were read from."""
        sources, self._sources = self._sources, Sources()
        return label_records(changes, self.key_codec, self.label_codec, self.settings.output, sources)

    def step(self, found: Clusters, n_changes: int, fit_seconds: float, commit_seconds: float) -> Step:
        """Return what reports are told of a step."""
        table, n_records, lag = self.table, self.batch.n_records, self.source.lag()
        told = table.user_ids, table.totals, found.labels, found.centers, n_records, n_changes
        return Step(*told, fit_seconds, commit_seconds, lag, self._several.n_users, found.scaling)

    def offsets(self) -> list[TopicPartition]:
        """Return the place of the next record in each partition, with a mark beside it."""
        places, note = self.source.positions.items(), self._several.note
        return [TopicPartition(self.settings.topic, *place, self._mark + note(*place)) for place in places]

    def unfinished(self) -> list[TopicPartition]:
        """Return where reading began, marked, for parts of the step that completes the output; else nothing."""
        begun = self._began.items() if self.incomplete else ()
        return [TopicPartition(self.settings.topic, *place, self._mark + UNFINISHED) for place in begun]

    @property
    def _mark(self) -> str:
        """What stands beside each offset."""
        return mark(self.table, self.settings.changelog_mode, self.choice, self.layout, ids_of(self.ids), __version__)

    def owns_offsets(self, *offsets: list[TopicPartition]) -> bool:
        """Whether the group's offsets are still those known here, or some of these: nobody else has committed."""
        ours = [self.committed, *({each.partition: each for each in some} for some in offsets)]
        return offsets_of(self.committed_now()) in map(offsets_of, ours)

    def step_committed(self, offsets: list[TopicPartition]) -> None:
        """Note that a step has been committed with these offsets."""
        self.committed = {each.partition: each for each in offsets}
        self._began, self.rebuild, self.incomplete = offsets_of(self.committed), False, False

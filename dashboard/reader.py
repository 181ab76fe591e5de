"""Read the output to its end in a thread, and follow it: one reader for all browsers.

Guarantee: committed records only. Nothing is written, no group is joined and no offset is committed: permission to
read the topic is enough. A problem is reported in the words of the client, and reading is retried until it is solved.
"""

import contextlib
import dataclasses
import gc
import threading
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer

from classifier.config.settings import Settings
from classifier.errors import ClassifierError, RecordError, RestoreNeeded, SchemaMissing, TopicMissing
from classifier.features import TOTALS, Features
from classifier.formatting import format_users
from classifier.kafka.client import POLL_SECONDS, Kafka
from classifier.kafka.record import Record
from classifier.kafka.source import MAX_POLL_RECORDS, OpenTransactions, Source, Topic, newest_records
from classifier.kafka.topics import TopicWatch, missing_topic_message
from classifier.serialization.registry import ReadOnlyRegistry, SchemaRegistry
from classifier.serialization.wire import PREFIX
from classifier.stop import StopRequest
from classifier.users.input_features import features_of
from classifier.users.output import check_keys, decode_labels, split_tombstones, split_unreadable, user_of_key
from classifier.users.output_codec import KeyCodec, LabelCodec
from dashboard.history import History
from dashboard.table import Snapshot, Table

RETRY_SECONDS = 2.0  # pause before the output is read again
TOPIC_CHECK_SECONDS = 2.0  # between two checks that the topic was not replaced
SNAPSHOT_SECONDS = 1.0  # between two snapshots, and a little more for each user: drawing takes as long
SNAPSHOT_SECONDS_PER_USER = 3e-6
BEHIND_FACTOR = 5  # times as long while records arrive faster than they can be read


class Output(NamedTuple):
    """The output topic, opened at its beginning."""

    source: Source
    watch: TopicWatch
    keys: KeyCodec
    values: LabelCodec


class Session:
    """The connections for one reading of the output from its beginning, and their problems."""

    def __init__(self, settings: Settings, stop: StopRequest) -> None:
        self.output = settings.output
        self.stop = stop
        # The topic watch shall watch the output only: there may be no permission for the input.
        self._settings = dataclasses.replace(settings, topic=settings.output)
        self.kafka = Kafka(self._settings, stop)
        self.registry: ReadOnlyRegistry | None = None
        self.open_transactions: OpenTransactions | None = None  # until the end is first reached

    @property
    def problem(self) -> str:
        """A current problem that needs no new session, such as an outage; '' without one."""
        if self.kafka.outage.message:
            return self.kafka.outage.message
        if self.registry and self.registry.outage.message:
            return self.registry.outage.message
        if self.open_transactions:
            return self.open_transactions.warning
        # At the start, the client gives up after 15 seconds only; meanwhile the last error is all there is.
        error = self.kafka.last_error
        return f"{self.kafka.outage.service}: {error.str()}" if error else ""

    @contextlib.contextmanager
    def opened(self) -> Iterator[Output]:
        """Open the output at its beginning; close all connections at the end."""
        consumer = self.kafka.consumer()
        try:
            self.kafka.connect(consumer, "consumer")
            self.kafka.last_error = None
            beginnings = dict.fromkeys(self._partitions(consumer), OFFSET_BEGINNING)
            watch = TopicWatch(self.kafka, self._settings)
            watch.start()
            self.registry = ReadOnlyRegistry(self._settings.schema_registry, self.stop)
            keys = KeyCodec(self.registry, self.output)
            values = LabelCodec(self.registry, self.output, newest_features(self.registry, self.output))
            source = Source(self.kafka, consumer, self.output, beginnings, uses_group=False)
            self.open_transactions = OpenTransactions(source)
            yield Output(source, watch, keys, values)
        finally:
            consumer.close()
            if self.registry:
                self.registry.close()

    def current_features(self) -> Features:
        """Return the features that the output has now: a client of the registry keeps the newest schema it has seen."""
        registry = ReadOnlyRegistry(self._settings.schema_registry, self.stop)
        try:
            return newest_features(registry, self.output)
        finally:
            registry.close()

    def _partitions(self, consumer: Consumer) -> list[int]:
        """Return the partitions; TopicMissing, with a remedy, if the topic does not exist."""
        found = Topic(self.kafka, consumer, self.output).partitions()
        if not found:
            raise TopicMissing(missing_topic_message(self.output, self._settings))
        return found


class Reader:
    """Keeps a table of the output up to date in a thread, and provides snapshots of it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.table = Table()
        self.n_others = 0  # users of other features in `latest`
        self.history = History()
        self.latest: Snapshot | None = None  # None until the output was read to its end
        self.up_to_date_at = 0.0  # when there was last nothing newer to read, in seconds since 1970
        self._stop = StopRequest()
        self._others: set[str] = set()  # users whose newest rows have other features than the output's schema
        self._session = Session(settings, StopRequest())
        self._error = ""  # that ended the last session
        self._snapshot_at = 0.0
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def start(self) -> "Reader":
        """Start the thread."""
        self._thread.start()
        return self

    def close(self) -> None:
        """Stop the thread."""
        self._stop.requested = True
        self._thread.join()

    @property
    def problem(self) -> str:
        """The current problem, '' without one."""
        if self._thread.ident and not self._thread.is_alive() and not self._stop.requested:
            return "the reader has failed, see the terminal for the reason; start python -m dashboard again"
        return self._session.problem or self._error

    @property
    def progress(self) -> str:
        """What the reader does before there is a snapshot."""
        if len(self.table):
            return f"reading {self.settings.output}: {format_users(len(self.table))} so far"
        return f"connecting to {self._session.kafka.outage.service}"

    @property
    def others_text(self) -> str:
        """A warning about users who are not shown; '' without any."""
        if not self.n_others:
            return ""
        features = f"the rows have other features than {self.table.features}"
        return f"{format_users(self.n_others)} not shown: {features}; a run with --rebuild labels all users again"

    def _run(self) -> None:
        while not self._stop.requested:
            began = time.monotonic()
            self._session = Session(self.settings, self._stop)
            try:
                with self._session.opened() as output:
                    self._read_to_end(output)
                    self._follow(output)
            except RestoreNeeded as error:
                self._error = f"{error}; reading it again"
            except ClassifierError as error:
                self._error = str(error)
                self._pause(max(RETRY_SECONDS, time.monotonic() - began))
            finally:
                # Collects clients that an outage left in reference cycles: freed in a thread of librdkafka, they
                # would end the process.
                gc.collect()
                gc.enable()

    def _pause(self, seconds: float) -> None:
        """Wait, or return early on a stop request."""
        deadline = time.monotonic() + min(seconds, 10 * RETRY_SECONDS)
        while time.monotonic() < deadline and not self._stop.requested:
            time.sleep(POLL_SECONDS)

    def _read_to_end(self, output: Output) -> None:
        """Fill the table from the beginning of the output."""
        self.table.clear(output.values.features)
        self._others.clear()
        gc.disable()  # records form no reference cycles, and searching for some takes a third of the time
        for newest in newest_records(output.source, self._stop, self._session.open_transactions):
            self._take(newest, output)
        if self._stop.requested:
            return
        self._session.open_transactions = None
        self._error = ""
        gc.freeze()  # the table stays, and need not be searched again and again
        gc.enable()

    def _follow(self, output: Output) -> None:
        """Keep the table up to date, and publish snapshots, until a stop request or an error."""
        checked_at = time.monotonic()
        while not self._stop.requested:
            records = output.source.read(MAX_POLL_RECORDS, POLL_SECONDS)
            if records:
                self._take({record.key(): record for record in records}, output)
            self._publish(output.source.at_end)
            if time.monotonic() - checked_at >= TOPIC_CHECK_SECONDS:
                output.watch.check()
                self._session.kafka.outage.note_recovery()
                checked_at = time.monotonic()
                self.up_to_date_at = time.time()

    def _take(self, newest: dict[bytes | None, Record], output: Output) -> None:
        """Decode the newest record of each key into the table; StateError for a record of another program.

        RestoreNeeded if the features of the output have changed since it was opened.
        """
        check_keys(newest)
        labels, tombstones = split_tombstones(newest.values())
        labels, others = split_unreadable(labels, output.values)
        if others:
            check_schemas(others, output.values)
            if self._session.current_features() != output.values.features:
                raise RestoreNeeded(f"{self.settings.output} has other features now")
        user_ids, rows, numbers = decode_labels(labels, output.values)
        self.table.update(list(zip(user_ids, rows, numbers, strict=True)), times_of(labels))
        deleted = [user_of_key(record, output.keys) for record in tombstones]
        unreadable = [user_of_key(record, output.keys, has_value=True) for record in others]
        if deleted or unreadable:
            self.table.delete(deleted + unreadable, times_of(tombstones + others))
        self._others.difference_update(user_ids, deleted)
        self._others.update(unreadable)

    def _publish(self, at_end: bool) -> None:
        """Make a new snapshot, if the table has changed and the last snapshot is old enough."""
        now = time.monotonic()
        if at_end:
            self.up_to_date_at = time.time()
        interval = SNAPSHOT_SECONDS + SNAPSHOT_SECONDS_PER_USER * len(self.table)
        if not at_end:
            interval *= BEHIND_FACTOR
        if self.latest and (self.latest.version == self.table.version or now - self._snapshot_at < interval):
            return
        self._snapshot_at = now
        snapshot = self.table.snapshot()
        self.n_others = len(self._others)
        self.history.add(time.time(), snapshot.sizes())
        self.latest = snapshot


def newest_features(registry: SchemaRegistry, output: str) -> Features:
    """Return the features in the newest schema of the output; the two totals if there is none yet."""
    subject = registry.newest(f"{output}-value")
    return features_of(subject.schema) if subject else TOTALS


def times_of(records: Sequence[Record]) -> list[int]:
    """Return the timestamps of records in ms."""
    return [record.timestamp()[1] for record in records]


def check_schemas(records: Sequence[Record], values: LabelCodec) -> None:
    """Raise StateError, with what to check, if the schema of a record is not in the registry."""
    one_of_each = {(record.value() or b"")[: PREFIX.size]: record for record in records}
    for record in one_of_each.values():
        try:
            values.decode([record.value() or b""])
        except SchemaMissing:
            decode_labels([record], values)
        except RecordError:
            pass  # other features

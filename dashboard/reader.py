"""The output, read to its end in the background and followed from there; one reader for all who look.

Guarantee: committed records only. Nothing is written, no group joined and no offset committed: the right to read the
topic is enough. Whatever goes wrong is told in the client's own words, and tried again until it is well.
"""

import contextlib
import dataclasses
import gc
import threading
import time
from collections.abc import Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer

from classifier.config.settings import Settings
from classifier.errors import ClassifierError, RestoreNeeded, TopicMissing
from classifier.formatting import format_users
from classifier.kafka.client import POLL_SECONDS, Kafka
from classifier.kafka.record import Record
from classifier.kafka.source import LABELS_PER_DECODE, MAX_POLL_RECORDS, OpenTransactions, Source, Topic
from classifier.kafka.topics import TopicWatch, missing_topic_message
from classifier.serialization.registry import ReadOnlyRegistry
from classifier.stop import StopRequest
from classifier.users.output import decode_labels, split_tombstones, user_of_tombstone
from classifier.users.output_codec import KeyCodec, LabelCodec
from dashboard.history import History
from dashboard.table import Snapshot, Table

AGAIN_SECONDS = 2.0  # pause before the output is read anew
LOOK_SECONDS = 2.0  # between two looks at whether the topic is still the same
SHOW_SECONDS = 1.0  # between two snapshots, and for each user a little more: it takes as long to draw
SHOW_SECONDS_PER_USER = 3e-6
SHOW_BEHIND = 5  # times as long, while records come faster than they can be read


class Reading:
    """One reading of the output, from its beginning on: its connections, and what they say."""

    def __init__(self, settings: Settings, stop: StopRequest) -> None:
        self.output, self.stop = settings.output, stop
        # What is watched is the output alone: there may be no right to the input.
        self._settings = dataclasses.replace(settings, topic=settings.output)
        self.kafka = Kafka(self._settings, stop)
        self.registry: ReadOnlyRegistry | None = None
        self.hold: OpenTransactions | None = None

    @property
    def told(self) -> str:
        """What is wrong at the moment and passes by itself."""
        if self.kafka.outage.message:
            return self.kafka.outage.message
        if self.registry and self.registry.outage.message:
            return self.registry.outage.message
        if self.hold:
            return self.hold.warning
        # Until the first answer; before the client gives up, 15 seconds pass.
        return f"{self.kafka.outage.service}: {error.str()}" if (error := self.kafka.last_error) else ""

    @contextlib.contextmanager
    def opened(self) -> Iterator[tuple[Source, TopicWatch, KeyCodec, LabelCodec]]:
        """Open the output at its beginning."""
        consumer = self.kafka.consumer()
        try:
            self.kafka.connect(consumer, "consumer")
            self.kafka.last_error = None
            beginnings = dict.fromkeys(self._partitions(consumer), OFFSET_BEGINNING)
            watch = TopicWatch(self.kafka, self._settings)
            watch.start()
            self.registry = ReadOnlyRegistry(self._settings.schema_registry, self.stop)
            keys, values = KeyCodec(self.registry, self.output), LabelCodec(self.registry, self.output)
            source = Source(self.kafka, consumer, self.output, beginnings, uses_group=False)
            self.hold = OpenTransactions(source)
            yield source, watch, keys, values
        finally:
            consumer.close()
            if self.registry:
                self.registry.close()

    def _partitions(self, consumer: Consumer) -> list[int]:
        """Return the partitions; TopicMissing says what makes the topic."""
        found = Topic(self.kafka, consumer, self.output).partitions()
        if not found:
            raise TopicMissing(missing_topic_message(self.output, self._settings))
        return found


class Reader:
    """Keeps a table of the output, and hands out snapshots of it."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.table, self.history = settings, Table(), History()
        self.latest: Snapshot | None = None  # once the output has been read to its end
        self.looked_at = 0.0  # when the brokers were last known to have nothing newer, in seconds since 1970
        self._stop, self._reading, self._complaint = StopRequest(), Reading(settings, StopRequest()), ""
        self._shown_at = 0.0
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)

    def start(self) -> "Reader":
        """Begin to read."""
        self._thread.start()
        return self

    def close(self) -> None:
        """End."""
        self._stop.requested = True
        self._thread.join()

    @property
    def trouble(self) -> str:
        """What is wrong, nothing where all is well."""
        if self._thread.ident and not self._thread.is_alive() and not self._stop.requested:
            return "the reader has ended; what went wrong stands in the terminal, start python -m dashboard again"
        return self._reading.told or self._complaint

    @property
    def doing(self) -> str:
        """What is done until there is something to show."""
        if len(self.table):
            return f"reading {self.settings.output}: {format_users(len(self.table))} so far"
        return f"connecting to {self._reading.kafka.outage.service}"

    def _run(self) -> None:
        while not self._stop.requested:
            began = time.monotonic()
            self._reading = Reading(self.settings, self._stop)
            try:
                with self._reading.opened() as (source, watch, keys, values):
                    self._follow(source, watch, keys, values)
            except RestoreNeeded as error:
                self._complaint = f"{error}; reading it anew"
            except ClassifierError as error:
                self._complaint = str(error)
                self._pause(max(AGAIN_SECONDS, time.monotonic() - began))
            finally:
                # Here, with what an outage left of clients: in a thread of librdkafka's it would end the process.
                gc.collect()
                gc.enable()

    def _pause(self, seconds: float) -> None:
        """Wait, unless told to stop."""
        deadline = time.monotonic() + min(seconds, 10 * AGAIN_SECONDS)
        while time.monotonic() < deadline and not self._stop.requested:
            time.sleep(POLL_SECONDS)

    def _follow(self, source: Source, watch: TopicWatch, keys: KeyCodec, values: LabelCodec) -> None:
        """Read to the end, and on."""
        self.table.clear()
        gc.disable()  # records make no reference cycles, and looking for some takes a third of the time
        newest, whole, looked = dict[bytes | None, Record](), False, time.monotonic()
        while not self._stop.requested:
            newest.update({message.key(): message for message in source.read(MAX_POLL_RECORDS, POLL_SECONDS)})
            at_end = source.at_end and (whole or not self._held())
            if len(newest) >= LABELS_PER_DECODE or (at_end and newest):
                take(newest, self.table, keys, values)
                newest.clear()
            if at_end and not whole:
                whole, self._complaint = True, ""
                gc.freeze()  # the table is there to stay, and need not be looked through again and again
                gc.enable()
            if whole:
                self._show(at_end)
            if whole and time.monotonic() - looked >= LOOK_SECONDS:
                watch.check()
                self._reading.kafka.outage.note_recovery()
                looked, self.looked_at = time.monotonic(), time.time()

    def _held(self) -> bool:
        """Whether somebody's open transaction hides labels that are there."""
        hold = self._reading.hold
        lasts = hold is not None and hold.block_records()
        if not lasts:
            self._reading.hold = None
        return lasts

    def _show(self, at_end: bool) -> None:
        """Have a new snapshot, if there is something new and the last one has been looked at for a while."""
        now = time.monotonic()
        if at_end:
            self.looked_at = time.time()
        seconds = (SHOW_SECONDS + SHOW_SECONDS_PER_USER * len(self.table)) * (1 if at_end else SHOW_BEHIND)
        if self.latest and (self.latest.version == self.table.version or now - self._shown_at < seconds):
            return
        self._shown_at = now
        snapshot = self.table.snapshot()
        self.history.note(time.time(), snapshot.sizes())
        self.latest = snapshot


def take(messages: dict[bytes | None, Record], table: Table, keys: KeyCodec, values: LabelCodec) -> None:
    """Decode the newest record of each user into the table; StateError for what the client does not write."""
    held, gone = split_tombstones(messages)
    labelled = list(zip(*decode_labels(held, values), strict=True))
    table.take(labelled, [message.timestamp()[1] for message in held])
    if gone:
        table.forget(
            [user_of_tombstone(message, keys) for message in gone], [message.timestamp()[1] for message in gone]
        )

"""Writes the input while faults happen, and records what it wrote to which partition."""

import random
import threading
import time
import zlib
from collections.abc import Callable, Iterable
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from tests.faults.history import History
from tests.support.changelog import Aggregate, Change, Placed
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until
from tests.support.wire import Headers

PAUSE_S = 0.02
MAX_TRANSACTIONS = 2_000_000
FLUSH_S = 120.0


class Feeder(threading.Thread):
    """Writes an endless aggregation, which is settled when it is stopped.

    Parameters
    ----------
    random_share : share of the records that go to a random partition instead of that of their hash.
    """

    def __init__(
        self, pipeline: Pipeline, seed: int, n_users: int = 200, per_second: int = 300, random_share: float = 0.2
    ) -> None:
        super().__init__(daemon=True)
        self.pipeline = pipeline
        self.per_second = per_second
        self.random_share = random_share
        self.n_partitions = len(pipeline.topics.partitions(pipeline.source))
        self._rng = random.Random(seed)
        self._habits = {f"User_{number}": self._rng.choice((10.0, 100.0, 1000.0)) for number in range(n_users)}
        self._users = tuple(self._habits)
        self._table = Aggregate()
        self._transactions: list[tuple[str, float | None]] = []
        """All transactions: user and amount; None deletes the user."""
        self.written_to: dict[int, list[Change]] = {}
        """Partition -> its changes: number n is at offset n."""
        self.begin: dict[int, int] = {}
        """Partition -> offset of its first record, by default 0."""
        self.history = History()
        self._sent: dict[tuple[bytes | None, tuple[tuple[str, str | bytes | None], ...]], Change] = {}
        self.encode: Callable[[Change], bytes] | None = None
        """Encodes values in another schema than that of the pipeline."""
        self._failures: list[KafkaError] = []
        self._stopping = threading.Event()
        self._producer = self._new_producer()

    @property
    def changes(self) -> list[Change]:
        """All changes written, in the order of the aggregation."""
        return self._table.changes

    @property
    def readable(self) -> list[Change]:
        """The changes that the input still has, partition by partition."""
        return [change for at, changes in self.written_to.items() for change in changes[self.begin.get(at, 0) :]]

    @property
    def n_records(self) -> int:
        """Number of records written."""
        return len(self._table.changes)

    def run(self) -> None:
        """Write at a constant rate until stopped; see Thread."""
        portion = max(1, int(self.per_second * PAUSE_S))
        for _ in range(MAX_TRANSACTIONS // portion):
            if self._stopping.wait(PAUSE_S):
                return
            self.write(portion)

    def write(self, n_transactions: int) -> None:
        """Write some transactions."""
        before = len(self._table.changes)
        for _ in range(n_transactions):
            user_id = self._rng.choice(self._users)
            deleted = self._rng.random() < 0.05
            self._aggregate(user_id, None if deleted else self._rng.uniform(0, self._habits[user_id]))
        self._send(before)

    def spend(self, user_id: str, amount: float) -> None:
        """Write one transaction."""
        before = len(self._table.changes)
        self._aggregate(user_id, amount)
        self._send(before)
        self.flush()

    def _aggregate(self, user_id: str, amount: float | None) -> None:
        self._transactions.append((user_id, amount))
        if amount is None:
            self._table.delete(user_id)
        else:
            self._table.spend(user_id, amount)

    def restart_statement(self, kept: float) -> None:
        """Aggregate the last transactions again, as a statement does that was deleted and created again.

        The rows written before are never retracted.
        """
        before = len(self._table.changes)
        self._table.rows.clear()
        again = self._transactions[-int(kept * len(self._transactions)) :]
        self._transactions = []
        for transaction in again:
            self._aggregate(*transaction)
        self._send(before)

    def insert_into(self, partition: int, user_ids: Iterable[str]) -> None:
        """Write the first transactions of users, all into one partition, as batches of their own."""
        self.flush()
        before = len(self._table.changes)
        for user_id in user_ids:
            self._aggregate(user_id, self._rng.uniform(0, 1000.0))
        self._send(before, partition)
        self.flush()

    def lose(self, partition: int, first_lost: int) -> None:
        """Take note that the broker has lost the records of a partition from an offset on, and the users with them."""
        lost = {change.row.user_id for change in self.written_to[partition][first_lost:]}
        self.history.lose(lost, time.time())
        del self.written_to[partition][first_lost:]
        for user_id in lost:
            del self._table.rows[user_id]
        # An idempotent producer would count on from what the broker has lost.
        self._producer = self._new_producer()

    def delete_all(self) -> None:
        """Delete every user."""
        before = len(self._table.changes)
        for user_id in self._habits:
            self._table.delete(user_id)
        self._send(before)

    def trim(self) -> None:
        """Delete all records written so far, as retention does."""
        self.flush()
        self.history.lose(self._table.rows, time.time())
        self.begin = {at: len(changes) for at, changes in self.written_to.items()}
        admin = AdminClient({"bootstrap.servers": self.pipeline.topics.bootstrap_servers, "log_level": 0})
        wanted = [TopicPartition(self.pipeline.source, at, offset) for at, offset in self.begin.items()]
        for future in admin.delete_records(wanted).values():
            future.result(FLUSH_S)

    def grow(self, n_partitions: int) -> None:
        """Give the input more partitions, and write to them once the producer knows them."""
        source = self.pipeline.source
        self.pipeline.topics.grow(source, n_partitions)
        known = self._producer.list_topics
        wait_until(lambda: len(known(source, FLUSH_S).topics[source].partitions) == n_partitions, "new partitions")
        self.n_partitions = n_partitions

    def forget(self) -> None:
        """Start from an empty table, as the topic was recreated."""
        self.history.lose(self._table.rows, time.time())
        self._table = Aggregate()
        self._transactions = []
        self.written_to = {}
        self.begin = {}

    def stop(self) -> None:
        """Stop writing, and wait until everything is delivered."""
        self._stopping.set()
        if self.is_alive():
            self.join()
        self.flush()

    def abandon(self) -> None:
        """Stop writing, and discard what is not delivered."""
        self._stopping.set()
        if self.is_alive():
            self.join()
        self._producer.purge()
        self._producer.flush(1.0)

    def flush(self) -> None:
        """Wait until everything is delivered."""
        left = self._producer.flush(FLUSH_S)
        if left or self._failures:
            raise RuntimeError(f"the input could not be written: {left} left, {self._failures[:1]}")

    def take_stock(self) -> None:
        """Compare with the input: this producer may have written twice when its broker went down."""
        source = self.pipeline.source
        topics = self.pipeline.topics
        twice = {at for at, end in topics.ends(source).items() if end > len(self.written_to.get(at, ()))}
        for at in twice:
            print(
                f"{source} [{at}]: the test wrote records twice; the records in the topic count",
                flush=True,
            )
            del self.written_to[at][self.begin.get(at, 0) :]
        for record in topics.read(source) if twice else ():
            if record.partition in twice:
                self.written_to[record.partition].append(self._sent[record.value, tuple(record.headers)])

    def _new_producer(self) -> Producer:
        own = {"enable.idempotence": True, "linger.ms": 5, "reconnect.backoff.max.ms": 500, "log_level": 0}
        return Producer({"bootstrap.servers": self.pipeline.topics.bootstrap_servers, **own})

    def _partition_of(self, change: Change) -> int:
        if self._rng.random() < self.random_share:
            return self._rng.randrange(self.n_partitions)
        return zlib.crc32(repr(tuple(change.row)).encode()) % self.n_partitions

    def _send(self, first: int, partition: int | None = None) -> None:
        """Send the changes from the given one on, by default spread over the partitions."""
        began = time.time()
        placed = [
            Placed(self._partition_of(change) if partition is None else partition, change)
            for change in self._table.changes[first:]
        ]
        for (at, change), record in zip(placed, self.pipeline.outgoing(placed), strict=True):
            self.history.note(change, began)
            self.written_to.setdefault(at, []).append(change)
            value = record.value if self.encode is None else self.encode(change)
            self._sent[value, tuple(record.headers)] = change
            self._produce(at, value, record.headers, change)
        self._producer.poll(0)

    def _produce(self, at: int, value: bytes | None, headers: Headers, change: Change) -> None:
        delivered = partial(self._delivered, change)

        def queued() -> bool:
            try:
                self._producer.produce(self.pipeline.source, value, None, at, delivered, headers=headers)
            except KafkaException as error:
                # The producer may learn of new partitions a moment after list_topics.
                if error.args[0].code() != KafkaError._UNKNOWN_PARTITION:
                    raise
                return False
            return True

        wait_until(queued, f"partition {at} to be known")

    def _delivered(self, change: Change, error: KafkaError | None, message: Message) -> None:
        if error is not None:
            self._failures.append(error)
        else:
            # The callback comes with the next write; the latency is that of the brokers.
            self.history.delivered(change, message.latency() or 0.0)

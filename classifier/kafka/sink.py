"""One Kafka transaction per step: labels, dead letters and input offsets, all or none.

What need not wait for the offsets goes ahead in transactions of its own where it is much: none outlives its time-out.
"""

import contextlib
import functools
import itertools
import logging
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from classifier.errors import (
    DENIED_CODES,
    REFUSED_CODES,
    AccessDenied,
    ClassifierError,
    KafkaFailed,
    TopicsChanged,
    TransactionAborted,
    clear_frames,
)
from classifier.kafka.client import CALL_TIMEOUT_SECONDS, POLL_SECONDS, Kafka
from classifier.kafka.record import BadRecord, Headers
from classifier.kafka.transaction_size import MIN_RECORDS, TransactionSize
from classifier.outage import Outage
from classifier.stop import COMMITTED, NOT_COMMITTED, UNKNOWN

log = logging.getLogger("user_classifier")
OutputRecord = tuple[str, bytes | None, bytes | None, Headers]  # topic, key, value, headers
DELIVERY_POLL_SECONDS = 0.01  # until deliveries are looked at again


class Deliveries:
    """What became of the records of a transaction. It does not know the producer: a cycle of the two would stay
    in memory, threads and all, after every restore."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self.n_written = 0  # records of this transaction, handed over to be delivered
        self.refusal: ClassifierError | None = None  # of a record that would be refused again
        self.failed = False  # whether a record of this transaction was not delivered

    def note_failure(self, error: KafkaError, message: Message) -> None:
        """Take the producer's report."""
        self.failed = True
        if error.code() in DENIED_CODES | REFUSED_CODES:
            self.refusal = self._kafka.classify(error, f"write topic {message.topic()}")


class Sink:
    """One Kafka transaction per step: labels, dead letters and input offsets, all or none.

    Exactly once into `user_labeling` for a read_committed reader; one active instance.
    """

    def __init__(
        self,
        kafka: Kafka,
        consumer: Consumer,
        transactional_id: str,
        pace: TransactionSize,
        on_stall: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_stall` is called while the brokers take no records, and before a part of a step is committed; what it
        raises ends the transaction."""
        self._kafka, self._consumer, self._deliveries, self._pace = kafka, consumer, Deliveries(kafka), pace
        self._stop, self._on_stall = kafka.stop, on_stall
        self._outage = Outage(f"{kafka.outage.service}: the output")
        self._producer = kafka.producer(self._deliveries.note_failure)
        self._doing = f"write transactional.id {transactional_id}"
        kafka.connect(self._producer, "producer")
        # Fences older instances, and ends a transaction that one of them left open.
        kafka.call(self._doing, lambda: self._producer.init_transactions(CALL_TIMEOUT_SECONDS))

    def write(
        self,
        records: Iterable[OutputRecord],
        offsets: list[TopicPartition],
        ahead: Iterable[OutputRecord] = (),
        unfinished: Sequence[TopicPartition] = (),
    ) -> None:
        """Produce records and commit offsets in one transaction; TransactionAborted leaves neither.

        Records `ahead` need not wait for the offsets. Those that do not fit into that transaction are committed in
        others before it, each with the offsets `unfinished`, if there are any.
        """
        self._stop.last_step = NOT_COMMITTED
        try:
            self._begin()
            self._write_ahead(ahead, unfinished)
            self._produce_all(records)
            self._deliver(offsets)
            self._stop.last_step = UNKNOWN
            self._commit(complete=True)
            self._stop.last_step = COMMITTED
            self._kafka.outage.note_recovery()
        except (TransactionAborted, TopicsChanged, AccessDenied, KafkaFailed) as failure:
            self._stop.last_step = NOT_COMMITTED
            clear_frames(failure)  # an error of the abort comes from C, and does not lead to this one
            # Readers of the output need not wait for the time-out, and a timed-out instance hears whether a newer one
            # has taken over. Whatever else the abort says, the producer that restores ends the transaction.
            with contextlib.suppress(AccessDenied, KafkaFailed):
                self._kafka.call(self._doing, lambda: self._producer.abort_transaction(CALL_TIMEOUT_SECONDS))
            if self._deliveries.refusal is not None:  # trying again would fail again
                raise self._deliveries.refusal from None
            raise

    def _begin(self) -> None:
        self._deliveries.failed, self._deliveries.n_written = False, 0
        self._kafka.call(self._doing, self._producer.begin_transaction)
        self._pace.begin()

    def _write_ahead(self, records: Iterable[OutputRecord], unfinished: Sequence[TopicPartition]) -> None:
        """Produce records; whenever they fill a transaction, commit it as a part of the step and begin another."""
        left, n_committed = iter(records), 0
        while portion := list(itertools.islice(left, MIN_RECORDS)):
            self._produce_all(portion)
            if self._pace.full(len(self._producer)) and not self._deliveries.failed:
                self._deliver(unfinished)
                self._on_stall()
                n_committed += self._deliveries.n_written
                self._commit(complete=False)
                log.info("a large step: %d labels are committed, more follow", n_committed)
                self._kafka.on_wait()
                self._begin()

    def _produce_all(self, records: Iterable[OutputRecord]) -> None:
        """Queue records, at first no more of them than tell how fast they are delivered."""
        left, pace, producer, deliveries = iter(records), self._pace, self._producer, self._deliveries
        produce = producer.produce  # looked up once, not for each record
        while portion := list(itertools.islice(left, MIN_RECORDS)):
            for record in portion:
                topic, key, value, headers = record
                try:
                    if headers:
                        produce(topic, value, key, headers=headers)
                    else:  # in half the time: an argument by its name takes as long as the rest
                        produce(topic, value, key)
                except (BufferError, KafkaException) as error:
                    if not self._produce_after(error, record):
                        return  # the transaction has failed; the calls that follow say why
            deliveries.n_written += len(portion)
            while pace.throttled(len(producer)) and not deliveries.failed:
                self._flush(DELIVERY_POLL_SECONDS)
                pace.measure(deliveries.n_written, len(producer))
            pace.measure(deliveries.n_written, len(producer))

    def _deliver(self, offsets: Sequence[TopicPartition]) -> None:
        """Have all records delivered, and offsets, if there are any."""
        if offsets:
            group, producer = self._consumer.consumer_group_metadata(), self._producer
            send = functools.partial(producer.send_offsets_to_transaction, list(offsets), group, CALL_TIMEOUT_SECONDS)
            doing, call_in_thread = "commit offsets of the group", self._kafka.call_in_thread
            # Beside each other, records and offsets take two thirds of the time.
            self._kafka.call(doing, lambda: call_in_thread(doing, send, lambda: self._flush(POLL_SECONDS)))
        self._drain()
        self._pace.measure(self._deliveries.n_written, len(self._producer))

    def _commit(self, *, complete: bool) -> None:
        self._kafka.call(self._doing, lambda: self._producer.commit_transaction(CALL_TIMEOUT_SECONDS))
        self._pace.note_commit(complete=complete)

    def _produce_after(self, error: BufferError | KafkaException, record: OutputRecord) -> bool:
        """Queue a record that was not taken; return False once the transaction takes no more of them."""
        topic, key, value, headers = record
        while isinstance(error, BufferError):  # the queue is full: let it drain
            self._flush(POLL_SECONDS)
            try:
                self._producer.produce(topic, value, key, headers=headers)
                return True
            except (BufferError, KafkaException) as again:
                error = again
        if error.args[0].code() == KafkaError._STATE:
            return False
        raise self._kafka.classify(error.args[0], f"write topic {topic}") from None

    def _drain(self) -> None:
        """Wait until all records are delivered, or the transaction has failed; the commit tells which."""
        left = len(self._producer)
        while left and not self._deliveries.failed:
            before, left = left, self._flush(CALL_TIMEOUT_SECONDS)
            self._pace.measure(self._deliveries.n_written, left)  # also of a transaction that comes to nothing
            if left == before:
                self._outage.note_failure("accepts no records")
                self._on_stall()
        self._outage.note_recovery()

    def _flush(self, timeout: float) -> int:
        """Let the producer work; return how many records are left."""
        try:
            return self._producer.flush(timeout)
        except (KafkaException, SystemError) as error:
            # A fatal error comes out of the client's own callback, inside a SystemError if a delivery failed, too.
            fatal = error if isinstance(error, KafkaException) else error.__cause__
            if not isinstance(fatal, KafkaException):
                raise
            raise self._kafka.classify(fatal.args[0], self._doing) from None


def dead_letter(bad: BadRecord, topic: str) -> OutputRecord:
    """Return a bad record as it came, with the headers Kafka Streams gives to dead letters."""
    message, error = bad
    cause = {
        "exception": type(error).__name__,
        "message": str(error),
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
    }
    headers = [(f"__streams.errors.{name}", str(value).encode()) for name, value in cause.items()]
    return topic, message.key(), message.value(), (message.headers() or []) + headers

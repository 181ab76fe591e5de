"""Writing: normally one Kafka transaction per step, with labels, dead letters and input offsets.

A step that is too large for one transaction is committed in parts, each of them a transaction; see `Sink.write`.
"""

import contextlib
import functools
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Sequence

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from classifier.errors import (
    DENIED_CODES,
    REFUSED_CODES,
    SMALLER_BATCHES,
    AccessDenied,
    ClassifierError,
    KafkaFailed,
    RecordError,
    TopicsChanged,
    TransactionAborted,
    aborted,
    clear_frames,
)
from classifier.kafka.client import CALL_TIMEOUT_SECONDS, POLL_SECONDS, Kafka
from classifier.kafka.record import BadRecord, Headers
from classifier.kafka.transaction_size import MIN_RECORDS, TransactionSize
from classifier.stop import COMMITTED, NOT_COMMITTED, UNKNOWN

log = logging.getLogger("user_classifier")
OutputRecord = tuple[str, bytes | None, bytes | None, Headers]  # topic, key, value, headers

PURGED_CODES = {KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT}  # of records that an abort removes
DELIVERY_POLL_SECONDS = 0.01  # pause between two checks of deliveries while no rate is known


class Sink:
    """Writes steps to Kafka.

    Exactly once into `user_labeling` for a read_committed reader; one active instance.
    """

    def __init__(
        self,
        kafka: Kafka,
        consumer: Consumer,
        transactional_id: str,
        transaction_size: TransactionSize,
        check_step: Callable[[], None] = lambda: None,
    ) -> None:
        """Create the producer, which fences older instances and ends the transaction that one of them left open.

        `check_step` raises an error if the step must not be committed any more; the transaction is then aborted. It is
        called while the brokers accept no records, and before each part but the last is committed.
        """
        self._kafka = kafka
        self._consumer = consumer
        self._size = transaction_size
        self._check_step = check_step
        self._stop = kafka.stop
        self._action = f"write transactional.id {transactional_id}"
        self._deliveries = Deliveries(kafka)
        self._producer = kafka.producer(self._deliveries.note_failure)
        kafka.connect(self._producer, "producer")
        kafka.call(self._action, lambda: self._producer.init_transactions(CALL_TIMEOUT_SECONDS))

    def write(
        self,
        records: Iterable[OutputRecord],
        offsets: list[TopicPartition],
        early_records: Iterable[OutputRecord] = (),
        part_offsets: Sequence[TopicPartition] = (),
    ) -> None:
        """Write one step: all of its records and its offsets in one transaction, or in parts if it is large.

        Parameters
        ----------
        records : records that must be committed together with the offsets, such as changed rows and dead letters.
        offsets : the next offset of each input partition, with metadata.
        early_records : records that may be committed before the offsets. If a restore finds them without the offsets,
            its table is still correct, because a new label changes no row.
        part_offsets : offsets to commit with each part but the last; none to leave the group's offsets as they are.

        Raises
        ------
        TransactionAborted, TopicsChanged, AccessDenied, KafkaFailed
            After the current transaction was aborted. Earlier parts stay committed; nothing else of the step does.
        ProducerFenced
            Without a further call: the transaction now belongs to a newer instance.

        Notes
        -----
        1. Begin a transaction.
        2. Queue `early_records`. When elapsed time plus the estimated delivery time reaches a quarter of the timeout
           (`TransactionSize.full`), commit a part of the step: send `part_offsets`, wait for delivery, call
           `check_step`, commit, begin the next transaction. A small step never reaches this limit.
        3. Queue `records`. They always go into the last transaction: the run loop takes no more rows into a step
           than one transaction can hold (`TransactionSize.max_rows`).
        4. Send `offsets`, and meanwhile deliver what is queued. Wait for the rest.
        5. Commit. Now the step is complete.
        6. If 1 to 5 failed: abort the current transaction, so that readers need not wait for its timeout, and raise.
           The run loop then restores from what is committed, and repeats what is missing.

        An outage in any of these is waited for, as long as the transaction lives. `StopRequest.last_step` is
        NOT_COMMITTED from 1, UNKNOWN during 5, COMMITTED after it.
        """
        self._stop.last_step = NOT_COMMITTED
        try:
            self._begin()
            self._write_in_parts(early_records, part_offsets)
            self._produce_all(records)
            self._deliver(offsets)
            self._stop.last_step = UNKNOWN
            self._commit(complete=True)
            self._stop.last_step = COMMITTED
            self._kafka.outage.note_recovery()
        except (TransactionAborted, TopicsChanged, AccessDenied, KafkaFailed) as failure:
            self._stop.last_step = NOT_COMMITTED
            clear_frames(failure)  # an error of the abort comes from C and would not lead to this one
            self._abort()
            raise self._deliveries.cause(failure) from None

    def _begin(self) -> None:
        self._deliveries.begin()
        self._kafka.call(self._action, self._producer.begin_transaction)
        self._size.begin()

    def _write_in_parts(self, records: Iterable[OutputRecord], part_offsets: Sequence[TopicPartition]) -> None:
        """Queue records; when the transaction is full, commit it as a part of the step and begin the next one."""
        remaining = iter(records)
        n_committed = 0
        while chunk := list(itertools.islice(remaining, MIN_RECORDS)):
            self._produce_all(chunk)
            if self._size.full(len(self._producer)) and not self._deliveries.failed:
                self._deliver(part_offsets)
                self._check_step()
                n_committed += self._deliveries.n_queued
                self._commit(complete=False)
                log.info("a large step: %d labels are committed, more follow", n_committed)
                self._kafka.on_wait()
                self._begin()

    def _produce_all(self, records: Iterable[OutputRecord]) -> None:
        """Queue records. Until a rate is known, wait for deliveries after each chunk."""
        remaining = iter(records)
        size = self._size
        producer = self._producer
        deliveries = self._deliveries
        produce = producer.produce  # looked up once, not for each record
        while chunk := list(itertools.islice(remaining, MIN_RECORDS)):
            for record in chunk:
                topic, key, value, headers = record
                try:
                    if headers:
                        produce(topic, value, key, headers=headers)
                    else:  # half the time: passing a keyword argument takes as long as all the rest
                        produce(topic, value, key)
                except (BufferError, KafkaException) as error:
                    if not self._produce_again(error, record):
                        return  # the transaction has failed; the next call raises why
            deliveries.n_queued += len(chunk)
            while size.throttled(len(producer)) and not deliveries.failed:
                self._flush(DELIVERY_POLL_SECONDS)
                size.measure(deliveries.n_queued, len(producer))
            size.measure(deliveries.n_queued, len(producer))

    def _produce_again(self, error: BufferError | KafkaException, record: OutputRecord) -> bool:
        """Queue a record that was not accepted; return False if the transaction has failed and accepts no more."""
        topic, key, value, headers = record
        while isinstance(error, BufferError):  # the queue is full
            self._flush(POLL_SECONDS)
            try:
                self._producer.produce(topic, value, key, headers=headers)
                return True
            except (BufferError, KafkaException) as again:
                error = again
        if error.args[0].code() == KafkaError._STATE:
            return False
        raise self._kafka.classify(error.args[0], f"write topic {topic}") from None

    def _deliver(self, offsets: Sequence[TopicPartition]) -> None:
        """Send offsets to the transaction, if there are any, and wait until all queued records are delivered."""
        if offsets:
            group = self._consumer.consumer_group_metadata()
            send = functools.partial(
                self._producer.send_offsets_to_transaction, list(offsets), group, CALL_TIMEOUT_SECONDS
            )
            action = "commit offsets of the group"
            in_thread = functools.partial(self._kafka.call_in_thread, action, send, lambda: self._flush(POLL_SECONDS))
            self._kafka.call(action, in_thread)  # at the same time as the records: takes two thirds of the time
        self._await_deliveries()
        self._size.measure(self._deliveries.n_queued, len(self._producer))

    def _await_deliveries(self) -> None:
        """Wait until all queued records are delivered, or one has failed; the commit raises which."""
        output = self._kafka.output
        n_outstanding = len(self._producer)
        while n_outstanding and not self._deliveries.failed:
            before = n_outstanding
            n_outstanding = self._flush(CALL_TIMEOUT_SECONDS)
            self._size.measure(self._deliveries.n_queued, n_outstanding)  # counts even if the transaction is aborted
            if n_outstanding == before:
                output.note_failure("accepts no records")
                self._kafka.outage.note_silence("output", output.since or time.monotonic())
                self._kafka.on_wait()
                self._check_step()
        if not self._deliveries.failed:
            output.note_recovery()
            self._kafka.outage.note_sound("output")

    def _flush(self, timeout: float) -> int:
        """Deliver queued records for up to `timeout` seconds; return how many are left."""
        try:
            return self._producer.flush(timeout)
        except (KafkaException, SystemError) as error:
            # The client raises a fatal error from its callback; inside a SystemError if a delivery failed as well.
            fatal = error if isinstance(error, KafkaException) else error.__cause__
            if not isinstance(fatal, KafkaException):
                raise
            raise self._kafka.classify(fatal.args[0], self._action) from None

    def _commit(self, *, complete: bool) -> None:
        self._kafka.call(self._action, lambda: self._producer.commit_transaction(CALL_TIMEOUT_SECONDS))
        self._size.note_commit(complete=complete)

    def _abort(self) -> None:
        """Abort the transaction. If it timed out, this raises ProducerFenced in case a newer instance took over.

        Other errors do not matter: the producer of the restore ends the transaction.
        """
        with contextlib.suppress(AccessDenied, KafkaFailed):
            self._kafka.call(self._action, lambda: self._producer.abort_transaction(CALL_TIMEOUT_SECONDS))


class Deliveries:
    """State of the records of the current transaction.

    It does not hold the producer: a reference cycle of the two, threads included, would stay in memory after a restore.
    """

    def __init__(self, kafka: Kafka) -> None:
        self.n_queued = 0  # records of this transaction that were queued
        self.failed = False  # whether a record of this transaction could not be delivered
        self._error: ClassifierError | None = None  # of the first such record, or of one that would be refused again
        self._kafka = kafka

    def begin(self) -> None:
        """Forget the last transaction."""
        self.failed = False
        self.n_queued = 0
        self._error = None

    def note_failure(self, error: KafkaError, message: Message) -> None:
        """Record the producer's report of a record that could not be delivered."""
        self.failed = True
        if error.code() in DENIED_CODES or error.code() in REFUSED_CODES:
            self._error = self._kafka.classify(error, f"write topic {message.topic()}")
            n_bytes = len(message.key() or b"") + len(message.value() or b"")
            if error.code() == KafkaError.MSG_SIZE_TOO_LARGE and 2 * n_bytes < self._kafka.batch_size:
                self._error = KafkaFailed(f"cannot write topic {message.topic()}: {error.str()}; {SMALLER_BATCHES}")
        elif self._error is None and error.code() not in PURGED_CODES:
            self._error = aborted(error)

    def cause(self, failure: ClassifierError) -> ClassifierError:
        """Return why a transaction failed: the error of a record, if that is what aborted it, else `failure`.

        If a record would be refused again, a restore would only write it again.
        """
        if isinstance(self._error, TransactionAborted) and not isinstance(failure, TransactionAborted):
            return failure
        return self._error or failure


def dead_letter(bad: BadRecord, topic: str) -> OutputRecord:
    """Return a copy of a bad record for `topic`, with the headers that Kafka Streams adds to dead letters."""
    message, error = bad
    cause = {
        "exception": RecordError.__name__,  # of its subclasses, too, which are for the client itself
        "message": str(error),
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
    }
    headers = [(f"__streams.errors.{name}", str(value).encode()) for name, value in cause.items()]
    return topic, message.key(), message.value(), (message.headers() or []) + headers

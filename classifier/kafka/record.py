"""A consumed record: the part of confluent_kafka.Message that the client uses, its position, and bad records."""

from typing import Any, NamedTuple, Protocol

from confluent_kafka import KafkaError

from classifier.errors import RecordError

Headers = list[tuple[str, Any]] | None


class Record(Protocol):
    """The part of confluent_kafka.Message that the client uses."""

    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def leader_epoch(self) -> int | None: ...
    def timestamp(self) -> tuple[int, int]: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Headers: ...
    def error(self) -> KafkaError | None: ...


class LogPoint(NamedTuple):
    """A record of a partition, by what a replaced record at its offset would differ in."""

    offset: int
    leader_epoch: int  # of the leader that took the record; -1 from brokers that give none


class BadRecord(NamedTuple):
    """A record that cannot be read, and why."""

    message: Record
    error: RecordError

    def __str__(self) -> str:
        return f"{position_of(self.message)}: {self.error}"


def position_of(message: Record) -> str:
    """Return the position of a record, as in all messages: topic [partition] at offset n."""
    return f"{message.topic()} [{message.partition()}] at offset {message.offset()}"


def log_point(record: Record) -> LogPoint:
    """Return offset and leader epoch of a record."""
    epoch = record.leader_epoch()
    return LogPoint(record.offset(), -1 if epoch is None else epoch)

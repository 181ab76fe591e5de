"""A consumed record: the part of it that is used here, where it lies, and what is wrong with it."""

from typing import Any, NamedTuple, Protocol

from confluent_kafka import KafkaError

from classifier.errors import RecordError

Headers = list[tuple[str, Any]] | None


class Record(Protocol):
    """A consumed record: the part of confluent_kafka.Message used here."""

    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def timestamp(self) -> tuple[int, int]: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Headers: ...
    def error(self) -> KafkaError | None: ...


class BadRecord(NamedTuple):
    """A record that could not be read, and why."""

    message: Record
    error: RecordError

    def __str__(self) -> str:
        return f"{position_of(self.message)}: {self.error}"


def position_of(message: Record) -> str:
    """Return where a record lies: topic [partition] at offset n."""
    return f"{message.topic()} [{message.partition()}] at offset {message.offset()}"

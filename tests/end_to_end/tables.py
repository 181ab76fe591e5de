"""The rows of a table that Flink writes, read from its topic."""

from collections.abc import Mapping, Sequence
from typing import Any

from tests.end_to_end.sessions import Session
from tests.support.wire import schema_id_of, unframe

Row = Mapping[str, Any]


def written(session: Session, topic: str) -> list[Row]:
    """The rows of a changelog, without those that are retracted."""
    found: list[Row] = []
    for record in session.topics.read(topic):
        value = record.value or b""
        row = unframe(session.subjects.schema(schema_id_of(value)), value)
        if dict(record.headers).get("op") in (b"\1", b"\3"):
            found.remove(row)
        else:
            found.append(row)
    return found


def same(found: Sequence[Row], expected: Sequence[Row]) -> bool:
    """Whether both have the same rows, in any order."""
    return sorted(found, key=str) == sorted(expected, key=str)

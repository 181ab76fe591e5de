"""A topic without a CREATE TABLE, as Flink SQL reads it: upsert if it is compacted, else append."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from local.sql.confluent_sql import StatementError
from local.sql.workspace import SQL_DIRECTORY
from tests.end_to_end.sessions import Session
from tests.support.topics import Outgoing
from tests.support.waiting import wait_until
from tests.support.wire import KEY_SCHEMA, LABELING_SCHEMA, Headers, body, frame, schema_id_of, unframe

Key = Callable[[str], bytes]
PENDING: Headers = [("pending", b"[[1.0, 1]]")]

# Records as the client writes them: new users, a newer row, deleted users, one with pending rows, one who returns.
HISTORY: list[tuple[str, int | None]] = [
    ("anna", 0),
    ("bert", 0),
    ("carl", 1),
    ("anna", 2),
    ("bert", None),
    ("dora", 1),
    ("carl", None),
    ("dora", None),
    ("dora", 2),
    ("nobody", None),
]
LATEST = [("anna", 2), ("dora", 2)]
ALL_ROWS = [(user, label) for user, label in HISTORY if label is not None]
MARKER = ("~", 0)


def fields(user: str, label: int) -> dict[str, Any]:
    """Return a row of `user_labeling`."""
    return {"user_id": user, "total_amount": 10.0 * label, "num_transactions": label, "label": label}


def write(session: Session, topic: str, key: Key, history: list[tuple[str, int | None]]) -> None:
    """Write rows as the client does, with its schema."""
    schema_id = session.subjects.register(f"{topic}-value", LABELING_SCHEMA)
    records = []
    for user, label in history:
        value = None if label is None else frame(schema_id, body(LABELING_SCHEMA, fields(user, label)))
        records.append(Outgoing(0, value, PENDING if user == "carl" else [], key(user)))
    session.topics.write(topic, records)


def labels(session: Session, topic: str) -> list[tuple[Any, ...]]:
    """Return the rows that Flink reads from the topic."""
    return session.select(f"SELECT user_id, label FROM {topic}", MARKER)


def test_statements_6_and_7(session: Session) -> None:
    """On a compacted topic that was created by hand: the newest row of each user, without deleted users."""
    session.topics.create("user_labeling", 1, {"cleanup.policy": "compact"})
    write(session, "user_labeling", str.encode, HISTORY)
    for number in (6, 7):
        (path,) = SQL_DIRECTORY.glob(f"{number}_*.sql")
        session.workspace.run_file(path)

    def final() -> Counter[tuple[Any, ...]]:
        """Return the rows after all changes."""
        rows: Counter[tuple[Any, ...]] = Counter()
        for record in session.topics.read("user_labeling_final"):
            assert record.value is not None
            row = unframe(session.subjects.schema(schema_id_of(record.value)), record.value)
            op = dict(record.headers).get("op")
            rows[tuple(row.values())] += -1 if op in (b"\1", b"\3") else 1
        return rows

    expected = Counter(tuple(fields(*row).values()) for row in LATEST)
    wait_until(lambda: +final() == expected, "user_labeling_final to follow")
    # While the statement runs, one user is deleted and one changes.
    write(session, "user_labeling", str.encode, [("anna", None), ("dora", 0)])
    wait_until(lambda: +final() == Counter([tuple(fields("dora", 0).values())]), "user_labeling_final to follow again")
    assert all(count >= 0 for count in final().values())
    assert not session.subjects.exists("user_labeling-key")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [("compact", LATEST), ("compact,delete", LATEST), ("delete", sorted(ALL_ROWS))],
    ids=["compact", "both", "delete"],
)
def test_cleanup_policy(session: Session, policy: str, expected: list[tuple[str, int]]) -> None:
    """In a compacted topic, also with deletion, a newer row replaces the older one; else every record is a row."""
    topic = "hand_" + policy.replace(",", "_")
    session.topics.create(topic, 1, {"cleanup.policy": policy})
    write(session, topic, str.encode, [*HISTORY, MARKER])
    assert labels(session, topic) == expected


def record_key(session: Session, topic: str, schema: Any) -> Key:
    """Register a key schema and return a function that encodes keys."""
    schema_id = session.subjects.register(f"{topic}-key", schema)
    return lambda user: frame(schema_id, body(schema, {"user_id": user} if isinstance(schema, dict) else user))


@pytest.mark.parametrize("schema", [KEY_SCHEMA, "string"], ids=["record", "text"])
def test_a_key_with_a_schema(session: Session, schema: Any) -> None:
    """A newer row replaces the older one of its Avro key."""
    topic = "hand_record_key" if isinstance(schema, dict) else "hand_text_key"
    session.topics.create(topic, 1, {"cleanup.policy": "compact"})
    write(session, topic, record_key(session, topic, schema), [*HISTORY, MARKER])
    assert labels(session, topic) == LATEST


def test_a_topic_that_is_compacted_later(session: Session) -> None:
    """The next statement of the same workspace reads it as an upsert table."""
    session.topics.create("hand_later", 1, {"cleanup.policy": "delete"})
    write(session, "hand_later", str.encode, [*HISTORY, MARKER])
    assert labels(session, "hand_later") == sorted(ALL_ROWS)
    session.compact("hand_later")
    assert labels(session, "hand_later") == LATEST


def test_select_shows_the_key_as_bytes(session: Session) -> None:
    """In a column before the others."""
    session.topics.create("hand_star", 1, {"cleanup.policy": "compact"})
    write(session, "hand_star", str.encode, [*HISTORY, MARKER])
    result = session.workspace.run("SELECT * FROM hand_star")
    assert result is not None
    assert result.columns == ["key", "user_id", "total_amount", "num_transactions", "label"]
    result.close()


def test_statement_5_on_an_existing_topic(session: Session) -> None:
    """It uses the schema that the client registered, and raw keys."""
    session.topics.create("hand_stated", 1, {"cleanup.policy": "compact"})
    write(session, "hand_stated", str.encode, [*HISTORY, MARKER])
    (path,) = SQL_DIRECTORY.glob("5_*.sql")
    session.workspace.run(path.read_text(encoding="utf-8").replace("TABLE user_labeling", "TABLE hand_stated"))
    assert session.messages == ["topic hand_stated already exists and is used as it is"]
    assert labels(session, "hand_stated") == LATEST
    assert not session.subjects.exists("hand_stated-key")


def test_a_topic_without_a_schema(session: Session) -> None:
    """It can be read as soon as a schema is registered."""
    session.topics.create("hand_bare", 1, {"cleanup.policy": "compact"})
    with pytest.raises(StatementError) as caught:
        labels(session, "hand_bare")
    assert str(caught.value) == (
        "unknown table hand_bare: there is no schema hand_bare-value; create the table first, "
        "or start the program that writes the topic and registers its schema"
    )
    write(session, "hand_bare", str.encode, [*HISTORY, MARKER])
    assert labels(session, "hand_bare") == LATEST

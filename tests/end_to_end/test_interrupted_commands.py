"""Runs that are ended in between: the same statement, or the next one, finds what there is and completes it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from local.sql import datagen
from local.sql.catalog import Catalog
from local.sql.flink_tables import Endpoints
from local.sql.recovery import save_jobs
from local.sql.sql_gateway import SqlSession
from local.sql.topics import Topics
from tests.end_to_end.sessions import Session

RETRACT = "(user_id STRING, n BIGINT) WITH ('changelog.mode' = 'retract')"
UPSERT = "(user_id STRING, n BIGINT, PRIMARY KEY (user_id) NOT ENFORCED) WITH ('value.fields-include' = 'all')"
COUNTS = "SELECT user_id, COUNT(*) FROM (VALUES ('anna'), ('anna'), ('~')) AS t (user_id) GROUP BY user_id"


def broker(session: Session) -> Topics:
    """The local stack's own way to the broker and the registry."""
    return Topics(Endpoints(session.topics.bootstrap_servers, session.subjects.url))


def end_at(call: int, method: Callable[..., Any]) -> Callable[..., Any]:
    """A method that is interrupted, as by Ctrl-C, instead of its n-th call, counted from 1."""
    calls = 0

    def interrupted(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise KeyboardInterrupt
        return method(*arguments, **named)

    return interrupted


def test_new_topic_can_be_used_at_once(session: Session) -> None:
    """Made is what the broker says is there, with a leader for each partition; without waiting it is late mostly."""
    for number in range(5):
        name = f"many_{number}"
        assert broker(session).create(name, 50)
        assert broker(session).exists(name)
        assert session.topics.partitions(name) == list(range(50))


@pytest.mark.parametrize("registered", [0, 1, 2], ids=["no schema", "the key's alone", "both"])
def test_table_is_completed_by_the_same_statement(
    session: Session, registered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ended before the first registration, between the two, and after them."""
    name = f"ended_{registered}"
    text = f"CREATE TABLE {name} {UPSERT}"
    monkeypatch.setattr(Topics, "register", end_at(registered + 1, Topics.register))
    if registered < 2:
        with pytest.raises(KeyboardInterrupt):
            session.workspace.run(text)
        assert [session.subjects.exists(f"{name}-{part}") for part in ("key", "value")] == [registered == 1, False]
        session.reopen()
    session.workspace.run(text)
    assert [session.subjects.exists(f"{name}-{part}") for part in ("key", "value")] == [True, True]
    assert len(session.said) == (registered < 2)
    session.workspace.run(f"INSERT INTO {name} {COUNTS}")
    assert session.select(f"SELECT user_id, n FROM {name}", ("~", 1)) == [("anna", 2)]


def test_table_is_completed_by_the_next_statement(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """It knows what the topic was made for: a row that is taken back is no row."""
    with monkeypatch.context() as patch:
        patch.setattr(Topics, "register", end_at(1, Topics.register))
        with pytest.raises(KeyboardInterrupt):
            session.workspace.run(f"CREATE TABLE ended_next {RETRACT}")
    session.reopen()
    session.workspace.run(f"INSERT INTO ended_next {COUNTS}")
    assert session.select("SELECT user_id, n FROM ended_next", ("~", 1)) == [("anna", 2)]
    assert session.subjects.exists("ended_next-value")


@pytest.mark.parametrize("call", [1, 2, 3], ids=["before the table", "before the view", "before its twin"])
def test_table_is_declared_by_the_next_statement(session: Session, call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same session of Flink, which knows a part of it already."""
    name = f"declared_{call}"
    session.workspace.run(f"CREATE TABLE {name} {RETRACT}")
    with monkeypatch.context() as patch:
        patch.setattr(SqlSession, "execute", end_at(call, SqlSession.execute))
        with pytest.raises(KeyboardInterrupt):
            session.workspace.run(f"INSERT INTO {name} SELECT 'anna', CAST(1 AS BIGINT)")
    session.workspace.run(f"INSERT INTO {name} SELECT 'anna', CAST(1 AS BIGINT)")
    assert session.select(f"SELECT user_id, n, $rowtime IS NOT NULL FROM {name}", ("anna", 1, True)) == []


def test_job_that_was_not_written_down(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found by its name and not started a second time, which would double every row."""
    session.workspace.run(f"CREATE TABLE unwritten {RETRACT}")
    query = "SELECT user_id, COUNT(*) FROM unwritten GROUP BY user_id"
    session.workspace.run(f"CREATE TABLE unwritten_counts {RETRACT}")
    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "add_job", end_at(1, Catalog.add_job))
        with pytest.raises(KeyboardInterrupt):
            session.workspace.run(f"INSERT INTO unwritten_counts {query}")
    session.reopen()
    assert session.workspace.run(f"INSERT INTO unwritten_counts {query}") is None
    (said,) = session.said
    job_id = said.rpartition(" ")[-1]
    assert said.startswith("insert-into-unwritten_counts-")
    assert job_id in session.jobs.states()
    assert [job.job_id for job in session.catalog.jobs.values()] == [job_id]


def test_job_that_was_submitted_a_moment_ago_is_stopped(session: Session, tmp_path: Path) -> None:
    """`down` behind `run-sql`: its tasks do not run yet."""
    session.workspace.run(f"CREATE TABLE young {RETRACT}")
    session.workspace.run(f"CREATE TABLE young_counts {RETRACT}")
    result = session.workspace.run("INSERT INTO young_counts SELECT user_id, COUNT(*) FROM young GROUP BY user_id")
    assert result is not None
    assert save_jobs(tmp_path, session.jobs) == [job.name for job in session.catalog.jobs.values()]
    (job,) = session.catalog.jobs.values()
    assert job.job_id == result.job_id
    assert job.savepoint is not None
    assert session.jobs.states()[job.job_id] == "FINISHED"


def test_datagen_registers_what_is_missing(session: Session) -> None:
    """The topic was made, by hand or by a run that was ended, and has no schema yet."""
    assert broker(session).create(datagen.TOPIC, datagen.PARTITIONS)
    session.workspace.start_datagen(100)
    assert session.workspace.start_datagen(100) is None
    assert session.subjects.exists(f"{datagen.TOPIC}-value")
    result = session.workspace.run(f"SELECT transaction_id FROM {datagen.TOPIC}")
    assert result is not None
    assert next(change for change in result.changes() if change is not None).fields == (1,)
    result.close()

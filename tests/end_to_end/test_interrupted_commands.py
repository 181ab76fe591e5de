"""Interrupted commands: the next statement completes what they have left unfinished."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

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
    """Return the local stack's client of the broker and the registry."""
    return Topics(Endpoints(session.topics.bootstrap_servers, session.subjects.url))


def interrupt_at(call: int, method: Callable[..., Any]) -> Callable[..., Any]:
    """Return the method with a KeyboardInterrupt in place of its n-th call, counted from 1."""
    calls = 0

    def interrupted(*arguments: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            raise KeyboardInterrupt
        return method(*arguments, **named)

    return interrupted


def test_a_new_topic_can_be_used_immediately(session: Session) -> None:
    """create() waits for a leader of each partition; without that the broker mostly does not know the topic yet."""
    for number in range(5):
        name = f"many_{number}"
        assert broker(session).create(name, 50)
        assert broker(session).exists(name)
        assert session.topics.partitions(name) == list(range(50))


@pytest.mark.parametrize("registered", [0, 1, 2], ids=["no schema", "key schema only", "both schemas"])
def test_the_same_statement_registers_missing_schemas(
    session: Session, registered: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an interruption before the first registration, between the two, and after both."""
    name = f"interrupted_{registered}"
    text = f"CREATE TABLE {name} {UPSERT}"
    monkeypatch.setattr(Topics, "register", interrupt_at(registered + 1, Topics.register))
    if registered < 2:
        with pytest.raises(KeyboardInterrupt):
            session.workspace.run(text)
        assert [session.subjects.exists(f"{name}-{part}") for part in ("key", "value")] == [registered == 1, False]
        session.reopen()
    session.workspace.run(text)
    assert [session.subjects.exists(f"{name}-{part}") for part in ("key", "value")] == [True, True]
    assert len(session.messages) == (registered < 2)
    session.workspace.run(f"INSERT INTO {name} {COUNTS}")
    assert session.select(f"SELECT user_id, n FROM {name}", ("~", 1)) == [("anna", 2)]


def test_the_next_statement_registers_missing_schemas(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """It also knows the changelog mode of the table: a retracted row does not count."""
    with monkeypatch.context() as patch:
        patch.setattr(Topics, "register", interrupt_at(1, Topics.register))
        with pytest.raises(KeyboardInterrupt):
            session.workspace.run(f"CREATE TABLE interrupted_next {RETRACT}")
    session.reopen()
    session.workspace.run(f"INSERT INTO interrupted_next {COUNTS}")
    assert session.select("SELECT user_id, n FROM interrupted_next", ("~", 1)) == [("anna", 2)]
    assert session.subjects.exists("interrupted_next-value")


@pytest.mark.parametrize("call", [1, 2, 3], ids=["before the table", "before the view", "before the view with rowtime"])
def test_the_next_statement_declares_the_table(session: Session, call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the same Flink session, which has a part of the declaration."""
    name = f"declared_{call}"
    session.workspace.run(f"CREATE TABLE {name} {RETRACT}")
    with monkeypatch.context() as patch:
        patch.setattr(SqlSession, "execute", interrupt_at(call, SqlSession.execute))
        with pytest.raises(KeyboardInterrupt):
            session.workspace.run(f"INSERT INTO {name} SELECT 'anna', CAST(1 AS BIGINT)")
    session.workspace.run(f"INSERT INTO {name} SELECT 'anna', CAST(1 AS BIGINT)")
    assert session.select(f"SELECT user_id, n, $rowtime IS NOT NULL FROM {name}", ("anna", 1, True)) == []


def test_a_job_that_was_not_recorded(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is found by its name and not started again, which would duplicate every row."""
    session.workspace.run(f"CREATE TABLE unrecorded {RETRACT}")
    query = "SELECT user_id, COUNT(*) FROM unrecorded GROUP BY user_id"
    session.workspace.run(f"CREATE TABLE unrecorded_counts {RETRACT}")
    with monkeypatch.context() as patch:
        patch.setattr(Catalog, "add_job", interrupt_at(1, Catalog.add_job))
        with pytest.raises(KeyboardInterrupt):
            session.workspace.run(f"INSERT INTO unrecorded_counts {query}")
    session.reopen()
    assert session.workspace.run(f"INSERT INTO unrecorded_counts {query}") is None
    (message,) = session.messages
    job_id = message.rpartition(" ")[-1]
    assert message.startswith("insert-into-unrecorded_counts-")
    assert job_id in session.jobs.states()
    assert [job.job_id for job in session.catalog.jobs.values()] == [job_id]


def test_a_job_that_was_just_submitted_is_stopped(session: Session, tmp_path: Path) -> None:
    """`down` right after `run-sql`: its tasks do not run yet."""
    session.workspace.run(f"CREATE TABLE young {RETRACT}")
    session.workspace.run(f"CREATE TABLE young_counts {RETRACT}")
    result = session.workspace.run("INSERT INTO young_counts SELECT user_id, COUNT(*) FROM young GROUP BY user_id")
    assert result is not None
    assert save_jobs(tmp_path, session.jobs) == [job.name for job in session.catalog.jobs.values()]
    (job,) = session.catalog.jobs.values()
    assert job.job_id == result.job_id
    assert job.savepoint is not None
    assert session.jobs.states()[job.job_id] == "FINISHED"


def test_datagen_registers_a_missing_schema(session: Session) -> None:
    """The topic exists, created by hand or by an interrupted command."""
    assert broker(session).create(datagen.TOPIC, datagen.PARTITIONS)
    session.workspace.start_datagen(100)
    assert session.workspace.start_datagen(100) is None
    assert session.subjects.exists(f"{datagen.TOPIC}-value")
    result = session.workspace.run(f"SELECT transaction_id FROM {datagen.TOPIC}")
    assert result is not None
    assert next(change for change in result.changes() if change is not None).fields == (1,)
    result.close()


def test_a_query_that_is_closed_at_once(session: Session) -> None:
    """As by Ctrl-C. Closed before its tasks have opened, it would end the TaskManager, and with it all jobs."""
    session.topics.create("closed_at_once", 1)
    session.workspace.run("CREATE TABLE closed_at_once (number INT)")
    for _ in range(3):
        result = session.workspace.run("SELECT * FROM closed_at_once")
        assert result is not None
        job = requests.get(f"{session.rest_url}/jobs/{result.job_id}", timeout=30).json()
        assert {task["status"] for task in job["vertices"]} == {"RUNNING"}
        result.close()

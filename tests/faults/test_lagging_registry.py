"""A registry does not know a new schema id for some seconds: no user is lost, whatever is done about bad records."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.committed_records import wait_for_labels, wrong_labels, wrong_records
from tests.faults.lagging_registry import LaggingRegistry
from tests.faults.lagging_schemas import delay_schemas
from tests.faults.stack import Stack
from tests.support import inside
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.client import Client
from tests.support.pipeline import Pipeline, new_name
from tests.support.topics import Outgoing
from tests.support.wire import AGGREGATE_SCHEMA, body, frame

LAG_S = 4.0
MODES = ("ignore", "log", "fail")
NO_SCHEMA_ID = 999_999


def new_schema() -> dict[str, Any]:
    """The columns, and one more."""
    more = {"name": "country", "type": ["null", "string"], "default": None}
    return {**AGGREGATE_SCHEMA, "fields": [*AGGREGATE_SCHEMA["fields"], more]}


@pytest.fixture
def registry(stack: Stack) -> Iterator[LaggingRegistry]:
    """A registry that lags behind the one that all others use."""
    with LaggingRegistry(stack.registry.url, LAG_S) as lagging:
        yield lagging


@pytest.fixture
def pipeline(stack: Stack, registry: LaggingRegistry, tmp_path: Path, request: pytest.FixtureRequest) -> Pipeline:
    """A pipeline whose client asks the registry that lags."""
    made = Pipeline(stack.services, tmp_path, new_name(request.node.name))
    made.configure("schema_registry", url=registry.url)
    return made


def inserts(first: int, n_users: int) -> list[Change]:
    """New users."""
    return [
        Change(Op.INSERT, Row(f"User_{i:02}", 10.0 ** (i % 3) * (1 + i), 1 + i)) for i in range(first, first + n_users)
    ]


def write_by_new_schema(pipeline: Pipeline, registry: LaggingRegistry, changes: list[Change]) -> None:
    """Write changes by a schema that the registry of the client does not know yet."""
    schema = new_schema()
    schema_id = pipeline.subjects.register(f"{pipeline.source}-value", schema)
    registry.unknown.add(schema_id)
    values = [frame(schema_id, body(schema, change.row._asdict())) for change in changes]
    pipeline.topics.write(pipeline.source, [Outgoing(0, value, []) for value in values])


def options(pipeline: Pipeline, mode: str) -> list[str]:
    """Return the options for a mode, and make the topic that it needs."""
    target = f"{pipeline.source}_errors"
    pipeline.topics.create(target)
    return ["--error-handling-mode", mode, "--error-handling-log-target", target]


@pytest.mark.parametrize("mode", MODES)
def test_a_new_schema_while_the_client_runs(
    pipeline: Pipeline, registry: LaggingRegistry, tmp_path: Path, mode: str
) -> None:
    changes = inserts(0, 10)
    pipeline.write([Placed(0, change) for change in changes])
    with Client(pipeline.arguments("--batch-interval", "0.2", *options(pipeline, mode)), tmp_path / "log") as running:
        wait_for_labels(running, pipeline, changes)
        changes += (news := inserts(10, 5))
        write_by_new_schema(pipeline, registry, news)
        wait_for_labels(running, pipeline, changes)
        assert running.stop() == 0, running.output
    assert registry.n_denied > 0
    assert wrong_records(pipeline, changes) == []
    assert pipeline.topics.read(f"{pipeline.source}_errors") == []


@pytest.mark.parametrize("mode", MODES)
def test_a_new_schema_at_the_start(pipeline: Pipeline, registry: LaggingRegistry, mode: str) -> None:
    changes = inserts(0, 15)
    pipeline.write([Placed(0, change) for change in changes[:10]])
    write_by_new_schema(pipeline, registry, changes[10:])
    finished = inside.run(pipeline.arguments("--until-end", *options(pipeline, mode)))
    assert finished.code == 0, finished.output
    assert registry.n_denied > 0
    assert wrong_labels(pipeline, changes) == []
    assert pipeline.topics.read(f"{pipeline.source}_errors") == []


def test_an_id_that_nobody_knows_is_skipped_at_last(pipeline: Pipeline) -> None:
    """A record of a schema that does not exist is a bad record; the client does not wait for ever."""
    changes = inserts(0, 10)
    pipeline.write([Placed(0, change) for change in changes[:5]])
    pipeline.topics.write(pipeline.source, [Outgoing(0, frame(NO_SCHEMA_ID, b"\2\2a"), [])])
    pipeline.write([Placed(0, change) for change in changes[5:]])
    finished = inside.run(pipeline.arguments("--until-end", "--error-handling-mode", "ignore"))
    assert finished.code == 0, finished.output
    assert f"schema id {NO_SCHEMA_ID} is not in the Schema Registry" in finished.stderr
    assert wrong_labels(pipeline, changes) == []


def test_new_schemas_among_flowing_changes(stack: Stack, tmp_path: Path) -> None:
    """The scenario of `make chaos`, with one schema."""
    result = delay_schemas(stack, tmp_path, seed=1, name="registry_late", times=1)
    assert result.passed, str(result)

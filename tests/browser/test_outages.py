"""The page shows problems in the words of the client, and recovers without help."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.services.kafka import KafkaBroker
from local.services.process import free_port
from local.services.registry import SchemaRegistry
from tests.browser.served import Seen, Served
from tests.support import configuration
from tests.support.subjects import Subjects
from tests.support.topics import Outgoing, Topics
from tests.support.waiting import wait_until
from tests.support.wire import LABELING_SCHEMA, body, frame

OUTPUT = "user_labeling"
PATIENCE_S = 60.0


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[KafkaBroker]:
    """A broker for this test only, which can be stopped."""
    made = KafkaBroker(tmp_path / "kafka", free_port())
    made.start()
    yield made
    made.stop()


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[SchemaRegistry]:
    """A registry that is not started yet."""
    made = SchemaRegistry(tmp_path / "registry", free_port())
    yield made
    made.stop()


def label(topics: Topics, schema_id: int, **labels: int) -> None:
    """Write a label for each user."""
    rows = [{"user_id": name, "total_amount": 10.0, "num_transactions": 1, "label": at} for name, at in labels.items()]
    values = [frame(schema_id, body(LABELING_SCHEMA, row)) for row in rows]
    topics.write(OUTPUT, [Outgoing(0, value, [], name.encode()) for name, value in zip(labels, values, strict=True)])


def sizes(seen: Seen) -> dict[str, str]:
    """Users by label."""
    return {name: cells[0] for name, cells in seen.table("Each label").items()}


def see_four_users(seen: Seen) -> set[str]:
    """Wait for the sizes of four users; return which of the users known when the page was opened are deleted later.

    On a busy machine the page itself may stand still after an outage. A new one shows whether the reader does.
    """
    four = {"0": "1", "1": "3", "all": "4"}
    try:
        wait_until(lambda: sizes(seen) == four, "the sizes of four users", PATIENCE_S)
    except TimeoutError:
        print("the page stood still at", sizes(seen), flush=True)
        seen.page.reload()
        wait_until(lambda: sizes(seen) == four, "the sizes of four users on a new page")
        return {"bob", "cem", "dea"}
    return {"bob", "cem"}


def test_from_nothing_through_outages(
    broker: KafkaBroker, registry: SchemaRegistry, seen: Seen, tmp_path: Path
) -> None:
    file = configuration.write(tmp_path / "x.ini", configuration.sections(broker.bootstrap_servers, registry.url))
    with Served([str(file)], tmp_path / "page.log") as page:
        seen.page.goto(page.url)
        missing = f"topic {OUTPUT} does not exist; check its name, or create it: run sql/5_create_user_labeling.sql"
        seen.wait_for_problem(missing)

        topics = Topics(broker.bootstrap_servers)
        topics.create(OUTPUT, 1, {"cleanup.policy": "compact"})
        seen.wait_for_problem(f"Schema Registry {registry.url}: no answer (")
        assert seen.problem.endswith("; check [schema_registry] url")

        registry.start()
        schema_id = Subjects(registry.url).register(f"{OUTPUT}-value", LABELING_SCHEMA)
        label(topics, schema_id, ann=0, bob=0, cem=1)
        seen.wait_for_users(3)
        seen.wait_for_no_problem()
        seen.page.reload()  # opened with all three: the first snapshot may have been earlier
        wait_until(lambda: sizes(seen) == {"0": "2", "1": "1", "all": "3"}, "the sizes of three users")

        broker.stop()
        seen.wait_for_problem(f"Kafka {broker.bootstrap_servers}: ")
        assert sizes(seen) == {"0": "2", "1": "1", "all": "3"}, "what was read stays visible"
        broker.start()
        label(topics, schema_id, bob=1, dea=1)
        seen.wait_for_users(4)
        seen.wait_for_no_problem()
        deleted = see_four_users(seen)

        topics.delete(OUTPUT)
        seen.wait_for_problem(missing)
        topics.create(OUTPUT, 2, {"cleanup.policy": "compact"})
        label(topics, schema_id, ann=0)
        seen.wait_for_users(1)
        seen.wait_for_no_problem()
        wait_until(
            lambda: seen.number("New / deleted since opened") == f"0 / {len(deleted)}", "the number of deleted users"
        )
        wait_until(lambda: seen.table("Users who moved").keys() == deleted, "the deleted users")
        assert {cells[2] for cells in seen.table("Users who moved").values()} == {"-"}, "without a time"
    assert "Traceback" not in page.output

"""What a broker refuses for good ends the client; a broker whose coordinators still start is waited for."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.services.kafka import KafkaBroker
from local.services.process import free_port
from tests.support import inside
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.pipeline import Pipeline, Services, new_name
from tests.support.topics import Topics

METADATA_BYTES = "30"


@pytest.fixture
def new_cluster(services: Services, tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline on a new broker, which nobody has asked for a group and which takes little metadata with an offset."""
    broker = KafkaBroker(tmp_path / "kafka", free_port(), {"offset.metadata.max.bytes": METADATA_BYTES})
    try:
        broker.launch()
        broker.wait_ready()
        topics = Topics(broker.bootstrap_servers)
        yield Pipeline(Services(topics, services.subjects), tmp_path, new_name("refused"))
    finally:
        broker.stop()


def test_offset_metadata_too_large(new_cluster: Pipeline) -> None:
    """The first request for the group is that of --check, while its coordinator starts."""
    checked = inside.run(new_cluster.arguments("--check"))
    assert "cannot read group" not in checked.stdout
    assert f"group {new_cluster.group}" in checked.stdout
    new_cluster.write([Placed(0, Change(Op.INSERT, Row(f"User_{i}", 1.0 + i, 1))) for i in range(5)])
    finished = inside.run(new_cluster.arguments("--until-end"))
    assert finished.code == 1
    assert "restoring from" not in finished.stderr
    assert finished.stderr.splitlines()[-1].endswith(
        "(OFFSET_METADATA_TOO_LARGE); raise offset.metadata.max.bytes of the brokers to its default, 4096"
    )
    assert new_cluster.labelling() == {}

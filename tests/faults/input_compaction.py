"""Has a broker compact a keyed input of one partition, until it holds what a test wants."""

import time
from collections.abc import Callable, Sequence

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from tests.faults.compaction import ROUND_S, ROUNDS, SETTINGS
from tests.support.topics import Outgoing, Record, Topics


def compact_until(topics: Topics, topic: str, done: Callable[[Sequence[Record]], bool]) -> None:
    """Compact a topic until its records are as wanted."""
    entries = [
        ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        for name, value in {"cleanup.policy": "compact", **SETTINGS}.items()
    ]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": topics.bootstrap_servers, "log_level": 0})
    admin.incremental_alter_configs([resource])[resource].result(30)
    for _ in range(ROUNDS):
        # The last segment is never compacted, and only a write begins a new one. An aborted one changes nothing.
        topics.write_in_transaction(topic, [Outgoing(0, b"", [], b"nobody")], commit=False)
        time.sleep(ROUND_S)
        if done(topics.read(topic)):
            return
    raise TimeoutError(f"the broker did not compact {topic}")

"""Has a broker compact a keyed input of one partition, until it holds what a test wants."""

import time
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from tests.faults.compaction import ROUND_S, ROUNDS, SETTINGS
from tests.support.topics import Outgoing, Record, Topics


def compact_eagerly(topics: Topics, topic: str, policy: str = "compact") -> None:
    """Configure a topic to be compacted immediately."""
    configure(topics, topic, {"cleanup.policy": policy, **SETTINGS})


def configure(topics: Topics, topic: str, config: Mapping[str, str]) -> None:
    """Set properties of a topic."""
    set_to = AlterConfigOpType.SET
    entries = [ConfigEntry(name, value, incremental_operation=set_to) for name, value in config.items()]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    admin = AdminClient({"bootstrap.servers": topics.bootstrap_servers, "log_level": 0})
    admin.incremental_alter_configs([resource])[resource].result(30)


def compact_until(topics: Topics, topic: str, done: Callable[[Sequence[Record]], bool]) -> None:
    """Compact a topic until its records are as wanted."""
    compact_eagerly(topics, topic)
    for _ in range(ROUNDS):
        # The last segment is never compacted, and only a write begins a new one. An aborted one changes nothing.
        topics.write_in_transaction(topic, [Outgoing(0, b"", [], b"nobody")], commit=False)
        time.sleep(ROUND_S)
        if done(topics.read(topic)):
            return
    raise TimeoutError(f"the broker did not compact {topic}")

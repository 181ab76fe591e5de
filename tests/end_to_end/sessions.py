"""A SQL workspace in a test: what it says, what its queries show, and how it is ended and opened again."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
)

from local.live_table import LiveTable
from local.services.flink import FlinkCluster
from local.sql.catalog import Catalog
from local.sql.flink_tables import Endpoints
from local.sql.jobs import Jobs
from local.sql.workspace import Workspace
from tests.support.pipeline import Services

SELECT_SECONDS = 180.0


class Session:
    """A workspace on the shared services; one opened again remembers what a new program would."""

    def __init__(self, services: Services, flink: FlinkCluster, directory: Path) -> None:
        self.topics, self.subjects = services
        self.jobs = Jobs(flink.urls.rest)
        self.said: list[str] = []
        self._urls, self._directory = flink.urls, directory
        self.workspace = self._open()

    @property
    def catalog(self) -> Catalog:
        """What the workspace has written down."""
        return Catalog(self._directory)

    def reopen(self) -> None:
        """End the session and begin a new one, as the next run of the program does."""
        self.workspace.close()
        self.workspace = self._open()

    def _open(self) -> Workspace:
        endpoints = Endpoints(self.topics.bootstrap_servers, self.subjects.url)
        return Workspace(self._urls, endpoints, self.catalog, self.said.append)

    def compact(self, topic: str) -> None:
        """Have a topic that is there compacted, as the console does."""
        entry = ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        admin = AdminClient({"bootstrap.servers": self.topics.bootstrap_servers, "log_level": 0})
        admin.incremental_alter_configs([resource])[resource].result()

    def select(self, query: str, marker: Sequence[Any]) -> list[tuple[Any, ...]]:
        """The rows of a query once the marker is among them, without it: what was written before it has been read."""
        result = self.workspace.run(query)
        assert result is not None
        table, end = LiveTable(result.columns), tuple(marker)
        try:
            for change in result.changes(SELECT_SECONDS):
                if change is not None:
                    table.apply(change)
                elif end in table.rows:
                    return [row for row in table.rows if row != end]
        finally:
            result.close()
        raise TimeoutError(f"{query} did not come to show {end}; it shows {table.rows}")

"""A SQL workspace in a test: its messages, the rows of its queries, and a new session of it."""

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
    """A workspace on the shared services."""

    def __init__(self, services: Services, flink: FlinkCluster, directory: Path) -> None:
        self.topics, self.subjects = services
        self.jobs = Jobs(flink.urls.rest)
        self.messages: list[str] = []
        self._urls = flink.urls
        self.rest_url = flink.urls.rest
        self._directory = directory
        self.workspace = self._open()

    @property
    def catalog(self) -> Catalog:
        """The catalog of the workspace."""
        return Catalog(self._directory)

    def reopen(self) -> None:
        """Close the session and open a new one, as the next command does; only the catalog is kept."""
        self.workspace.close()
        self.workspace = self._open()

    def _open(self) -> Workspace:
        endpoints = Endpoints(self.topics.bootstrap_servers, self.subjects.url)
        return Workspace(self._urls, endpoints, self.catalog, self.messages.append)

    def compact(self, topic: str) -> None:
        """Change an existing topic to the cleanup policy compact, as the Console does."""
        entry = ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
        admin = AdminClient({"bootstrap.servers": self.topics.bootstrap_servers, "log_level": 0})
        admin.incremental_alter_configs([resource])[resource].result()

    def select(self, query: str, marker: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Wait for the marker row, so that all earlier records have been read, and return the other rows of a query."""
        result = self.workspace.run(query)
        assert result is not None
        table = LiveTable(result.columns)
        end = tuple(marker)
        try:
            for change in result.changes(SELECT_SECONDS):
                if change is not None:
                    table.apply(change)
                elif end in table.rows:
                    return [row for row in table.rows if row != end]
        finally:
            result.close()
        raise TimeoutError(f"{query} does not return {end}; it returns {table.rows}")

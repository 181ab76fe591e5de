"""A Schema Registry: Apicurio with its Confluent-compatible API."""

from __future__ import annotations

from pathlib import Path

import requests

from local.services import artifacts
from local.services.jvm import java_options
from local.services.process import LOOPBACK, Service, free_port

HEAP = "-Xmx256m"
ANSWER_SECONDS = 2.0


class SchemaRegistry(Service):
    """A registry; its schemas are in a file below ``directory`` and survive stop, kill and start."""

    name = "schema-registry"

    def __init__(self, directory: Path, port: int, ends_with_parent: bool = True) -> None:
        super().__init__(directory, ends_with_parent)
        self.port = port

    @property
    def url(self) -> str:
        """The value of a client's ``schema.registry.url``."""
        return f"http://{LOOPBACK}:{self.port}/apis/ccompat/v7"

    def command(self) -> list[str]:
        """See Service."""
        settings = {
            "quarkus.http.host": LOOPBACK,
            "quarkus.http.port": str(self.port),
            # No page of another website; Apicurio's default also accepts one on port 8888, as Jupyter's are.
            "quarkus.http.cors.origins": f"http://{LOOPBACK}:{self.port}",
            # Health and metrics; the default port is 9000, which may be in use.
            "quarkus.management.host": LOOPBACK,
            "quarkus.management.port": str(free_port()),
            "apicurio.storage.kind": "sql",
            "apicurio.storage.sql.kind": "h2",
            "apicurio.datasource.url": f"jdbc:h2:file:{self.directory / 'schemas'};WRITE_DELAY=0",
        }
        options = [f"-D{key}={value}" for key, value in settings.items()]
        program = artifacts.registry_home() / "quarkus-run.jar"
        return [str(artifacts.java()), *java_options(self.directory / "tmp"), HEAP, *options, "-jar", str(program)]

    def is_ready(self) -> bool:
        """Return whether the Confluent API answers."""
        try:
            return requests.get(f"{self.url}/subjects", timeout=ANSWER_SECONDS).status_code == requests.codes.ok
        except requests.RequestException:
            return False

"""A Kafka broker: one KRaft process that is both broker and controller."""

from __future__ import annotations

import base64
import subprocess
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from local.services import artifacts
from local.services.jvm import java_options
from local.services.process import LOOPBACK, Service, ServiceError, free_port, is_listening

READY_LINE = "Kafka Server started"
HEAP = "-Xmx384m"
METADATA_SECONDS = 5.0

# Warnings only, so that the last lines of the log show why a broker failed; and the one line that reports it is ready.
LOGGING = (
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
)

SINGLE_NODE = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    # One broker: nothing to replicate to.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Fewer partitions for internal topics make the first commit some seconds faster.
    "offsets.topic.num.partitions": "5",
    "transaction.state.log.num.partitions": "5",
    "group.initial.rebalance.delay.ms": "0",
    # After a kill, the controller accepts the broker again only after this time; the default is 9 s.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    # As in Confluent Cloud: no topic is created automatically, and 6 partitions are the default.
    "auto.create.topics.enable": "false",
    "num.partitions": "6",
}


class Quorum(NamedTuple):
    """The brokers of a cluster; each is also a controller."""

    cluster_id: str
    ports: Mapping[int, int]
    """Node id -> port of its controller."""


def new_cluster_id() -> str:
    """Return a random cluster id in Kafka's format."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")


class KafkaBroker(Service):
    """A broker; its data are in ``directory`` and survive stop, kill and start.

    Parameters
    ----------
    directory : for configuration, data and log.
    port : the port of the client listener, which is plain text unless ``properties`` contain other listeners.
    properties : server.properties to add or override. ``listeners`` must contain the client listener only; the
        controller's is added.
    quorum, node_id : the cluster and the broker's id in it; by default a cluster of one broker.
    """

    name = "kafka"

    def __init__(
        self,
        directory: Path,
        port: int,
        properties: Mapping[str, str] | None = None,
        ends_with_parent: bool = True,
        quorum: Quorum | None = None,
        node_id: int = 1,
    ) -> None:
        super().__init__(directory, ends_with_parent)
        self.port = port
        self.properties = dict(properties or {})
        self.node_id = node_id
        self._quorum = quorum

    @property
    def bootstrap_servers(self) -> str:
        """The value of a client's ``bootstrap.servers``."""
        return f"{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """Write server.properties; format the data directory the first time."""
        lines = [f"{key}={value}" for key, value in self._server_properties().items()]
        self._properties_path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if not (self.directory / "data" / "meta.properties").exists():
            self._format()

    def command(self) -> list[str]:
        """See Service."""
        return self._java("kafka.Kafka", str(self._properties_path))

    def is_ready(self) -> bool:
        """Return whether the log reports it, the port is open, and a plain-text listener answers a metadata request."""
        if READY_LINE not in self.log_since_start() or not is_listening(self.port):
            return False
        return "listeners" in self.properties or self._answers_metadata()

    @property
    def _properties_path(self) -> Path:
        return self.directory / "server.properties"

    def _server_properties(self) -> dict[str, str]:
        # Only this process connects to the controller, so its port can be any free one, a new one at each start.
        controllers = self._quorum.ports if self._quorum else {self.node_id: free_port()}
        client = self.properties.get("listeners", f"PLAINTEXT://{self.bootstrap_servers}")
        return {
            **SINGLE_NODE,
            "log.dirs": str(self.directory / "data"),
            "node.id": str(self.node_id),
            "controller.quorum.voters": ",".join(f"{node}@{LOOPBACK}:{port}" for node, port in controllers.items()),
            **self.properties,
            "listeners": f"{client},CONTROLLER://{LOOPBACK}:{controllers[self.node_id]}",
        }

    def _format(self) -> None:
        cluster_id = self._quorum.cluster_id if self._quorum else new_cluster_id()
        command = self._java(
            "kafka.tools.StorageTool", "format", f"--cluster-id={cluster_id}", "--config", str(self._properties_path)
        )
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise ServiceError(f"{self.name}: formatting {self.directory / 'data'} failed:\n{done.stdout}{done.stderr}")

    def _java(self, main_class: str, *arguments: str) -> list[str]:
        class_path = ":".join(str(jar) for jar in artifacts.jars("kafka"))
        return [
            str(artifacts.java()),
            *java_options(self.directory / "tmp"),
            HEAP,
            *LOGGING,
            "-cp",
            class_path,
            main_class,
            *arguments,
        ]

    def _answers_metadata(self) -> bool:
        admin = AdminClient({"bootstrap.servers": self.bootstrap_servers, "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=METADATA_SECONDS).brokers)
        except KafkaException:
            return False

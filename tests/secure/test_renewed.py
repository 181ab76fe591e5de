"""Password or certificate of brokers or registry are renewed while the client runs: it names the cause, and ends."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.services.kafka import KafkaBroker
from local.services.process import free_port
from tests.secure.conftest import USER, Secrets, Secured, SecuredPipeline, broker_properties
from tests.secure.permissions import AccessControl, needed
from tests.support import configuration
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.client import Client
from tests.support.pipeline import Services, new_name
from tests.support.registry_proxy import RegistryProxy
from tests.support.topics import Outgoing, Topics
from tests.support.wire import AGGREGATE_SCHEMA, body, frame

IMPATIENT = """
from classifier.kafka import diagnosis
from user_classifier import main

diagnosis.REFUSED_SECONDS = 1.0
raise SystemExit(main())
"""
NEW_PASSWORD = "the-new-one"
NAMES = {
    "password": ("sasl.username", "sasl.password"),
    "certificate": ("certificate verify failed", "ssl.ca.location"),
}


class Renewal:
    """A broker of its own, whose password and certificate a test renews."""

    def __init__(self, secured: Secured, directory: Path) -> None:
        self.pem = secured.authority.server("renewed")
        self.stranger = secured.stranger.server("renewed")
        ports = {"valid": free_port()}
        properties = broker_properties(ports, {"valid": self.pem}, secured.secrets.password)
        self.broker = KafkaBroker(directory / "kafka", ports["valid"], properties)
        self.broker.start()
        topics = Topics(f"127.0.0.1:{ports['plain']}")
        topics.wait_for_coordinator()
        self.secured = secured._replace(
            services=Services(topics, secured.services.subjects), brokers={"valid": f"127.0.0.1:{ports['valid']}"}
        )

    def renew(self, what: str) -> None:
        """Renew the password or the certificate of the stopped broker."""
        if what == "certificate":
            self.stranger.replace(self.pem)
        old: Secrets = self.secured.secrets
        properties = self.broker.properties
        if what == "password":
            properties.update({key: value.replace(old.password, NEW_PASSWORD) for key, value in properties.items()})


@pytest.fixture
def renewal(secured: Secured, tmp_path: Path) -> Iterator[Renewal]:
    """A broker with TLS and a password."""
    made = Renewal(secured, tmp_path)
    yield made
    made.broker.stop()


def impatient(directory: Path) -> Path:
    """The client, which ends after a second of refusals."""
    script = directory / "impatient.py"
    script.write_text(IMPATIENT, encoding="utf-8")
    return script


@pytest.mark.parametrize("what", NAMES)
def test_renewed_while_the_client_runs(what: str, renewal: Renewal, tmp_path: Path) -> None:
    services = renewal.secured.services
    pipeline = SecuredPipeline(services, tmp_path, new_name(f"renewed_{what}"))
    pipeline.secure(renewal.secured)
    configuration.write(pipeline.file, pipeline.sections)
    AccessControl(services.topics.bootstrap_servers, USER).grant(needed(pipeline, pipeline.source))
    pipeline.write([Placed(0, Change(Op.INSERT, Row("ann", 1.0, 1)))])
    with Client(pipeline.arguments(), tmp_path / "log", impatient(tmp_path)) as client:
        client.wait_for_output("1 changes")
        renewal.broker.stop()
        client.wait_for_output("; retrying until it is back")
        renewal.renew(what)
        renewal.broker.start()
        assert client.wait() == 1
    (began,) = re.findall(r"Kafka .*; retrying until it is back", client.output)
    (changed,) = re.findall(r"Kafka .*: now .*; still retrying", client.output)
    last = client.output.splitlines()[-1]
    assert "Connection refused" in began
    assert re.search(r"; see \[(consumer|producer)\].*; refused for 1 s$", last)
    for name in NAMES[what]:
        assert name in changed
        assert name in last
    for secret in (renewal.secured.secrets.password, NEW_PASSWORD):
        assert secret not in client.output


@pytest.fixture
def registry(secured: Secured) -> Iterator[RegistryProxy]:
    """A registry whose password and certificate a test renews."""
    pem = secured.authority.server("renewed_registry")
    with RegistryProxy(secured.services.subjects.url, pem, secured.secrets.token) as made:
        yield made


def write_by_new_schema(pipeline: SecuredPipeline) -> None:
    """Write a record for which the client has to ask the registry."""
    more = {"name": "country", "type": ["null", "string"], "default": None}
    schema = {**AGGREGATE_SCHEMA, "fields": [*AGGREGATE_SCHEMA["fields"], more]}
    schema_id = pipeline.subjects.register(f"{pipeline.source}-value", schema)
    row = {"user_id": "bob", "total_amount": 2.0, "num_transactions": 1}
    pipeline.topics.write(pipeline.source, [Outgoing(0, frame(schema_id, body(schema, row)), [])])


@pytest.mark.parametrize(
    ("what", "advice"), [("password", "basic.auth.user.info"), ("certificate", "certificate verify failed.*ssl.ca.loc")]
)
def test_a_registry_renewed_while_the_client_runs(
    what: str, advice: str, registry: RegistryProxy, secured: Secured, tmp_path: Path
) -> None:
    pipeline = SecuredPipeline(secured.services, tmp_path, new_name(f"registry_{what}"))
    pipeline.secure(secured)
    pipeline.configure("schema_registry", url=registry.url)
    AccessControl(secured.services.topics.bootstrap_servers, USER).grant(needed(pipeline, pipeline.source))
    pipeline.write([Placed(0, Change(Op.INSERT, Row("ann", 1.0, 1)))])
    with Client(pipeline.arguments(), tmp_path / "log", impatient(tmp_path)) as client:
        client.wait_for_output("1 changes")
        if what == "password":
            registry.renew(token=f"key:{NEW_PASSWORD}")
        else:
            registry.renew(pem=secured.stranger.server("renewed_registry"))
        write_by_new_schema(pipeline)
        assert client.wait() == 1
    last = client.output.splitlines()[-1]
    assert re.search(rf"Schema Registry .*{advice}.*; see \[schema_registry\]; refused for 1 s$", last)
    assert re.search(rf"WARNING Schema Registry .*{advice}.*", client.output)
    for secret in (secured.secrets.token, NEW_PASSWORD):
        assert secret not in client.output

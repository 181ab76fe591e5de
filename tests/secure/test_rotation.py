"""Credentials are rotated as docs/running.md describes: nothing is lost, and the same command continues."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.secure.conftest import SECOND_USER, USER, Secured, SecuredPipeline
from tests.secure.permissions import AccessControl, needed
from tests.secure.test_renewed import NEW_PASSWORD, Renewal, impatient, write_by_new_schema
from tests.support import configuration
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.client import Client
from tests.support.pipeline import new_name
from tests.support.registry_proxy import RegistryProxy
from tests.support.waiting import wait_until


class Mounted:
    """Secrets as Kubernetes mounts them: links into a folder that is replaced as a whole."""

    def __init__(self, directory: Path, **secrets: str) -> None:
        self._directory = directory
        self._n_updates = 0
        directory.mkdir()
        self.update(**secrets)
        for name in secrets:
            (directory / name).symlink_to(Path("..data", name))

    def update(self, **secrets: str) -> None:
        """Replace all secrets at once."""
        self._n_updates += 1
        folder = self._directory / f"..{self._n_updates}"
        folder.mkdir()
        for name, secret in secrets.items():
            (folder / name).write_text(f"{secret}\n", encoding="utf-8")
        link = self._directory / "..new"
        link.symlink_to(folder.name)
        link.replace(self._directory / "..data")

    def reference(self, name: str) -> str:
        """The value in the configuration file."""
        return f"${{file:{self._directory / name}}}"


@pytest.fixture
def renewal(secured: Secured, tmp_path: Path) -> Iterator[Renewal]:
    """A broker with TLS and two users."""
    made = Renewal(secured, tmp_path)
    yield made
    made.broker.stop()


def pipeline_of(secured: Secured, directory: Path, mounted: Mounted | None = None) -> SecuredPipeline:
    """A pipeline with the first user's row, whose user and password come from files."""
    pipeline = SecuredPipeline(secured.services, directory, new_name("rotation"))
    pipeline.secure(secured)
    if mounted:
        for name in ("consumer", "producer"):
            pipeline.sections[name] |= {
                "sasl.username": mounted.reference("user"),
                "sasl.password": mounted.reference("password"),
            }
    configuration.write(pipeline.file, pipeline.sections)
    for user in (USER, SECOND_USER):
        servers = secured.services.topics.bootstrap_servers
        AccessControl(servers, user).grant(needed(pipeline, pipeline.source))
    write_user(pipeline, "ann")
    return pipeline


def write_user(pipeline: SecuredPipeline, name: str) -> None:
    """Write a row of a new user."""
    pipeline.write([Placed(0, Change(Op.INSERT, Row(name, 1.0, 1)))])


def assert_it_continues(pipeline: SecuredPipeline, directory: Path) -> None:
    """The same command labels one more user, exactly once."""
    write_user(pipeline, "cem")
    with Client(pipeline.arguments(), directory / "log-of-the-next") as client:
        client.wait_for_output("1 changes")
        assert client.stop() == 0, client.output
    assert {"ann", "cem"} <= pipeline.labelling().keys()
    pipeline.assert_nothing_doubled()


def test_two_users_at_once(renewal: Renewal, tmp_path: Path) -> None:
    """The old key is valid until the client runs with the new one; group and transactional id stay."""
    password = renewal.secured.secrets.password
    mounted = Mounted(tmp_path / "mounted", user=USER, password=password)
    pipeline = pipeline_of(renewal.secured, tmp_path, mounted)
    with Client(pipeline.arguments(), tmp_path / "log") as client:
        client.wait_for_output("1 changes")
        mounted.update(user=SECOND_USER, password=password)
        assert client.stop() == 0
    old = AccessControl(renewal.secured.services.topics.bootstrap_servers, USER)
    old.grant(needed(pipeline, pipeline.source)[:1])  # the old key cannot write any more
    assert_it_continues(pipeline, tmp_path)


def test_one_password(renewal: Renewal, tmp_path: Path) -> None:
    """After a minute of refusals the client exits 1; what supervises it starts it with the new password."""
    mounted = Mounted(tmp_path / "mounted", user=USER, password=renewal.secured.secrets.password)
    pipeline = pipeline_of(renewal.secured, tmp_path, mounted)
    with Client(pipeline.arguments(), tmp_path / "log", impatient(tmp_path)) as client:
        client.wait_for_output("1 changes")
        renewal.broker.stop()
        renewal.renew("password")
        mounted.update(user=USER, password=NEW_PASSWORD)
        renewal.broker.start()
        assert client.wait() == 1
    assert "sasl.password" in client.output.splitlines()[-1]
    assert NEW_PASSWORD not in client.output
    assert_it_continues(pipeline, tmp_path)


def test_the_authority_of_the_brokers(renewal: Renewal, tmp_path: Path) -> None:
    """With both authorities in one file the client goes on when the brokers get certificates of the new one."""
    pipeline = pipeline_of(renewal.secured, tmp_path)
    both = tmp_path / "authorities.pem"
    authorities = (renewal.secured.authority.ca, renewal.secured.stranger.ca)
    both.write_text("".join(ca.read_text(encoding="utf-8") for ca in authorities), encoding="utf-8")
    for name in ("consumer", "producer"):
        pipeline.sections[name]["ssl.ca.location"] = str(both)
    configuration.write(pipeline.file, pipeline.sections)
    with Client(pipeline.arguments(), tmp_path / "log", impatient(tmp_path)) as client:
        client.wait_for_output("1 changes")
        renewal.broker.stop()
        renewal.renew("certificate")
        renewal.broker.start()
        write_user(pipeline, "bob")
        wait_until(lambda: {"ann", "bob"} == pipeline.labelling().keys(), "the new user's label")
        assert client.stop() == 0


def test_the_registry(secured: Secured, tmp_path: Path) -> None:
    """The client asks the registry only for new schemas: until then a key that is refused goes unnoticed."""
    new_token = f"key:{NEW_PASSWORD}"
    mounted = Mounted(tmp_path / "mounted", token=secured.secrets.token)
    pem = secured.authority.server("rotated_registry")
    with RegistryProxy(secured.services.subjects.url, pem, secured.secrets.token) as registry:
        pipeline = pipeline_of(secured, tmp_path)
        pipeline.configure("schema_registry", url=registry.url, basic_auth_user_info=mounted.reference("token"))
        with Client(pipeline.arguments(), tmp_path / "log", impatient(tmp_path)) as client:
            client.wait_for_output("1 changes")
            mounted.update(token=new_token)
            registry.renew(token=new_token)
            write_by_new_schema(pipeline)
            assert client.wait() == 1
        assert "basic.auth.user.info" in client.output.splitlines()[-1]
        assert NEW_PASSWORD not in client.output
        with Client(pipeline.arguments("--until-end"), tmp_path / "log-of-the-next") as client:
            assert client.wait() == 0, client.output
    assert {"ann", "bob"} == pipeline.labelling().keys()

"""Certificates of clients (mTLS) in every form: they work, and each mistake is reported without a question."""

from collections.abc import Callable
from pathlib import Path

import pytest

from local.services.process import free_port
from tests.secure.client_keys import FORMATS, PASSWORD, ClientKey
from tests.secure.conftest import USER, Secured, SecuredPipeline
from tests.support import configuration, terminal
from tests.support.alerts import Scrapes, documented
from tests.support.client import Client, Finished
from tests.support.waiting import wait_until

WRONG = "not-the-password"
PREFIX = "user_classifier.py: error: "


@pytest.fixture
def key(secured: Secured) -> ClientKey:
    """A certificate that the broker accepts."""
    return ClientKey(secured.authority.server(USER))


@pytest.fixture
def pipeline(make_secured: Callable[[], SecuredPipeline], secured: Secured) -> SecuredPipeline:
    """A pipeline with one row; the certificate is to be named."""
    made = make_secured()
    made.prepare(secured)
    return made


def run(pipeline: SecuredPipeline, secured: Secured, properties: dict[str, str], *options: str) -> Finished:
    """Run the client with a certificate."""
    pipeline.use_certificate(secured, properties)
    return pipeline.run(*options)


def forms(key: ClientKey) -> dict[str, dict[str, str]]:
    """Properties of a certificate and its key."""
    password = {"ssl.key.password": PASSWORD}
    return {
        "plain": key.plain(),
        "PKCS#8": {**key.encrypted(), **password},
        "traditional": {**key.encrypted("traditional"), **password},
        "in the file": {**key.inline(key.encrypted()), **password},
        "PKCS#12": {**key.keystore(), "ssl.keystore.password": PASSWORD},
    }


@pytest.mark.parametrize("form", ["plain", "PKCS#8", "traditional", "in the file", "PKCS#12"])
def test_users_are_labelled(form: str, key: ClientKey, pipeline: SecuredPipeline, secured: Secured) -> None:
    finished = run(pipeline, secured, forms(key)[form])
    assert finished.code == 0, finished.output
    wait_until(lambda: set(pipeline.labelling()) == {"ann"}, "the label")
    checked = run(pipeline, secured, forms(key)[form], "--check")
    assert checked.code == 0, checked.output
    assert PASSWORD not in finished.output + checked.output


@pytest.mark.parametrize("form", FORMATS)
def test_an_encrypted_key_without_its_password(
    form: str, key: ClientKey, pipeline: SecuredPipeline, secured: Secured
) -> None:
    for properties in (key.encrypted(form), key.inline(key.encrypted(form))):
        name = next(each for each in properties if each.startswith("ssl.key."))
        missing = run(pipeline, secured, properties)
        assert missing.code == 2
        assert missing.stderr.endswith(f": [consumer] {name} is encrypted; add ssl.key.password\n")
        wrong = run(pipeline, secured, {**properties, "ssl.key.password": WRONG})
        assert wrong.code == 2
        assert wrong.stderr.endswith(f": [consumer] ssl.key.password does not decrypt {name}; correct it\n")
        assert WRONG not in wrong.output


def test_a_keystore_without_its_password(key: ClientKey, pipeline: SecuredPipeline, secured: Secured) -> None:
    missing = run(pipeline, secured, key.keystore())
    assert missing.code == 2
    assert "ssl.keystore.password is mandatory" in missing.stderr
    wrong = run(pipeline, secured, {**key.keystore(), "ssl.keystore.password": WRONG})
    assert wrong.code == 2
    assert wrong.stderr.endswith("[consumer] ssl.keystore.password does not open ssl.keystore.location; correct it\n")


def test_a_key_of_another_certificate(key: ClientKey, pipeline: SecuredPipeline, secured: Secured) -> None:
    other = {**key.plain(), "ssl.key.location": str(secured.authority.server("another"))}
    finished = run(pipeline, secured, other)
    assert finished.code == 2
    assert "ssl.key.location is not the key of the certificate" in finished.stderr
    without = run(pipeline, secured, {"ssl.key.location": other["ssl.key.location"]})
    assert without.code == 2
    assert "ssl.certificate.location is missing" in without.stderr


ASKED = "the broker asks for a certificate of this client; add ssl.certificate.location and ssl.key.location"
REFUSED = "the broker refused the certificate of this client; check ssl.certificate.location"


@pytest.mark.parametrize(
    ("make", "advice"),
    [
        (lambda secured: {}, ASKED),
        (lambda secured: ClientKey(secured.stranger.server(USER)).plain(), REFUSED),
        (lambda secured: ClientKey(secured.authority.server("old", fresh=False)).plain(), REFUSED),
        (
            lambda secured: {"ssl.certificate.location": str(ClientKey(secured.authority.server("bare")).certificate)},
            f"{REFUSED}, add ssl.key.location",
        ),
    ],
    ids=["none", "of an unknown authority", "expired", "without its key"],
)
def test_a_certificate_that_the_broker_refuses(
    make: Callable[[Secured], dict[str, str]], advice: str, pipeline: SecuredPipeline, secured: Secured
) -> None:
    for options in ((), ("--check",)):
        finished = run(pipeline, secured, make(secured), *options)
        assert finished.code == 1
        assert advice in finished.output
        assert "[consumer]" in finished.output


@pytest.mark.parametrize("section", ["consumer", "schema_registry"])
def test_no_library_asks_for_a_password_on_the_terminal(
    section: str, key: ClientKey, pipeline: SecuredPipeline, secured: Secured
) -> None:
    """OpenSSL does by default, and then waits for an answer."""
    if section == "consumer":
        pipeline.use_certificate(secured, key.encrypted())
    else:
        pipeline.sections[section] |= key.encrypted()
    configuration.write(pipeline.file, pipeline.sections)
    code, written = terminal.run(pipeline.arguments("--until-end"))
    assert code == 2
    (line,) = written.splitlines()
    assert line.endswith(f": [{section}] ssl.key.location is encrypted; add ssl.key.password")


@pytest.mark.parametrize(("days", "fires"), [(1, True), (20, False)])
def test_the_alert_for_a_certificate_that_expires(
    pipeline: SecuredPipeline, secured: Secured, tmp_path: Path, days: int, fires: bool
) -> None:
    pipeline.use_certificate(secured, ClientKey(secured.authority.server(USER, days=days)).plain())
    configuration.write(pipeline.file, pipeline.sections)
    port = free_port()
    with Client(pipeline.arguments("--metrics-port", str(port)), tmp_path / "log") as running:
        running.wait_for_output(" changes, fit ")
        alert = documented()["A certificate expires"]
        scrapes = Scrapes(port)
        scrapes.scrape_for(alert.for_s)
        assert scrapes.fires(alert) is fires
        assert running.stop() == 0, running.output


def test_a_certificate_that_expires(pipeline: SecuredPipeline, secured: Secured) -> None:
    """It has a day left of eleven."""
    key = ClientKey(secured.authority.server(USER, days=1))
    finished = run(pipeline, secured, key.plain())
    assert finished.code == 0
    assert (
        "[consumer] and [producer] ssl.certificate.location: the certificate of this client expires" in finished.stderr
    )
    checked = run(pipeline, secured, key.plain(), "--check")
    lines = [line for line in checked.stdout.splitlines() if "ssl.certificate.location" in line]
    assert [line.partition(": ")[0] for line in lines] == [
        f"TO DO   [{section}] ssl.certificate.location" for section in ("consumer", "producer")
    ]
    assert checked.code == 1

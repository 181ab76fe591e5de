"""Passwords and tokens are in no output, even with every debug option on; in separate processes."""

import base64
from collections.abc import Callable, Iterator

import pytest

from tests.secure.conftest import USER, Secured, SecuredPipeline
from tests.support import client, configuration, inside

MakeSecured = Callable[[], SecuredPipeline]


@pytest.fixture
def pipeline(make_secured: MakeSecured, secured: Secured) -> SecuredPipeline:
    """A pipeline with one row and every debug option on."""
    made = make_secured()
    made.prepare(secured)
    for section in ("consumer", "producer"):
        made.sections[section]["debug"] = "all"
    configuration.write(made.file, made.sections)
    return made


def forms(secured: Secured) -> Iterator[str]:
    """Each secret in plain text and encoded as in requests."""
    password, token, _ = secured.secrets
    for secret in (password, token, f"\0{USER}\0{password}", f"{USER}:{password}"):
        yield secret
        yield base64.b64encode(secret.encode()).decode().rstrip("=")
        yield secret.encode().hex()
    yield token.split(":")[1]


def test_every_debug_option_in_a_run(pipeline: SecuredPipeline, secured: Secured) -> None:
    finished = client.run(pipeline.arguments("--until-end", "--log-level", "DEBUG"))
    assert finished.code == 0, finished.output[-2000:]
    # The options work: the libraries log what they do.
    assert "SASL" in finished.stderr
    for form in forms(secured):
        assert form not in finished.output


def test_every_debug_option_in_a_run_that_fails(pipeline: SecuredPipeline, secured: Secured) -> None:
    for section in ("consumer", "producer"):
        pipeline.sections[section]["sasl.username"] = "nobody"
    configuration.write(pipeline.file, pipeline.sections)
    finished = client.run(pipeline.arguments("--log-level", "DEBUG"))
    assert finished.code == 1
    for form in forms(secured):
        assert form not in finished.output


def test_credentials_in_the_registry_address(pipeline: SecuredPipeline, secured: Secured) -> None:
    token = secured.secrets.token
    url = secured.registries["valid"].url
    pipeline.sections["schema_registry"] = {
        "url": url.replace("https://", f"https://{token}@"),
        "ssl.ca.location": str(secured.authority.ca),
    }
    configuration.write(pipeline.file, pipeline.sections)
    works = client.run(pipeline.arguments("--until-end", "--log-level", "DEBUG"))
    assert works.code == 0, works.output[-2000:]
    pipeline.sections["schema_registry"]["url"] = f"https://{token}@127.0.0.1:1"
    configuration.write(pipeline.file, pipeline.sections)
    fails = inside.run(pipeline.arguments("--until-end"))
    assert fails.code == 1
    for form in forms(secured):
        assert form not in works.output + fails.output

"""SASL_SSL with PLAIN, and a registry with TLS and basic auth: they work, and each mistake is reported."""

from collections.abc import Callable
from typing import NamedTuple

import pytest

from tests.secure.conftest import Secured, SecuredPipeline
from tests.support.waiting import wait_until

MakeSecured = Callable[[], SecuredPipeline]
Change_ = Callable[[SecuredPipeline, Secured], None]
PREFIX = "user_classifier.py: error: "
WRONG = "not-the-password"


class Mistake(NamedTuple):
    """One mistake in the configuration, and the names that the message must contain."""

    make: Change_
    names: tuple[str, ...]


@pytest.fixture
def pipeline(make_secured: MakeSecured, secured: Secured) -> SecuredPipeline:
    """A pipeline with one row, whose principal has its permissions."""
    made = make_secured()
    made.prepare(secured)
    return made


def in_kafka(key: str, value: str) -> Change_:
    """The mistake in both sections of Kafka."""

    def change(pipeline: SecuredPipeline, _: Secured) -> None:
        for section in ("consumer", "producer"):
            pipeline.sections[section][key] = value

    return change


def at_broker(certificate: str) -> Change_:
    """The broker with another certificate."""
    return lambda pipeline, secured: in_kafka("bootstrap.servers", secured.brokers[certificate])(pipeline, secured)


def at_registry(certificate: str) -> Change_:
    """The registry with another certificate."""
    return lambda pipeline, secured: pipeline.sections["schema_registry"].update(
        url=secured.registries[certificate].url
    )


def trusting_a_stranger(*sections: str) -> Change_:
    """Another authority in ssl.ca.location."""

    def change(pipeline: SecuredPipeline, secured: Secured) -> None:
        for section in sections:
            pipeline.sections[section]["ssl.ca.location"] = str(secured.stranger.ca)

    return change


def with_token(token: str) -> Change_:
    """Another token for the registry."""
    return lambda pipeline, _: pipeline.sections["schema_registry"].update({"basic.auth.user.info": token})


def without_tls(pipeline: SecuredPipeline, secured: Secured) -> None:
    """The URL of the registry with http."""
    pipeline.sections["schema_registry"]["url"] = secured.registries["valid"].url.replace("https", "http")


KAFKA_CREDENTIALS = ("sasl.username", "sasl.password")
MISTAKES = {
    "broker: wrong password": Mistake(in_kafka("sasl.password", WRONG), KAFKA_CREDENTIALS),
    "broker: unknown user": Mistake(in_kafka("sasl.username", "nobody"), KAFKA_CREDENTIALS),
    "broker: another mechanism": Mistake(in_kafka("sasl.mechanisms", "SCRAM-SHA-256"), ("sasl.mechanisms",)),
    "broker: unknown authority": Mistake(trusting_a_stranger("consumer", "producer"), ("ssl.ca.location",)),
    "broker: another host": Mistake(at_broker("elsewhere"), ("bootstrap.servers",)),
    "broker: expired": Mistake(at_broker("expired"), ("expired",)),
    "broker: no TLS": Mistake(in_kafka("security.protocol", "SASL_PLAINTEXT"), ("security.protocol",)),
    "registry: wrong password": Mistake(with_token(f"key:{WRONG}"), ("basic.auth.user.info",)),
    "registry: unknown user": Mistake(with_token(f"nobody:{WRONG}"), ("basic.auth.user.info",)),
    "registry: unknown authority": Mistake(trusting_a_stranger("schema_registry"), ("ssl.ca.location",)),
    "registry: another host": Mistake(at_registry("elsewhere"), ("[schema_registry] url", "127.0.0.1")),
    "registry: expired": Mistake(at_registry("expired"), ("expired",)),
    "registry: no TLS": Mistake(without_tls, ("[schema_registry] url",)),
}


def test_valid_credentials(pipeline: SecuredPipeline, secured: Secured) -> None:
    finished = pipeline.run()
    assert finished.code == 0, finished.output
    # A new broker acknowledges its first commit before it can be read.
    wait_until(lambda: set(pipeline.labelling()) == {"ann"}, "the label")
    assert secured.registries["valid"].requests > 0


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_is_reported(
    mistake: Mistake, pipeline: SecuredPipeline, secured: Secured, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without any answer, the client makes all its attempts.
    monkeypatch.setattr("classifier.kafka.client.CONNECT_ATTEMPTS", 2)
    mistake.make(pipeline, secured)
    finished = pipeline.run()
    assert finished.code == 1
    assert finished.stderr.startswith(PREFIX)
    for name in mistake.names:
        assert name in finished.stderr
    for secret in (*secured.secrets, secured.secrets.token.split(":")[1], WRONG):
        assert secret not in finished.output


@pytest.mark.parametrize(
    ("key", "value", "name"),
    [("sasl.password", WRONG, "sasl.password"), ("ssl.ca.location", None, "ssl.ca.location")],
    ids=["wrong password", "unknown authority"],
)
def test_a_mistake_in_the_producer_only(
    key: str, value: str | None, name: str, pipeline: SecuredPipeline, secured: Secured
) -> None:
    pipeline.sections["producer"][key] = value or str(secured.stranger.ca)
    finished = pipeline.run()
    assert finished.code == 1
    assert name in finished.stderr
    assert "[producer]" in finished.stderr

"""Why brokers do not answer: what a client's errors and the cluster's topics show, and what to do about it."""

import math
import re
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from confluent_kafka import KafkaError, KafkaException, TopicCollection

from classifier.credentials import CHECK_ENDPOINT, NO_TOKEN, provider_is_away
from classifier.errors import UNKNOWN_TOPIC_CODES, AccessDenied, classify
from classifier.formatting import format_count
from classifier.outage import RETRYING

REQUEST_SECONDS = 1.0  # of a request that only looks for a cause
REFUSED_SECONDS = 60.0  # of refused credentials or certificates, after which the client ends
# Longest time between two refusals of one row: librdkafka reports the same error of a broker every 30 s, and tries to
# connect every 10 s.
REPEATED_SECONDS = 60.0
# The address of a broker in an error: "host:9092/1: Failed to resolve ..." or "GroupCoordinator: host:9092: ...". For
# an address that is not from the brokers themselves librdkafka writes "host:9092/bootstrap".
ADVERTISED = re.compile(r"^(?:\w+://)?(?:(?:GroupCoordinator|TxnCoordinator): )?([^\s/]+:\d+)(?:/\d+)?: ")
COORDINATORS = {  # by a word of the action that needs one: the topic it keeps its data in, and the broker's setting
    "group": ("__consumer_offsets", "offsets.topic.replication.factor"),
    "transactional.id": ("__transaction_state", "transaction.state.log.replication.factor"),
}


class Advice(NamedTuple):
    """What to do about a failed call, and what the client does meanwhile."""

    text: str = ""  # empty if the cause says it all
    meanwhile: str = RETRYING


UNSTABLE = Advice(
    "an open transaction of another program holds offsets of the group",
    "waiting until that program or the broker ends it",
)


class Refusals:
    """Refused credentials and certificates, as the clients report them in the background.

    The brokers have accepted them before. Both may be renewed while the client runs, and it reads its own only at the
    start: so it ends after some time, and what supervises it starts it with the new ones.
    """

    def __init__(self) -> None:
        self._message = ""  # of the last refusal
        self._sections: set[str] = set()  # of the configuration file, whose clients were refused
        self._first = self._last = -math.inf
        self._without_token: dict[str, float] = {}  # by section: when a client last got no token

    def is_for_want_of_a_token(self, error: KafkaError, section: str) -> bool:
        """Whether brokers refuse a token that has expired because the provider gave no other one.

        librdkafka asks the provider for another one long before the old one expires, and then every 10 s.
        """
        now = time.monotonic()
        if error.str().startswith(NO_TOKEN):
            self._without_token[section] = now
            return False
        since = now - self._without_token.get(section, -math.inf)
        return error.code() == KafkaError._AUTHENTICATION and since < REPEATED_SECONDS

    def note(self, message: str, section: str) -> None:
        """Record a refusal."""
        now = time.monotonic()
        if now > self._last + REPEATED_SECONDS:
            self._first = now
            self._sections.clear()
        self._last = now
        self._message = message
        self._sections.add(f"[{section}]")

    def check(self, service: str) -> None:
        """Raise AccessDenied if they have lasted for REFUSED_SECONDS."""
        if self._last - self._first >= REFUSED_SECONDS:
            sections = " and ".join(sorted(self._sections))
            raise AccessDenied(f"{service}: {self._message}; see {sections}; refused for {REFUSED_SECONDS:.0f} s")


def refusal(error: KafkaError | None, properties: Mapping[str, object]) -> AccessDenied | None:
    """Return the client's error if credentials or a certificate were refused; `properties` are the client's."""
    found = classify(error, "reach the brokers", properties=properties) if error else None
    return found if isinstance(found, AccessDenied) else None


def connection_advice(error: KafkaError, bootstrap_servers: str) -> Advice:
    """Return what to do about the error of a connection."""
    if provider_is_away(error.str()):
        return Advice(CHECK_ENDPOINT)
    match = ADVERTISED.match(error.str())
    if match is None or match[1] in re.split(r"[\s,]+", bootstrap_servers):
        return Advice()
    return Advice(
        f"{match[1]} is the address that the broker gives to its clients; it has to be reachable from here, see the"
        " broker's advertised.listeners"
    )


def coordinator_advice(admin: Any, action: str) -> Advice:
    """Return what to do if a coordinator's topic does not exist: the first request for it creates it."""
    for word, (topic, setting) in COORDINATORS.items():
        if word in action and is_missing(admin, topic):
            return Advice(
                f"the brokers have not created topic {topic}; they cannot if there are fewer of them than {setting}",
                "retrying until it exists",
            )
    return Advice()


def replication_problem(admin: Any, topic: str, setting: str) -> str:
    """Return why the brokers cannot create a coordinator's topic; empty if they can, or if they do not tell."""
    from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]

    if not is_missing(admin, topic):
        return ""
    try:
        n_brokers = len(brokers := admin.list_topics(timeout=REQUEST_SECONDS).brokers)
        resource = ConfigResource(ConfigResource.Type.BROKER, str(min(brokers)))
        config = admin.describe_configs([resource], request_timeout=REQUEST_SECONDS)[resource].result()
        factor = int(config[setting].value)
    except (KafkaException, LookupError, TypeError, ValueError):  # as without the permission DescribeConfigs
        return ""
    if factor <= n_brokers:
        return ""
    brokers_text = format_count(n_brokers, "broker")
    return (
        f"the brokers cannot create topic {topic}: {setting} is {factor}, and the cluster has {brokers_text}; lower it"
    )


def is_missing(admin: Any, topic: str) -> bool:
    """Whether the brokers answer that a topic does not exist."""
    try:
        admin.describe_topics(TopicCollection([topic]), request_timeout=REQUEST_SECONDS)[topic].result()
    except KafkaException as exception:
        return exception.args[0].code() in UNKNOWN_TOPIC_CODES
    return False

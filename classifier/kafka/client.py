"""The brokers: makes the clients, and repeats calls through an outage once connected."""

import logging
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from classifier.config.properties import refused_property
from classifier.config.settings import Settings
from classifier.errors import BrokerUnavailable, ClassifierError, ConfigError, RestoreNeeded, classify
from classifier.outage import Outage
from classifier.stop import StopRequest

T = TypeVar("T")

CALL_TIMEOUT_SECONDS = 5.0  # one call to the brokers; bounds how long a signal has to wait
CONNECT_ATTEMPTS = 15  # of a second each, until the first answer of the brokers
BEYOND_THE_LIMIT = (
    "[producer] transaction.timeout.ms is larger than the brokers' transaction.max.timeout.ms (900000 unless set"
    " there); lower it, or remove the line"
)
POLL_SECONDS = 0.1  # how long to wait for records; bounds the delay of a label


class Kafka:
    """The brokers: makes the clients, and repeats calls through an outage once connected."""

    def __init__(self, settings: Settings, stop: StopRequest) -> None:
        self._settings, self.stop = settings, stop
        self._connected: set[str] = set()  # sections whose credentials were accepted
        self.outage = Outage(f"Kafka {settings.consumer['bootstrap.servers']}")
        self.on_wait: Callable[[], object] = lambda: None  # called again and again in an outage
        self.last_error: KafkaError | None = None  # the last thing a client said outside of a call

    def consumer(self) -> Consumer:
        """Make the consumer."""
        return self._make(Consumer, "consumer", self._settings.consumer_properties)

    def producer(self, on_failure: Callable[[KafkaError, Message], None] = lambda error, message: None) -> Producer:
        """Make the producer."""
        reports = {"delivery.report.only.error": True, "on_delivery": on_failure}
        return self._make(Producer, "producer", {**self._settings.producer_properties, **reports})

    def connect(self, client: Consumer | Producer, section: str) -> None:
        """Wait for the first answer; raise what is wrong with address, certificate or credentials."""
        if section in self._connected:
            return
        try:
            self.cluster_metadata(client)
        except KafkaException as exception:
            error, where = classify(exception.args[0], "reach the brokers"), f"[{section}] bootstrap.servers"
            raise type(error)(f"{self.outage.service}: {error}; see {where} and security.protocol") from None
        self._connected.add(section)

    def cluster_metadata(self, client: Any) -> Any:
        """Return what the brokers say of the cluster; KafkaException with the most telling error if they do not."""
        for _ in range(CONNECT_ATTEMPTS):
            try:
                return client.list_topics(timeout=1.0)
            except KafkaException as exception:
                client.poll(0)  # calls _note_error, which knows more than "timed out"
                error = self.last_error or exception.args[0]
            if self.stop.requested or not isinstance(classify(error, ""), BrokerUnavailable):
                break  # a refused password stays refused
        raise KafkaException(error)

    def call(self, doing: str, call: Callable[[], T]) -> T:
        """Return what the call returns; raise what it means. An outage is waited out."""
        while True:
            try:
                answer = call()
            except KafkaException as exception:
                error = self.classify(exception.args[0], doing)
                if not isinstance(error, BrokerUnavailable) or self.stop.requested:
                    raise error from None
                self.outage.wait(f"{error} ({self.last_error.str()})" if self.last_error else error)
                self.on_wait()
            else:
                self.outage.note_answer()
                self.last_error = None
                return answer

    def call_in_thread(self, doing: str, call: Callable[[], None], meanwhile: Callable[[], object]) -> None:
        """Make a call that librdkafka may never return from; RestoreNeeded once it is given up.

        send_offsets_to_transaction ignores its timeout when a connection breaks at the wrong moment
        (confluentinc/librdkafka issue 5456). A new producer with the same transactional.id ends its transaction.
        """
        outcome: Future[None] = Future()

        def run() -> None:
            try:
                outcome.set_result(call())  # type: ignore[func-returns-value]
            except BaseException as error:  # handed over to the caller below, whatever it is
                outcome.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        try:
            meanwhile()
        finally:  # a producer takes no other call of a transaction until this one has ended
            try:
                outcome.result(timeout=2 * CALL_TIMEOUT_SECONDS)
            except FutureTimeout:  # should the brokers be away, the restore will say so
                raise RestoreNeeded(f"no answer to: {doing}") from None

    def classify(self, error: KafkaError, doing: str) -> ClassifierError:
        """Classify an error of any client; some rights are asked for behind the scenes."""
        if error.code() == KafkaError.INVALID_TRANSACTION_TIMEOUT:
            return ConfigError(BEYOND_THE_LIMIT)
        settings, transactional_id = self._settings, self._settings.transactional_id
        asked = {
            KafkaError.TOPIC_AUTHORIZATION_FAILED: doing if "topic" in doing else f"write topic {settings.output}",
            KafkaError.GROUP_AUTHORIZATION_FAILED: f"read group {settings.group}",
            KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED: f"write transactional.id {transactional_id}",
        }
        return classify(error, asked.get(error.code(), doing), transactional_id)

    def admin(self, section: str) -> Any:
        """Make an AdminClient with the connection and the credentials of a section."""
        from confluent_kafka.admin import AdminClient

        shared = ("bootstrap.", "security.", "sasl.", "ssl.", "enable.ssl.")
        properties: Mapping[str, str] = getattr(self._settings, section)
        # Which broker to ask is learned anew each second: the one asked before may be gone (librdkafka: 5 minutes).
        ours = {"topic.metadata.refresh.interval.ms": "1000"}
        connection = {name: value for name, value in properties.items() if name.startswith(shared)}
        return self._make(AdminClient, section, {**ours, **connection})

    def cleanup_policy(self, topic: str) -> str | None:
        """Return cleanup.policy of a topic; None without the right DescribeConfigs, which is not asked for."""
        from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]

        wanted = ConfigResource(ConfigResource.Type.TOPIC, topic)
        admin = self.admin("consumer")  # to live until the answer is there; without a name it would not
        try:
            found = admin.describe_configs([wanted], request_timeout=CALL_TIMEOUT_SECONDS)[wanted].result()
        except KafkaException:
            return None
        return str(found["cleanup.policy"].value)

    def _make(self, client: Callable[..., T], section: str, properties: Mapping[str, Any]) -> T:
        try:
            return client({**properties, "error_cb": self._note_error}, logger=logging.getLogger("librdkafka"))
        except (KafkaException, TypeError, ValueError, AttributeError) as error:
            in_file = getattr(self._settings, section)
            raise ConfigError(refused_property(section, in_file, properties, str(error))) from None

    def _note_error(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.last_error = error

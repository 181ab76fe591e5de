"""The brokers: makes the Kafka clients, classifies their errors, and retries calls through an outage."""

import functools
import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer

from classifier import errors
from classifier.config.authentication import https_authorities, key_problem
from classifier.config.properties import refused_property
from classifier.config.settings import IDLE, Settings
from classifier.credentials import where_to_look
from classifier.errors import DENIED_CODES, AccessDenied, BrokerUnavailable, ClassifierError, ConfigError, RestoreNeeded
from classifier.kafka.diagnosis import UNSTABLE, Advice, Refusals, connection_advice, coordinator_advice, refusal
from classifier.outage import Outage, pause
from classifier.stop import StopRequest

T = TypeVar("T")

CALL_TIMEOUT_SECONDS = 5.0  # of one call to the brokers; a signal takes effect after that at the latest
CONNECT_ATTEMPTS = 15  # of one second each, until the brokers answer for the first time
POLL_SECONDS = 0.1  # how long one poll waits for records; delays a label at most so long
TRANSACTION_TIMEOUT_TOO_LONG = (
    "[producer] transaction.timeout.ms is larger than the brokers' transaction.max.timeout.ms (900000 unless set"
    " there); lower it, or remove the line"
)
# Beginnings of the names of properties that an AdminClient does not take over: those that only a consumer has, and the
# transactions of a producer. All others may be needed to connect.
OWN_PROPERTIES = {
    "consumer": (
        *("group.", "auto.", "enable.auto.", "enable.partition.eof", "session.", "heartbeat.", "partition.assignment"),
        *("max.poll.", "max.partition.fetch.", "queued.", "fetch.", "isolation.", "check.crcs", "offset.store."),
        *("coordinator.query.", "consume.", "allow.auto."),
    ),
    "producer": ("transactional.", "transaction.", "enable.idempotence"),
}
BATCH_SIZE = 1_000_000  # batch.size of librdkafka, bytes
BATCH_LIMITS = ("max.message.bytes", "segment.bytes")  # of a topic: it refuses a larger batch


class Kafka:
    """Makes the Kafka clients of a run, and retries their calls through an outage once they have connected."""

    def __init__(self, settings: Settings, stop: StopRequest) -> None:
        self.stop = stop
        self.outage = Outage(f"Kafka {settings.consumer['bootstrap.servers']}")
        self.output = Outage(f"{self.outage.service}: the output")  # of all producers: a restore ends no outage
        self.on_wait: Callable[[], object] = lambda: None  # called before each retry, so that health checks stay green
        self.last_error: KafkaError | None = None  # reported by a client in the background, not by a call
        self._section_of_last_error = "consumer"
        self._refusals = Refusals()
        self._batch_limit: int | None = None  # of the topics that are written; None if it is not known
        self._settings = settings
        self._admin_clients: dict[str, Any] = {}  # by section
        self._sections: set[str] = set()  # for which a client was made
        self._connected: set[str] = set()  # sections whose credentials were accepted

    def consumer(self) -> Consumer:
        """Return a new consumer."""
        return self._make(Consumer, "consumer", self._settings.consumer_properties)

    def producer(self, on_failure: Callable[[KafkaError, Message], None] = lambda error, message: None) -> Producer:
        """Return a new producer. It calls `on_failure` for each record that could not be delivered."""
        delivery_reports = {"delivery.report.only.error": True, "on_delivery": on_failure}
        batches = {} if self._batch_limit is None else {"batch.size": self.batch_size}
        return self._make(Producer, "producer", {**self._settings.producer_properties, **batches, **delivery_reports})

    @property
    def batch_size(self) -> int:
        """Largest batch of records that producers send, in bytes."""
        given = self._settings.producer.get("batch.size", "")
        batch_size = int(given) if given.isdecimal() else BATCH_SIZE
        return batch_size if self._batch_limit is None else min(batch_size, self._batch_limit)

    def admin(self, section: str) -> Any:
        """Return the AdminClient with the properties of a section, without those of `OWN_PROPERTIES`."""
        if section not in self._admin_clients:
            self._admin_clients[section] = self._make_admin(section)
        return self._admin_clients[section]

    def _make_admin(self, section: str) -> Any:
        from confluent_kafka.admin import AdminClient

        properties = self._properties(section)
        own = OWN_PROPERTIES[section]
        connection = {name: value for name, value in properties.items() if not name.startswith(own)}
        # Learn each second which broker to ask (librdkafka: every 5 minutes): the last one may have left the cluster,
        # or lead a partition no more. list_offsets does not look for a new leader until its metadata are that old.
        refresh = {"topic.metadata.refresh.interval.ms": "1000", "metadata.max.age.ms": "1000"}
        return self._make(AdminClient, section, {**refresh, **IDLE, **connection, **https_authorities(properties)})

    def connect(self, client: Consumer | Producer, section: str) -> None:
        """Wait until the brokers answer; raise an error that names what is wrong with address or credentials."""
        if section in self._connected:
            return
        try:
            self.cluster_metadata(client)
        except KafkaException as exception:
            error = self.classify(exception.args[0], "reach the brokers", section)
            names = where_to_look(exception.args[0].str(), self._properties(section))
            advice = f"see [{section}]{names}"
            raise type(error)(f"{self.outage.service}: {error}; {advice}") from None
        self._connected.add(section)

    def cluster_metadata(self, client: Any) -> Any:
        """Return the metadata of the cluster; raise KafkaException with the most specific error after some attempts."""
        began = time.monotonic()
        for _ in range(CONNECT_ATTEMPTS):
            try:
                found = client.list_topics(timeout=1.0)
                self.outage.note_sound("connection")
                return found
            except KafkaException as exception:
                self.outage.note_silence("connection", began)
                client.poll(0)  # calls _note_error, whose error is more specific than a timeout
                error = self.last_error or exception.args[0]
            if self.stop.requested or not isinstance(errors.classify(error, ""), BrokerUnavailable):
                break  # retrying does not help
        raise KafkaException(error)

    def call(self, action: str, call: Callable[[], T]) -> T:
        """Return the result of a call; retry it through an outage, raise other errors classified.

        `action` is for messages, as for `errors.classify`: "read topic x".
        """
        while True:
            try:
                result = call()
            except KafkaException as exception:
                error = self.classify(exception.args[0], action)
                if not isinstance(error, BrokerUnavailable) or self.stop.requested:
                    raise error from None
                self.note_failure(exception.args[0], action)
                pause()
                self.on_wait()
            else:
                self.outage.note_answer()
                self.last_error = None
                return result

    def note_failure(self, error: KafkaError, action: str) -> None:
        """Log why a call failed, if that is new; raise AccessDenied after a minute of refusals."""
        advice = self.advice(error, action)
        self.check_refusals()
        self.outage.note_failure(self._with_cause(self.classify(error, action)), *advice)

    def explained(self, error: KafkaError, action: str) -> str:
        """Return the message of an error that is not retried, with its cause and what to do."""
        classified = self.classify(error, action)
        if not isinstance(classified, BrokerUnavailable):
            return str(classified)
        advice = self.advice(error, action).text
        return self._with_cause(classified) + (f"; {advice}" if advice else "")

    def _with_cause(self, error: ClassifierError) -> str:
        return f"{error} ({self.last_error.str()})" if self.last_error else str(error)

    def advice(self, error: KafkaError, action: str) -> Advice:
        """Return what to do about a call that failed because no broker answered in time."""
        for section in sorted(self._sections):
            self.admin(section).poll(0)  # calls _note_error; a consumer's own poll would take a record
        if error.code() == KafkaError.UNSTABLE_OFFSET_COMMIT:
            return UNSTABLE
        if self.last_error is None:  # the brokers can be reached
            return coordinator_advice(self.admin("consumer"), action)
        refused = refusal(self.last_error, self._properties(self._section_of_last_error))
        if refused:
            return Advice(str(refused).removeprefix(f"{self.last_error.str()}; "))
        return connection_advice(self.last_error, self._settings.consumer["bootstrap.servers"])

    def check_refusals(self) -> None:
        """Raise AccessDenied if credentials or a certificate have been refused for a minute."""
        self._refusals.check(self.outage.service)

    def call_in_thread(self, action: str, call: Callable[[], None], meanwhile: Callable[[], object]) -> None:
        """Run a call in a thread and `meanwhile` in this one; raise RestoreNeeded if the call does not return.

        send_offsets_to_transaction ignores its timeout if a connection breaks at the wrong moment
        (confluentinc/librdkafka issue 5456). A new producer with the same transactional.id then ends the transaction.
        """
        outcome: Future[None] = Future()

        def run() -> None:
            try:
                outcome.set_result(call())  # type: ignore[func-returns-value]
            except BaseException as error:  # raised below, in the thread of the caller
                outcome.set_exception(error)

        threading.Thread(target=run, daemon=True).start()
        try:
            meanwhile()
        finally:  # until this call has ended, the producer takes no other call of a transaction
            try:
                outcome.result(timeout=2 * CALL_TIMEOUT_SECONDS)
            except FutureTimeout:  # an outage of the brokers shows in the restore
                raise RestoreNeeded(f"no answer to: {action}") from None

    def classify(self, error: KafkaError, action: str, section: str = "consumer") -> ClassifierError:
        """Return `errors.classify` of an error, with the permission that was missing if the call needs several.

        Brokers that refuse a login which they have accepted before are an outage, until `check_refusals` ends it.
        """
        code = error.code()
        if code == KafkaError.INVALID_TRANSACTION_TIMEOUT:
            return ConfigError(TRANSACTION_TIMEOUT_TOO_LONG)
        transactional_id = self._settings.transactional_id
        if code == KafkaError.TOPIC_AUTHORIZATION_FAILED and "topic" not in action:
            action = f"write topic {self._settings.output}"
        elif code == KafkaError.GROUP_AUTHORIZATION_FAILED:
            action = f"read group {self._settings.group}"
        elif code == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
            action = f"write transactional.id {transactional_id}"
        found = errors.classify(error, action, transactional_id, self._properties(section))
        if isinstance(found, AccessDenied) and code not in DENIED_CODES and section in self._connected:
            return BrokerUnavailable(f"cannot {action}: {error.str()}")
        return found

    def cleanup_policy(self, topic: str) -> str | None:
        """Return cleanup.policy of a topic; None without the permission DescribeConfigs, which is optional."""
        return self.topic_config(topic).get("cleanup.policy")

    def limit_batches(self, topic: str) -> None:
        """Let later producers send no batch that a topic refuses; without the permission DescribeConfigs, do nothing.

        librdkafka does not split a batch that is refused.
        """
        config = self.topic_config(topic)
        limits = [max(1, int(config[name])) for name in BATCH_LIMITS if config.get(name, "").isdecimal()]
        if limits:
            self._batch_limit = min(self.batch_size, *limits)

    def topic_config(self, topic: str) -> Mapping[str, str]:
        """Return the configuration of a topic; empty without the permission DescribeConfigs, which is optional.

        A broker that does not answer is asked again, except by --check: its silence is no missing permission.
        """
        from confluent_kafka.admin import ConfigResource  # type: ignore[attr-defined]

        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        admin = self.admin("consumer")

        def described() -> Any:
            return admin.describe_configs([resource], request_timeout=CALL_TIMEOUT_SECONDS)[resource].result()

        try:
            config = described() if self._settings.check else self.call(f"describe topic {topic}", described)
        except (KafkaException, ClassifierError):
            return {}
        return {name: str(entry.value) for name, entry in config.items()}

    def _make(self, client: Callable[..., T], section: str, properties: Mapping[str, Any]) -> T:
        """Return a new client; raise ConfigError with the property that the library refuses."""
        self._sections.add(section)
        try:
            note_error = functools.partial(self._note_error, section)
            return client({**properties, "error_cb": note_error}, logger=logging.getLogger("librdkafka"))
        except (KafkaException, TypeError, ValueError, AttributeError, ImportError) as error:
            in_file = self._properties(section)
            if problem := key_problem(in_file, str(error)):
                raise ConfigError(f"[{section}] {problem}") from None
            raise ConfigError(refused_property(section, in_file, properties, str(error))) from None

    def _properties(self, section: str) -> Mapping[str, str]:
        """Return the properties of a section of the file."""
        found: Mapping[str, str] = getattr(self._settings, section)
        return found

    def _note_error(self, section: str, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN or self._refusals.is_for_want_of_a_token(error, section):
            return
        self.last_error = error
        self._section_of_last_error = section
        if refused := refusal(error, self._properties(section)):
            self._refusals.note(str(refused), section)

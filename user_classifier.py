#!/usr/bin/env python3
"""Label users by K-means, live, from a Kafka topic of per-user totals.

Reads   `transactions_aggregate`: (user_id, total_amount, num_transactions) in Confluent Avro, written by
        Flink SQL as a retract changelog; rows are added (+I, +U) and retracted (-U, -D) in any order.
Keeps   a table with one row per user. It is rebuilt from `user_labeling` at every start, so there is
        nothing on disk to lose.
Writes  `user_labeling`: (user_id, total_amount, num_transactions, label), keyed by user_id, for each user
        whose row or label changed. Label 0 is the cluster that spends least.

Guarantee: every change of `transactions_aggregate` is reflected exactly once in `user_labeling` for a
read_committed reader. Labels and input offsets are committed in one Kafka transaction, and a crash, an
aborted transaction and a plain restart all take one path: forget everything, restore, go on.

    python user_classifier.py ./configurations/configuration.ini
    python user_classifier.py ./configurations/local.ini -k 4 --until-end

Contents: errors, settings, Schema Registry and Avro, changelog, user table, clustering, Kafka, state,
the run loop, main.
"""

from __future__ import annotations

import argparse
import bisect
import configparser
import contextlib
import functools
import gc
import importlib
import io
import itertools
import json
import logging
import math
import os
import re
import reprlib
import signal
import struct
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeVar, cast

import fastavro
import numpy as np
from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from fastavro.schema import SchemaParseException, UnknownType
from numpy.typing import NDArray

if TYPE_CHECKING:
    import reporting
    from reporting.explore import Fit

VERSION = "0.1.0"
log = logging.getLogger("user_classifier")
T = TypeVar("T")

# ---------------------------------------------------------------------------------------------- errors


class ClassifierError(Exception):
    """Root of everything that can go wrong; `main` prints it as one line.

    ClassifierError
    |-- ConfigError          the command line or the file is wrong: exit code 2
    |-- TopicMissing         a topic does not exist
    |-- AccessDenied         credentials or rights are missing
    |-- SchemaError          a schema does not fit
    |-- RecordError          one record cannot be read
    |-- StateError           offsets and `user_labeling` do not belong together: --rebuild
    |-- RestoreNeeded        throw the state away, restore, go on
    |   |-- TransactionAborted
    |   `-- PartitionsAdded
    |-- ProducerFenced       a newer instance took over: stop
    |-- BrokerUnavailable    no broker answers: try again
    |-- RegistryUnavailable  the Schema Registry does not answer: try again
    `-- KafkaFailed          anything else that Kafka says: stop
    """

    exit_code = 1


class ConfigError(ClassifierError):
    exit_code = 2


class TopicMissing(ClassifierError):
    pass


class AccessDenied(ClassifierError):
    pass


class SchemaError(ClassifierError):
    pass


class RecordError(ClassifierError):
    pass


class StateError(ClassifierError):
    pass


class RestoreNeeded(ClassifierError):
    pass


class TransactionAborted(RestoreNeeded):
    pass


class PartitionsAdded(RestoreNeeded):
    pass


class ProducerFenced(ClassifierError):
    pass


class BrokerUnavailable(ClassifierError):
    pass


class RegistryUnavailable(ClassifierError):
    pass


class KafkaFailed(ClassifierError):
    pass


FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}
MISSING = {
    KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError._UNKNOWN_TOPIC,
    KafkaError._UNKNOWN_PARTITION,
}
DENIED = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED,
    KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
}
REFUSED = {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD, KafkaError.POLICY_VIOLATION}
# Outages, and what brokers say while they start, elect or restart; only transactional calls mark it as retriable.
PASSING = {
    KafkaError._TRANSPORT,
    KafkaError._ALL_BROKERS_DOWN,
    KafkaError._TIMED_OUT,
    KafkaError._TIMED_OUT_QUEUE,
    KafkaError._RESOLVE,
    KafkaError._WAIT_COORD,
    KafkaError._RETRY,
    KafkaError.BROKER_NOT_AVAILABLE,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    KafkaError.COORDINATOR_NOT_AVAILABLE,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.KAFKA_STORAGE_ERROR,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NETWORK_EXCEPTION,
    KafkaError.NOT_COORDINATOR,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.OFFSET_NOT_AVAILABLE,
    KafkaError.REPLICA_NOT_AVAILABLE,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.UNSTABLE_OFFSET_COMMIT,
}


CHECK_CERTIFICATE = (
    "check that ssl.ca.location holds the authority that signed the broker's certificate, that the certificate is for"
    " the host in bootstrap.servers, and that it has not expired"
)


def classify(error: KafkaError, doing: str, transactional_id: str = "") -> ClassifierError:
    """Turn what the Kafka client says into the one error that says what to do about it.

    `doing` names the action and, by that, the right it takes: "read topic x".
    """
    if error.code() in FENCED and not error.txn_requires_abort():
        return ProducerFenced(
            f"transactional.id '{transactional_id}' was taken over by a newer user_classifier; this one stops"
        )
    if error.code() in DENIED:
        return AccessDenied(f"not allowed to {doing} ({error.str()}); grant this right, see README, Rights")
    if error.txn_requires_abort():
        return TransactionAborted(f"transaction aborted ({error.str()})")
    if error.code() == KafkaError._AUTHENTICATION:
        return AccessDenied(f"{error.str()}; check security.protocol, sasl.mechanisms, sasl.username and sasl.password")
    if error.code() == KafkaError._SSL:
        return AccessDenied(f"{error.str()}; {CHECK_CERTIFICATE}")
    if error.code() in MISSING:
        return TopicMissing(f"cannot {doing}: {error.str()}; to see what is missing and what makes it: --check")
    if not error.fatal() and (error.retriable() or error.code() in PASSING):
        return BrokerUnavailable(f"cannot {doing}: {error.str()}")
    advice = "; start again, and if that ends the same way, with --log-level DEBUG: the lines above the end say more"
    if error.code() == KafkaError.MSG_SIZE_TOO_LARGE:
        advice = "; such a record takes message.max.bytes in [producer] and max.message.bytes of the topic"
    return KafkaFailed(f"cannot {doing}: {error.str()} ({error.name()}){advice}")


# -------------------------------------------------------------------------------------------- settings

SECTIONS = ("schema_registry", "consumer", "producer")
REQUIRED = (
    ("schema_registry", "url", "https://host:8081"),
    ("consumer", "bootstrap.servers", "host:9092"),
    ("producer", "bootstrap.servers", "host:9092"),
)
# The words of configuration.ini that stand for a value of the user's own.
PLACEHOLDER = re.compile(r"<(schema-registry-URL|token|hostname|hostname-port|user|password|api-key|api-secret)>")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)  # in a value: taken from the environment
PROPERTY = re.compile(r"[a-z0-9_.]+", re.ASCII)  # a name; what is none may be a secret beside its property
TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)
QUOTES = tuple("\"'“”‘’")
NEVER_QUOTED = ("url", "bootstrap.servers", "security.protocol", "sasl.mechanisms", "sasl.username")
HINTS = {  # what a value is like, for properties whose spelling was right if they are named at all
    "url": "it must begin with http:// or https://, with a host and a port that are such",
    "basic.auth.user.info": "it must be key:secret, and not in url as well",
    "sasl.mechanisms": "it says how sasl.username and sasl.password are sent, e.g. PLAIN",
    "sasl.username": "sasl.username and sasl.password are both needed",
    "sasl.password": "sasl.username and sasl.password are both needed",
}
GROUP_PLACEHOLDER = "args.group"
DEFAULT_GROUP = "user_classifier"
# What the guarantee rests on; the file must not say otherwise.
FIXED = {
    "consumer": {
        "enable.auto.commit": "false",
        "enable.partition.eof": "true",
        "isolation.level": "read_committed",
    },
    "producer": {"enable.idempotence": "true"},
}
NOT_SETTINGS = ("config", "log_level", "log_format", "print_config", "check")  # options that end in `main`
OFFSET_RESETS = {
    **dict.fromkeys(("earliest", "smallest", "beginning"), 0),
    **dict.fromkeys(("latest", "largest", "end"), 1),
}


@dataclass(frozen=True)
class Settings:
    """All that one run is told, by the command line and the configuration file."""

    schema_registry: Mapping[str, str]
    consumer: Mapping[str, str]
    producer: Mapping[str, str]
    topic: str = "transactions_aggregate"
    group: str = DEFAULT_GROUP
    n_clusters: int | str = 3
    output: str = "user_labeling"
    changelog_mode: str = "retract"
    batch_interval: float = 1.0
    batch_size: int | None = None
    until_end: bool = False
    rebuild: bool = False
    n_init: int | str = "auto"
    error_handling_mode: str = "fail"
    error_handling_log_target: str = "error_log"
    plot: Path | None = None
    summary: bool = False
    label_names: str | None = None
    metrics_port: int | None = None
    explore_k: bool = False
    dry_run: bool = False

    @property
    def transactional_id(self) -> str:
        """The same for every instance of one job, so that a newer one fences the older."""
        return f"user_classifier-{self.group}-{self.output}"

    @property
    def auto_k(self) -> bool:
        """Whether the number of clusters is to be chosen by their silhouettes."""
        return self.n_clusters == "auto"

    @property
    def looks(self) -> bool:
        """Whether nothing is to be written."""
        return self.explore_k or self.dry_run

    @property
    def max_poll_seconds(self) -> float:
        """Seconds without a poll after which a Kafka client counts as stuck."""
        given = self.consumer.get("max.poll.interval.ms", "")
        return int(given) / 1000 if given.isdecimal() else 300.0  # Kafka's own default

    @property
    def consumer_properties(self) -> dict[str, Any]:
        """What the consumer is made with: read_committed, positions kept by us."""
        # Fetching resumes as soon as there is room for more records again, not a second later. The broker keeps an
        # idle fetch for a tenth of a second, not for half of one: other calls have to wait for it.
        ours = {"fetch.queue.backoff.ms": "10", "fetch.wait.max.ms": "100"}
        fixed = {**FIXED["consumer"], "group.id": self.group, "auto.offset.reset": "error"}
        return {**ours, **self.consumer, **fixed}

    @property
    def producer_properties(self) -> dict[str, Any]:
        """What the producer is made with: transactional, keys placed as the Java client places them."""
        ours = {
            "transactional.id": self.transactional_id,
            "partitioner": "murmur2_random",
            # For 1 or 2 ms after a commit the coordinator refuses; librdkafka then asks again (default: after 100 ms).
            "retry.backoff.ms": "2",
            # An answer that does not come is noticed while the transaction has time to ask again.
            "socket.timeout.ms": str(min(round(1000 * self.transaction_timeout / 2), 300_000)),
        }
        return {**ours, **self.producer, **FIXED["producer"]}

    @property
    def transaction_timeout(self) -> float:
        """Seconds after which the broker ends a transaction."""
        given = self.producer.get("transaction.timeout.ms", "")
        return int(given) / 1000 if given.isdecimal() else 60.0  # librdkafka's default

    @property
    def reset_to(self) -> int:
        """Where to begin without a committed offset: 0 the first record, 1 behind the last one."""
        return OFFSET_RESETS[self.consumer.get("auto.offset.reset", "earliest")]


def whole_number(name: str) -> Callable[[str], int]:
    """Return an argparse type for whole numbers from 1."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) >= 1):
            raise argparse.ArgumentTypeError(f"{name} must be a whole number >= 1, got {text!r}")
        return int(text)

    return parse


def topic_name(text: str) -> str:
    """Parse the name of a topic for argparse."""
    if not TOPIC_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"a topic is named with letters, digits, '.', '_' and '-', got {text!r}")
    return text


def group_name(text: str) -> str:
    """Parse the name of a group for argparse."""
    if not (text and text.isprintable()):  # bytes that are no UTF-8 would abort the Kafka client
        raise argparse.ArgumentTypeError(f"a group needs a name of printable characters, got {text!r}")
    return text


def seconds(text: str) -> float:
    """Parse a duration for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds >= 0, got {text!r}")
    return value


def number_or_auto(name: str) -> Callable[[str], int | str]:
    """Return an argparse type for whole numbers from 1 and the word auto."""
    parse = whole_number(f"{name} (or 'auto')")
    return lambda text: text if text == "auto" else parse(text)


EXAMPLES = """examples:
  python user_classifier.py ./configurations/local.ini
  python user_classifier.py ./configurations/local.ini -k 4 --batch-interval 5
  python user_classifier.py ./configurations/local.ini --until-end --plot clustering.png
"""


def argument_parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    parser = argparse.ArgumentParser(
        prog="user_classifier.py",
        description="Label users by K-means, live, from a Kafka topic of per-user totals.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("config", metavar="CONFIG_FILE", help="INI file with the sections [schema_registry], [consumer], [producer]")
    add("--version", action="version", version=f"user_classifier {VERSION}")
    add("--log-level", choices=("DEBUG", "INFO", "WARNING", "ERROR"), default="INFO", help="default: %(default)s")
    add("--log-format", choices=("text", "json"), default="text", help="default: %(default)s")
    add_topics(parser.add_argument_group("topics").add_argument)
    add_clustering(parser.add_argument_group("clustering").add_argument)
    add_running(parser.add_argument_group("running").add_argument)
    add_reports(parser.add_argument_group("reports").add_argument)
    add_looks(parser.add_argument_group("to look first: these write nothing to Kafka, and end").add_argument)
    return parser


# fmt: off
def add_topics(add: Callable[..., object]) -> None:
    """Describe where records come from and go to."""
    add("-t", dest="topic", metavar="TOPIC", type=topic_name, default="transactions_aggregate",
        help="topic of per-user totals to read (default: %(default)s)")
    add("-g", dest="group", metavar="GROUP", type=group_name,
        help=f"consumer group whose offsets mark the progress (default: {DEFAULT_GROUP})")
    add("-o", dest="output", metavar="OUTPUT", type=topic_name, default="user_labeling",
        help="compacted topic to write labels to (default: %(default)s)")
    add("--changelog-mode", choices=("retract", "upsert", "append"), default="retract",
        help="how TOPIC tells changes: retract by its op header; upsert and append by the last record of a user, "
        "where in upsert a null value deletes (default: %(default)s)")


def add_clustering(add: Callable[..., object]) -> None:
    """Describe the fit."""
    add("-k", dest="n_clusters", metavar="N", type=number_or_auto("n_clusters"), default=3,
        help="number of clusters; auto chooses 2 to 10 by silhouette, once, and keeps that (default: %(default)s)")
    add("--n-init", metavar="N", type=number_or_auto("n_init"), default="auto",
        help="runs of k-means++ per fit, of which the best counts; auto is 1 (default: %(default)s)")


def add_reports(add: Callable[..., object]) -> None:
    """Describe what people look at."""
    add("--plot", metavar="FILE", type=Path,
        help="draw the clusters to FILE (.png, .svg, .pdf), at most every 10 s and at the end")
    add("--summary", action="store_true",
        help="log a table of the clusters and of moves between them, at most every 60 s and at the end")
    add("--label-names", metavar="NAMES",
        help="names for plot, summary and metrics, label 0 first: stingy,standard,spendthrift (default: numbers)")
    add("--metrics-port", metavar="PORT", type=whole_number("port"),
        help="serve /metrics for Prometheus and /health on 127.0.0.1 (default: off)")


def add_looks(add: Callable[..., object]) -> None:
    """Describe what does not label."""
    add("--check", action="store_true",
        help="say of connections, topics, rights and schemas whether they are as needed; exit code 1 if not")
    add("--explore-k", action="store_true",
        help="read TOPIC to its end and compare 2 to 10 clusters; with --plot FILE also as a picture")
    add("--dry-run", action="store_true",
        help="read TOPIC to its end and show the labels that a run would write")
    add("--print-config", action="store_true",
        help="print the settings that take effect, secrets as ****")


def add_running(add: Callable[..., object]) -> None:
    """Describe batches, the end, and errors."""
    add("--batch-interval", metavar="SECONDS", type=seconds, default=1.0,
        help="least time between two fits, in seconds (default: %(default)s)")
    add("--batch-size", metavar="N", type=whole_number("batch size"),
        help="fit after N records at the latest; 1 fits for every record (default: no limit)")
    add("--until-end", action="store_true",
        help="stop once every partition was read to its end and all is committed")
    add("--rebuild", action="store_true",
        help="forget offsets and state, read TOPIC from its beginning and make OUTPUT what it says")
    add("--error-handling-mode", choices=("fail", "ignore", "log"), default="fail",
        help="at a record that cannot be read: stop, skip it, or copy it to the log target (default: %(default)s)")
    add("--error-handling-log-target", metavar="TOPIC", type=topic_name, default="error_log",
        help="topic for such records in mode log (default: %(default)s)")
# fmt: on


def read_configuration(path: str) -> dict[str, dict[str, str]]:
    """Read the INI file at `path` into {section: {property: value}}.

    Raises
    ------
    ConfigError
        With file, section, property or line, never with a value: values are secrets.
    """
    parser = configparser.ConfigParser(interpolation=None, delimiters=("=",), default_section="\0", strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(Path(path).read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; copy configurations/configuration.ini and fill it in") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a file that you may read") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: not a text file in UTF-8; save it as one") from None
    except configparser.Error as error:
        raise ConfigError(f"{path}{syntax_complaint(error)}") from None
    for section in filter(parser.has_section, SECTIONS):
        for before, name in itertools.pairwise((f"[{section}]", *parser[section])):
            if not PROPERTY.fullmatch(name):
                form = "not of the form 'property = value', with small letters in the property"
                raise ConfigError(f"{path}: the line after {before}: {form}")
    return {
        section: {key: from_environment(f"{path}: [{section}] {key}", value) for key, value in parser[section].items()}
        for section in parser.sections()
    }


def from_environment(where: str, value: str) -> str:
    """Put the environment's values in place of `${NAME}`. Any other `$` stands for itself: passwords hold some."""

    def found(match: re.Match[str]) -> str:
        if match[1] not in os.environ:
            raise ConfigError(f"{where}: {match[0]} is not set in the environment; type first: export {match[1]}=...")
        return os.environ[match[1]]

    return VARIABLE.sub(found, value)


def syntax_complaint(error: configparser.Error) -> str:
    """Say where an INI file is malformed. The parser's own message quotes the line: not shown."""
    if isinstance(error, configparser.DuplicateOptionError):
        name = f"'{error.option}'" if PROPERTY.fullmatch(error.option) else "the same"
        return f": line {error.lineno}: [{error.section}] has {name} twice; remove one"
    if isinstance(error, configparser.DuplicateSectionError):
        return f": line {error.lineno}: section [{error.section}] is there twice; join them"
    if isinstance(error, configparser.MissingSectionHeaderError):
        return f": line {error.lineno}: stands before the first section; begin with [schema_registry]"
    if isinstance(error, configparser.ParsingError):
        return f": line {error.errors[0][0]}: not of the form 'property = value'"
    return ": not an INI file; see configurations/configuration.ini"


def check_configuration(path: str, sections: Mapping[str, Mapping[str, str]]) -> None:
    """Raise ConfigError for the first thing missing, unfilled or contrary to the guarantee."""
    for name in SECTIONS:
        if name not in sections:
            raise ConfigError(f"{path}: no section [{name}]; add it as in configurations/configuration.ini")
    check_values(path, [(section, key, value) for section in SECTIONS for key, value in sections[section].items()])
    for section, key, example in REQUIRED:
        if not sections[section].get(key):
            raise ConfigError(f"{path}: [{section}] has no '{key}'; add e.g. {key} = {example}")
    if "transactional.id" in sections["producer"]:
        raise ConfigError(f"{path}: [producer] transactional.id is made from -g and -o; remove the line")
    if sections["consumer"].get("auto.offset.reset", "earliest") not in OFFSET_RESETS:
        raise ConfigError(f"{path}: [consumer] auto.offset.reset must be earliest or latest")


def check_values(path: str, values: list[tuple[str, str, str]]) -> None:
    """Raise ConfigError for a value that cannot be meant."""
    unfilled = [f"[{section}] {key}" for section, key, value in values if PLACEHOLDER.search(value)]
    if unfilled:
        raise ConfigError(f"{path}: placeholders still to be filled in: {', '.join(unfilled)}")
    for section, key, value in values:
        # configparser joins an indented line to the one above; certificates (ssl.*.pem) are meant so.
        if "\n" in value and not key.endswith(".pem"):
            raise ConfigError(f"{path}: [{section}] {key} is followed by an indented line; begin it at the margin")
    for section, key, value in values:
        if key in NEVER_QUOTED and value.startswith(QUOTES):
            raise ConfigError(f"{path}: [{section}] {key} is in quotes; remove them")
    for section, key, value in values:
        if value.lower() != FIXED.get(section, {}).get(key, value.lower()):
            raise ConfigError(f"{path}: [{section}] {key} must be {FIXED[section][key]}; remove the line")


def unknown_property(section: str, properties: Iterable[str], complaint: str) -> str:
    """Name the property that a client library complains about; its own words can quote a value."""
    names = [name for name in properties if name in complaint]
    names += [name for name in re.findall(r"\bs(?:sl|asl)\.[a-z.]*[a-z]", complaint) if name not in names]
    if not names:
        names = ["sasl.mechanisms"] if "SASL mechanism" in complaint else ["one property"]
    hint = HINTS.get(names[0], "check the spelling")
    if names[0].endswith(".location"):
        hint = "name a file that can be read and holds what it should"
    which = " and ".join(names)
    return f"[{section}] {which}: missing, or not a property, or not a value, that its client can use; {hint}"


def settings_from(arguments: argparse.Namespace) -> Settings:
    """Join the command line and the file it names."""
    options = {name: value for name, value in vars(arguments).items() if name not in NOT_SETTINGS}
    path = arguments.config
    sections = read_configuration(path)
    check_configuration(path, sections)
    in_file = sections["consumer"].pop("group.id", GROUP_PLACEHOLDER)
    if options["group"] is None:
        options["group"] = DEFAULT_GROUP if in_file == GROUP_PLACEHOLDER else in_file
    if not options["group"]:
        raise ConfigError(f"{path}: [consumer] group.id is empty; remove the line, or name a group with -g")
    check_topics_differ(options)
    options.update({name: sections[name] for name in SECTIONS})
    return Settings(**options)


def check_topics_differ(options: Mapping[str, Any]) -> None:
    """Raise ConfigError where one topic would be written for two purposes."""
    roles = {"-t": options["topic"], "-o": options["output"]}
    if options["error_handling_mode"] == "log":
        roles["--error-handling-log-target"] = options["error_handling_log_target"]
    for (one, topic), (other, same) in itertools.combinations(roles.items(), 2):
        if topic == same:
            raise ConfigError(f"{other} and {one} are both {topic}; each needs a topic of its own")


# ---------------------------------------------------------------------------- Schema Registry and Avro

Row = tuple[float, int]  # total_amount in the currency of the input, num_transactions
Headers = list[tuple[str, Any]] | None
OutputRecord = tuple[str, bytes | None, bytes | None, Headers]  # topic, key, value, headers
Fields = dict[str, Any]  # of an Avro record

MAGIC_BYTE = 0  # first byte of every value in Confluent's wire format
PREFIX = struct.Struct(">bI")  # magic byte, schema id
SEAL = os.urandom(16)  # between records that are coded as one array; no record can be made to contain it
END_OF_ARRAY = b"\0"
REGISTRY_TIMING = {"timeout": 10.0, "max.retries": 0}  # seconds; outages are waited out by us
REGISTRY_NUMBERS = {"timeout", "max.retries", "retries.wait.ms", "retries.max.wait.ms", "cache.capacity"}
UNREGISTERED_ID = 2**32 - 1
RETRY_SECONDS = 0.5  # pause between two attempts to reach a service that is away
ROW_FIELDS = ("user_id", "total_amount", "num_transactions")
NO_SOURCE: tuple[None, bytes] = (None, b"")
LABEL_FIELDS = {"user_id": "string", "total_amount": "double", "num_transactions": "long", "label": "int"}
MAX_AMOUNT = 1e150  # squares of amounts, and sums of these, must stay finite
MAX_USER_ID = 100_000  # characters, of 4 bytes at most; key and value must fit into a record of 1 MB
# What fastavro raises for bytes that do not fit the schema, found by fuzzing it.
AVRO_ERRORS = (EOFError, ValueError, IndexError, OverflowError, MemoryError, TypeError, KeyError)


class StopRequest:
    """SIGINT or SIGTERM: end after the step under way. A second signal ends at once."""

    def __init__(self) -> None:
        self.requested = False

    def install(self) -> None:
        """Listen to both signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._request)

    def _request(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_DFL)


class Outage:
    """Says once that a service is away, and once that it is back."""

    def __init__(self, service: str) -> None:
        self.service = service
        self.since: float | None = None

    def begins(self, cause: object) -> None:
        """Note that a call failed."""
        if self.since is None:
            self.since = time.monotonic()
            log.warning("%s: %s; trying again until it is back", self.service, cause)

    def ends(self) -> None:
        """Note that a call was answered."""
        if self.since is not None:
            log.warning("%s: back after %.1f s", self.service, time.monotonic() - self.since)
            self.since = None


def numbers_among(properties: Mapping[str, str]) -> dict[str, float]:
    """Return the properties of the Schema Registry client that have to be numbers."""
    try:
        return {(last := name): seconds(properties[name]) for name in sorted(REGISTRY_NUMBERS & properties.keys())}
    except argparse.ArgumentTypeError:
        raise ConfigError(unknown_property("schema_registry", [last], last)) from None


class Subject(NamedTuple):
    """The newest schema of a subject."""

    schema_id: int
    schema: Any  # as fastavro parses it


class SchemaRegistry:
    """Schemas by id and by subject. Once it has answered, an outage is waited out."""

    def __init__(self, properties: Mapping[str, str], stop: StopRequest) -> None:
        # Imported here: 0.3 s that --help and a mistake in the file need not wait for.
        from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
        from confluent_kafka.schema_registry.common._httpx_compat import httpx
        from confluent_kafka.schema_registry.error import SchemaRegistryError

        self._schema_type, self._refusal, self._network = Schema, SchemaRegistryError, httpx.TransportError
        # What Confluent's client raises for an answer of something else: a web page, a proxy that is being repaired.
        self._nonsense = httpx.RequestError, httpx.InvalidURL, AttributeError, KeyError, TypeError, ValueError
        self._stop, self._answered = stop, False
        # A url can hold a password, and that a slash.
        self._url = re.sub(r"//.*@", "//****@", properties["url"], flags=re.DOTALL)
        self._outage = Outage(f"Schema Registry {self._url}")
        try:
            for url in properties["url"].split(","):
                httpx.URL(url.strip())
        except httpx.InvalidURL:
            raise ConfigError(unknown_property("schema_registry", ["url"], "url")) from None
        try:
            self._client = SchemaRegistryClient({**REGISTRY_TIMING, **properties, **numbers_among(properties)})
        except (ValueError, TypeError) as error:
            raise ConfigError(unknown_property("schema_registry", properties, str(error))) from None
        except OSError:
            files = " ".join(name for name in properties if name.endswith(".location"))
            raise ConfigError(unknown_property("schema_registry", properties, files)) from None

    def by_id(self, schema_id: int) -> Any:
        """Return the parsed schema; RecordError when there is none of that id."""
        found = self._call(lambda: self._client.get_schema(schema_id))
        if found is None:
            raise RecordError(f"schema id {schema_id} is not in the Schema Registry")
        return self._parse(found, f"schema id {schema_id}")

    def subjects(self) -> list[str] | None:
        """Return all subjects, None where the account may not list them; SchemaError where no registry answers."""
        try:
            found = self._call(self._client.get_subjects)
        except AccessDenied:
            return None
        if found is None:
            raise self._no_registry()
        return found

    def newest(self, subject: str) -> Subject | None:
        """Return the newest version of a subject, None where there is no such subject."""
        found = self._call(lambda: self._client.get_latest_version(subject))
        if found is None or found.schema_id is None:
            return None
        return Subject(found.schema_id, self._parse(found.schema, f"subject {subject}"))

    def register(self, subject: str, schema: Mapping[str, Any]) -> Subject:
        """Register a schema, or find it there."""
        wanted = self._schema_type(json.dumps(schema), "AVRO")
        schema_id = self._call(lambda: self._client.register_schema(subject, wanted))
        if schema_id is None:
            raise self._no_registry()
        return Subject(schema_id, fastavro.parse_schema(dict(schema)))

    def _no_registry(self) -> SchemaError:
        """Return what a 'not found' means where nothing but a registry can be missing."""
        return SchemaError(f"Schema Registry {self._url}: HTTP 404; check [schema_registry] url")

    def _parse(self, schema: Any, name: str) -> Any:
        if schema.schema_type != "AVRO":
            raise RecordError(f"{name} is {schema.schema_type}, not AVRO")
        try:
            parsed = fastavro.parse_schema(json.loads(schema.schema_str))
            least_size(parsed, {})
        except (ValueError, KeyError, TypeError, SchemaParseException, UnknownType) as error:
            raise RecordError(f"{name} is not a usable Avro schema ({error})") from None
        return parsed

    def _call(self, call: Callable[[], T]) -> T | None:
        """Return the answer, None for 'not found'; wait while the registry is away."""
        while True:
            try:
                answer = call()
            except self._refusal as refusal:
                if refusal.http_status_code == 404:
                    return None
                if refusal.http_status_code in (401, 403):
                    raise AccessDenied(
                        f"Schema Registry {self._url}: refused (HTTP {refusal.http_status_code});"
                        " check [schema_registry] basic.auth.user.info"
                    ) from None
                if refusal.http_status_code < 500 and refusal.http_status_code != 429:
                    cause = f"HTTP {refusal.http_status_code} ({refusal.error_message})"
                    raise SchemaError(f"Schema Registry {self._url}: {cause}; check [schema_registry] url") from None
                self._wait(f"HTTP {refusal.http_status_code}")
            except self._network as error:
                self._wait(f"no answer ({error or type(error).__name__})")
            except self._nonsense:
                self._wait("what answers is no Schema Registry")
            else:
                self._answered = True
                self._outage.ends()
                return answer

    def _wait(self, cause: str) -> None:
        if not self._answered or self._stop.requested:
            also = " and ssl.ca.location" if "CERTIFICATE" in cause else ""
            raise RegistryUnavailable(f"Schema Registry {self._url}: {cause}; check [schema_registry] url{also}")
        self._outage.begins(cause)
        time.sleep(RETRY_SECONDS)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


class ReadOnlyRegistry(SchemaRegistry):
    """A registry that is not written to: what would be registered is known here, under an id that none gives."""

    _kept: Any = None

    def register(self, subject: str, schema: Mapping[str, Any]) -> Subject:
        """Keep a schema."""
        self._kept = fastavro.parse_schema(dict(schema))
        return Subject(UNREGISTERED_ID, self._kept)

    def by_id(self, schema_id: int) -> Any:
        """Return the parsed schema; RecordError when there is none of that id."""
        return self._kept if self._kept and schema_id == UNREGISTERED_ID else super().by_id(schema_id)


LEAST_SIZES = {"null": 0, "boolean": 1, "int": 1, "long": 1, "float": 4, "double": 8, "bytes": 1, "string": 1}


def least_size(schema: Any, known: dict[str, int | None]) -> int:
    """Return the fewest bytes that a value takes.

    ValueError for schemas by which a few bytes can make a value without end: recursive ones, and arrays of
    nothing. `known` holds the named types seen, None while inside their definition.
    """
    if isinstance(schema, list):
        return 1 + min(least_size(each, known) for each in schema)
    kind = schema["type"] if isinstance(schema, dict) else schema
    if isinstance(kind, dict | list):
        return least_size(kind, known)
    if kind in ("record", "error"):
        known[schema["name"]] = None
        known[schema["name"]] = size = sum(least_size(each["type"], known) for each in schema["fields"])
    elif kind in ("array", "map"):
        size = 1
        if least_size(schema.get("items", schema.get("values")), known) == 0 and kind == "array":
            raise ValueError("an array of nothing")
    elif kind in ("fixed", "enum"):
        known[schema["name"]] = size = schema.get("size", 1)
    else:
        found = LEAST_SIZES.get(kind, known.get(kind))
        if found is None:
            raise ValueError(f"{kind} is recursive")
        size = found
    return size


class AvroReader:
    """Decodes values in Confluent's wire format; every byte of each has to be accounted for."""

    def __init__(self, registry: SchemaRegistry) -> None:
        self.schema = functools.cache(registry.by_id)
        self._flat = functools.cache(lambda schema_id: flat_array(self.schema(schema_id)))

    def fields(self, data: bytes | None) -> Fields:
        """Return the fields of one record; RecordError says what is wrong with the bytes."""
        schema_id = schema_id_of(data)
        schema, body = self.schema(schema_id), io.BytesIO(data or b"")
        body.seek(PREFIX.size)
        try:
            record = fastavro.schemaless_reader(body, schema, None)
        except AVRO_ERRORS:
            raise RecordError(f"does not fit its schema id {schema_id}") from None
        if left := len(body.read()):
            raise RecordError(f"{left} bytes too many for its schema id {schema_id}")
        if not isinstance(record, dict):
            raise RecordError(f"schema id {schema_id} is not of a record")
        return record

    def all_fields(self, values: Sequence[bytes]) -> list[Fields | RecordError]:
        """Return the fields of each value, or what is wrong with it."""
        groups: dict[bytes, list[bytes]] = {}
        for value in values:
            groups.setdefault(value[: PREFIX.size], []).append(value)
        decoded = {prefix: self._group(group) for prefix, group in groups.items()}
        if len(decoded) == 1:
            return list(*decoded.values())
        rest = {prefix: iter(found) for prefix, found in decoded.items()}
        return [next(rest[value[: PREFIX.size]]) for value in values]

    def _group(self, values: Sequence[bytes]) -> Sequence[Fields | RecordError]:
        """Decode values of one schema id."""
        try:  # an unknown schema is asked for once, not once for each value
            schema_id = schema_id_of(values[0])
            self.schema(schema_id)
        except RecordError as error:
            return [error] * len(values)
        return self._array(values, schema_id) or [self._one(value) for value in values]

    def _one(self, value: bytes) -> Fields | RecordError:
        try:
            return self.fields(value)
        except RecordError as error:
            return error

    def _array(self, values: Sequence[bytes], schema_id: int) -> list[Fields] | None:
        """Decode values as one Avro array; None if any is bad.

        Each is followed by the seal: a value that is too short or too long shifts what comes after it,
        and then a seal is not where it should be.
        """
        body = io.BytesIO()
        fastavro.schemaless_writer(body, "long", len(values))
        try:
            schema, held = self._flat(schema_id)
            body.write(b"".join([value[PREFIX.size :] + SEAL for value in values]) + END_OF_ARRAY)
            body.seek(0)
            records = cast(list[Fields], fastavro.schemaless_reader(body, schema, None))
        except (RecordError, SchemaParseException, *AVRO_ERRORS):
            return None
        sound = all({record[name] for record in records} == {value} for name, value in held.items())
        return records if sound and len(records) == len(values) else None


def schema_id_of(data: bytes | None) -> int:
    """Return the schema id in Confluent's wire format."""
    if data is None:
        raise RecordError("no value (a tombstone); for an upsert table use --changelog-mode upsert")
    if data[:1] != b"\0":
        found = f"first byte 0x{data[0]:02x}" if data else "no bytes"
        raise RecordError(f"not Confluent Avro ({found})")
    if len(data) < PREFIX.size:
        raise RecordError(f"not Confluent Avro (only {len(data)} bytes)")
    return int(PREFIX.unpack_from(data)[1])


def flat_array(schema: Any) -> tuple[Any, dict[str, Any]]:
    """Return the schema of a sealed array with our optional fields as two, and what every record of it holds beside.

    A union is written as the number of its branch, then the value. As a number and a value it takes three quarters of
    the time, to read and to write. A null shows by its number, and shifts what comes after it.
    """
    if not (isinstance(schema, dict) and schema["type"] == "record"):
        raise RecordError("not a record")
    held: dict[str, Any] = {"seal": SEAL}
    fields = []
    for each in schema["fields"]:
        name, union = each["name"], each["type"]
        if name in LABEL_FIELDS and isinstance(union, list) and len(union) == 2 and "null" in union:
            branch = f"branch of {name}"  # no name of a field has a space
            held[branch] = 1 - union.index("null")
            fields += [{"name": branch, "type": "long"}, {"name": name, "type": union[held[branch]]}]
        else:
            fields.append(each)
    seal = {"name": "seal", "type": {"type": "fixed", "name": "user_classifier_seal", "size": len(SEAL)}}
    return fastavro.parse_schema({"type": "array", "items": {**schema, "fields": [*fields, seal]}}), held


def user_row(fields: Fields | RecordError) -> tuple[str, Row]:
    """Return user_id and (total_amount, num_transactions); RecordError names the field that is wrong."""
    if isinstance(fields, RecordError):
        raise fields
    try:
        user_id, amount, count = (fields[name] for name in ROW_FIELDS)
    except KeyError as absent:
        if "user_id" in fields:
            raise RecordError(f"has no field {absent}") from None
        key = "where it is the table's key, 'value.fields-include' = 'all' keeps it in the value"
        raise RecordError(f"has no field {absent}; {key}") from None
    if type(user_id) is not str:
        raise RecordError(f"user_id must be a string, got {type(user_id).__name__}")
    if len(user_id) > MAX_USER_ID:
        raise RecordError(f"user_id must have at most {MAX_USER_ID} characters, got {len(user_id)}")
    if type(amount) not in (float, int) or not -MAX_AMOUNT <= amount <= MAX_AMOUNT:
        raise RecordError(f"total_amount must be a number up to {MAX_AMOUNT:g}, got {shown(amount)}")
    if type(count) is not int or count < 0:
        raise RecordError(f"num_transactions must be a whole number >= 0, got {shown(count)}")
    return user_id, (float(amount), count)


def user_rows(records: Sequence[Fields | RecordError]) -> list[tuple[str, Row] | RecordError]:
    """Do `user_row` for many records; what it would raise stands in the place of a row."""
    found: list[tuple[str, Row] | RecordError] = []
    try:  # column by column, which is four times as fast where nothing is wrong
        user_ids, amounts, counts = ([record[name] for record in records] for name in ROW_FIELDS)  # type: ignore[index]
        types = [set(map(type, column)) for column in (user_ids, amounts, counts)]
        sizes = max(map(len, user_ids), default=0), np.abs(amounts).max(initial=0.0), min(counts, default=0)
        if types == [{str}, {float}, {int}] and sizes[0] <= MAX_USER_ID and sizes[1] <= MAX_AMOUNT and sizes[2] >= 0:
            return list(zip(user_ids, zip(amounts, counts, strict=True), strict=True))
    except (KeyError, TypeError, ValueError):
        pass
    for record in records:
        try:
            found.append(user_row(record))
        except RecordError as error:
            found.append(error)
    return found


def label_schema(topic: str) -> dict[str, Any]:
    """Return the value schema of a labels topic, as Confluent Cloud Flink makes it."""
    return {
        "type": "record",
        "name": re.sub(r"\W", "_", topic, flags=re.ASCII) + "_value",
        "namespace": "org.apache.flink.avro.generated.record",
        "fields": [{"name": name, "type": ["null", kind], "default": None} for name, kind in LABEL_FIELDS.items()],
    }


class AvroWriter:
    """Encodes records of one subject in Confluent's wire format, many at once."""

    def __init__(self, subject: Subject) -> None:
        self.prefix = PREFIX.pack(MAGIC_BYTE, subject.schema_id)
        self._array, self._held = flat_array(subject.schema)

    def encode(self, records: Sequence[Fields]) -> list[bytes]:
        """Return one value for each record."""
        if not records:
            return []
        body = io.BytesIO()
        for record in records:
            record.update(self._held)
        fastavro.schemaless_writer(body, self._array, records)
        values = body.getvalue().split(SEAL)[:-1]
        start = io.BytesIO()  # the array begins with its length
        fastavro.schemaless_writer(start, "long", len(records))
        values[0] = values[0][start.tell() :]
        return [self.prefix + value for value in values]


class KeyCodec:
    """Keys of a topic: an Avro record of user_id where the topic has a key subject, else plain UTF-8."""

    def __init__(self, registry: SchemaRegistry, topic: str) -> None:
        self._reader = AvroReader(registry)
        try:
            subject = registry.newest(f"{topic}-key")
            self._writer = None if subject is None else AvroWriter(subject)
            fits = self.decode(self.encode(["é"])[0]) == "é"
        except (RecordError, AttributeError, *AVRO_ERRORS):
            fits = False
        if not fits:
            raise SchemaError(
                f"subject {topic}-key is not a record of one string user_id; delete the subject or choose another topic"
            )

    @property
    def are_avro(self) -> bool:
        """Whether keys are Avro records."""
        return self._writer is not None

    def encode(self, user_ids: Sequence[str]) -> list[bytes]:
        """Return the key of each user."""
        if self._writer is None:
            return [user_id.encode() for user_id in user_ids]
        return self._writer.encode([{"user_id": user_id} for user_id in user_ids])

    def decode(self, key: bytes) -> str:
        """Return the user a key names."""
        try:
            return key.decode() if self._writer is None else str(self._reader.fields(key)["user_id"])
        except (UnicodeDecodeError, KeyError):
            raise RecordError(f"key {shown(key)} does not name a user_id") from None
        except RecordError as error:
            raise RecordError(f"key {shown(key)} does not name a user_id ({error})") from None


class LabelCodec:
    """Values of `user_labeling`, in the schema its subject asks for."""

    def __init__(self, registry: SchemaRegistry, topic: str) -> None:
        self._reader = AvroReader(registry)
        self._alike = functools.cache(self._begins_like)
        self._tail = functools.cache(self._encoded_label)
        name = f"{topic}-value"
        # A row that a narrower type (float, int) would round or refuse: it has to be valid, and to come back as it is.
        user_id, row, label = sample = ("é", (0.1, 2**53 + 1), 1)
        fields = dict(zip(LABEL_FIELDS, (user_id, *row, label), strict=True))
        try:
            self._subject = registry.newest(name) or registry.register(name, label_schema(topic))
            self._writer = AvroWriter(self._subject)
            valid = fastavro.validation.validate(fields, self._subject.schema, raise_errors=False)
            fits = valid and self.decode(self.encode([sample])) == [sample]
        except (RecordError, AttributeError, *AVRO_ERRORS):
            fits = False
        if not fits:
            raise SchemaError(
                f"subject {name} is not a record of user_id string, total_amount double, num_transactions"
                " long and label int; delete the subject or choose another output with -o"
            )

    def encode(
        self, labelled: Sequence[tuple[str, Row, int]], sources: Mapping[str, tuple[Row, bytes]] = MappingProxyType({})
    ) -> list[bytes]:
        """Return the value that labels each user.

        `sources` holds rows by user as they were read, with their values. Where the input's schema is the output's
        but for the label, such a value is taken as it is and the label appended: seven times as fast as writing it.
        """
        prefix, alike, tail, size = self._writer.prefix, self._alike, self._tail, PREFIX.size
        values, others = list[bytes](), list[int]()
        for user_id, row, label in labelled:
            known, value = sources.get(user_id, NO_SOURCE)
            if known == row and alike(value[:size]):
                values.append(prefix + value[size:] + tail(label))
            else:
                others.append(len(values))
                values.append(b"")
        fields = [
            {"user_id": user_id, "total_amount": amount, "num_transactions": count, "label": label}
            for user_id, (amount, count), label in map(labelled.__getitem__, others)
        ]
        for at, value in zip(others, self._writer.encode(fields), strict=True):
            values[at] = value
        return values

    def _begins_like(self, prefix: bytes) -> bool:
        """Return whether the schema with this prefix is the output's but for the label."""
        fields = [(each["name"], each["type"]) for each in self._reader.schema(schema_id_of(prefix))["fields"]]
        ours = [(each["name"], each["type"]) for each in self._subject.schema["fields"]]
        return fields == ours[:-1] and ours[-1][0] == "label"

    def _encoded_label(self, label: int) -> bytes:
        """Return how a value ends that is the output's but for the label."""
        record = {"user_id": "", "total_amount": 0.0, "num_transactions": 0, "label": label}
        schema = {**self._subject.schema, "name": "unlabelled", "fields": self._subject.schema["fields"][:-1]}
        body = io.BytesIO()
        fastavro.schemaless_writer(body, schema, record)
        return self._writer.encode([record])[0][PREFIX.size + body.tell() :]

    def decode(self, values: Sequence[bytes]) -> list[tuple[str, Row, int]]:
        """Return user_id, row and label of each value; RecordError says what is wrong with one."""
        found = []
        for block in blocks(values):
            records = self._reader.all_fields(block)
            for row, record in zip(user_rows(records), records, strict=True):
                if isinstance(row, RecordError):
                    raise row
                if type(label := cast(Fields, record).get("label")) is not int:
                    raise RecordError("has no label")
                found.append((*row, label))
        return found


# ------------------------------------------------------------------------------------------- changelog

# Confluent Cloud Flink writes one byte, its RowKind: +I, -U, +U, -D. Some tools write it as a digit.
SIGN_BY_OP = {b"\0": 1, b"\1": -1, b"\2": 1, b"\3": -1, b"0": 1, b"1": -1, b"2": 1, b"3": -1}


class Record(Protocol):
    """A consumed record: the part of confluent_kafka.Message used here."""

    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def key(self) -> bytes | None: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> Headers: ...
    def error(self) -> KafkaError | None: ...


class BadRecord(NamedTuple):
    """A record that could not be read, and why."""

    message: Record
    error: RecordError

    def __str__(self) -> str:
        return f"{place(self.message)}: {self.error}"


def place(message: Record) -> str:
    """Return where a record lies: topic [partition] at offset n."""
    return f"{message.topic()} [{message.partition()}] at offset {message.offset()}"


def shown(value: object) -> str:
    """Return the beginning of a value, for a message."""
    return reprlib.repr(value)


def sign_of(headers: Headers) -> int:
    """Return +1 for a record that adds its row, -1 for one that retracts it."""
    ops = [value for name, value in headers or () if name == "op"]
    if not ops:
        return 1
    sign = SIGN_BY_OP.get(ops[0])
    if sign is None or len(ops) > 1:
        raise RecordError(f"header op must be one byte from 0 to 3, got {shown(ops)}")
    return sign


class Tombstone(NamedTuple):
    """Stands for a null value of an upsert table, which deletes the user its key names."""

    key: bytes | None


Entry = bytes | Tombstone
Broken = dict[Entry, RecordError]
Sources = dict[str, tuple[Row, bytes]]  # rows by user, with the values they were read from


@dataclass
class Batch:
    """What was read since the last step, with all that cancels taken out before anything is decoded."""

    changelog_mode: str
    n_records: int = 0
    ops_seen: bool = False  # whether any record had an op header, so far
    keys_seen: bool = False
    bad: list[BadRecord] = field(default_factory=list)
    net: dict[Entry, int] = field(default_factory=dict)

    def take(self, messages: Sequence[Record]) -> None:
        """Add records."""
        self.n_records += len(messages)
        if self.changelog_mode != "retract":
            self._keep_last(messages)
            return
        if not self.ops_seen:
            self.ops_seen = any(name == "op" for message in messages for name, _ in message.headers() or ())
            self.keys_seen = self.keys_seen or any(message.key() is not None for message in messages)
        self._sum_up(messages)

    def entry(self, message: Record) -> Entry:
        """Return what stands for a record in `net`; RecordError if it is no change at all."""
        value = message.value()
        if value is not None:
            return value
        if self.changelog_mode != "upsert":
            raise RecordError("no value (a tombstone); for an upsert table use --changelog-mode upsert")
        return Tombstone(message.key())

    def _sum_up(self, messages: Sequence[Record]) -> None:
        """A row that is added and retracted cancels. One that is added moves to the end: the last stays the last."""
        net, sign_by_op = cast(dict[bytes | None, int], self.net), SIGN_BY_OP.get
        for message in messages:
            headers, value, sign = message.headers(), message.value(), 1
            if headers:
                name, op = headers[0]
                sign = sign_by_op(op, 0) if name == "op" and len(headers) == 1 else 0  # nearly all
            if value is None or not sign:
                sign = self._sign_of(message)
            if sign > 0:
                if value not in net:
                    net[value] = 1
                elif (count := net.pop(value)) != -1:
                    net[value] = count + 1
            elif sign:
                if (count := net.get(value, 0)) == 1:
                    del net[value]
                else:
                    net[value] = count - 1

    def _sign_of(self, message: Record) -> int:
        """Return what any headers say; 0 for a record that is no change, which is kept as bad."""
        try:
            self.entry(message)
            return sign_of(message.headers())
        except RecordError as error:
            self.bad.append(BadRecord(message, error))
            return 0

    def _keep_last(self, messages: Sequence[Record]) -> None:
        """Of equal records the last is enough."""
        for message in messages:
            try:
                entry = self.entry(message)
            except RecordError as error:
                self.bad.append(BadRecord(message, error))
                continue
            self.net.pop(entry, None)
            self.net[entry] = 1

    def clear(self) -> None:
        """Begin anew after a step, which has taken `net` already."""
        self.n_records, self.bad = 0, []


def blocks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut into pieces of BLOCK."""
    return (items[start : start + BLOCK] for start in range(0, len(items), BLOCK))


def apply_retract(net: Mapping[Entry, int], reader: AvroReader, table: UserTable) -> tuple[Sources, Broken]:
    """Add and retract the rows of a retract changelog.

    Returns the rows, by user, and the entries that cannot be read. Retractions come first: a user's new row then finds
    the old one gone, which is what a table does fastest.
    """
    sources: Sources = {}
    broken: Broken = {}
    retracted = [value for value, count in net.items() if count < 0]
    added = [value for value, count in net.items() if count > 0]
    for entries in (retracted, added):
        for values in blocks(cast(list[bytes], entries)):
            values, rows = sound(values, user_rows(reader.all_fields(values)), broken)
            table.add_all(rows, map(net.__getitem__, values))
            if entries is added:
                sources.update({user_id: (row, value) for value, (user_id, row) in zip(values, rows, strict=True)})
    return sources, broken


def sound(
    values: Sequence[bytes], rows: list[tuple[str, Row] | RecordError], broken: Broken
) -> tuple[Sequence[bytes], list[tuple[str, Row]]]:
    """Return values that are rows, and these; what is wrong with the others goes into `broken`."""
    wrong: Broken = {value: row for value, row in zip(values, rows, strict=True) if isinstance(row, RecordError)}
    if not wrong:
        return values, cast(list[tuple[str, Row]], rows)
    broken.update(wrong)
    return [each for each in values if each not in wrong], [row for row in rows if not isinstance(row, RecordError)]


def apply_last(
    net: Iterable[Entry], reader: AvroReader, table: UserTable, keys: KeyCodec | None
) -> tuple[Sources, Broken]:
    """Let the last record of each user win; `keys` reads the keys of tombstones."""
    broken: Broken = {}
    for entries in blocks(list(net)):
        rows = iter(user_rows(reader.all_fields([entry for entry in entries if isinstance(entry, bytes)])))
        for entry in entries:
            try:
                if isinstance(entry, Tombstone):
                    if entry.key is None or keys is None:
                        raise RecordError("no key and no value")
                    table.replace(keys.decode(entry.key), None)
                elif isinstance(row := next(rows), RecordError):
                    raise row
                else:
                    table.replace(*row)
            except RecordError as error:
                broken[entry] = error
    return {}, broken


# ------------------------------------------------------------------------------------------ user table

Multiset = dict[Row, int]  # row -> how often it was added less how often it was retracted
# Nearly every multiset is empty or one row once: then it is written as () or as the row, a third of a dict's size.
Known = Multiset | Row | tuple[()]
# What `user_labeling` has to be told: user_id, row (None: the user is gone), label, what is known beside {row: 1}.
Change = tuple[str, Row | None, int, Multiset]


@dataclass
class Changes:
    """Many changes by column: as objects, a million of them would take three times the memory."""

    labels: dict[str, int] = field(default_factory=dict)  # whom they are of, with NO_LABEL for users gone
    rows: dict[str, Row] = field(default_factory=dict)  # of users who are not gone, and maybe of others
    pending: dict[str, Multiset] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[Change]:
        pending = map(self.pending.get, self.labels, itertools.repeat(NOTHING))
        return zip(self.labels, map(self.rows.get, self.labels), self.labels.values(), pending, strict=False)


class UserTable:
    """One row per user, whatever the order in which its parts arrive.

    Each user is a signed multiset of rows. A retraction may come before its row; then the count is
    negative for a while. The current row is the one added last whose count is positive. A user without
    one keeps the last current row until dropped.

    `add_all` and `replace` collect; `settle` and `drop` decide; `relabel` tells what to write. The shown rows
    lie in the order of user_id, so that labels depend on the table alone.
    """

    def __init__(self) -> None:
        self.user_ids: list[str] = []
        self.totals: NDArray[np.float64] = np.empty((0, 2))  # the shown rows, as KMeans takes them
        self.labels: NDArray[np.int32] = np.empty(0, np.int32)  # as last told; NO_LABEL where the row is news
        self.absent: set[str] = set()  # users shown without having a current row
        self._rows: dict[str, Row] = {}  # shown, by user
        self._pending: dict[str, Multiset] = {}  # what is known of a user beside {shown row: 1}
        self._touched: dict[str, Known] = {}  # all that is known of users since `settle`
        self._changed: set[str] = set()  # since `relabel`: users gone, and users whose pending rows changed

    def __len__(self) -> int:
        return len(self.user_ids)

    @property
    def rows(self) -> list[Row]:
        """The shown rows, in the order of user_id."""
        return [self._rows[user_id] for user_id in self.user_ids]

    @property
    def n_waiting(self) -> int:
        """Number of users known by retractions alone."""
        return sum(user_id not in self._rows for user_id in self._pending)

    def row(self, user_id: str) -> Row | None:
        """Return the row that is shown for a user."""
        return self._rows.get(user_id)

    def add_all(self, rows: Iterable[tuple[str, Row]], counts: Iterable[int]) -> None:
        """Add rows of users as often as `counts` says; a negative count retracts."""
        touched, shown, pending = self._touched, self._rows, self._pending
        for (user_id, row), count in zip(rows, counts, strict=True):
            known = touched.get(user_id)
            if known is None:
                known = self._known(user_id) if user_id in pending else shown.get(user_id, ())
            if count == 1 and not known:
                touched[user_id] = row
            elif count == -1 and known == row:
                touched[user_id] = ()
            else:
                touched[user_id] = added(known, row, count)

    def replace(self, user_id: str, row: Row | None) -> None:
        """Make `row` all that is known of a user."""
        self._touched[user_id] = row or ()

    def load(self, changes: Changes, *, confirmed: bool) -> None:
        """Fill an empty table with what `user_labeling` says.

        Not `confirmed`: the users are shown, but have no current row until the input tells one.
        """
        self._rows, self.user_ids = changes.rows, sorted(changes.rows)
        self.totals = as_array(map(self._rows.__getitem__, self.user_ids))
        self.labels = np.fromiter(map(changes.labels.__getitem__, self.user_ids), np.int32)
        pending = {user_id: pending for user_id, pending in changes.pending.items() if pending}
        if confirmed:
            self._pending = pending
            users = pending.keys() & self._rows.keys()
            self.absent = {user_id for user_id in users if current_row(self._known(user_id)) is None}
        else:
            self._touched = dict.fromkeys(self._rows, ())
            self._changed = pending.keys() - self._rows.keys()

    def settle(self) -> None:
        """Choose the current row of every user touched."""
        new: dict[str, Row] = {}
        changed: dict[str, Row] = {}
        for user_id, known in self._touched.items():
            before, current = self._rows.get(user_id), current_row(known)
            if current is None:
                current = before
                if before is not None:
                    self.absent.add(user_id)
            else:
                self.absent.discard(user_id)
                if before is None:
                    new[user_id] = current
                elif current != before:
                    changed[user_id] = current
            if known is not current or user_id in self._pending:
                self._keep(user_id, known, current)
        self._touched = {}
        self._show(new, changed)

    def drop(self, user_ids: AbstractSet[str]) -> None:
        """Show those of the users no more who have no current row."""
        gone = self.absent & user_ids
        for user_id in gone:
            self._keep(user_id, self._known(user_id), None)
            del self._rows[user_id]
        self.absent -= gone
        self._changed |= gone
        if gone:
            kept = [user_id not in gone for user_id in self.user_ids]
            self.user_ids = list(itertools.compress(self.user_ids, kept))
            self.totals, self.labels = self.totals[kept], self.labels[kept]

    def most_rows(self) -> tuple[int, str]:
        """Return the largest number of rows that one user has at once, and that user."""
        pending = ((1 + sum(count > 0 for count in self._pending[each].values()), each) for each in self._pending)
        return max(pending, default=(0, ""))

    def relabel(self, labels: NDArray[np.int32]) -> Changes:
        """Take the labels of a fit, in the order of user_id; return what changed since the last time.

        What is returned holds until the table is touched again.
        """
        gone = sorted(user_id for user_id in self._changed if user_id not in self._rows)
        at = labels != self.labels
        at[self._places(sorted(user_id for user_id in self._changed if user_id in self._rows))] = True
        places = np.flatnonzero(at)
        user_ids = gone + [self.user_ids[place] for place in places.tolist()]
        self.labels = labels.copy()  # those of the caller stay as they are
        self._changed.clear()
        told = itertools.chain(itertools.repeat(NO_LABEL, len(gone)), labels[places].tolist())
        return Changes(dict(zip(user_ids, told, strict=True)), self._rows, self._pending)

    def _known(self, user_id: str) -> Known:
        """Return all that is known of a user: the shown row once, and what is pending."""
        shown, pending = self._rows.get(user_id), self._pending.get(user_id)
        if pending is None:
            return shown or ()
        return dict(pending) if shown is None else added(dict(pending), shown, 1)

    def _keep(self, user_id: str, known: Known, shown: Row | None) -> None:
        """Keep as pending what is known beside {shown: 1}."""
        rows = as_multiset(known)
        if shown is not None and (count := rows.pop(shown, 0) - 1):
            rows[shown] = count
        if rows == self._pending.get(user_id, NOTHING):
            return
        self._changed.add(user_id)
        if rows:
            self._pending[user_id] = rows
        else:
            del self._pending[user_id]

    def _show(self, new: Mapping[str, Row], changed: Mapping[str, Row]) -> None:
        """Show rows, making room for new users."""
        self._rows.update(new)
        self._rows.update(changed)
        if new:
            user_ids = sorted(new)
            at = self._places(user_ids)
            self.totals = np.insert(self.totals, at, as_array(map(new.__getitem__, user_ids)), axis=0)
            self.labels = np.insert(self.labels, at, NO_LABEL)
            # Two sorted runs, which Python's sort makes use of.
            self.user_ids = sorted(self.user_ids + user_ids) if self.user_ids else user_ids
        if changed:
            user_ids = sorted(changed)
            at = self._places(user_ids)
            self.totals[at] = as_array(map(changed.__getitem__, user_ids))
            self.labels[at] = NO_LABEL

    def _places(self, user_ids: Iterable[str]) -> list[int]:
        """Return where users are, or would be, in the order of user_id; they come in this order, too."""
        place = 0
        return [place := bisect.bisect_left(self.user_ids, user_id, place) for user_id in user_ids]


def as_array(rows: Iterable[Row]) -> NDArray[np.float64]:
    """Return rows as an array of shape (n_rows, 2)."""
    return np.fromiter(itertools.chain.from_iterable(rows), np.float64).reshape(-1, 2)


def current_row(known: Known) -> Row | None:
    """Return the row added last whose count is positive."""
    if isinstance(known, tuple):
        return known or None
    return next((row for row in reversed(known) if known[row] > 0), None)


def as_multiset(known: Known) -> Multiset:
    """Write a multiset out."""
    if isinstance(known, tuple):
        return {known: 1} if known else {}
    return known


def added(known: Known, row: Row, count: int) -> Multiset:
    """Add a row; the one added last lies last."""
    rows = as_multiset(known)
    total = (rows.pop(row, 0) if count > 0 else rows.get(row, 0)) + count
    if total:
        rows[row] = total
    else:
        rows.pop(row, None)
    return rows


NOTHING: Multiset = {}
NO_LABEL = -1  # a row not labelled yet


# ------------------------------------------------------------------------------------------ clustering

RANDOM_STATE = 42


class Clusters(NamedTuple):
    """The result of one fit."""

    labels: NDArray[np.int32]  # shape (n_users,)
    centers: NDArray[np.float64]  # shape (n_clusters, 2), ascending total_amount


@contextlib.contextmanager
def imported_meanwhile(module: str) -> Iterator[None]:
    """Import a module beside what is done here. Limits on threads have to be set by the thread that fits."""
    thread = threading.Thread(target=importlib.import_module, args=(module,))
    thread.start()
    try:
        yield
    finally:
        thread.join()  # the interpreter's end would break an import under way off, with a traceback


@functools.cache
def kmeans_class() -> Any:
    """Import scikit-learn once (1.5 s) and keep it to one thread: a second one never helped, and sums
    taken in one order make the labels the same on every machine."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    threadpool_limits(limits=1)
    return KMeans


def one_hot_totals(totals: NDArray[np.float64]) -> Any:
    """Encode users with one row each: the one-hot encoding of user_id is the identity matrix.

    Parameters
    ----------
    totals : ndarray of shape (n_users, 2)
        Rows in the order of user_id. Column 0 total_amount, in the currency of transactions_enriched;
        column 1 num_transactions, a count.

    Returns
    -------
    csr_matrix of shape (n_users, n_users + 2)
    """
    from scipy.sparse import csr_matrix

    n_users = len(totals)
    data = np.column_stack((np.ones(n_users), totals))
    return csr_matrix((data.ravel(), *one_hot_places(n_users)), shape=(n_users, n_users + 2))


@functools.lru_cache(maxsize=1)
def one_hot_places(n_users: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return columns and row starts of that matrix, which stay the same while users only spend."""
    indices = np.empty((n_users, 3), np.int32)
    indices[:, 0], indices[:, 1], indices[:, 2] = np.arange(n_users), n_users, n_users + 1
    return indices.ravel(), np.arange(0, 3 * n_users + 1, 3, dtype=np.int32)


def cluster(totals: NDArray[np.float64], n_clusters: int, n_init: int | str = "auto") -> Clusters:
    """Fit KMeans on one-hot user_id and totals, and number the clusters by what they spend.

    Parameters
    ----------
    totals : ndarray of shape (n_users, 2)
        As for `one_hot_totals`.
    n_clusters : int
        With fewer users than that, every label is 0.
    n_init : int or 'auto'
        Runs of k-means++, the one of least inertia counts; 'auto' is one.

    Returns
    -------
    Clusters
        Label 0 is the cluster whose centre has the smallest total_amount.

    References
    ----------
    Lloyd, S. P. (1982), "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28(2).
    Arthur, D. and Vassilvitskii, S. (2007), "k-means++: the advantages of careful seeding", SODA.
    """
    if len(totals) < n_clusters:
        mean = totals.mean(axis=0, keepdims=True) if len(totals) else np.empty((0, 2))
        return Clusters(np.zeros(len(totals), np.int32), mean)
    model = kmeans_class()(
        n_clusters=n_clusters,
        init="k-means++",
        n_init=n_init,
        random_state=RANDOM_STATE,
        copy_x=False,  # a CSR matrix is only read
    )
    with warnings.catch_warnings():
        # "Fewer distinct clusters than n_clusters": beside totals of 1e16 the one-hot part is lost to rounding.
        warnings.simplefilter("ignore")
        found = model.fit_predict(one_hot_totals(totals))
    centers = model.cluster_centers_[:, -2:]
    ascending = np.lexsort((centers[:, 1], centers[:, 0]))
    rank = np.empty(n_clusters, np.int32)
    rank[ascending] = np.arange(n_clusters, dtype=np.int32)
    return Clusters(rank[found], centers[ascending])


# ----------------------------------------------------------------------------------------------- Kafka

CALL_TIMEOUT_SECONDS = 5.0  # one call to the brokers; bounds how long a signal has to wait
CONNECT_SECONDS = 15.0  # how long the first answer of the brokers may take
POLL_SECONDS = 0.1  # how long to wait for records; bounds the delay of a label
CHUNK = 2_000  # records taken at once at most; as many stay in a processor's cache until all is done with them
LABELS_AT_ONCE = 20_000  # users of whom the last label is kept before labels are decoded; earlier ones never are
BLOCK = 1_000  # records decoded or encoded at once; what this takes fits into a processor's cache
WATCH_SECONDS = 10.0  # between two looks at the topic's partitions


class Kafka:
    """The brokers: makes the clients, and repeats calls through an outage once connected."""

    def __init__(self, settings: Settings, stop: StopRequest) -> None:
        self._settings, self._stop = settings, stop
        self._connected: set[str] = set()  # sections whose credentials were accepted
        self.outage = Outage(f"Kafka {settings.consumer['bootstrap.servers']}")
        self.complaint: KafkaError | None = None  # the last thing a client said outside of a call

    def consumer(self) -> Consumer:
        """Make the consumer."""
        return self._make(Consumer, "consumer", self._settings.consumer_properties)

    def producer(self, on_failure: Callable[[KafkaError, Message], None] = lambda error, message: None) -> Producer:
        """Make the producer."""
        reports = {"delivery.report.only.error": True, "on_delivery": on_failure}
        return self._make(Producer, "producer", {**self._settings.producer_properties, **reports})

    def connect(self, client: Consumer | Producer, section: str) -> None:
        """Wait for the first answer; raise what is wrong with address, certificate or credentials."""
        give_up = time.monotonic() + CONNECT_SECONDS
        while section not in self._connected:
            try:
                client.list_topics(timeout=1.0)
                self._connected.add(section)
            except KafkaException as exception:
                client.poll(0)  # calls _note_error, which knows more than "timed out"
                error = classify(self.complaint or exception.args[0], "reach the brokers")
                late = time.monotonic() >= give_up or self._stop.requested
                if late or not isinstance(error, BrokerUnavailable):
                    where = f"[{section}] bootstrap.servers and security.protocol"
                    raise type(error)(f"{self.outage.service}: {error}; see {where}") from None

    def call(self, doing: str, call: Callable[[], T]) -> T:
        """Return what the call returns; raise what it means. An outage is waited out."""
        while True:
            try:
                answer = call()
            except KafkaException as exception:
                error = self.meaning(exception.args[0], doing)
                if not isinstance(error, BrokerUnavailable) or self._stop.requested:
                    raise error from None
                self.outage.begins(f"{error} ({self.complaint.str()})" if self.complaint else error)
                time.sleep(RETRY_SECONDS)
            else:
                self.outage.ends()
                self.complaint = None
                return answer

    def aside(self, doing: str, call: Callable[[], None], meanwhile: Callable[[], object]) -> None:
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
            except FutureTimeout:
                self.outage.begins(f"cannot {doing}: no answer")
                raise RestoreNeeded(f"no answer to: {doing}") from None

    def meaning(self, error: KafkaError, doing: str) -> ClassifierError:
        """Classify an error of any client; some rights are asked for behind the scenes."""
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
        return self._make(AdminClient, section, {k: v for k, v in properties.items() if k.startswith(shared)})

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
            raise ConfigError(unknown_property(section, properties, str(error))) from None

    def _note_error(self, error: KafkaError) -> None:
        if error.code() != KafkaError._ALL_BROKERS_DOWN:
            self.complaint = error


class Source:
    """Every partition of one topic, from given offsets on, committed records only."""

    def __init__(
        self,
        kafka: Kafka,
        consumer: Consumer,
        topic: str,
        offsets: Mapping[int, int],
        polled: Callable[[], object] = lambda: None,
    ) -> None:
        self._polled = polled  # told of each poll
        self.topic, self._kafka, self._consumer, self._partitions = topic, kafka, consumer, set(offsets)
        # partition -> offset of the next record; complete from the start, so that every commit covers them all
        self.positions = {partition: at for partition, at in offsets.items() if at >= 0}
        self._at_end: set[int] = set()
        consumer.assign([TopicPartition(topic, partition, at) for partition, at in offsets.items()])

    @property
    def n_partitions(self) -> int:
        """Number of partitions being read."""
        return len(self._partitions)

    @property
    def at_end(self) -> bool:
        """Whether every partition has been read to its end."""
        return self._at_end == self._partitions

    def lag(self) -> dict[int, int]:
        """Return how many records each partition is behind, as far as the client has heard."""
        ends = {
            partition: self._consumer.get_watermark_offsets(TopicPartition(self.topic, partition), cached=True)
            for partition in self.positions
        }
        return {partition: max(0, high - self.positions[partition]) for partition, (_, high) in ends.items()}

    def read(self, limit: int, timeout: float) -> list[Record]:
        """Return up to `limit` records; wait up to `timeout` seconds for them."""
        self._polled()
        messages = cast(list[Record], self._consumer.consume(limit, timeout))
        records = [message for message in messages if message.error() is None]
        if len(records) < len(messages):
            messages = [message for message in messages if self._is_record_or_end(message)]
        last = {message.partition(): message for message in messages}
        for partition, message in last.items():
            error = message.error()
            if error is None:
                self.positions[partition] = message.offset() + 1
                self._at_end.discard(partition)
            elif error.code() == KafkaError._PARTITION_EOF:
                self.positions[partition] = message.offset()
                self._at_end.add(partition)
        return records

    def _is_record_or_end(self, message: Record) -> bool:
        """Raise what a consumer error means. One that passes has no place: the client repairs connections by itself."""
        error = message.error()
        if error is None or error.code() == KafkaError._PARTITION_EOF:
            return True
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            raise StateError(
                f"{self.topic} [{message.partition()}]: the record to read next was deleted by retention"
                f" ({error.str()}); run again with --rebuild"
            )
        meaning = self._kafka.meaning(error, f"read topic {self.topic}")
        if not isinstance(meaning, BrokerUnavailable):
            raise meaning
        return False


def committed_offsets(consumer: Consumer, wanted: list[TopicPartition]) -> list[TopicPartition]:
    """Return the group's offsets. One that cannot be told is not one that is missing: its records would count twice."""
    found = consumer.committed(wanted, CALL_TIMEOUT_SECONDS)
    for each in found:
        if each.error is not None:
            raise KafkaException(each.error)
    return found


def partitions_of(consumer: Consumer, topic: str) -> list[int]:
    """Return the partitions of a topic, none where it does not exist."""
    found = consumer.list_topics(topic, CALL_TIMEOUT_SECONDS).topics[topic]
    if found.error is not None and found.error.code() not in MISSING:
        raise KafkaException(found.error)
    return sorted(found.partitions)


class Deliveries:
    """What became of the records of a transaction. It does not know the producer: a cycle of the two would stay
    in memory, threads and all, after every restore."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self.refusal: ClassifierError | None = None  # of a record that would be refused again
        self.failed = False  # whether a record of this transaction was not delivered

    def note_failure(self, error: KafkaError, message: Message) -> None:
        """Take the producer's report."""
        self.failed = True
        if error.code() in DENIED | REFUSED:
            self.refusal = self._kafka.meaning(error, f"write topic {message.topic()}")


class Sink:
    """One Kafka transaction per step: labels, dead letters and input offsets, all or none.

    Exactly once into `user_labeling` for a read_committed reader; one active instance.
    """

    def __init__(self, kafka: Kafka, consumer: Consumer, transactional_id: str) -> None:
        self._kafka, self._consumer, self._deliveries = kafka, consumer, Deliveries(kafka)
        self._producer = kafka.producer(self._deliveries.note_failure)
        self._doing = f"write transactional.id {transactional_id}"
        kafka.connect(self._producer, "producer")
        # Fences older instances, and ends a transaction that one of them left open.
        kafka.call(self._doing, lambda: self._producer.init_transactions(CALL_TIMEOUT_SECONDS))

    def write(self, records: Iterable[OutputRecord], offsets: list[TopicPartition]) -> None:
        """Produce records and commit offsets; TransactionAborted leaves neither."""
        call, producer = self._kafka.call, self._producer
        self._deliveries.failed = False
        try:
            call(self._doing, producer.begin_transaction)
            for record in records:
                if not self._produce(record):
                    break  # the transaction has failed; the calls below say why
            group = self._consumer.consumer_group_metadata()
            send = functools.partial(producer.send_offsets_to_transaction, offsets, group, CALL_TIMEOUT_SECONDS)
            doing, aside = "commit offsets of the group", self._kafka.aside
            # Beside each other, records and offsets take two thirds of the time.
            call(doing, lambda: aside(doing, send, lambda: self._flush(POLL_SECONDS)))
            self._drain()
            call(self._doing, lambda: producer.commit_transaction(CALL_TIMEOUT_SECONDS))
        except (TransactionAborted, AccessDenied, KafkaFailed):
            # Readers of the output need not wait for the time-out, and a timed-out instance hears whether a newer one
            # has taken over. Whatever else the abort says, the producer that restores ends the transaction.
            with contextlib.suppress(AccessDenied, KafkaFailed):
                call(self._doing, lambda: producer.abort_transaction(CALL_TIMEOUT_SECONDS))
            if self._deliveries.refusal is not None:  # trying again would fail again
                raise self._deliveries.refusal from None
            raise

    def _produce(self, record: OutputRecord) -> bool:
        """Queue a record; return False once the transaction takes no more of them."""
        topic, key, value, headers = record
        while True:
            try:
                self._producer.produce(topic, value, key, headers=headers)
                return True
            except BufferError:  # the queue is full: let it drain
                self._flush(POLL_SECONDS)
            except KafkaException as exception:
                if exception.args[0].code() == KafkaError._STATE:
                    return False
                raise self._kafka.meaning(exception.args[0], f"write topic {topic}") from None

    def _drain(self) -> None:
        """Wait until all records are delivered, or the transaction has failed; the commit tells which."""
        left = len(self._producer)
        while left and not self._deliveries.failed:
            before, left = left, self._flush(CALL_TIMEOUT_SECONDS)
            if left == before:
                self._kafka.outage.begins("takes no records")

    def _flush(self, timeout: float) -> int:
        """Let the producer work; return how many records are left."""
        try:
            return self._producer.flush(timeout)
        except (KafkaException, SystemError) as error:
            # A fatal error comes out of the client's own callback, inside a SystemError if a delivery failed, too.
            fatal = error if isinstance(error, KafkaException) else error.__cause__
            if not isinstance(fatal, KafkaException):
                raise
            raise self._kafka.meaning(fatal.args[0], self._doing) from None


def dead_letter(bad: BadRecord, topic: str) -> OutputRecord:
    """Return a bad record as it came, with the headers Kafka Streams gives to dead letters."""
    message, error = bad
    cause = {
        "exception": type(error).__name__,
        "message": str(error),
        "topic": message.topic(),
        "partition": message.partition(),
        "offset": message.offset(),
    }
    headers = [(f"__streams.errors.{name}", str(value).encode()) for name, value in cause.items()]
    return topic, message.key(), message.value(), (message.headers() or []) + headers


# ----------------------------------------------------------------------------------------------- state

# State lives in `user_labeling`: the row and label of each user, and what else is known of it in a header.
OTHER_OUTPUT = "choose another output with -o, or make the topic anew and run with --rebuild"
PENDING = "pending"  # header: JSON list of [total_amount, num_transactions, count]
# Metadata of every committed offset.
MARK = re.compile(
    r"user_classifier/1 users=(?P<users>\d+)(?: waiting=(?P<waiting>\d+))?"
    r"(?P<layout>(?: partitions=\d+)?(?: keys=avro)?)(?: mode=(?P<mode>\w+))?(?: k=(?P<k>\d+))?"
)


def mark(table: UserTable, mode: str, chosen: int | None = None, layout: str = "") -> str:
    """Return the metadata that says how many users of the output belong to these offsets.

    `waiting` counts users known by retractions alone. Their record is a tombstone, which compaction removes
    after delete.retention.ms (1 day): that is how long a retraction can wait for its row over a restart.
    `mode` is the changelog mode, nothing for retract. `k` is the number of clusters that -k auto has chosen.
    `layout` is as `layout_of` gives it.
    """
    read_as = "" if mode == "retract" else f" mode={mode}"
    waiting = f" waiting={table.n_waiting}" if table.n_waiting else ""
    k = f" k={chosen}" if chosen else ""
    return f"user_classifier/1 users={len(table)}{waiting}{layout}{read_as}{k}"


def layout_of(n_partitions: int, keys: KeyCodec) -> str:
    """Return what decides where the records of a user lie in the output, nothing for one partition and plain keys."""
    return (f" partitions={n_partitions}" if n_partitions > 1 else "") + (" keys=avro" if keys.are_avro else "")


def check_layout(committed: Iterable[TopicPartition], output: str, layout: str) -> None:
    """Raise StateError where a user's old and new records lie in two partitions, and the old may be read last."""
    for before in {match["layout"] for match in marks_of(committed)} - {layout}:
        then, now = ((each or " partitions=1").strip().replace(" ", ", ") for each in (before, layout))
        raise StateError(f"{output} has changed under the labels (then {then}; now {now}); {OTHER_OUTPUT}")


def marks_of(committed: Iterable[TopicPartition]) -> list[re.Match[str]]:
    """Return the marks beside offsets."""
    return [match for each in committed if (match := MARK.match(each.metadata or ""))]


def chosen_before(committed: Iterable[TopicPartition]) -> int | None:
    """Return the number of clusters in the marks beside the offsets, None if none was chosen."""
    return next((int(match["k"]) for match in marks_of(committed) if match["k"]), None)


def label_records(
    changes: Iterable[Change], keys: KeyCodec, values: LabelCodec, topic: str, sources: Sources | None = None
) -> Iterator[OutputRecord]:
    """Encode what is to be told of each user; a user who is gone becomes a tombstone."""
    left = iter(changes)
    while chunk := list(itertools.islice(left, BLOCK)):
        labelled = [(user_id, row, label) for user_id, row, label, _ in chunk if row]
        encoded = iter(values.encode(labelled, sources or {}))
        for key, (_, row, _, pending) in zip(keys.encode([change[0] for change in chunk]), chunk, strict=True):
            headers = pending_headers(pending) if pending else None
            yield topic, key, next(encoded) if row else None, headers


def pending_headers(pending: Multiset) -> Headers:
    """Return the header that keeps what is pending."""
    return [(PENDING, json.dumps([[*row, count] for row, count in pending.items()]).encode())]


def pending_of(message: Record) -> Multiset:
    """Decode what `pending_headers` encoded."""
    headers = message.headers()
    if not headers:
        return NOTHING
    try:
        known = [row for name, value in headers if name == PENDING for row in json.loads(value)]
        return {(float(amount), int(number)): int(count) for amount, number, count in known}
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise StateError(f"{place(message)}: not written by user_classifier ({error})") from None


def read_labels(source: Source, keys: KeyCodec, values: LabelCodec, stop: StopRequest) -> Changes:
    """Read `user_labeling` to its end and return the last word on every user."""
    last, newest = Changes(), dict[bytes | None, Record]()
    while not source.at_end and not stop.requested:
        newest.update({message.key(): message for message in source.read(CHUNK, POLL_SECONDS)})
        if len(newest) >= LABELS_AT_ONCE or source.at_end:
            take_labels(newest, last, keys, values)
            newest.clear()
    return last


def take_labels(messages: Mapping[bytes | None, Record], last: Changes, keys: KeyCodec, values: LabelCodec) -> None:
    """Decode labels, by their keys, into `last`; StateError for what this client does not write."""
    if None in messages:
        raise StateError(f"{place(messages[None])}: not written by user_classifier (no key); {OTHER_OUTPUT}")
    held = [message for message in messages.values() if message.value() is not None]
    try:
        labelled = values.decode([cast(bytes, message.value()) for message in held])
    except RecordError as error:
        topic = held[0].topic()
        raise StateError(f"{topic}: a value was not written by user_classifier ({error}); {OTHER_OUTPUT}") from None
    for message, (user_id, row, label) in zip(held, labelled, strict=True):
        last.labels[user_id], last.rows[user_id] = label, row
        if message.headers() or user_id in last.pending:
            last.pending[user_id] = pending_of(message)
    for message in messages.values():
        if message.value() is None:
            user_id = user_of(message, keys)
            last.labels[user_id], last.pending[user_id] = NO_LABEL, pending_of(message)
            last.rows.pop(user_id, None)


def user_of(message: Record, keys: KeyCodec) -> str:
    """Return the user whose tombstone this is."""
    try:
        return keys.decode(message.key() or b"")
    except RecordError as error:
        raise StateError(f"{place(message)}: not written by user_classifier ({error}); {OTHER_OUTPUT}") from None


def check_range(offsets: Mapping[int, TopicPartition], bounds: Mapping[int, tuple[int, int]], rebuild: str) -> None:
    """Raise StateError where the input no longer holds the records after a committed offset."""
    for partition, (low, high) in bounds.items():
        at = offsets[partition].offset
        where = f"{offsets[partition].topic} [{partition}]: the committed offset is {at}, but the topic"
        if at != OFFSET_INVALID and at < low:
            raise StateError(f"{where} now begins at {low} (retention deleted unread records); {rebuild}")
        if at > high:
            raise StateError(f"{where} ends at {high} (it was deleted and made again); {rebuild}")


def expected_users(committed: Iterable[TopicPartition], output: str, n_users: int, mode: str, rebuild: str) -> bool:
    """Compare the marks beside the offsets with the users found in the output and the changelog mode.

    Returns True to go on from the offsets, False to start empty; StateError when they do not fit.
    """
    marked = [each for each in committed if each.offset != OFFSET_INVALID]
    if not marked and n_users:
        raise StateError(f"{output} holds {n_users} users, but the group has no committed offsets; {rebuild}")
    for each in marked:
        where = f"{each.topic} [{each.partition}]: the committed offset {each.offset}"
        match = MARK.match(each.metadata or "")
        if match is None:
            raise StateError(f"{where} was not written by user_classifier, {output} holds {n_users} users; {rebuild}")
        if int(match["users"]) != n_users:
            raise StateError(f"{where} belongs to {match['users']} users, but {output} holds {n_users}; {rebuild}")
        if (before := match["mode"] or "retract") != mode:
            raise StateError(f"{where} was reached with --changelog-mode {before}, this is {mode}; {rebuild}")
    return bool(marked)


def warn_of_dropped(committed: Iterable[TopicPartition], n_waiting: int) -> None:
    """Say when compaction removed retractions that waited too long for their rows."""
    dropped = max(int(match["waiting"] or 0) for match in marks_of(committed)) - n_waiting
    if dropped > 0:
        log.warning(
            "%d retractions without a row were older than delete.retention.ms and are forgotten;"
            " should a total be wrong: --rebuild",
            dropped,
        )


# ------------------------------------------------------------------------------------------- run loop

FIRST_CATCH_UP_SECONDS = 10.0  # while behind: time until the first fit, if not many rows have come
STEP_SECONDS_PER_ROW = 1e-5  # what a step takes that labels as many users for the first time, as measured
REFRESH_SECONDS = 24 * 3600.0  # offsets.retention.minutes is 7 days
FEWEST_USERS = 3  # for which -k auto can choose; fewer are fewer than any number of clusters
LOOK_ATTEMPTS = 5  # to restore beside an instance that commits meanwhile
CATCH_UP_FACTOR = 10  # reading gets this many times what the last step took, or this one is going to
SQL_OF = {
    "transactions_aggregate": "run sql/3_create_transactions_aggregate.sql",
    "user_labeling": "run sql/5_create_user_labeling.sql",
}


def missing(topic: str, compacted: bool) -> str:
    """Say that a topic does not exist, and what makes it."""
    compact = " --config cleanup.policy=compact" if compacted else ""
    make = SQL_OF.get(topic, f"confluent kafka topic create {topic}{compact}")
    return f"topic {topic} does not exist; check its name, or make it: {make}"


def not_compacted(topic: str, policy: str) -> str:
    """Say what another cleanup.policy does to labels."""
    mend = f"confluent kafka topic update {topic} --config cleanup.policy=compact"
    return f"topic {topic} has cleanup.policy {policy}, so labels of quiet users will be deleted; to mend it: {mend}"


@dataclass
class Progress:
    """Decides when a step (fit, emit, commit) is due."""

    settings: Settings
    started: float
    last_end: float | None = None  # of the last step
    last_duration: float = FIRST_CATCH_UP_SECONDS / CATCH_UP_FACTOR
    records: int = 0  # since the last step
    rows: int = 0  # of these, what is left after netting

    def due(self, now: float, at_end: bool, absent: bool) -> bool:
        """Whether the time for a step has come.

        The end of the input is an event of its own: the first labels, and users without a row, wait
        for it even though no record follows. Without news, offsets are committed again before Kafka forgets them.
        """
        first, since = self.last_end is None, self.started if self.last_end is None else self.last_end
        if not (self.records or (at_end and (absent or first or now - since >= REFRESH_SECONDS))):
            return False
        if self.settings.batch_size and self.records >= self.settings.batch_size:
            return True
        if self.settings.until_end and at_end:  # nothing more is waited for
            return True
        wait = 0.0 if first else self.settings.batch_interval
        if not at_end:
            wait = max(wait, CATCH_UP_FACTOR * max(self.last_duration, STEP_SECONDS_PER_ROW * self.rows))
        return now - since >= wait

    def stepped(self, began: float, now: float) -> None:
        """Note a step."""
        self.last_end, self.last_duration, self.records, self.rows = now, now - began, 0, 0


class Step(NamedTuple):
    """What a report is told of a step."""

    user_ids: Sequence[str]
    totals: NDArray[np.float64]  # shape (n_users, 2)
    labels: NDArray[np.int32]
    centers: NDArray[np.float64]  # shape (n_clusters, 2)
    n_records: int
    n_changes: int
    fit_seconds: float
    commit_seconds: float
    lag: Mapping[int, int]  # records, by partition


def log_step(step: Step) -> None:
    """Log a step in one line, its numbers also as fields for --log-format json."""
    numbers = {
        "records": step.n_records,
        "users": len(step.user_ids),
        "changes": step.n_changes,
        "fit_ms": round(1000 * step.fit_seconds, 1),
        "commit_ms": round(1000 * step.commit_seconds, 1),
        "lag": sum(step.lag.values()),
    }
    line = "%d records, %d users, %d changes, fit %.0f ms, commit %.0f ms, lag %d"
    log.info(line, *numbers.values(), extra=numbers)


class Report(Protocol):
    """Something to look at, see reporting/."""

    def read(self, n_records: int, n_behind: int | None) -> None: ...
    def step(self, step: Step) -> None: ...


@dataclass
class Classifier:
    """gather -> net -> decode -> user table -> fit -> changed labels -> one Kafka transaction."""

    settings: Settings
    kafka: Kafka
    registry: SchemaRegistry
    stop: StopRequest
    clock: Callable[[], float] = time.monotonic
    report: Report | None = None
    count_bad: Callable[[int], None] = lambda n_records: None
    n_clusters: int | None = field(init=False)  # None until -k auto has chosen
    writes: ClassVar[bool] = True
    _written: Mapping[int, int] = field(default_factory=dict)  # the committed offsets, as this instance knows them

    def __post_init__(self) -> None:
        self.n_clusters = None if self.settings.auto_k else int(self.settings.n_clusters)

    def run(self) -> None:
        """Run until told to stop, restoring after every aborted transaction."""
        self.consumer = self.kafka.consumer()
        self.reader = AvroReader(self.registry)
        try:
            if self.writes:
                self.kafka.producer()  # so that a mistake in [producer] is told before anything is waited for
            self.kafka.connect(self.consumer, "consumer")
            self._check_topics()
            with imported_meanwhile("sklearn.cluster"):  # while brokers and registry are asked
                self.keys = KeyCodec(self.registry, self.settings.output)
                self.values = LabelCodec(self.registry, self.settings.output)
                upsert = self.settings.changelog_mode == "upsert"
                self.input_keys = KeyCodec(self.registry, self.settings.topic) if upsert else None
                self._rebuild = self.settings.rebuild
                while not self._try_session():
                    pass
        finally:
            self.consumer.close()
            self.registry.close()

    def _try_session(self) -> bool:
        """Return whether a session came to its end, and not to a point from which only a new one goes on."""
        try:
            self._session()
            return True
        except RestoreNeeded as reason:
            log.warning("%s; restoring from %s", reason, self.settings.output)
            return self.stop.requested

    def _session(self) -> None:
        """Restore, and follow the input."""
        self._restore()
        if not self.stop.requested:
            self._follow()

    def _check_topics(self) -> None:
        """Raise TopicMissing with what makes the topic; warn of an output that forgets."""
        settings = self.settings
        wanted = {settings.topic: "read", settings.output: "read"}
        if settings.error_handling_mode == "log":
            wanted[settings.error_handling_log_target] = "write"
        for topic, doing in wanted.items():
            if not self._partitions(topic, doing):
                raise TopicMissing(missing(topic, compacted=topic == settings.output))
        policy = self.kafka.cleanup_policy(settings.output)
        if policy not in (None, "compact"):
            log.warning(not_compacted(settings.output, policy))

    def _restore(self) -> None:
        """Rebuild the table from the output, and read the input from the offsets that belong to it."""
        settings = self.settings
        # First the producer: it ends what an older instance left open in the output and in the offsets.
        if self.writes:
            self.sink = Sink(self.kafka, self.consumer, settings.transactional_id)
        self.batch, self.table = Batch(settings.changelog_mode), UserTable()
        beginnings = dict.fromkeys(self._partitions(settings.output), OFFSET_BEGINNING)
        labels = Source(self.kafka, self.consumer, settings.output, beginnings, self._go_on)
        changes = read_labels(labels, self.keys, self.values, self.stop)
        self.consumer.unassign()  # an open fetch holds up the calls below for fetch.wait.max.ms each
        if self.stop.requested:
            return
        committed = self._committed()
        self._written = {partition: at.offset for partition, at in committed.items()}
        self._layout = layout_of(len(beginnings), self.keys)
        if changes.labels:
            check_layout(committed.values(), settings.output, self._layout)
        self._recall_clusters(committed.values())
        self.source = Source(self.kafka, self.consumer, settings.topic, self._load(changes, committed))
        self._began = dict(self.source.positions)
        # Users without a row at the last end. In a rebuild, those the input does not have: they go at the first end,
        # so that -k auto does not count them.
        self._leaving = set(self.table.user_ids) if self._rebuild else set[str]()
        # What was restored may hold rows whose headers another process saw.
        self.batch.ops_seen = len(self.table) > 0
        kmeans_class()  # imports scikit-learn while the first records arrive
        log.info("%s: %d users restored from %s", settings.topic, len(self.table), settings.output)

    def _load(self, changes: Changes, committed: Mapping[int, TopicPartition]) -> dict[int, int]:
        """Load the table; return the offset in each partition that belongs to it."""
        settings, again = self.settings, "to start over: run again with --rebuild"
        bounds = {partition: self._watermarks(at) for partition, at in committed.items()}
        n_users = len(changes.rows)
        if self._rebuild:
            self.table.load(changes, confirmed=False)
            return {partition: low for partition, (low, _) in bounds.items()}
        if not expected_users(committed.values(), settings.output, n_users, settings.changelog_mode, again):
            return {partition: at[settings.reset_to] for partition, at in bounds.items()}
        check_range(committed, bounds, again)
        self.table.load(changes, confirmed=True)
        warn_of_dropped(committed.values(), self.table.n_waiting)
        # A partition without an offset is a new one: from its beginning, whatever the file says.
        return {p: bounds[p][0] if at.offset == OFFSET_INVALID else at.offset for p, at in committed.items()}

    def _partitions(self, topic: str, doing: str = "read") -> list[int]:
        return self.kafka.call(f"{doing} topic {topic}", lambda: partitions_of(self.consumer, topic))

    def _committed(self) -> dict[int, TopicPartition]:
        wanted = [TopicPartition(self.settings.topic, p) for p in self._partitions(self.settings.topic)]
        found = self.kafka.call(
            f"read the offsets of group {self.settings.group}",
            lambda: committed_offsets(self.consumer, wanted),
        )
        return {each.partition: each for each in found}

    def _watermarks(self, at: TopicPartition) -> tuple[int, int]:
        watermarks = self.consumer.get_watermark_offsets
        return self.kafka.call(f"read topic {at.topic}", lambda: watermarks(at, CALL_TIMEOUT_SECONDS))

    def _follow(self) -> None:
        """Read and step until the end or a signal; what was read is then committed."""
        progress = Progress(self.settings, self.clock())
        next_look = self.clock() + WATCH_SECONDS
        while not self.stop.requested:
            self._gather(progress)
            at_end = self.source.at_end
            # With -k auto nothing is labelled before all has been read.
            if (at_end or self.n_clusters) and progress.due(self.clock(), at_end, bool(self.table.absent)):
                self._step(progress)
            if self.source.at_end and progress.last_end and not progress.records:
                self._check_retractions()  # steps may all have come before the end
                if self.settings.until_end and not self.table.absent:
                    return
            if self.clock() >= next_look:
                self._look_for_partitions()
                next_look = self.clock() + WATCH_SECONDS
        if self.n_clusters is None:
            log.info("stopped before -k auto could choose; the next start reads again what is not committed")
            return
        while progress.records or (self.source.at_end and self.table.absent):
            self._step(progress)
        log.info("stopped; %d users, offsets committed", len(self.table))

    def _go_on(self) -> bool:
        """Tell reports that the client is alive while it does not read the input; return whether it is to go on."""
        if self.report is not None:
            self.report.read(0, None)
        return not self.stop.requested

    def _recall_clusters(self, committed: Iterable[TopicPartition]) -> None:
        """With -k auto, take the number of clusters chosen at an earlier start."""
        if self.n_clusters is None and not self._rebuild and (chosen := chosen_before(committed)):
            self._take_clusters(chosen)
            log.info("-k auto: %d clusters, as chosen before", chosen)

    def _choose_clusters(self) -> bool:
        """With -k auto, choose when the end is first reached; return False if a signal came meanwhile.

        Too few users to choose are fewer than any number of clusters, too: all get label 0.
        """
        if self.n_clusters is None and (fits := self._compare()):
            from reporting.explore import best, table_lines

            for line in table_lines(fits, len(self.table)):
                log.info(line)
            self._take_clusters(best(fits).n_clusters)
            log.info("-k auto: %d clusters; kept until -k says otherwise", self.n_clusters)
        return self.n_clusters is not None or not self.stop.requested

    def _compare(self) -> list[Fit]:
        """Fit and score each number of clusters; none if the users are too few, or a signal came meanwhile."""
        from reporting.choice import compare

        if len(self.table) < FEWEST_USERS:
            return []
        log.info("comparing 2 to 10 clusters of %s users", f"{len(self.table):,}")
        try:
            return compare(self.table.totals, functools.partial(cluster, n_init=self.settings.n_init), self._go_on)
        except ChildProcessError as error:
            raise ClassifierError(f"numbers of clusters cannot be compared ({error}); give one, e.g. -k 3") from None

    def _take_clusters(self, chosen: int) -> None:
        self.n_clusters = chosen
        try:
            label_names(self.settings, chosen)
        except ValueError as error:
            n_names = str(self.settings.label_names).count(",") + 1
            raise ConfigError(f"-k auto has chosen {chosen}, but {error}; or choose yourself: -k {n_names}") from None

    def _settle(self, at_end: bool) -> Sources:
        """Take the batch into the table, and settle that; drop users who are without a row at two ends in a row.

        Of one transaction, some partitions can be read a moment before others. So at one end a user may be
        without a row whose old one has been taken back and whose new one is still to come. The next end is that of
        the next step, --batch-interval later.
        """
        sources = self._apply()
        self.table.settle()
        self._leaving &= self.table.absent
        if at_end:
            self.table.drop(self._leaving)
            self._leaving = set(self.table.absent)
            self._check_retractions()
        return sources

    def _gather(self, progress: Progress) -> None:
        """Take what has arrived."""
        size = self.settings.batch_size if self.writes and self.n_clusters else None
        limit = CHUNK if size is None else min(CHUNK, size - self.batch.n_records)
        messages = self.source.read(limit, POLL_SECONDS)
        if self.report is not None:
            self.report.read(len(messages), sum(self.source.lag().values()))
        self.batch.take(messages)
        progress.records, progress.rows = self.batch.n_records, len(self.batch.net)

    def _apply(self) -> Sources:
        """Take the batch into the table, and handle the records that cannot be read."""
        batch = self.batch
        if batch.changelog_mode == "retract":
            sources, broken = apply_retract(batch.net, self.reader, self.table)
        else:
            sources, broken = apply_last(batch.net, self.reader, self.table, self.input_keys)
        batch.net = {}
        batch.bad += self._records_of(broken) if broken else []
        if batch.bad:
            self._handle(batch.bad)
        return sources

    def _records_of(self, broken: Broken) -> list[BadRecord]:
        """Read the batch again, and return the records that are broken."""
        bad, until = list[BadRecord](), dict(self.source.positions)
        known = {(each.message.partition(), each.message.offset()) for each in self.batch.bad}
        again = Source(self.kafka, self.consumer, self.settings.topic, self._began)
        while any(again.positions[partition] < end for partition, end in until.items()):
            if self.stop.requested:
                raise RestoreNeeded("stopped while looking for the records that cannot be read")
            for message in again.read(CHUNK, POLL_SECONDS):
                partition, offset = message.partition(), message.offset()
                if (partition, offset) not in known and offset < until[partition]:
                    error = broken.get(self.batch.entry(message))
                    bad += [BadRecord(message, error)] if error else []
        self.source = Source(self.kafka, self.consumer, self.settings.topic, until)
        return bad

    def _check_retractions(self) -> None:
        """Raise StateError for a changelog that never retracts: its old rows would pile up as pending."""
        if self.settings.changelog_mode != "retract" or self.batch.ops_seen:
            return
        n_rows, user_id = self.table.most_rows()
        if n_rows > 1:
            again = " --rebuild" if any(offset != OFFSET_INVALID for offset in self._written.values()) else ""
            raise StateError(
                f"{self.settings.topic}: user_id {shown(user_id)} has {n_rows} rows and no record has an op header, so"
                " nothing ever retracts one; this is no retract changelog: run with --changelog-mode"
                f" {'upsert' if self.batch.keys_seen else 'append'}{again}"
            )

    def _handle(self, bad: list[BadRecord]) -> None:
        """Stop at, skip or keep records that cannot be read."""
        mode = self.settings.error_handling_mode
        bad.sort(key=lambda each: (each.message.partition(), each.message.offset()))
        if mode == "fail":
            raise RecordError(f"{bad[0]}; to skip such records: --error-handling-mode ignore, to keep them: log")
        self.count_bad(len(bad))
        log.warning("%d records cannot be read (mode %s), the first: %s", len(bad), mode, bad[0])

    def _step(self, progress: Progress) -> None:
        """Decode, fit, and write what changed together with the offsets."""
        began, settings, at_end = self.clock(), self.settings, self.source.at_end
        sources = self._settle(at_end)
        if self.n_clusters is None:
            if not self._choose_clusters():
                return
            began = self.clock()  # the comparison is no part of what steps take
        clusters = self._fit()
        changes = self.table.relabel(clusters.labels)
        fitted = self.clock()
        records = label_records(changes, self.keys, self.values, settings.output, sources)
        letters = self.batch.bad if settings.error_handling_mode == "log" else []
        self._write([dead_letter(bad, settings.error_handling_log_target) for bad in letters], records)
        self._rebuild = False
        now = self.clock()
        step = self._told(clusters, self.batch.n_records, len(changes), fitted - began, now - fitted)
        log_step(step)
        if self.report is not None:
            self.report.step(step)
        self.batch.clear()
        progress.stepped(began, now)

    def _fit(self) -> Clusters:
        """Fit the table; where -k auto could not choose yet, the users are fewer than any number of clusters."""
        return cluster(self.table.totals, self.n_clusters or FEWEST_USERS, self.settings.n_init)

    def _told(self, found: Clusters, n_records: int, n_changes: int, fit: float, commit: float) -> Step:
        """Return what reports are told of a step."""
        table, lag = self.table, self.source.lag()
        return Step(table.user_ids, table.totals, found.labels, found.centers, n_records, n_changes, fit, commit, lag)

    def _write(self, *records: Iterable[OutputRecord]) -> None:
        """Write records and positions together."""
        positions = dict(self.source.positions)
        chosen, began = self.n_clusters if self.settings.auto_k else None, time.time()
        metadata = mark(self.table, self.settings.changelog_mode, chosen, self._layout)
        try:
            offsets = [TopicPartition(self.settings.topic, *place, metadata) for place in positions.items()]
            self.sink.write(itertools.chain(*records), offsets)
        except ProducerFenced:
            # A transaction that takes too long (a suspended machine: hence the time of day) is fenced by the broker
            # itself. Nobody took over if the offsets are still ours.
            frozen = time.time() - began > self.settings.transaction_timeout
            if frozen and {p: at.offset for p, at in self._committed().items()} in (self._written, positions):
                raise TransactionAborted("the transaction timed out") from None
            raise
        self._written, self._began = positions, positions

    def _look_for_partitions(self) -> None:
        """Restore when the topic has grown."""
        if len(self._partitions(self.settings.topic)) > self.source.n_partitions:
            raise PartitionsAdded(f"topic {self.settings.topic} has new partitions")


class Look(Classifier):
    """A classifier without a Sink: it restores, reads to the end of the input and shows what it found."""

    writes: ClassVar[bool] = False

    def _session(self) -> None:
        self._restore_beside()
        progress = Progress(self.settings, self.clock())
        while not self.stop.requested and not self.source.at_end:
            self._gather(progress)
        if not self.stop.requested:
            self._settle(at_end=True)
            self.table.drop(self._leaving)  # this one end is all that is looked at
            self._show_comparison() if self.settings.explore_k else self._show_labels()
        if self.stop.requested:
            log.info("stopped before there was something to show")

    def _restore_beside(self) -> None:
        """Restore beside an instance that goes on: again if it committed meanwhile."""
        for _ in range(LOOK_ATTEMPTS):
            before = self._marks()
            try:
                self._restore()
            except StateError:
                if self._marks() == before:
                    raise
            else:
                if self.stop.requested or self._marks() == before:
                    return
        raise StateError(
            f"{self.settings.output} is written to faster than it can be read; try again, or stop the running"
            " user_classifier first"
        )

    def _marks(self) -> dict[int, tuple[int, str | None]]:
        return {partition: (at.offset, at.metadata) for partition, at in self._committed().items()}

    def _show_comparison(self) -> None:
        """Print how well each number of clusters does; draw it if asked for."""
        from reporting import choice

        fits, path = self._compare(), self.settings.plot
        if self.stop.requested:
            return
        try:
            lines = list(choice.shown(fits, len(self.table), path))
        except (ValueError, OSError) as error:
            raise ClassifierError(str(error)) from None
        for line in lines:
            print(line)

    def _show_labels(self) -> None:
        """Print the labels that a run would write."""
        from reporting.summary import first_users, summary_lines

        if not self._choose_clusters():
            return
        began, clusters = self.clock(), self._fit()
        n_changes = len(self.table.relabel(clusters.labels))
        names = label_names(self.settings, self.n_clusters or FEWEST_USERS)
        step = self._told(clusters, self.batch.n_records, n_changes, self.clock() - began, 0.0)
        if self.report is not None:
            self.report.step(step)
        for line in (*first_users(step, names), "", *summary_lines(step, names), ""):
            print(line)
        print(f"a run would change {n_changes} users of {self.settings.output}; nothing was written")


# ----------------------------------------------------------------------------------------------- main


@contextlib.contextmanager
def reporting_as(settings: Settings, classifier: Classifier) -> Iterator[None]:
    """Import and feed the reports that were asked for, while the classifier runs; ConfigError if one cannot be."""
    on_terminal = sys.stderr.isatty()  # for a progress bar
    named = settings.label_names is not None
    if not (settings.plot or settings.summary or named or settings.metrics_port or on_terminal):
        yield
        return
    from reporting import Reports

    with contextlib.ExitStack() as stack:
        try:
            names = label_names(settings, None if settings.auto_k else int(settings.n_clusters))
            reports = list(make_reports(settings, names, classifier, on_terminal))
        except ValueError as error:
            raise ConfigError(str(error)) from None
        classifier.report = told = Reports(reports)
        stack.callback(told.close)
        yield


def label_names(settings: Settings, n_clusters: int | None) -> Sequence[str]:
    """Return the names given for labels; ValueError if they are not as many as the clusters, when these are known."""
    given = settings.label_names
    if given is None:
        return ()
    from reporting.names import parse_label_names

    try:
        return parse_label_names(given, given.count(",") + 1 if n_clusters is None else n_clusters)
    except ValueError as error:
        raise ValueError(f"--label-names: {error}") from None


def make_reports(
    settings: Settings, names: Sequence[str], classifier: Classifier, on_terminal: bool
) -> Iterator[reporting.Report]:
    """Make the reports; ValueError says why one cannot be made."""
    if settings.plot:
        from reporting.plot import ClusterPlot, check_target

        if settings.explore_k:
            check_target(settings.plot)
        else:
            yield ClusterPlot(settings.plot, names)
    if settings.summary:
        from reporting.summary import Summary

        yield Summary(log.info, names)
    if settings.metrics_port:
        from reporting.metrics import Metrics

        metrics = Metrics(settings.metrics_port, names=names, max_poll_seconds=settings.max_poll_seconds)
        classifier.count_bad = metrics.bad
        yield metrics
    if on_terminal:
        from reporting.progress import ProgressBar

        yield ProgressBar()


def print_configuration(arguments: argparse.Namespace, settings: Settings) -> None:
    """Print what takes effect of options and file, without secrets."""
    from reporting.effective import settings_lines

    told = {name: vars(settings).get(name, given) for name, given in vars(arguments).items() if name != "print_config"}
    # The consumer is told to complain where it finds no offset: we look up where to begin.
    begin = {"auto.offset.reset": settings.consumer.get("auto.offset.reset", "earliest")}
    sections = (
        {**REGISTRY_TIMING, **settings.schema_registry},
        {**settings.consumer_properties, **begin},
        settings.producer_properties,
    )
    for line in settings_lines(told, dict(zip(SECTIONS, sections, strict=True))):
        print(line)


def check_all(settings: Settings, kafka: Kafka, registry: SchemaRegistry) -> int:
    """Print a line per thing the client needs; return 0 if all are there, else 1."""
    from reporting import check

    output = settings.output
    known = check.Known(
        explain=kafka.meaning,
        last_error=lambda: kafka.complaint,
        missing=missing,
        cleanup_policy=kafka.cleanup_policy,
        not_compacted=not_compacted,
        registry=registry,
        codecs={
            f"{output}-value": lambda: LabelCodec(registry, output),
            f"{output}-key": lambda: KeyCodec(registry, output),
        },
        misfit=(RecordError, SchemaError),
        refusal=ClassifierError,
    )
    try:
        lines = check.check(check.Clients(kafka.admin("consumer"), kafka.admin("producer")), settings, known)
        return check.run(lines, functools.partial(print, flush=True))
    finally:
        registry.close()


def set_up_logging(level: str, form: str) -> None:
    """Log to standard error; the libraries' own words only where DEBUG asks for them."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s")
    if form == "json":
        from reporting.jsonlog import JsonFormatter

        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonFormatter())
    logging.getLogger("librdkafka").setLevel(logging.DEBUG if level == "DEBUG" else logging.CRITICAL + 1)
    logging.getLogger("httpx2").setLevel(logging.WARNING)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the client; return its exit code."""
    arguments = argument_parser().parse_args(argv)
    set_up_logging(arguments.log_level, arguments.log_format)
    exit_code = 0
    try:
        stop = StopRequest()
        stop.install()
        settings = settings_from(arguments)
        gc.disable()  # records make no reference cycles, and looking for some in a large table takes half the time
        looks = settings.looks or arguments.check or arguments.print_config
        registry = (ReadOnlyRegistry if looks else SchemaRegistry)(settings.schema_registry, stop)
        kafka = Kafka(settings, stop)
        if arguments.print_config or arguments.check:
            # A mistake is told as a start tells it, and no misspelt secret is printed as a property like others.
            kafka.consumer().close()
            kafka.producer()
        if arguments.print_config:
            print_configuration(arguments, settings)
        elif arguments.check:
            exit_code = check_all(settings, kafka, registry)
        else:
            classifier = (Look if settings.looks else Classifier)(settings, kafka, registry, stop)
            with reporting_as(settings, classifier):
                classifier.run()
        print(end="", flush=True)
    except BrokenPipeError:  # whoever reads what is printed has seen enough: user_classifier.py ... | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        exit_code = int(arguments.check)  # not all was told to be well
    except ClassifierError as error:
        tell(error, arguments)
        exit_code = error.exit_code
    return exit_code


def tell(error: ClassifierError, arguments: argparse.Namespace) -> None:
    """Say what went wrong, as the last line."""
    where = f"{arguments.config}: " if str(error).startswith("[") else ""  # a section and property of that file
    if arguments.log_format == "json":
        log.error("%s%s", where, error)
    else:
        print(f"user_classifier.py: error: {where}{error}", file=sys.stderr)


if __name__ == "__main__":
    exit_code = main()
    gc.freeze()  # spares the interpreter's last look for cycles: 0.3 s, more with many users
    sys.exit(exit_code)

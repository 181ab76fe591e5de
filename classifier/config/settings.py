"""Settings of one run: the options of the command line, and the sections of the configuration file.

Each option is defined once, as a field of `Settings`: name, type, default, help and unit. The parser, --print-config
and the options table in README are derived from these fields, or compared with them by a test.
"""

import argparse
import itertools
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from classifier.config.argument_types import (
    feature_list,
    group_name,
    host_name,
    number_or_auto,
    plotted_features,
    seconds,
    topic_name,
    whole_number,
)
from classifier.config.authentication import https_authorities
from classifier.config.ini_file import FIXED, OFFSET_RESETS, SECTIONS, check_configuration, read_configuration
from classifier.errors import ConfigError
from classifier.features import DEFAULT_FEATURES

SCALES = ("none", "standard", "log", "log-standard")
GROUP_PLACEHOLDER = "args.group"  # group.id in the file: the group given with -g
DEFAULT_GROUP = "user_classifier"
# Close a connection before a NAT or load balancer forgets it, which many do after 240 s without traffic. The client
# would notice only by the timeout of its next request, a minute later (librdkafka: never close).
IDLE = {"connections.max.idle.ms": "180000"}
LOOPBACK = "127.0.0.1"  # metrics hold business figures: other hosts see them only if --metrics-host says so

# Headings in --help
GENERAL = "options"
TOPICS = "topics"
CLUSTERING = "clustering"
RUNNING = "running"
REPORTS = "reports"
INSPECTION = "inspection (read-only, then exit)"

# Options that cannot be combined with --cells: the refused values (empty: any but the default), and the reason.
NOT_WITH_CELLS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "changelog_mode": (("upsert", "append"), "each record holds the number of users of a cell; leave it out"),
    "features": ((), f"Flink counts cells of {' and '.join(DEFAULT_FEATURES)}; leave it out"),
    "fit": (("cells",), "the fit always uses cells; leave it out"),
    "export": ((), "users and their labels are in user_labeling; leave --cells out"),
    "rebuild": ((), "both topics are read from the beginning at every start; leave it out"),
    "error_handling_mode": (("log",), "every start reads all records, and would copy them again; use ignore"),
}
# An export neither labels nor reads the input. It always stops at the end, and --print-config shows it.
NOT_WITH_EXPORT = ("rebuild", "plot", "summary", "metrics_port", "check", "explore_k", "dry_run")


def option(
    group: str,
    default: Any,
    help: str,
    *,
    short: str = "",
    metavar: str | None = None,
    parse: Callable[[str], Any] = str,
    choices: tuple[str, ...] | None = None,
    unit: str = "",
    unset: str = "",
    with_cells: Any = None,
) -> Any:
    """Return a field of `Settings` that the command line sets.

    Parameters
    ----------
    group : heading in --help.
    help : what the option does, in one line. The parser appends the default.
    short : the flag, if it is not the name of the field.
    parse : turns the text of the command line into the value; raises argparse.ArgumentTypeError for a wrong one.
    unit : unit or values, for --help and README.
    unset : what happens without the option, if its default is None.
    with_cells : the default with --cells, if it differs.
    """
    add_argument: dict[str, Any]
    if choices:
        unit = ", ".join(choices)
        add_argument = {"choices": choices}
    elif default is False:
        add_argument = {"action": "store_true"}
    else:
        add_argument = {"metavar": metavar, "type": parse}
    metadata = {
        "group": group,
        "help": help,
        "short": short,
        "unit": unit,
        "unset": unset,
        "with_cells": with_cells,
        "add_argument": add_argument,
    }
    return field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Settings:
    """Settings of one run. Frozen: every part of the client sees the same."""

    schema_registry: Mapping[str, str]
    consumer: Mapping[str, str]
    producer: Mapping[str, str]
    # fmt: off
    log_level: str = option(GENERAL, "INFO", "minimum level to log on standard error",
        choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    log_format: str = option(GENERAL, "text", "log format: plain text, or one JSON object a line",
        choices=("text", "json"))

    topic: str = option(TOPICS, "transactions_aggregate", "topic of per-user totals to read",
        short="-t", metavar="TOPIC", parse=topic_name, unit="topic", with_cells="user_cells")
    group: str = option(TOPICS, DEFAULT_GROUP, "consumer group whose offsets are committed",
        short="-g", metavar="GROUP", parse=group_name, unit="group")
    output: str = option(TOPICS, "user_labeling", "compacted topic to write labels to",
        short="-o", metavar="OUTPUT", parse=topic_name, unit="topic", with_cells="user_cell_labels")
    changelog_mode: str = option(TOPICS, "retract", "how TOPIC encodes changes. retract: by the header op; upsert and"
        " append: the last record of a user counts, and in upsert a null value deletes the user",
        choices=("retract", "upsert", "append"))
    cells: bool = option(TOPICS, False, "label cells instead of users, for more users than one process can hold: TOPIC"
        " has the number of users that Flink counted in each cell; changes the defaults to -t user_cells"
        " -o user_cell_labels --batch-interval 60")

    n_clusters: int | str = option(CLUSTERING, 3,
        "number of clusters; auto chooses from 2 to 10 by silhouette, once, and keeps it",
        short="-k", metavar="N", parse=number_or_auto("n_clusters"), unit="whole number, 1 or more, or auto")
    features: str = option(CLUSTERING, ",".join(DEFAULT_FEATURES),
        "fields of TOPIC that K-means works on, numbers and points in time, separated by commas",
        metavar="NAMES", parse=feature_list, unit="names of 1 to 16 fields")
    scale: str = option(CLUSTERING, "none",
        "how features are scaled before the fit: not at all, divided by the standard deviation, as logarithms, or both",
        choices=SCALES)
    fit: str = option(CLUSTERING, "users",
        "fit on all users, or search the centers on groups of similar users, which keeps labels more stable",
        choices=("users", "cells"))
    n_init: int | str = option(CLUSTERING, "auto",
        "runs of k-means++ per fit, the best is kept; auto is 1, or 30 with --fit cells or --cells",
        metavar="N", parse=number_or_auto("n_init"), unit="whole number, or auto")

    batch_interval: float = option(RUNNING, 1.0, "minimum time between two fits, in seconds",
        metavar="SECONDS", parse=seconds, unit="seconds, 0 or more", with_cells=60.0)
    batch_size: int | None = option(RUNNING, None, "fit at the latest after N records; 1 fits after every record",
        metavar="N", parse=whole_number("batch size"), unit="records", unset="no limit")
    until_end: bool = option(RUNNING, False,
        "stop when every partition is read to its end and everything is committed")
    rebuild: bool = option(RUNNING, False,
        "ignore offsets and state, read TOPIC from the beginning and rewrite OUTPUT to match")
    error_handling_mode: str = option(RUNNING, "fail",
        "what to do with a record that cannot be read: stop, skip it, or copy it to the log target",
        choices=("fail", "ignore", "log"))
    error_handling_log_target: str = option(RUNNING, "error_log", "topic for these records in mode log",
        metavar="TOPIC", parse=topic_name, unit="topic")

    plot: Path | None = option(REPORTS, None,  # noqa: RUF009  the field is frozen
        "plot the clusters to FILE (.png, .svg, .pdf), at most every 10 s and at the end",
        metavar="FILE", parse=Path, unit=".png, .svg, .pdf", unset="no plot")
    plot_features: str | None = option(REPORTS, None, "with --plot: the features on the axes; a histogram of one",
        metavar="NAMES", parse=plotted_features, unit="names of 1 or 2 features", unset="the first two")
    summary: bool = option(REPORTS, False,
        "log a table of the clusters, and of moves between them, at most every 60 s and at the end")
    label_names: str | None = option(REPORTS, None,
        "names for plot, summary, metrics and export, label 0 first: stingy,standard,spendthrift",
        metavar="NAMES", unit="as many names as clusters", unset="numbers")
    metrics_port: int | None = option(REPORTS, None, "serve /metrics for Prometheus, /health and /ready",
        metavar="PORT", parse=whole_number("port"), unit="port", unset="off")
    metrics_host: str = option(REPORTS, LOOPBACK,
        "address to serve these pages at; 0.0.0.0 for all addresses, as in a container",
        metavar="HOST", parse=host_name, unit="address or name")

    check: bool = option(INSPECTION, False,
        "check connections, topics, permissions and schemas; exit code 1 if something is to do")
    explore_k: bool = option(INSPECTION, False,
        "read TOPIC to its end and compare 2 to 10 clusters; with --plot FILE also as a picture")
    dry_run: bool = option(INSPECTION, False, "read TOPIC to its end and show the labels that a run would write")
    export: Path | None = option(INSPECTION, None,  # noqa: RUF009  the field is frozen
        "read OUTPUT to its end and write its users and labels to FILE (.csv, .csv.gz, .parquet)",
        metavar="FILE", parse=Path, unit=".csv, .csv.gz, .parquet", unset="no file")
    export_label: str | None = option(INSPECTION, None,
        "with --export: only the users of this label, by its number or its name in --label-names",
        metavar="LABEL", unit="label", unset="all labels")
    print_config: bool = option(INSPECTION, False, "print the effective settings, secrets as ****")
    # fmt: on

    @property
    def sections(self) -> dict[str, Mapping[str, str]]:
        """The sections of the file."""
        return dict(zip(SECTIONS, (self.schema_registry, self.consumer, self.producer), strict=True))

    @property
    def transactional_id(self) -> str:
        """transactional.id, the same for every instance of one job, so that a newer one fences the older."""
        return f"user_classifier-{self.group}-{self.output}"

    @property
    def feature_names(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(self.features.split(","))

    @property
    def noun(self) -> str:
        """What the features of a user are called in messages."""
        return "total" if self.feature_names == DEFAULT_FEATURES else "value"

    @property
    def plotted(self) -> tuple[str, ...]:
        """The names of the features on the axes of --plot."""
        return tuple(self.plot_features.split(",")) if self.plot_features else self.feature_names[:2]

    @property
    def auto_k(self) -> bool:
        """Whether the client chooses the number of clusters."""
        return self.n_clusters == "auto"

    @property
    def one_hot(self) -> bool:
        """Whether the one-hot encoding of user_id is part of the fit."""
        return self.scale == "none" and self.fit == "users" and not self.cells

    @property
    def read_only(self) -> bool:
        """Whether the run writes nothing to Kafka and the Schema Registry."""
        return self.explore_k or self.dry_run or self.check or self.print_config or self.export is not None

    @property
    def max_poll_seconds(self) -> float:
        """max.poll.interval.ms of the consumer, in seconds; a client that polls less often counts as stuck."""
        given = self.consumer.get("max.poll.interval.ms", "")
        return int(given) / 1000 if given.isdecimal() else 300.0  # Kafka's default

    @property
    def consumer_properties(self) -> dict[str, Any]:
        """Properties of the consumer: read_committed, offsets set by the client."""
        ours = {
            **IDLE,
            "fetch.queue.backoff.ms": "10",  # fetch again as soon as the queue has room (librdkafka: after 1 s)
            # The broker holds an idle fetch this long, and other requests wait behind it (librdkafka: 500 ms).
            "fetch.wait.max.ms": "100",
        }
        fixed = {**FIXED["consumer"], "group.id": self.group, "auto.offset.reset": "error"}
        return {**ours, **self.consumer, **fixed, **https_authorities(self.consumer)}

    @property
    def producer_properties(self) -> dict[str, Any]:
        """Properties of the producer: transactional, with the partitioner of the Java client."""
        ours = {
            **IDLE,
            "transactional.id": self.transactional_id,
            "partitioner": "murmur2_random",
            # For 1 or 2 ms after a commit the coordinator refuses; librdkafka retries after this (default: 100 ms).
            "retry.backoff.ms": "2",
            # Forget a coordinator that left after two seconds (librdkafka: 15 minutes). Otherwise
            # send_offsets_to_transaction waits for it forever (confluentinc/librdkafka issue 5511).
            "topic.metadata.refresh.interval.ms": "1000",
            "metadata.max.age.ms": "2000",
            # Detect a lost response while the transaction still has time for a retry.
            "socket.timeout.ms": str(min(round(1000 * self.transaction_timeout / 2), 300_000)),
        }
        return {**ours, **self.producer, **FIXED["producer"], **https_authorities(self.producer)}

    @property
    def transaction_timeout(self) -> float:
        """transaction.timeout.ms in seconds; after that the broker aborts a transaction."""
        given = self.producer.get("transaction.timeout.ms", "")
        return int(given) / 1000 if given.isdecimal() else 60.0  # librdkafka's default

    @property
    def reset_to(self) -> int:
        """Where to start without a committed offset: 0 at the first record, 1 after the last one."""
        return OFFSET_RESETS[self.consumer.get("auto.offset.reset", "earliest")]


OPTIONS: tuple[Field[Any], ...] = tuple(each for each in fields(Settings) if each.default is not MISSING)
CELL_DEFAULTS = {each.name: each.metadata["with_cells"] for each in OPTIONS if each.metadata["with_cells"] is not None}


def flag(each: Field[Any]) -> str:
    """Return an option as it is written on the command line: '-t', '--batch-size'."""
    return str(each.metadata["short"] or f"--{each.name.replace('_', '-')}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add all options to a parser, under their headings."""
    for heading, options in itertools.groupby(OPTIONS, key=lambda each: each.metadata["group"]):
        target = parser if heading == GENERAL else parser.add_argument_group(heading)
        for each in options:
            add_option(target, each)
    # None means not given: without -g the file may name the group, and --cells changes some defaults.
    parser.set_defaults(group=None, **dict.fromkeys(CELL_DEFAULTS))


def add_option(target: Any, each: Field[Any]) -> None:
    """Add one option to a parser or a group of it."""
    metadata = each.metadata
    default = str(each.default)
    if each.default is None:
        default = metadata["unset"]
    elif each.default is False:
        default = ""
    help = f"{metadata['help']} (default: {default})" if default else metadata["help"]
    target.add_argument(flag(each), dest=each.name, default=each.default, help=help, **metadata["add_argument"])


def settings_from(arguments: argparse.Namespace) -> Settings:
    """Return the settings of a command line and the file it names; raise ConfigError for what is wrong with them."""
    options = dict(vars(arguments))
    path = options.pop("config")
    sections = read_configuration(path)
    check_configuration(path, sections)
    in_file = sections["consumer"].pop("group.id", GROUP_PLACEHOLDER)
    if options["group"] is None:
        options["group"] = DEFAULT_GROUP if in_file == GROUP_PLACEHOLDER else in_file
    if not options["group"]:
        raise ConfigError(f"{path}: [consumer] group.id is empty; remove the line, or name a group with -g")
    if not options["group"].isprintable():
        raise ConfigError(f"{path}: [consumer] group.id has characters that cannot be printed; remove them")
    options.update(cell_dependent_defaults(options))
    check_cells(options)
    check_topics_differ(options)
    check_export(options)
    check_plot(options)
    if options["metrics_host"] != LOOPBACK and options["metrics_port"] is None:
        raise ConfigError("--metrics-host needs --metrics-port PORT; add it, or leave --metrics-host out")
    options.update({name: sections[name] for name in SECTIONS})
    return Settings(**options)


def cell_dependent_defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of options that were not given and whose default depends on --cells."""
    known: Mapping[str, Any] = CELL_DEFAULTS if options["cells"] else {each.name: each.default for each in OPTIONS}
    return {name: known[name] for name in CELL_DEFAULTS if options[name] is None}


def check_cells(options: Mapping[str, Any]) -> None:
    """Raise ConfigError for an option that cannot be combined with --cells."""
    if not options["cells"]:
        return
    for each in OPTIONS:
        if each.name not in NOT_WITH_CELLS:
            continue
        refused, reason = NOT_WITH_CELLS[each.name]
        value = options[each.name]
        if value != each.default and (value in refused or not refused):
            given = flag(each) if value is True else f"{flag(each)} {value}"
            raise ConfigError(f"{given} cannot be combined with --cells: {reason}")


def check_topics_differ(options: Mapping[str, Any]) -> None:
    """Raise ConfigError if two options name the same topic."""
    topics = {"-t": options["topic"], "-o": options["output"]}
    if options["error_handling_mode"] == "log":
        topics["--error-handling-log-target"] = options["error_handling_log_target"]
    for (one, topic), (other, same) in itertools.combinations(topics.items(), 2):
        if topic == same:
            raise ConfigError(f"{other} and {one} are both {topic}; each needs a topic of its own")


def check_export(options: Mapping[str, Any]) -> None:
    """Raise ConfigError for an option that cannot be combined with --export, or needs it."""
    if options["export"] is None:
        if options["export_label"] is not None:
            raise ConfigError("--export-label needs --export FILE; add it, or leave --export-label out")
        return
    for name in NOT_WITH_EXPORT:
        if options[name]:
            other = f"--{name.replace('_', '-')}"
            raise ConfigError(f"--export and {other} cannot be combined; run one after the other")


def check_plot(options: Mapping[str, Any]) -> None:
    """Raise ConfigError if --plot-features draws nothing, or names what is not in --features."""
    plotted = options["plot_features"]
    if plotted is None:
        return
    if options["plot"] is None:
        raise ConfigError("--plot-features needs --plot FILE; add it, or leave --plot-features out")
    if options["explore_k"]:
        raise ConfigError("--plot-features and --explore-k cannot be combined; leave one out")
    for name in plotted.split(","):
        if name not in options["features"].split(","):
            raise ConfigError(f"--plot-features: {name} is not in --features {options['features']}; add it there")

"""All that one run is told, by the command line and the configuration file.

Each option is told once, as a field of `Settings`: its name, type, default, help and unit. The parser, --print-config
and the table of options in README are made from that, or held against it by a test.
"""

import argparse
import itertools
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from pathlib import Path
from typing import Any

from classifier.config.argument_types import group_name, host_name, number_or_auto, seconds, topic_name, whole_number
from classifier.config.ini_file import FIXED, OFFSET_RESETS, SECTIONS, check_configuration, read_configuration
from classifier.errors import ConfigError

SCALES = ("none", "standard", "log")
GROUP_PLACEHOLDER = "args.group"
DEFAULT_GROUP = "user_classifier"
LOOPBACK = "127.0.0.1"  # numbers of a business are not for the whole network unless asked for
GENERAL, TOPICS, CLUSTERING, RUNNING, REPORTS = "options", "topics", "clustering", "running", "reports"
# What is not for cells: these values of an option, or any that is not the default, and why.
NOT_WITH_CELLS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "changelog_mode": (("upsert", "append"), "each record holds the number of users of a cell; leave it out"),
    "fit": (("cells",), "the fit always uses cells; leave it out"),
    "export": ((), "users and their labels are in user_labeling; leave --cells out"),
    "rebuild": ((), "both topics are read from the beginning at every start; leave it out"),
    "error_handling_mode": (("log",), "every start reads all records, and would copy them again; use ignore"),
}
INSPECTION = "to look first: these write nothing to Kafka, and end"
# An export neither labels nor reads the input. --until-end is what it does anyway, --print-config prints it, too.
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
    group : the heading in --help under which the option stands.
    help : what it does, in a line. The default is added to it.
    short : the flag, where it is not the name of the field.
    parse : turns the text on the command line into the value; argparse.ArgumentTypeError says what is wrong with it.
    unit : what the value is, or is counted in, for people.
    unset : what happens without the option, where its default is None.
    with_cells : the default with --cells, where it is another.
    """
    told = {"group": group, "help": help, "short": short, "unit": unit, "unset": unset, "with_cells": with_cells}
    words: dict[str, Any] = {"action": "store_true"} if default is False else {"metavar": metavar, "type": parse}
    if choices:
        words, told["unit"] = {"choices": choices}, ", ".join(choices)
    return field(default=default, metadata={**told, "words": words})


@dataclass(frozen=True)
class Settings:
    """What one run is told; frozen, and the same for every part of it."""

    schema_registry: Mapping[str, str]
    consumer: Mapping[str, str]
    producer: Mapping[str, str]
    # fmt: off
    log_level: str = option(GENERAL, "INFO", "what to log on standard error",
        choices=("DEBUG", "INFO", "WARNING", "ERROR"))
    log_format: str = option(GENERAL, "text", "lines to read, or one JSON object a line", choices=("text", "json"))

    topic: str = option(TOPICS, "transactions_aggregate", "topic of per-user totals to read",
        short="-t", metavar="TOPIC", parse=topic_name, unit="topic", with_cells="user_cells")
    group: str = option(TOPICS, DEFAULT_GROUP, "consumer group whose offsets mark the progress",
        short="-g", metavar="GROUP", parse=group_name, unit="group")
    output: str = option(TOPICS, "user_labeling", "compacted topic to write labels to",
        short="-o", metavar="OUTPUT", parse=topic_name, unit="topic", with_cells="user_cell_labels")
    changelog_mode: str = option(TOPICS, "retract", "how TOPIC tells changes: retract by its op header; upsert and"
        " append by the last record of a user, where in upsert a null value deletes",
        choices=("retract", "upsert", "append"))
    cells: bool = option(TOPICS, False, "label cells instead of users: TOPIC says how many users Flink has counted in"
        " each, for more of them than one process holds; other defaults: -t user_cells -o user_cell_labels"
        " --batch-interval 60")

    n_clusters: int | str = option(CLUSTERING, 3,
        "number of clusters; auto chooses 2 to 10 by silhouette, once, and keeps that",
        short="-k", metavar="N", parse=number_or_auto("n_clusters"), unit="whole number, 1 or more, or auto")
    scale: str = option(CLUSTERING, "none",
        "where distances are measured: totals as they are, each divided by its standard deviation, or logarithms",
        choices=SCALES)
    fit: str = option(CLUSTERING, "users",
        "one run of k-means++ on all users, or the best of many on users taken together: labels then move less",
        choices=("users", "cells"))
    n_init: int | str = option(CLUSTERING, "auto",
        "runs of k-means++ per fit, of which the best counts; auto is 1, on cells 30",
        metavar="N", parse=number_or_auto("n_init"), unit="whole number, or auto")

    batch_interval: float = option(RUNNING, 1.0, "least time between two fits, in seconds",
        metavar="SECONDS", parse=seconds, unit="seconds, 0 or more", with_cells=60.0)
    batch_size: int | None = option(RUNNING, None, "fit after N records at the latest; 1 fits for every record",
        metavar="N", parse=whole_number("batch size"), unit="records", unset="no limit")
    until_end: bool = option(RUNNING, False, "stop once every partition was read to its end and all is committed")
    rebuild: bool = option(RUNNING, False,
        "forget offsets and state, read TOPIC from its beginning and make OUTPUT what it says")
    error_handling_mode: str = option(RUNNING, "fail",
        "at a record that cannot be read: stop, skip it, or copy it to the log target",
        choices=("fail", "ignore", "log"))
    error_handling_log_target: str = option(RUNNING, "error_log", "topic for such records in mode log",
        metavar="TOPIC", parse=topic_name, unit="topic")

    plot: Path | None = option(REPORTS, None,  # noqa: RUF009  a frozen field as all the others
        "draw the clusters to FILE (.png, .svg, .pdf), at most every 10 s and at the end",
        metavar="FILE", parse=Path, unit=".png, .svg, .pdf", unset="no plot")
    summary: bool = option(REPORTS, False,
        "log a table of the clusters and of moves between them, at most every 60 s and at the end")
    label_names: str | None = option(REPORTS, None,
        "names for plot, summary, metrics and export, label 0 first: stingy,standard,spendthrift",
        metavar="NAMES", unit="as many names as clusters", unset="numbers")
    metrics_port: int | None = option(REPORTS, None, "serve /metrics for Prometheus and /health",
        metavar="PORT", parse=whole_number("port"), unit="port", unset="off")
    metrics_host: str = option(REPORTS, LOOPBACK,
        "the address of this machine at which they are served: 0.0.0.0 for all, as in a container",
        metavar="HOST", parse=host_name, unit="address or name")

    check: bool = option(INSPECTION, False,
        "say of connections, topics, rights and schemas whether they are as needed; exit code 1 if not")
    explore_k: bool = option(INSPECTION, False,
        "read TOPIC to its end and compare 2 to 10 clusters; with --plot FILE also as a picture")
    dry_run: bool = option(INSPECTION, False, "read TOPIC to its end and show the labels that a run would write")
    export: Path | None = option(INSPECTION, None,  # noqa: RUF009  a frozen field as all the others
        "read OUTPUT to its end and write its users and their labels to FILE (.csv, .csv.gz, .parquet)",
        metavar="FILE", parse=Path, unit=".csv, .csv.gz, .parquet", unset="no file")
    export_label: str | None = option(INSPECTION, None,
        "of these only the users of one label: its number, or its name in --label-names",
        metavar="LABEL", unit="label", unset="all labels")
    print_config: bool = option(INSPECTION, False, "print the settings that take effect, secrets as ****")
    # fmt: on

    @property
    def transactional_id(self) -> str:
        """The same for every instance of one job, so that a newer one fences the older."""
        return f"user_classifier-{self.group}-{self.output}"

    @property
    def auto_k(self) -> bool:
        """Whether the number of clusters is to be chosen by their silhouettes."""
        return self.n_clusters == "auto"

    @property
    def one_hot(self) -> bool:
        """Whether user_id is part of the fit."""
        return self.scale == "none" and self.fit == "users" and not self.cells

    @property
    def read_only(self) -> bool:
        """Whether nothing is to be written."""
        return self.explore_k or self.dry_run or self.check or self.print_config or self.export is not None

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
            # A coordinator that has gone is forgotten after two seconds (librdkafka: 15 minutes). With it in mind,
            # send_offsets_to_transaction waits for it for ever (confluentinc/librdkafka issue 5511).
            "topic.metadata.refresh.interval.ms": "1000",
            "metadata.max.age.ms": "2000",
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


OPTIONS: tuple[Field[Any], ...] = tuple(each for each in fields(Settings) if each.default is not MISSING)


CELL_DEFAULTS = {each.name: each.metadata["with_cells"] for each in OPTIONS if each.metadata["with_cells"] is not None}


def flag(each: Field[Any]) -> str:
    """Return how an option is written: '-t', '--batch-size'."""
    return str(each.metadata["short"] or f"--{each.name.replace('_', '-')}")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Describe all options to argparse, under their headings."""
    for heading, options in itertools.groupby(OPTIONS, key=lambda each: each.metadata["group"]):
        target = parser if heading == GENERAL else parser.add_argument_group(heading)
        for each in options:
            add_option(target, each)
    # Without -g, the file may name the group; without others, --cells has defaults of its own.
    parser.set_defaults(group=None, **dict.fromkeys(CELL_DEFAULTS))


def add_option(target: Any, each: Field[Any]) -> None:
    """Describe one option to argparse."""
    told, default = each.metadata, each.default
    unset = told["unset"] if default is None else "" if default is False else str(default)
    shown = f"{told['help']} (default: {unset})" if unset else told["help"]
    target.add_argument(flag(each), dest=each.name, default=default, help=shown, **told["words"])


def settings_from(arguments: argparse.Namespace) -> Settings:
    """Join the command line and the file it names."""
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
        raise ConfigError(f"{path}: [consumer] group.id holds characters that cannot be printed; remove them")
    options.update(defaults(options))
    check_cells(options)
    check_topics_differ(options)
    check_export(options)
    if options["metrics_host"] != LOOPBACK and options["metrics_port"] is None:
        raise ConfigError("--metrics-host needs --metrics-port PORT; add it, or leave --metrics-host out")
    options.update({name: sections[name] for name in SECTIONS})
    return Settings(**options)


def defaults(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what counts for options that were not given and whose default depends on --cells."""
    known: Mapping[str, Any] = CELL_DEFAULTS if options["cells"] else {each.name: each.default for each in OPTIONS}
    return {name: known[name] for name in CELL_DEFAULTS if options[name] is None}


def check_cells(options: Mapping[str, Any]) -> None:
    """Raise ConfigError where something was asked for that cannot be combined with --cells."""
    for each in OPTIONS if options["cells"] else ():
        refused, why = NOT_WITH_CELLS.get(each.name, ((), None))
        value = options[each.name]
        if why and (value in refused or not refused) and value != each.default:
            given = flag(each) if value is True else f"{flag(each)} {value}"
            raise ConfigError(f"{given} cannot be combined with --cells: {why}")


def check_topics_differ(options: Mapping[str, Any]) -> None:
    """Raise ConfigError where one topic would be written for two purposes."""
    roles = {"-t": options["topic"], "-o": options["output"]}
    if options["error_handling_mode"] == "log":
        roles["--error-handling-log-target"] = options["error_handling_log_target"]
    for (one, topic), (other, same) in itertools.combinations(roles.items(), 2):
        if topic == same:
            raise ConfigError(f"{other} and {one} are both {topic}; each needs a topic of its own")


def check_export(options: Mapping[str, Any]) -> None:
    """Raise ConfigError where an export is asked for together with what it does not do."""
    if options["export"] is None:
        if options["export_label"] is not None:
            raise ConfigError("--export-label needs --export FILE; add it, or leave --export-label out")
        return
    for name in NOT_WITH_EXPORT:
        if options[name]:
            other = f"--{name.replace('_', '-')}"
            raise ConfigError(f"--export and {other} cannot be combined; run one after the other")

#!/usr/bin/env python3
"""Label users by K-means, live, from a Kafka topic of per-user totals.

Reads   `transactions_aggregate`: (user_id, total_amount, num_transactions) in Confluent Avro, written by
        Flink SQL as a retract changelog; rows are added (+I, +U) and retracted (-U, -D) in any order.
Keeps   a table with one row per user. It is rebuilt from `user_labeling` at every start, so there is
        nothing on disk to lose.
Writes  `user_labeling`: (user_id, total_amount, num_transactions, label), keyed by user_id, for each user
        whose row or label changed. Label 0 is the cluster that spends least.

Guarantee: every change of `transactions_aggregate` is reflected exactly once in `user_labeling` for a
read_committed reader. Labels and input offsets are committed in one Kafka transaction (what a large step
writes ahead of it is such that a restore can do without), and a crash, an aborted transaction and a plain
restart all take one path: forget everything, restore, go on.

    python user_classifier.py ./configurations/configuration.ini
    python user_classifier.py ./configurations/local.ini -k 4 --until-end
    python user_classifier.py ./configurations/local.ini --cells

With --cells the same loop labels cells in which Flink counts users: `user_cells` to `user_cell_labels`.

This file tells the job from top to bottom: the command line, the encoding of user_id and the K-means fit, the run
loop, `main`.
What it is made of lies in `classifier/`, one noun per file, in the order of a record's way:

    settings, configuration   what one run is told: options, file (parsing, values, properties)
    kafka, source, topics     the brokers, a topic read from given offsets, the topics a run needs (topic_watch)
    changelog                 nets a batch as bytes, decodes what is left (registry, schemas, avro, rows, input_keys)
    user_table                one current row per user, and which labels changed
    intake                    these together: restore, gather, settle (connection)
    cell_intake, lattice      the same for users counted by cell (cell_records)
    scaling, cells, search    where K-means measures, and how the best centres are found (clusters)
    number_of_clusters        -k, and how `auto` chooses (exploration, comparison)
    state, labels, keys       what is written to the output, and read back; marks: what stands beside the offsets
    sink                      one Kafka transaction per step, parts before it where that is too much (transaction_size)
    look, check, export, reports/    what people look at
    schedule, step, stop, outage, errors
"""

from __future__ import annotations

from classifier.stop import COMMITTED, StopRequest, exit_on_signal

if __name__ == "__main__":
    exit_on_signal()  # first thing: what follows takes most of a second to import

import argparse
import contextlib
import functools
import gc
import itertools
import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from confluent_kafka import Consumer
from numpy.typing import NDArray

from classifier import __version__
from classifier.cells.intake import CellIntake
from classifier.clustering.grouping import Groups, coarsened, group_users
from classifier.clustering.model import (
    RANDOM_STATE,
    ClusterFunction,
    Clusters,
    import_in_background,
    kmeans_class,
    n_distinct,
)
from classifier.clustering.number_of_clusters import NumberOfClusters, number_of_users
from classifier.clustering.scaling import Scaling, Weights, fit_scaling
from classifier.clustering.search import best_fit, refined
from classifier.commands.preview import Preview
from classifier.config.settings import Settings, add_options, settings_from
from classifier.errors import (
    BrokerUnavailable,
    ClassifierError,
    ProducerFenced,
    RegistryUnavailable,
    RestoreNeeded,
    TransactionAborted,
    clear_frames,
)
from classifier.kafka.client import Kafka
from classifier.kafka.sink import OutputRecord, Sink, dead_letter
from classifier.kafka.source import MAX_POLL_RECORDS
from classifier.kafka.topics import check_topics
from classifier.kafka.transaction_size import TransactionSize
from classifier.loop.schedule import Schedule
from classifier.reports import Report
from classifier.reports.build import reports_for
from classifier.reports.step import log_step
from classifier.serialization.http import HTTP_LIBRARIES
from classifier.serialization.registry import ReadOnlyRegistry, SchemaRegistry
from classifier.stdio import discard_output, exit_code_of, print_error, print_line, repair_streams
from classifier.users.intake import UserIntake

TOPIC_CHECK_SECONDS = 10.0  # between two looks at the topics while nothing happens
log = logging.getLogger("user_classifier")

# -------------------------------------------------------------------------------------- command line

EXAMPLES = """examples:
  python user_classifier.py ./configurations/local.ini
  python user_classifier.py ./configurations/local.ini -k 4 --batch-interval 5
  python user_classifier.py ./configurations/local.ini --until-end --plot clustering.png
"""


def argument_parser() -> argparse.ArgumentParser:
    """Describe the command line; each option is told in classifier/config/settings.py."""
    parser = argparse.ArgumentParser(
        prog="user_classifier.py",
        description="Label users by K-means, live, from a Kafka topic of per-user totals.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    sections = "[schema_registry], [consumer], [producer]"
    parser.add_argument("config", metavar="CONFIG_FILE", help=f"INI file with the sections {sections}")
    parser.add_argument("--version", action="version", version=f"user_classifier {__version__}")
    add_options(parser)
    return parser


# -------------------------------------------------------------------------------------- encode and fit


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
    """Return columns and row starts of that matrix, which stay the same while no user comes or goes."""
    indices = np.empty((n_users, 3), np.int32)
    indices[:, 0], indices[:, 1], indices[:, 2] = np.arange(n_users), n_users, n_users + 1
    return indices.ravel(), np.arange(0, 3 * n_users + 1, 3, dtype=np.int32)


def cluster(
    totals: NDArray[np.float64],
    n_clusters: int,
    n_init: int | str = "auto",
    scale: str = "none",
    fit: str = "users",
    *,
    weights: Weights | None = None,
) -> Clusters:
    """Fit KMeans, and number the clusters by what their users spend: label 0 is the one of the smallest mean.

    Parameters
    ----------
    totals : ndarray of shape (n_users, 2)
        As for `one_hot_totals`.
    n_clusters : int
        With fewer users than that, every label is 0.
    n_init : int or 'auto'
        Runs of k-means++, the one of least inertia counts; 'auto' is one, on cells 30.
    scale : {'none', 'standard', 'log'}
        Where distances are measured, see `classifier/clustering/scaling.py`.
    fit : {'users', 'cells'}
        With 'cells' the centres are searched among users taken together, see `classifier/clustering/search.py`.
    weights : ndarray of shape (n_users,), optional
        Each row stands for this many users, and the search is all.

    Notes
    -----
    One-hot user_id is part of the fit only where the original's is wanted: users, no scale. It decides nothing. Two
    one-hot users lie sqrt(2) apart, so one of a cluster of m lies at the squared distance 1 - 1/m from its centre:
    m - 1 for a cluster, n_users - n_clusters for all k clusters, whoever is in them.

    References
    ----------
    Lloyd, S. P. (1982), "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28(2).
    Arthur, D. and Vassilvitskii, S. (2007), "k-means++: the advantages of careful seeding", SODA.
    """
    scaled = fit_scaling(scale, totals, weights)
    n_users = number_of_users(totals, weights)
    if n_users < n_clusters:
        mean = np.average(totals, axis=0, weights=weights)[None] if n_users else np.empty((0, 2))
        return Clusters(np.zeros(len(totals), np.int32), mean, scaling=scaled)
    if fit == "cells" or weights is not None:
        model = search(totals, n_clusters, 30 if n_init == "auto" else int(n_init), scaled, weights)
    elif scale == "none":
        model = k_means(one_hot_totals(totals), n_clusters, n_init)
    else:
        points = scaled.points(totals)
        model = k_means(points, n_distinct(points, n_clusters), n_init)
    return numbered(model, totals, scaled, weights)


def k_means(matrix: Any, n_clusters: int, n_init: int | str) -> Any:
    """Fit KMeans on users, a row each."""
    model = kmeans_class()(
        n_clusters=n_clusters,
        init="k-means++",
        n_init=n_init,
        random_state=RANDOM_STATE,
        copy_x=False,  # a CSR matrix is only read, and points are of no use afterwards
    )
    with warnings.catch_warnings():
        # "Fewer distinct clusters than n_clusters": beside totals of 1e16 the one-hot part is lost to rounding.
        warnings.simplefilter("ignore")
        return model.fit(matrix)


def search(totals: NDArray[np.float64], n_clusters: int, n_init: int, scaled: Scaling, weights: Weights | None) -> Any:
    """Fit KMeans on users taken together, or on what stands for users (`weights`), from there on all rows."""
    groups = group_users(totals) if weights is None else coarsened(Groups(totals, weights))
    points = scaled.points(groups.totals)
    n_clusters = n_distinct(points, n_clusters)
    model = best_fit(points, groups.weights, n_clusters, n_init, RANDOM_STATE)
    return refined(scaled.points(totals), model.cluster_centers_, weights)


def numbered(model: Any, totals: NDArray[np.float64], scaled: Scaling, weights: Weights | None) -> Clusters:
    """Number the clusters by the mean total_amount of their users."""
    centers = scaled.totals(model.cluster_centers_[:, -2:])
    spent = centers[:, 0]
    if model.cluster_centers_.shape[1] == 2:  # a centre may be no mean of totals, and one without users comes last
        users = np.bincount(model.labels_, weights, len(centers))
        amounts = np.bincount(model.labels_, totals[:, 0] * (1 if weights is None else weights), len(centers))
        spent = np.divide(amounts, users, out=np.full(len(centers), np.inf), where=users > 0)
    ascending = np.lexsort((centers[:, 1], spent))
    rank = np.empty(len(centers), np.int32)
    rank[ascending] = np.arange(len(centers), dtype=np.int32)
    return Clusters(rank[model.labels_], centers[ascending], float(model.inertia_), scaled)


# -------------------------------------------------------------------------------------- run loop


@dataclass
class Classifier:
    """restore -> gather -> settle -> encode -> fit -> changed labels -> one Kafka transaction.

    One active instance for each group and output: a newer one fences the older.
    """

    settings: Settings
    kafka: Kafka
    stop: StopRequest
    intake: UserIntake | CellIntake
    cluster: ClusterFunction
    report: Report
    clock: Callable[[], float] = time.monotonic
    number: NumberOfClusters = field(init=False)
    transaction_size: TransactionSize = field(init=False)

    def __post_init__(self) -> None:
        self.transaction_size = TransactionSize(self.settings.transaction_timeout)
        self.number = NumberOfClusters(self.settings, self.cluster, self.intake.heartbeat)

    def run(self) -> None:
        """Run until told to stop, restoring after every aborted transaction."""
        while not self.session():
            pass

    def session(self) -> bool:
        """Return whether a session came to its end, and not to a point from which only a new one goes on."""
        try:
            self.restore()
            if self.stop.requested:
                log.info("stopped while restoring; %s", self.stop.last_step)
            else:
                self.follow()
            return True
        except RestoreNeeded as reason:
            if self.stop.requested:
                raise
            log.warning("%s; restoring from %s", reason, self.settings.output)
            self.transaction_size.note_failure()
            clear_frames(reason)  # two tables are more than the memory is meant for
            return False

    def restore(self) -> None:
        """Begin from what is committed: the table from the output, the place in the input from the offsets."""
        # First the producer: it ends what an older instance left open in the output and in the offsets.
        watch = self.intake.watch
        transactional_id, consumer = self.settings.transactional_id, self.intake.consumer
        self.sink = Sink(self.kafka, consumer, transactional_id, self.transaction_size, on_stall=watch.check)
        self.intake.restore()
        if not self.stop.requested:
            self.number.recall(self.intake.choice)

    def follow(self) -> None:
        """Read and step until the end or a signal; what was read is then committed."""
        intake, schedule = self.intake, Schedule(self.settings, self.clock())
        next_look = self.clock() + TOPIC_CHECK_SECONDS
        while not self.stop.requested:
            self.gather(schedule)
            at_end = intake.source.at_end
            # Users without a row wait for the next end: at the second one in a row they are deleted.
            # With -k auto nothing is labelled before all has been read.
            if (at_end or self.number.value or schedule.full) and schedule.due(
                self.clock(), at_end, intake.needs_another_end
            ):
                self.step(schedule)
            if intake.source.at_end and schedule.last_end and not schedule.records:
                intake.input_ended()  # no step follows this end of the input
                if self.settings.until_end and not intake.needs_another_end:
                    return
            if self.clock() >= next_look:
                intake.watch.check()
                next_look = self.clock() + TOPIC_CHECK_SECONDS
        self.end(schedule)

    def end(self, schedule: Schedule) -> None:
        """Commit what was read before a signal came; users without a row are deleted now, as there is no next end."""
        if self.number.value is None:
            log.info("stopped before -k auto could choose; the next start reads again what is not committed")
            return
        if schedule.records or self.intake.deletions_due:
            self.step(schedule, last=True)
        log.info("stopped; %d users, %s committed", self.intake.n_users, self.intake.commits)

    def gather(self, schedule: Schedule) -> None:
        """Take what has arrived; rows that are added and retracted cancel at once."""
        batch = self.intake.batch
        size = self.settings.batch_size if self.number.value else None  # the first step of -k auto waits for the end
        schedule.most_rows = sys.maxsize if self.intake.incomplete else self.transaction_size.max_rows
        room = min(MAX_POLL_RECORDS, schedule.most_rows - schedule.rows)
        self.intake.gather(room if size is None else min(room, size - batch.n_records))
        schedule.records, schedule.rows = batch.n_records, len(batch.net) + len(batch.bad)

    def step(self, schedule: Schedule, *, last: bool = False) -> None:
        """Settle the table, encode and fit it, and write the labels that changed together with the offsets."""
        intake, began = self.intake, self.clock()
        intake.watch.request()  # whether they are still the same: answered while the table is fitted
        max_deletions = None if intake.incomplete else max(0, self.transaction_size.max_rows - schedule.rows)
        intake.settle(last=last, max_deletions=max_deletions)
        if self.number.value is None:
            if not self.number.choose(intake.totals, intake.weights):
                return
            began = self.clock()  # the comparison is no part of what steps take
        self.number.warn_of_equal_users(intake.totals, intake.weights)
        clusters = intake.fit(self.cluster, self.number.to_fit)
        intake.choice = self.number.to_keep
        changes: Any = intake.relabel(clusters)  # of users or of cells
        fitted = self.clock()
        # Encoded as they are written, inside the transaction.
        records = intake.records(changes)
        # Another label changes no row: it need not wait for the offsets. Nor need anything before the first ones.
        ahead = itertools.islice(records, len(changes) if intake.incomplete else changes.n_relabelled)
        intake.watch.check()  # what was asked: no record of another topic is committed
        self.commit(ahead, itertools.chain(self.dead_letters(), records))
        now = self.clock()
        step = intake.step(clusters, len(changes), fitted - began, now - fitted)
        log_step(step)
        self.report.step(step)
        intake.batch.clear()
        schedule.stepped(began, now)

    def dead_letters(self) -> list[OutputRecord]:
        """Return the batch's bad records, if they are to be kept."""
        settings = self.settings
        bad = self.intake.batch.bad if settings.error_handling_mode == "log" else []
        return [dead_letter(each, settings.error_handling_log_target) for each in bad]

    def commit(self, ahead: Iterable[OutputRecord], records: Iterable[OutputRecord]) -> None:
        """Write records and the place in the input in one transaction; what goes `ahead` may take others before it."""
        intake = self.intake
        offsets, unfinished = intake.offsets(), intake.unfinished()
        try:
            self.sink.write(records, offsets, ahead, unfinished)
        except ProducerFenced:
            # A transaction that takes too long (a suspended machine: hence the time of day) is fenced by the broker
            # itself. Nobody took over if the offsets are still ours.
            if self.transaction_size.timed_out and intake.owns_offsets(offsets, unfinished):
                raise TransactionAborted("the transaction timed out") from None
            raise
        intake.step_committed(offsets)


# -------------------------------------------------------------------------------------- main


def label(
    settings: Settings,
    kafka: Kafka,
    registry: SchemaRegistry,
    stop: StopRequest,
    report: Report,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Label, or look first at what would be labelled."""
    with connected(settings, kafka, registry) as consumer:
        intake = (CellIntake if settings.cells else UserIntake)(settings, kafka, registry, consumer, stop, report)
        cluster_as_asked = functools.partial(cluster, n_init=settings.n_init, scale=settings.scale, fit=settings.fit)
        if settings.read_only:
            Preview(settings, intake, cluster_as_asked, stop, report, clock).run()
        else:
            Classifier(settings, kafka, stop, intake, cluster_as_asked, report, clock).run()


@contextlib.contextmanager
def connected(settings: Settings, kafka: Kafka, registry: SchemaRegistry) -> Iterator[Consumer]:
    """Connect to brokers and registry; close both in the end."""
    consumer = kafka.consumer()
    try:
        if not settings.read_only:
            kafka.producer()  # so that a mistake in [producer] is told before anything is waited for
        kafka.connect(consumer, "consumer")
        check_topics(settings, kafka, consumer)
        import_in_background("sklearn.cluster")  # while brokers and registry are asked
        yield consumer
    finally:
        if kafka.outage.answered_at is not None:  # nothing more will show that it is over
            kafka.outage.note_recovery()
        consumer.close()
        registry.close()


def check_all(settings: Settings, kafka: Kafka, registry: SchemaRegistry) -> int:
    """Print a line per thing the client needs; return 0 if all are there, else 1."""
    from classifier.commands import check

    try:
        return check.run(check.check(settings, kafka, registry), print_line)
    finally:
        registry.close()


def export_labels(settings: Settings, kafka: Kafka, registry: SchemaRegistry, stop: StopRequest) -> None:
    """Write the users of the output to a file."""
    from classifier.commands.export import export

    try:
        export(settings, kafka, registry, stop)
    finally:
        registry.close()


def print_configuration(path: str, settings: Settings) -> None:
    """Print what takes effect of options and file, without secrets."""
    from classifier.commands.print_config import effective_lines

    for line in effective_lines(path, settings):
        print_line(line)


def set_up_logging(level: str, form: str) -> None:
    """Log to standard error; the libraries' own words only where DEBUG asks for them."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(message)s")
    if form == "json":
        from classifier.reports.jsonlog import JsonFormatter

        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonFormatter())
    logging.getLogger("librdkafka").setLevel(logging.DEBUG if level == "DEBUG" else logging.CRITICAL + 1)
    for library in HTTP_LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.getLogger("matplotlib").setLevel(logging.DEBUG if level == "DEBUG" else logging.ERROR)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the client; return its exit code."""
    repair_streams()
    arguments = argument_parser().parse_args(argv)
    set_up_logging(arguments.log_level, arguments.log_format)
    exit_code, stop = 0, StopRequest(functools.partial(tell, arguments))
    try:
        stop.install()
        settings = settings_from(arguments)
        gc.disable()  # records make no reference cycles, and looking for some in a large table takes half the time
        registry = (ReadOnlyRegistry if settings.read_only else SchemaRegistry)(settings.schema_registry, stop)
        exit_code = act(arguments.config, settings, Kafka(settings, stop), registry, stop)
    except BrokenPipeError:  # whoever reads what is printed has seen enough: user_classifier.py ... | head
        discard_output(sys.stdout)
        exit_code = int(arguments.check)  # not all was told to be well
    except ClassifierError as error:
        exit_code = error.exit_code
        if not stop.requested:
            tell(arguments, str(error))
        elif isinstance(error, BrokerUnavailable | RegistryUnavailable | RestoreNeeded) and stop.last_step == COMMITTED:
            log.warning("%s; stop requested meanwhile, %s", error, stop.last_step)
            exit_code = 0
        else:
            tell(arguments, f"{error}; stop requested meanwhile, {stop.last_step}")
    finally:
        stop.close()
    return exit_code


def act(path: str, settings: Settings, kafka: Kafka, registry: SchemaRegistry, stop: StopRequest) -> int:
    """Do what was asked for; return the exit code."""
    if settings.print_config or settings.check:
        # A mistake is told as a start tells it, and no misspelt secret is printed as a property like others.
        kafka.consumer().close()
        kafka.producer()
    if settings.print_config:
        print_configuration(path, settings)
    elif settings.check:
        return check_all(settings, kafka, registry)
    elif settings.export:
        export_labels(settings, kafka, registry, stop)
    else:
        with reports_for(settings) as report:
            label(settings, kafka, registry, stop, report)
    return 0


def tell(arguments: argparse.Namespace, words: str) -> None:
    """Say what went wrong, as the last line."""
    where = f"{arguments.config}: " if words.startswith("[") else ""  # a section and property of that file
    if arguments.log_format == "json":
        log.error("%s%s", where, words)
    else:
        print_error(f"user_classifier.py: error: {where}{words}")


if __name__ == "__main__":
    exit_code = exit_code_of(main)
    # Everything is closed and flushed. The interpreter's own end would look for reference cycles in the table (0.3 s,
    # more with many users), and break off an import under way with a traceback.
    os._exit(exit_code)

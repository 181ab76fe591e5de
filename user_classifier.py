#!/usr/bin/env python3
"""Label users by K-means, live, from a Kafka topic of per-user totals.

Reads   `transactions_aggregate`: (user_id, total_amount, num_transactions) in Confluent Avro, written by Flink SQL as a
        retract changelog: rows are added (+I, +U) and retracted (-U, -D), in any order.
Keeps   a table in memory with one row per user, restored from `user_labeling` at every start. Nothing is on disk.
Writes  `user_labeling`: (user_id, total_amount, num_transactions, label), keyed by user_id, for each user whose row or
        label changed. Label 0 is the cluster that spends least.

Guarantee: a read_committed reader of `user_labeling` sees every change of `transactions_aggregate` exactly once. Labels
and input offsets are committed in one Kafka transaction. A large step commits some records in earlier transactions; a
restore does not depend on them. After a crash, an aborted transaction or a plain restart the client does the same:
discard its state, restore it from Kafka, continue.

    python user_classifier.py ./configurations/configuration.ini
    python user_classifier.py ./configurations/local.ini -k 4 --until-end
    python user_classifier.py ./configurations/local.ini --cells

With --cells the same loop labels cells, in which Flink counts users: it reads `user_cells`, writes `user_cell_labels`.

This file has, from top to bottom: the command line, one-hot encoding and K-means fit, the run loop, `main`. The rest is
in `classifier/`:

    config/         settings (every option), argument_types, ini_file and properties (the configuration file)
    kafka/          client, diagnosis, record, source (reads a topic from given offsets), topics (checks and watches
                    them), ends, end_check, last_written and caught_up (what has been read, and what is the newest),
                    sink (writes a step; cuts a large one into transactions),
                    transaction_size (how much one transaction may hold)
    serialization/  wire (Confluent's framing), registry and http (Schema Registry), schema, column_types, avro
    clustering/     scaling (--scale), grouping and search (--fit cells), model (a fit), number_of_clusters (-k),
                    compare_k
    loop/           intake (the interface between the loop and the two intakes), schedule (when a step is due),
                    aborts (pauses after aborted transactions)
    users/          intake (restore, gather, settle; decides when a user is deleted), progress (offsets, checks of a
                    restore), offset_metadata (marks), changelog (nets and decodes the input), input_keys,
                    last_schema, multiset (the rows of one user), table (the current row of each user; deletes
                    users; keeps unmatched retractions as pending rows),
                    duplicate_rows (users with more than one row), output and output_codec (writes and reads labels)
    cells/          intake, lattice (the cells), codec, headers: the same for --cells
    reports/        summary, plot, elbow, metrics, progress, jsonlog; step (what one step found)
    commands/       preview (--dry-run, --explore-k), check and check_line, export, print_config
    errors, stop, outage, row, label_names, stdio, formatting
"""

from __future__ import annotations

from classifier.stop import COMMITTED, StopRequest, exit_on_signal

if __name__ == "__main__":
    exit_on_signal()  # before the imports below, which take most of a second

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
from collections.abc import Callable, Iterator, Sequence
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
from classifier.loop.aborts import Aborts
from classifier.loop.intake import Changes, Intake
from classifier.loop.schedule import Schedule
from classifier.reports import Report
from classifier.reports.build import reports_for
from classifier.reports.step import log_step
from classifier.serialization.http import HTTP_LIBRARIES
from classifier.serialization.registry import ReadOnlyRegistry, SchemaRegistry
from classifier.stdio import discard_output, exit_code_of, log_to_stderr, print_error, print_line, repair_streams
from classifier.users.intake import UserIntake

TOPIC_CHECK_SECONDS = 10.0  # between checks that the topics are still the same, while there are no steps
log = logging.getLogger("user_classifier")

# -------------------------------------------------------------------------------------- command line

EXAMPLES = """examples:
  python user_classifier.py ./configurations/local.ini
  python user_classifier.py ./configurations/local.ini -k 4 --batch-interval 5
  python user_classifier.py ./configurations/local.ini --until-end --plot clustering.png
"""


def argument_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; classifier/config/settings.py defines the options."""
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
    totals : ndarray of shape (n_users, n_features)
        Rows in the order of user_id, features in the order of --features; points in time as ages in days.

    Returns
    -------
    csr_matrix of shape (n_users, n_users + n_features)
    """
    from scipy.sparse import csr_matrix

    n_users, n_features = totals.shape
    data = np.column_stack((np.ones(n_users), totals))
    indices, indptr = one_hot_structure(n_users, n_features)
    return csr_matrix((data.ravel(), indices, indptr), shape=(n_users, n_users + n_features))


@functools.lru_cache(maxsize=1)
def one_hot_structure(n_users: int, n_features: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return indices and indptr of the matrix of `one_hot_totals`; cached, as they depend on its shape."""
    row_size = 1 + n_features
    indices = np.empty((n_users, row_size), np.int32)
    indices[:, 0] = np.arange(n_users)
    indices[:, 1:] = np.arange(n_users, n_users + n_features)
    return indices.ravel(), np.arange(0, row_size * n_users + 1, row_size, dtype=np.int32)


def cluster(
    totals: NDArray[np.float64],
    n_clusters: int,
    n_init: int | str = "auto",
    scale: str = "none",
    fit: str = "users",
    *,
    weights: Weights | None = None,
    units_per_day: Sequence[int] = (),
) -> Clusters:
    """Fit KMeans and number the clusters in label order: label 0 has the smallest mean of the first feature.

    Parameters
    ----------
    totals : ndarray of shape (n_users, n_features)
        Rows in the order of user_id, features in the order of --features, in the units of the input.
    n_clusters : int
        If there are fewer users, every label is 0.
    n_init : int or 'auto'
        Runs of k-means++, of which the one of least inertia is kept; 'auto' is one, and 30 on groups.
    scale : {'none', 'standard', 'log', 'log-standard'}
        The space in which distances are measured, see `classifier/clustering/scaling.py`.
    fit : {'users', 'cells'}
        With 'cells' the centers are searched on groups of users, see `classifier/clustering/search.py`.
    weights : ndarray of shape (n_users,), optional
        How many users each row stands for. The fit is then as with fit='cells'.
    units_per_day : sequence of n_features ints, optional
        For each feature how many units of a point in time a day has, 0 for numbers.

    Notes
    -----
    The one-hot columns of user_id are part of the fit only where it is that of the original: on users, without a scale.
    They do not influence it. Any two one-hot users are sqrt(2) apart, so a user in a cluster of m is at the squared
    distance 1 - 1/m from the center. This adds m - 1 for a cluster, n_users - n_clusters in total, whichever users are
    in which cluster.

    References
    ----------
    Lloyd, S. P. (1982), "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28(2).
    Arthur, D. and Vassilvitskii, S. (2007), "k-means++: the advantages of careful seeding", SODA.
    """
    scaled = fit_scaling(scale, totals, weights, units_per_day)
    n_users = number_of_users(totals, weights)
    if n_users < n_clusters:
        mean = np.average(totals, axis=0, weights=weights)[None] if n_users else totals
        return Clusters(np.zeros(len(totals), np.int32), mean, scaling=scaled)
    if fit == "cells" or weights is not None:
        model = search(totals, n_clusters, 30 if n_init == "auto" else int(n_init), scaled, weights)
    elif scale == "none":
        model = k_means(one_hot_totals(scaled.points(totals)), n_clusters, n_init)
    else:
        points = scaled.points(totals)
        model = k_means(points, n_distinct(points, n_clusters), n_init)
    return in_label_order(model, totals, scaled, weights)


def k_means(matrix: Any, n_clusters: int, n_init: int | str) -> Any:
    """Fit KMeans on one row per user."""
    model = kmeans_class()(
        n_clusters=n_clusters,
        init="k-means++",
        n_init=n_init,
        random_state=RANDOM_STATE,
        copy_x=False,  # KMeans only reads a CSR matrix; points may be overwritten
    )
    with warnings.catch_warnings():
        # "Fewer distinct clusters than n_clusters": next to totals of 1e16, rounding erases the one-hot part.
        warnings.simplefilter("ignore")
        return model.fit(matrix)


def search(totals: NDArray[np.float64], n_clusters: int, n_init: int, scaled: Scaling, weights: Weights | None) -> Any:
    """Find centers on groups of users, and refine them on all rows. Rows with `weights` are such groups already."""
    groups = group_users(totals) if weights is None else coarsened(Groups(totals, weights))
    points = scaled.points(groups.totals)
    n_clusters = n_distinct(points, n_clusters)
    model = best_fit(points, groups.weights, n_clusters, n_init, RANDOM_STATE)
    return refined(scaled.points(totals), model.cluster_centers_, weights)


def in_label_order(model: Any, totals: NDArray[np.float64], scaled: Scaling, weights: Weights | None) -> Clusters:
    """Number the clusters by the mean first feature of their users, ascending; equal ones by the next feature."""
    n_features = totals.shape[1]
    centers = scaled.totals(model.cluster_centers_[:, -n_features:])
    numbers = scaled.numbers(centers)
    is_one_hot = model.cluster_centers_.shape[1] > n_features
    if not is_one_hot:  # after scaling or a search, a center need not be the mean of its users; and it may have none
        first = scaled.numbers(totals)[:, 0]
        n_users = np.bincount(model.labels_, weights, len(centers))
        sums = np.bincount(model.labels_, first * (1 if weights is None else weights), len(centers))
        means = np.divide(sums, n_users, out=np.full(len(centers), np.inf), where=n_users > 0)
        numbers = np.column_stack((means, numbers[:, 1:]))
    ascending = np.lexsort(numbers.T[::-1])
    label_of_center = np.empty(len(centers), np.int32)
    label_of_center[ascending] = np.arange(len(centers), dtype=np.int32)
    return Clusters(label_of_center[model.labels_], centers[ascending], float(model.inertia_), scaled)


# -------------------------------------------------------------------------------------- run loop


@dataclass
class Classifier:
    """The run loop: restore the state, then gather records and run steps until the end or a stop request.

    One active instance for each group and output: a newer one fences the older.
    """

    settings: Settings
    kafka: Kafka
    stop: StopRequest
    intake: Intake
    cluster: ClusterFunction
    report: Report
    clock: Callable[[], float] = time.monotonic
    number: NumberOfClusters = field(init=False)
    transaction_size: TransactionSize = field(init=False)
    aborts: Aborts = field(init=False)
    sink: Sink = field(init=False)  # of the last session, until the next one has fenced its producer

    def __post_init__(self) -> None:
        self.transaction_size = TransactionSize(self.settings.transaction_timeout)
        self.aborts = Aborts(self.stop)
        self.number = NumberOfClusters(self.settings, self.cluster, self.intake.heartbeat)

    def run(self) -> None:
        """Run sessions until one completes; after an aborted transaction the next one restores and continues."""
        while not self.run_session():
            pass

    def run_session(self) -> bool:
        """Restore and label; return True at the end of the run, False where the state has to be restored again."""
        try:
            self.restore()
            if self.stop.requested:
                log.info("stopped while restoring; %s", self.stop.last_step)
            else:
                self.label_changes()
            return True
        except RestoreNeeded as reason:
            if self.stop.requested:
                raise
            self.aborts.note(reason, self.transaction_size.n_commits)
            log.warning("%s; restoring from %s", reason, self.settings.output)
            self.transaction_size.note_failure()
            clear_frames(reason)  # they hold the table, and there is memory for one
            self.aborts.pause()
            return False

    def restore(self) -> None:
        """Restore the state from Kafka."""
        # The producer comes first: it ends the transaction that an older instance left open.
        watch = self.intake.watch
        transactional_id, consumer = self.settings.transactional_id, self.intake.consumer
        self.sink = Sink(self.kafka, consumer, transactional_id, self.transaction_size, check_step=watch.check)
        self.intake.restore()
        if not self.stop.requested:
            self.number.recall(self.intake.choice)

    def label_changes(self) -> None:
        """Read the input and run steps, until a stop request or with --until-end the end of the input.

        Repeat:
        1. Gather records. Rows that are added and retracted cancel.
        2. Run a step if one is due (`Schedule`).
        3. At an end of the input without records to label, note the end. With --until-end return, unless another end is
           needed: a user without a row is deleted at the second end in a row.
        4. Every TOPIC_CHECK_SECONDS, check that no topic was deleted, recreated or given partitions.

        After a stop request, commit what was read (`finish`).
        """
        intake = self.intake
        schedule = Schedule(self.settings, self.clock())
        next_check = self.clock() + TOPIC_CHECK_SECONDS
        while not self.stop.requested:
            self.gather(schedule)
            # -k auto chooses once all has been read, so there is no step before unless a transaction is full.
            may_step = intake.at_end or self.number.value or schedule.full
            if may_step and schedule.due(self.clock(), intake.at_end, intake.needs_another_end):
                self.step(schedule)
            if intake.at_end and schedule.last_end and not schedule.records:
                intake.input_ended()
                if self.settings.until_end and self.is_finished():
                    return
            if self.clock() >= next_check:
                intake.check()
                next_check = self.clock() + TOPIC_CHECK_SECONDS
        self.finish(schedule)

    def is_finished(self) -> bool:
        """Return whether the leaders confirm the end of the input, and no other end is needed."""
        intake = self.intake
        # Whether another end is needed is known once the leaders have answered.
        return not intake.needs_another_end and intake.confirm_end() and not intake.needs_another_end

    def finish(self, schedule: Schedule) -> None:
        """After a stop request, commit what was read; users without a row are deleted now, as there is no next end."""
        if self.number.value is None:
            log.info("stopped before -k auto could choose; the next start reads again what is not committed")
            return
        if schedule.records or self.intake.deletions_due:
            self.step(schedule, last=True)
        log.info("stopped; %d users, %s committed", self.intake.n_users, self.intake.commits)

    def gather(self, schedule: Schedule) -> None:
        """Poll once. Read no more than fits into the batch, and no more rows than one transaction takes in time."""
        batch = self.intake.batch
        schedule.max_rows = sys.maxsize if self.intake.divisible else self.transaction_size.max_rows
        limit = min(MAX_POLL_RECORDS, schedule.max_rows - schedule.rows)
        if self.settings.batch_size is not None and self.number.value:  # the first step of -k auto takes all records
            limit = min(limit, self.settings.batch_size - batch.n_records)
        self.intake.gather(limit)
        schedule.records = batch.n_records
        schedule.rows = batch.n_net

    def step(self, schedule: Schedule, *, last: bool = False) -> None:
        """Label all users as they are now, and commit what that changes.

        1. Settle: apply the batch to the user table, and delete users without a row (`UserTable.delete`).
        2. With -k auto, choose the number of clusters if none was chosen; return if a stop request interrupts that.
        3. Fit: `cluster` encodes the users and labels them. Meanwhile the brokers answer requests of 1.
        4. Relabel: compare with the output; the changes are the users whose row or label differs.
        5. Commit the changes, bad records and input offsets (`commit`).
        6. Log and report the step, and start the next batch.
        """
        intake = self.intake
        began = self.clock()
        intake.watch.request()  # the brokers describe the topics during the fit
        max_deletions = None if intake.divisible else max(0, self.transaction_size.max_rows - schedule.rows)
        intake.settle(last=last, max_deletions=max_deletions)
        if self.number.value is None:
            if not self.number.choose(intake.totals, intake.weights):
                return
            began = self.clock()  # the schedule does not count the choice: steps after it take none
        self.number.warn_of_equal_users(intake.totals, intake.weights)
        clusters = intake.fit(self.cluster, self.number.to_fit)
        intake.choice = self.number.to_keep
        changes = intake.relabel(clusters)
        fitted = self.clock()
        intake.watch.check()  # so that nothing is committed that comes from a recreated topic
        if intake.at_end:
            intake.input_ended()  # its leaders were asked before the fit
        self.commit(changes)
        now = self.clock()
        step = intake.step(clusters, len(changes), fitted - began, now - fitted)
        log_step(step)
        self.report.step(step)
        intake.batch.clear()
        schedule.stepped(began, now)

    def commit(self, changes: Changes) -> None:
        """Write changes, dead letters and offsets; `Sink.write` cuts a large step into transactions.

        A record that changes only a label may be committed before the offsets: a restart reads the input again, and
        then writes the same label or a newer one. Until a first labelling or a rebuild is complete, all records may.
        """
        intake = self.intake
        offsets = intake.offsets()
        part_offsets = intake.part_offsets()
        records = intake.records()  # encoded while they are written
        n_early = len(changes) if intake.divisible else changes.n_relabelled
        early_records = itertools.islice(records, n_early)
        try:
            self.sink.write(itertools.chain(self.dead_letters(), records), offsets, early_records, part_offsets)
        except ProducerFenced:
            # The broker also fences a producer whose transaction timed out, e.g. on a suspended machine. It was no
            # takeover if the offsets are still those of this instance.
            if self.transaction_size.timed_out and intake.owns_offsets(offsets, part_offsets):
                raise TransactionAborted("the transaction timed out", passes=True) from None
            raise
        intake.step_committed(offsets)

    def dead_letters(self) -> list[OutputRecord]:
        """Return the bad records of the batch for the dead letter topic; none unless they are to be kept."""
        settings = self.settings
        bad = self.intake.batch.bad if settings.error_handling_mode == "log" else []
        return [dead_letter(each, settings.error_handling_log_target) for each in bad]


# -------------------------------------------------------------------------------------- main


def label(
    settings: Settings,
    kafka: Kafka,
    registry: SchemaRegistry,
    stop: StopRequest,
    report: Report,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Label until the end, or print a preview (--dry-run, --explore-k)."""
    with connected(settings, kafka, registry) as consumer:
        new_intake = CellIntake if settings.cells else functools.partial(UserIntake, clock=clock)
        intake: Intake = new_intake(settings, kafka, registry, consumer, stop, report)
        configured = functools.partial(
            cluster,
            n_init=settings.n_init,
            scale=settings.scale,
            fit=settings.fit,
            units_per_day=intake.features.units_per_day,
        )
        if settings.read_only:
            Preview(settings, intake, configured, stop, report, clock).run()
        else:
            Classifier(settings, kafka, stop, intake, configured, report, clock).run()


@contextlib.contextmanager
def connected(settings: Settings, kafka: Kafka, registry: SchemaRegistry) -> Iterator[Consumer]:
    """Connect to the brokers and yield the consumer; close it and the registry in the end."""
    consumer = kafka.consumer()
    try:
        if not settings.read_only:
            kafka.producer()  # raises ConfigError for a mistake in [producer] before anything waits
        kafka.connect(consumer, "consumer")
        check_topics(settings, kafka, consumer)
        import_in_background("sklearn.cluster")  # while brokers and registry answer
        yield consumer
    finally:
        if kafka.outage.answered_at is not None:  # no later call would show that the outage is over
            kafka.outage.note_recovery()
        consumer.close()
        registry.close()


def check_all(settings: Settings, kafka: Kafka, registry: SchemaRegistry) -> int:
    """Print a line per prerequisite; return 0 if all are met, else 1."""
    from classifier.commands import check

    try:
        return check.run(check.check(settings, kafka, registry), print_line)
    finally:
        registry.close()


def export_labels(settings: Settings, kafka: Kafka, registry: SchemaRegistry, stop: StopRequest) -> None:
    """Write the labelled users of the output to a file."""
    from classifier.commands.export import export

    try:
        export(settings, kafka, registry, stop)
    finally:
        registry.close()


def print_configuration(path: str, settings: Settings) -> None:
    """Print the effective configuration of options and file, without secrets."""
    from classifier.commands.print_config import effective_lines

    for line in effective_lines(path, settings):
        print_line(line)


def set_up_logging(level: str, form: str) -> None:
    """Log to standard error; the logs of libraries only with DEBUG."""
    log_to_stderr(level)
    if form == "json":
        from classifier.reports.jsonlog import JsonFormatter

        log_to_stderr(level, JsonFormatter())
    logging.getLogger("librdkafka").setLevel(logging.DEBUG if level == "DEBUG" else logging.CRITICAL + 1)
    for library in HTTP_LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)
    logging.getLogger("matplotlib").setLevel(logging.DEBUG if level == "DEBUG" else logging.ERROR)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the client; return its exit code."""
    repair_streams()
    arguments = argument_parser().parse_args(argv)
    set_up_logging(arguments.log_level, arguments.log_format)
    exit_code = 0
    stop = StopRequest(functools.partial(report_error, arguments))
    try:
        stop.install()
        settings = settings_from(arguments)
        gc.disable()  # there are no reference cycles to find, and the search in a large table takes half the time
        registry = (ReadOnlyRegistry if settings.read_only else SchemaRegistry)(settings.schema_registry, stop)
        exit_code = run_command(arguments.config, settings, Kafka(settings, stop), registry, stop)
    except BrokenPipeError:  # the reader has closed the pipe: user_classifier.py ... | head
        discard_output(sys.stdout)
        exit_code = int(arguments.check)  # an unread check has not succeeded
    except ClassifierError as error:
        exit_code = error.exit_code
        if not stop.requested:
            report_error(arguments, str(error))
        elif isinstance(error, BrokerUnavailable | RegistryUnavailable | RestoreNeeded) and stop.last_step == COMMITTED:
            log.warning("%s; stop requested meanwhile, %s", error, stop.last_step)
            exit_code = 0
        else:
            report_error(arguments, f"{error}; stop requested meanwhile, {stop.last_step}")
    finally:
        stop.close()
    return exit_code


def run_command(path: str, settings: Settings, kafka: Kafka, registry: SchemaRegistry, stop: StopRequest) -> int:
    """Run the command that the options ask for; return the exit code."""
    if settings.print_config or settings.check:
        # Raises ConfigError as a start would, before a misspelt secret could be printed like any other property.
        kafka.consumer().close()
        kafka.producer()
    if settings.print_config:
        print_configuration(path, settings)
    elif settings.check:
        return check_all(settings, kafka, registry)
    elif settings.export:
        export_labels(settings, kafka, registry, stop)
    else:
        outages = {"kafka": kafka.outage, "schema_registry": registry.outage}
        with reports_for(settings, outages) as report:
            label(settings, kafka, registry, stop, report)
    return 0


def report_error(arguments: argparse.Namespace, message: str) -> None:
    """Print what went wrong, as the last line; with --log-format json, log it."""
    where = f"{arguments.config}: " if message.startswith("[") else ""  # a section and property of that file
    if arguments.log_format == "json":
        log.error("%s%s", where, message)
    else:
        print_error(f"user_classifier.py: error: {where}{message}")


if __name__ == "__main__":
    exit_code = exit_code_of(main)
    # Everything is closed and flushed. The interpreter's own exit would search the table for reference cycles (0.3 s,
    # more with many users), and interrupt an import in the background with a traceback.
    os._exit(exit_code)

"""Targets for the client's speed, compared with the results. Ratios are between values of the same run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.plan import MANY_USERS, TARGET_USERS
from benchmarks.program_runs import AVRO, BYTEWAX, LIMIT, OURS, QUIX
from benchmarks.results import Results
from benchmarks.summary import Summary, paired_ratios

LARGE_STEP = 100_000
"""Number of changes from which a step counts as part of a first labelling."""

BATCH_INTERVAL_SECONDS = 1.0
STEP_TIMES_FASTER = {10: 9.0, 100: 35.0, 1_000: 250.0}
"""Number of users -> milliseconds of the original's step over those of the client's."""


@dataclass(frozen=True)
class Target:
    """A limit for one measurement."""

    name: str
    wanted: float
    at_least: bool
    """Whether `wanted` is a lower limit; otherwise it is an upper one."""
    measured: Summary | None
    unit: str = "x"

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None if it was not measured."""
        if self.measured is None:
            return None
        if self.at_least:
            return self.measured.median >= self.wanted
        return self.measured.median <= self.wanted

    @property
    def verdict(self) -> str:
        """The word in the table."""
        return {True: "met", False: "MISSED", None: "not measured"}[self.met]


def targets(results: Results) -> list[Target]:
    """Return all targets: throughput, steps, segments, many users, latency, start."""
    return [
        *throughput_targets(results),
        *step_targets(results),
        *large_step_targets(results),
        *segment_targets(results),
        *feature_targets(results),
        *size_targets(results),
        *latency_targets(results),
        *start_targets(results),
    ]


def throughput_targets(results: Results) -> Iterator[Target]:
    """Yield targets for records per second over those of other programs."""
    for other, n_users, wanted in (
        (LIMIT, TARGET_USERS, 0.5),
        (LIMIT, MANY_USERS, 0.3),
        (AVRO, TARGET_USERS, 5.0),
        (QUIX, TARGET_USERS, 6.0),
        (BYTEWAX, TARGET_USERS, 2.0),
    ):
        ratio = rate_ratio(results, other, n_users)
        yield Target(f"records/s, user_classifier / {other}, {n_users:,} users", wanted, True, ratio)


def rate_ratio(results: Results, other: str, n_users: int, n_records: int | None = None) -> Summary | None:
    """Return the client's records per second over those of a program on the same input, round by round."""
    theirs = results.runs_of(other, n_users, n_records)
    ours = results.runs_of(OURS, n_users, theirs.n_records) if theirs else None
    if ours is None or theirs is None:
        return None
    return Summary.of(paired_ratios(ours.rates, theirs.rates))


def step_targets(results: Results) -> Iterator[Target]:
    """Yield targets for the original's step over the client's."""
    for n_users, wanted in STEP_TIMES_FASTER.items():
        found = results.one_record_at(n_users)
        ratio = None
        if found and found.original:
            ratio = quotient(found.original.step_ms, found.client_cycle_ms)
        yield Target(f"step of one record, original / user_classifier, {n_users:,} users", wanted, True, ratio)


def quotient(above: Summary, below: Summary) -> Summary:
    """Return median over median, without a range: that of all possible quotients is too wide to be useful."""
    ratio = above.median / below.median
    return Summary(ratio, ratio, ratio, min(above.n, below.n))


def large_step_targets(results: Results) -> Iterator[Target]:
    """Yield targets for steps with 1 % of the users changed."""
    many = results.changed_users_at(MANY_USERS)
    fewer = results.changed_users_at(TARGET_USERS)
    over_fit = many.step_over_bare_fit if many else None
    growth = quotient(many.step_ms, fewer.step_ms) if many and fewer else None
    linear = MANY_USERS / TARGET_USERS
    yield Target(f"step with 1 % changed / bare KMeans.fit, {MANY_USERS:,} users", 1.7, False, over_fit)
    yield Target(f"step with 1 % changed, {MANY_USERS:,} / {TARGET_USERS:,} users", linear, False, growth)


def segment_targets(results: Results) -> Iterator[Target]:
    """Yield targets for labels that change, for inertia, and for steps with --fit cells."""
    found = results.segments
    moved = None
    above = None
    if found:
        (moved,) = (
            each.percent for each in found.moves if (each.scale, each.fit, each.n_clusters) == ("log", "cells", 5)
        )
        percents = [each.cells for each in found.inertias]
        above = Summary(max(percents), min(percents), max(percents), len(percents))
    yield Target("customers with a new label per step, --fit cells --scale log, 5 clusters", 3.0, False, moved, "%")
    yield Target("inertia above the best of many runs on all users, --fit cells, maximum", 0.1, False, above, "%")
    for scale in ("none", "log"):
        steps = results.cell_steps_at(MANY_USERS, scale)
        name = f"step with 1 % changed, --fit cells --scale {scale} / bare KMeans.fit, {MANY_USERS:,} users"
        yield Target(name, 1.0, False, steps.step_over_bare_fit if steps else None)


def feature_targets(results: Results) -> Iterator[Target]:
    """Yield targets for five features: records per second over those of two, and the step over its fit."""
    found = next((each for each in results.five_features if each.n_users == TARGET_USERS), None)
    ratio = found.rate_over_totals if found else None
    yield Target(f"records/s, five features / two totals, {TARGET_USERS:,} users", 0.8, True, ratio)
    steps = results.five_feature_steps
    over_fit = steps.step_over_bare_fit if steps and steps.n_users == MANY_USERS else None
    yield Target(f"step with 1 % changed, five features / bare KMeans.fit, {MANY_USERS:,} users", 1.3, False, over_fit)


def size_targets(results: Results) -> Iterator[Target]:
    """Yield targets for first labels, restart and memory with a million users."""
    ours = results.runs_of(OURS, MANY_USERS)
    restart = results.restart
    if restart and restart.n_users != MANY_USERS:
        restart = None
    users = f"{MANY_USERS:,} users"
    labels = first_labels_per_second(results, MANY_USERS)
    yield Target(f"first labelling, {users}, into the broker", 150_000, True, labels, "labels/s")
    seconds = restart.first_label_seconds if restart else None
    yield Target(f"restart until the first new label, {users}", 10.0, False, seconds, "s")
    yield Target(f"peak memory, catch-up, {users}", 900, False, ours.peak if ours else None, "MiB")
    yield Target(f"peak memory, restart, {users}", 900, False, restart.peak_mib if restart else None, "MiB")


def first_labels_per_second(results: Results, n_users: int) -> Summary | None:
    """Return labels per second of their transactions, run by run."""
    ours = results.runs_of(OURS, n_users)
    rates = []
    for run in ours.steps if ours else []:
        large = [step for step in run if step.n_changes >= LARGE_STEP]
        if large:
            seconds = sum(step.commit_ms for step in large) / 1000
            rates.append(sum(step.n_changes for step in large) / seconds)
    return Summary.of(rates) if rates else None


def latency_targets(results: Results) -> Iterator[Target]:
    """Yield targets for the time from a record to its label."""
    found = results.latency
    for name, more in (("median", 0.2), ("p99", 0.6)):
        measured = None
        if found and found.n_users == TARGET_USERS:
            value = {"median": found.median, "p99": found.p99}[name]
            measured = Summary(value, value, value, found.n_labels)
        text = f"record to label readable, 1,000 records/s, {TARGET_USERS:,} users, {name}"
        yield Target(text, BATCH_INTERVAL_SECONDS + more, False, measured, "s")


def start_targets(results: Results) -> Iterator[Target]:
    """Yield targets for --help and a configuration error."""
    found = results.start_up
    yield Target("--help", 0.3, False, found.help if found else None, "s")
    yield Target("a configuration error", 0.3, False, found.configuration_error if found else None, "s")


def overall(found: list[Target]) -> str:
    """Return how many targets are met."""
    met = sum(each.met is True for each in found)
    missed = sum(each.met is False for each in found)
    return f"{met} met, {missed} missed, {len(found) - met - missed} not measured"

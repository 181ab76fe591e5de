"""How fast the client is meant to be, what was measured, and whether that is enough. Ratios are those of one run."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.line import AVRO, BYTEWAX, LIMIT, OURS, QUIX
from benchmarks.plan import MANY_USERS, TARGET_USERS
from benchmarks.results import Results
from benchmarks.summary import Summary, paired_ratios

LARGE_STEP = 100_000
"""Changes from which a step counts as a first labelling."""

BATCH_INTERVAL_SECONDS = 1.0
STEP_TIMES_FASTER = {10: 9.0, 100: 35.0, 1_000: 250.0}


@dataclass(frozen=True)
class Target:
    """One thing asked for."""

    name: str
    wanted: float
    at_least: bool
    measured: Summary | None
    unit: str = "x"

    @property
    def met(self) -> bool | None:
        """None where it was not measured."""
        if self.measured is None:
            return None
        if self.at_least:
            return self.measured.median >= self.wanted
        return self.measured.median <= self.wanted

    @property
    def verdict(self) -> str:
        """In a word."""
        return {True: "met", False: "MISSED", None: "not measured"}[self.met]


def targets(results: Results) -> list[Target]:
    """All of them: throughput, steps, segments, many users, latency, start."""
    return [
        *throughput_targets(results),
        *step_targets(results),
        *large_step_targets(results),
        *segment_targets(results),
        *size_targets(results),
        *latency_targets(results),
        *start_targets(results),
    ]


def throughput_targets(results: Results) -> Iterator[Target]:
    """Records per second over another line's, round by round."""
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
    """The client's records per second over another's on the same input."""
    theirs = results.line(other, n_users, n_records)
    ours = results.line(OURS, n_users, theirs.n_records) if theirs else None
    if ours is None or theirs is None:
        return None
    return Summary.of(paired_ratios(ours.rates, theirs.rates))


def step_targets(results: Results) -> Iterator[Target]:
    """The original's step over the client's."""
    for n_users, wanted in STEP_TIMES_FASTER.items():
        found = results.one_record_at(n_users)
        ratio = None
        if found and found.original:
            ratio = quotient(found.original.step_ms, found.client_cycle_ms)
        yield Target(f"step of one record, original / user_classifier, {n_users:,} users", wanted, True, ratio)


def quotient(above: Summary, below: Summary) -> Summary:
    """Median over median; from the least to the greatest quotient that the measurements allow is too wide to tell."""
    ratio = above.median / below.median
    return Summary(ratio, ratio, ratio, min(above.n, below.n))


def large_step_targets(results: Results) -> Iterator[Target]:
    """Steps with 1 % of the users changed."""
    many, fewer = results.changed_users_at(MANY_USERS), results.changed_users_at(TARGET_USERS)
    over_fit = many.step_over_bare_fit if many else None
    growth = quotient(many.step_ms, fewer.step_ms) if many and fewer else None
    linear = MANY_USERS / TARGET_USERS
    yield Target(f"step with 1 % changed / bare KMeans.fit, {MANY_USERS:,} users", 1.7, False, over_fit)
    yield Target(f"step with 1 % changed, {MANY_USERS:,} / {TARGET_USERS:,} users", linear, False, growth)


def segment_targets(results: Results) -> Iterator[Target]:
    """Labels that stay put, clusters as good as any, and in the time of one plain fit."""
    found, moved, above = results.segments, None, None
    if found:
        (moved,) = (
            each.percent for each in found.moves if (each.scale, each.fit, each.n_clusters) == ("log", "cells", 5)
        )
        percents = [each.cells for each in found.inertias]
        above = Summary(max(percents), min(percents), max(percents), len(percents))
    yield Target("customers moved a step, --fit cells --scale log, 5 clusters", 3.0, False, moved, "%")
    yield Target("inertia over the best of many runs on all users, --fit cells, most", 0.1, False, above, "%")
    for scale in ("none", "log"):
        steps = results.cell_steps_at(MANY_USERS, scale)
        name = f"step with 1 % changed, --fit cells --scale {scale} / bare KMeans.fit, {MANY_USERS:,} users"
        yield Target(name, 1.0, False, steps.step_over_bare_fit if steps else None)


def size_targets(results: Results) -> Iterator[Target]:
    """First labels, restart and memory with a million users."""
    line, restart = results.line(OURS, MANY_USERS), results.restart
    if restart and restart.n_users != MANY_USERS:
        restart = None
    users = f"{MANY_USERS:,} users"
    labels = first_labels_per_second(results, MANY_USERS)
    yield Target(f"first labelling, {users}, into the broker", 150_000, True, labels, "labels/s")
    seconds = restart.first_label_seconds if restart else None
    yield Target(f"restart until the first new label, {users}", 10.0, False, seconds, "s")
    yield Target(f"peak memory, catch-up, {users}", 900, False, line.peak if line else None, "MiB")
    yield Target(f"peak memory, restart, {users}", 900, False, restart.peak_mib if restart else None, "MiB")


def first_labels_per_second(results: Results, n_users: int) -> Summary | None:
    """Labels over seconds of their transactions, run by run."""
    line = results.line(OURS, n_users)
    rates = []
    for run in line.steps if line else []:
        large = [step for step in run if step.n_changes >= LARGE_STEP]
        if large:
            seconds = sum(step.commit_ms for step in large) / 1000
            rates.append(sum(step.n_changes for step in large) / seconds)
    return Summary.of(rates) if rates else None


def latency_targets(results: Results) -> Iterator[Target]:
    """From a record to its label."""
    found = results.latency
    for name, more in (("median", 0.2), ("p99", 0.6)):
        measured = None
        if found and found.n_users == TARGET_USERS:
            value = {"median": found.median, "p99": found.p99}[name]
            measured = Summary(value, value, value, found.n_labels)
        text = f"record to label readable, 1,000 records/s, {TARGET_USERS:,} users, {name}"
        yield Target(text, BATCH_INTERVAL_SECONDS + more, False, measured, "s")


def start_targets(results: Results) -> Iterator[Target]:
    """Answers without work."""
    found = results.start_up
    yield Target("--help", 0.3, False, found.help if found else None, "s")
    yield Target("a configuration error", 0.3, False, found.configuration_error if found else None, "s")


def overall(found: list[Target]) -> str:
    """How many are met."""
    met, missed = sum(each.met is True for each in found), sum(each.met is False for each in found)
    return f"{met} met, {missed} missed, {len(found) - met - missed} not measured"

"""One run of all measurements, the most important first; later ones continue from the labels of the comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TypeVar

from benchmarks.client import Client
from benchmarks.environments import NotInstalled, python_of, versions_in
from benchmarks.inputs import customers_input, skewed_input
from benchmarks.last_rows import WrongTable
from benchmarks.measures.cell_steps import CellSteps, cell_steps
from benchmarks.measures.changed_users import ChangedUsers, changed_users
from benchmarks.measures.five_features import FiveFeatures, five_feature_steps, five_features
from benchmarks.measures.latency import latency
from benchmarks.measures.one_record import one_record
from benchmarks.measures.restart import restart
from benchmarks.measures.segments import segments
from benchmarks.measures.start_up import start_up
from benchmarks.plan import MANY_USERS, Plan
from benchmarks.plots import draw_all
from benchmarks.processes import ProgramFailed
from benchmarks.program_runs import BYTEWAX, OURS, QUIX
from benchmarks.progress import Progress
from benchmarks.results import Results, as_json, save
from benchmarks.stack import Stack, running_stack
from benchmarks.table import report
from benchmarks.targets import Target, targets
from benchmarks.throughput import ENVIRONMENTS, FAST, OTHERS, Comparison, compare_others_once
from benchmarks.verification import expected_labels

T = TypeVar("T")
PACKAGES = {QUIX: ["quixstreams", "confluent-kafka", "fastavro"], BYTEWAX: ["bytewax", "confluent-kafka", "fastavro"]}
# Expected durations, in addition to those in the plan.
CHANGED_USERS_SECONDS = 15.0
SEGMENTS_SECONDS = 30.0
SECONDS_PER_RUN = 0.5  # of k-means++ on all users, on all scales
FEATURES_SECONDS = 30.0
SECONDS_PER_MILLION_RECORDS = 20.0  # to write them, and to read them in one round
RESTART_SECONDS = 4.0
SECONDS_PER_MILLION = 60.0
RESTART_SECONDS_PER_MILLION = 15.0
LATENCY_SECONDS = 15.0
START_UP_SECONDS = 20.0
ORIGINAL_START_SECONDS = 30.0


def run(plan: Plan, directory: Path, progress: Progress) -> str:
    """Measure, save and draw the results; return the printed report."""
    results = Results(plan.quick)
    make_environments(plan, results, progress)
    progress.log("starting a broker and a registry")
    try:
        with running_stack() as stack:
            Session(stack, plan, results, progress).run()
    finally:  # an error keeps the results before it
        results.not_measured += progress.left_out
        found = targets(results)
        if not results.empty:  # a run without results must not replace a good one
            save_all(results, found, directory, progress)
    return report(results, found)


def save_all(results: Results, found: Sequence[Target], directory: Path, progress: Progress) -> None:
    """Write the JSON file and draw the plots."""
    written = {**as_json(results, progress.seconds), "targets": [asdict(each) | {"met": each.met} for each in found]}
    for path in [save(directory, written), *draw_all(results, directory)]:
        progress.log(f"written: {path.name}")


def make_environments(plan: Plan, results: Results, progress: Progress) -> None:
    """Install the other programs before anything is timed."""
    for name, environment in ENVIRONMENTS.items():
        if plan.wants(name):
            progress.log(f"{name}: environment")
            try:
                results.versions[name] = versions_in(python_of(environment), PACKAGES[name])
            except NotInstalled as reason:
                progress.log(f"{name}: {reason}")


class Session:
    """One run of the plan on one stack."""

    def __init__(self, stack: Stack, plan: Plan, results: Results, progress: Progress) -> None:
        self.stack = stack
        self.plan = plan
        self.results = results
        self.progress = progress
        self.comparisons: dict[int, Comparison] = {}
        self._clients: dict[int, Client] = {}

    def run(self) -> None:
        """Run the measurements in order of importance, as time may run out."""
        needed = {self.plan.target_users, self.plan.restart_users, *self.plan.changed_users}
        first = [n for n in self.plan.users if n in needed]
        others = self.compare_with_others()
        for n_users in first:
            self.compare(n_users)
        self.one_record()
        self.start_up()
        self.changed_users()
        self.segments()
        self.cell_steps()
        self.five_features()
        self.restart()
        self.latency()
        for n_users in self.plan.users:
            if n_users not in first:
                self.compare(n_users)
        if others and not self.plan.quick:
            compare_others_once(others, self.comparisons.values(), self.progress)

    def compare_with_others(self) -> Comparison | None:
        """Compare the limit, the client and other programs on one input."""
        n_users = self.plan.target_users
        if not any(self.plan.wants(name) for name in OTHERS):
            return None
        return self._run_rounds((*FAST, *OTHERS), n_users, self.plan.records_for(n_users))

    def compare(self, n_users: int) -> None:
        """Compare the limit and the client on one long input."""
        if any(self.plan.wants(name) for name in FAST):
            self.comparisons[n_users] = self._run_rounds(FAST, n_users, self.plan.long_records_for(n_users))

    def _run_rounds(self, programs: Sequence[str], n_users: int, n_records: int) -> Comparison:
        self.progress.log(f"{n_users} users, {n_records} records: writing the input")
        source = skewed_input(self.stack, f"aggregate_{n_users}_{n_records}", n_users, n_records)
        comparison = Comparison(self.stack, source, expected_labels(source.history.rows()), self.results.programs)
        comparison.run_rounds([name for name in programs if self.plan.wants(name)], self.plan, self.progress)
        return comparison

    def labelled(self, n_users: int) -> Client:
        """Return a client that has labelled its input."""
        known = self.comparisons.get(n_users)
        if known and known.client and not known.runs[OURS].error:
            return known.client
        if n_users not in self._clients:
            self.progress.log(f"{n_users} users: labelling an input")
            n_records = self.plan.records_for(n_users)
            source = skewed_input(self.stack, self.stack.new_name("aggregate"), n_users, n_records)
            self._clients[n_users] = Client.new(self.stack, source)
            self._clients[n_users].run()
        return self._clients[n_users]

    def attempt(self, name: str, what: str, seconds: float, measure: Callable[[], T]) -> T | None:
        """Return a measurement; None if it is not in the plan, has no time left, or fails: the report names it."""
        if not self.plan.wants(name) or not self.progress.has_time_for(what, seconds):
            return None
        self.progress.log(what)
        try:
            return measure()
        except (ProgramFailed, WrongTable) as error:
            self.results.not_measured.append(f"{what}: {error}")
            self.progress.log(f"{what}: {error}")
            return None

    def one_record(self) -> None:
        """Measure the client and the original with one record per step."""
        for n_users in self.plan.original_users:
            what = f"steps of one record, {n_users} users"
            seconds = self.plan.original_seconds
            measure = partial(one_record, self.stack, n_users, seconds)
            found = self.attempt("original", what, seconds + ORIGINAL_START_SECONDS, measure)
            self.results.one_record += [found] if found else []

    def changed_users(self) -> None:
        """Measure steps with 1 % of the users changed."""
        for n_users in self.plan.changed_users:
            found = self.attempt(
                "changed_users",
                f"steps with 1 % changed, {n_users} users",
                CHANGED_USERS_SECONDS + SECONDS_PER_MILLION * n_users / 1e6,
                partial(self._changed_users, n_users),
            )
            self.results.changed_users += [found] if found else []

    def _changed_users(self, n_users: int) -> ChangedUsers:
        return changed_users(self.labelled(n_users), self.plan.changed_steps)

    def segments(self) -> None:
        """Measure how many labels change, and how good the clusters are."""
        numbers = self.plan.segments
        n_runs = self.plan.best_of
        seconds = len(numbers) * (SEGMENTS_SECONDS + SECONDS_PER_RUN * n_runs)
        what = "segments of CDNOW's customers"
        self.results.segments = self.attempt("segments", what, seconds, partial(segments, numbers, n_runs))

    def cell_steps(self) -> None:
        """Measure steps with 1 % of the users changed and --fit cells."""
        n_users = self.plan.cell_users
        for scale in ("none", "log"):
            found = self.attempt(
                "segments",
                f"steps with 1 % changed, {n_users} users, --fit cells --scale {scale}",
                CHANGED_USERS_SECONDS + 2 * SECONDS_PER_MILLION * n_users / 1e6,
                partial(self._cell_steps, n_users, scale),
            )
            self.results.cell_steps += [found] if found else []

    def _cell_steps(self, n_users: int, scale: str) -> CellSteps:
        source = customers_input(self.stack, self.stack.new_name("aggregate"), n_users)
        return cell_steps(self.stack, source, scale, self.plan.changed_steps)

    def five_features(self) -> None:
        """Measure catch-up and steps with five features."""
        for n_users in sorted(set(self.plan.feature_users)):
            n_records = self.plan.long_records if n_users < MANY_USERS else self.plan.records_for(n_users)
            found = self.attempt(
                "features",
                f"five features, {n_users} users, {n_records} records",
                FEATURES_SECONDS + SECONDS_PER_MILLION_RECORDS * n_records / 1e6,
                partial(self._five_features, n_users, n_records),
            )
            self.results.five_features += [found] if found else []

    def _five_features(self, n_users: int, n_records: int) -> FiveFeatures:
        source = skewed_input(self.stack, self.stack.new_name("aggregate"), n_users, n_records, wide=True)
        found = five_features(self.stack, source, self.plan.runs)
        if n_users == self.plan.feature_users[-1]:
            self.progress.log(f"steps with 1 % changed, {n_users} users, five features")
            self.results.five_feature_steps = five_feature_steps(self.stack, source, self.plan.changed_steps)
        return found

    def restart(self) -> None:
        """Measure restarts until the first new label."""
        n_users = self.plan.restart_users
        runs = self.plan.runs
        what = f"restart, {n_users} users"
        seconds = runs * (RESTART_SECONDS + RESTART_SECONDS_PER_MILLION * n_users / 1e6)
        self.results.restart = self.attempt("restart", what, seconds, lambda: restart(self.labelled(n_users), runs))

    def latency(self) -> None:
        """Measure the time from record to label."""
        n_users = self.plan.latency_users
        seconds = self.plan.latency_seconds
        what = f"latency, {n_users} users"
        self.results.latency = self.attempt(
            "latency", what, seconds + LATENCY_SECONDS, lambda: latency(self.labelled(n_users), seconds)
        )

    def start_up(self) -> None:
        """Measure how fast --help and a configuration error are printed."""
        self.results.start_up = self.attempt(
            "start_up", "start-up", START_UP_SECONDS, lambda: start_up(self.stack, self.plan.starts)
        )

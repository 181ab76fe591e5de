"""The judge: was every change reflected exactly once, at every single commit and in the end?"""

import itertools
import json
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise, zip_longest
from typing import NamedTuple

from tests.faults.feeder import Feeder
from tests.faults.watcher import Watcher
from tests.support import oracle
from tests.support.changelog import Change, Row
from tests.support.oracle import Labelled, Multiset
from tests.support.pipeline import MARK, Pipeline
from tests.support.topics import Commit, Record
from tests.support.waiting import wait_until

N_CLUSTERS = 3


class Verdict(NamedTuple):
    """What was found; `clean` says whether it is as promised."""

    records: int
    """Input records."""
    commits: int
    """Transactions that committed offsets."""
    lost: int
    """Users whose final record is not the oracle's, or who are still owed something."""
    doubled: int
    """Records that told a read_committed reader once more what the user's last one said."""
    wrong_commits: int
    """Commits at which the output did not equal the input up to the offsets committed with it."""
    moved_back: int
    """Committed offsets below the one before, or without the client's mark."""
    uncommitted_seen: int
    """Records of aborted transactions seen by a read_committed reader."""
    aborted: int
    """Records of aborted transactions: what there was to see."""

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong."""
        return not (self.lost or self.doubled or self.wrong_commits or self.moved_back or self.uncommitted_seen)


def judge(
    pipeline: Pipeline, feeder: Feeder, watcher: Watcher | None, stepwise: bool = True, onward: bool = True
) -> Verdict:
    """Judge a pipeline whose client has ended.

    Parameters
    ----------
    watcher : who looked on; None where the broker has removed what was seen.
    stepwise : whether to hold each commit against the input; needs an output that is whole and of one partition.
    onward : whether offsets must never move back, as they do with --rebuild.
    """
    feeder.take_stock()
    committed = pipeline.topics.read(pipeline.output)
    everything = pipeline.topics.read(pipeline.output, "read_uncommitted")
    batches = commit_batches(pipeline)
    aborted = {record[:2] for record in everything} - {record[:2] for record in committed}
    return Verdict(
        records=feeder.n_records,
        commits=len(batches),
        lost=lost(pipeline, feeder.readable),
        doubled=doubled(committed),
        wrong_commits=wrong_commits(pipeline, feeder, committed, batches) if stepwise else 0,
        moved_back=moved_back(batches) if onward else 0,
        uncommitted_seen=uncommitted_seen(watcher, committed, aborted),
        aborted=len(aborted),
    )


def lost(pipeline: Pipeline, changes: Iterable[Change]) -> int:
    """Count the users whose final record differs from the oracle's, and those who are owed something else."""
    expected, owed = expectation(changes)
    found, pending = pipeline.labelling(), pending_of(pipeline)
    labels = sum(expected.get(user) != found.get(user) for user in expected.keys() | found.keys())
    return labels + sum(owed.get(user) != pending.get(user) for user in owed.keys() | pending.keys())


def expectation(changes: Iterable[Change]) -> tuple[dict[str, Labelled], dict[str, Multiset]]:
    """What the output must say after some changes: the labelled rows, and what stays pending.

    Something stays pending only where the beginning of the input is gone: rows retracted that were never seen.
    """
    users = oracle.replay(changes)
    table = {user: row for user, rows in users.items() for row, count in rows.items() if count > 0}
    numbers = oracle.labels(table, N_CLUSTERS)
    owed = {user: Counter({row: count for row, count in rows.items() if count < 0}) for user, rows in users.items()}
    labelled = {user: Labelled(user, *row, numbers[user]) for user, row in table.items()}
    return labelled, {user: rows for user, rows in owed.items() if rows}


def pending_of(pipeline: Pipeline) -> dict[str, Multiset]:
    """User -> what the output says is pending."""
    found = pipeline.pending().items()
    return {user: Counter({(amount, int(n)): int(count) for amount, n, count in rows}) for user, rows in found}


def doubled(committed: Iterable[Record]) -> int:
    """Count the records equal to the one before of the same key: the client writes only what changed."""
    last: dict[bytes | None, tuple[object, object]] = {}
    count = 0
    for record in committed:
        said = (record.value, record.headers)
        count += last.get(record.key) == said
        last[record.key] = said
    return count


def uncommitted_seen(watcher: Watcher | None, committed: Sequence[Record], aborted: set[tuple[int, int]]) -> int:
    """Count the aborted records that the watcher saw, once it has seen all there is."""
    if watcher is None:
        return 0
    places = {record[:2] for record in committed}
    wait_until(lambda: len(watcher.seen) >= len(places), "the watcher to see every label", timeout_s=15.0)
    watcher.stop()
    return len({each[:2] for each in watcher.seen} & aborted)


# Offsets

Batch = Mapping[int, Commit]
"""Partition -> what one transaction committed for it."""


def commit_batches(pipeline: Pipeline) -> list[Batch]:
    """The group's commits, one per transaction: between two of them lies the first one's marker."""
    prefix = struct.pack(">hh", 1, len(pipeline.group)) + pipeline.group.encode()
    records = pipeline.topics.read("__consumer_offsets")
    ours = [record for record in records if record.value is not None and (record.key or b"").startswith(prefix)]
    commits = pipeline.topics.commit_history(pipeline.group)
    batches: list[dict[int, Commit]] = []
    last = -2
    for record, commit in zip(ours, commits, strict=True):
        if record.offset != last + 1:
            batches.append({})
        batches[-1][commit.partition] = commit
        last = record.offset
    return list(batches)


def moved_back(batches: Iterable[Batch]) -> int:
    """Count the offsets that are below the one before, and those without the client's mark."""
    history: dict[int, list[Commit]] = {}
    for batch in batches:
        for partition, commit in batch.items():
            history.setdefault(partition, []).append(commit)
    back = sum(a.offset > b.offset for commits in history.values() for a, b in pairwise(commits))
    return back + sum(not each.metadata.startswith(MARK) for commits in history.values() for each in commits)


# Each commit against the input: a table has a fingerprint that is the sum over its rows, so one more or one less shows.


def fingerprint(row: Row, count: int) -> int:
    """What a row that is there `count` times adds to the fingerprint of a table."""
    return count * hash(tuple(row))


def wrong_commits(pipeline: Pipeline, feeder: Feeder, committed: Iterable[Record], batches: Sequence[Batch]) -> int:
    """Count the states of the output that are not the input's at the offsets committed with them.

    The parts of a first labelling say that they are parts; the state after the last of them may be whole already.
    """
    told, read = states_of_output(pipeline, committed), distinct(states_of_input(feeder, batches))
    n_parts = len(list(itertools.takewhile(is_part, batches)))
    wrong = [differences(distinct(told[n:]), read) for n in (n_parts, max(0, n_parts - 1))]
    return min(wrong)


def differences(told: Iterable[int], read: Iterable[int]) -> int:
    """Count the places at which two lists differ."""
    return sum(a != b for a, b in zip_longest(told, read))


def is_part(batch: Batch) -> bool:
    """Whether a first labelling has committed where it began, and not what it has read."""
    return all(commit.metadata.endswith(" unfinished") for commit in batch.values())


def states_of_input(feeder: Feeder, batches: Iterable[Batch]) -> list[int]:
    """The fingerprint of what had been read at each commit."""
    sums: dict[int, list[int]] = {}
    for at, changes in feeder.lying.items():
        gone = feeder.begin.get(at, 0)
        signed = [0] * gone + [fingerprint(row, op.sign) for op, row in changes[gone:]]
        sums[at] = list(accumulate(signed, initial=0))
    offsets: dict[int, int] = {}
    states = []
    for batch in batches:
        offsets.update({partition: commit.offset for partition, commit in batch.items()})
        states.append(sum(sums[partition][offset] for partition, offset in offsets.items() if partition in sums))
    return states


def states_of_output(pipeline: Pipeline, committed: Iterable[Record]) -> list[int]:
    """The fingerprint of what the output told after each transaction, what is pending included."""
    users: dict[str, int] = {}
    states, total = list[int](), 0
    last: int | None = None
    for record in committed:
        if last not in (None, record.offset - 1):
            states.append(total)
        last = record.offset
        user_id, state = told_of(pipeline, record)
        total += state - users.get(user_id, 0)
        users[user_id] = state
    return [*states, total]


def told_of(pipeline: Pipeline, record: Record) -> tuple[str, int]:
    """What one record says of its user: the row once, and what is pending."""
    user_id = pipeline.user_of(record)
    state = sum(fingerprint(Row(user_id, amount, number), count) for amount, number, count in owed(record))
    if record.value is not None:
        labelled = pipeline.labelled(record)
        state += fingerprint(Row(*labelled[:3]), 1)
    return user_id, state


def owed(record: Record) -> list[tuple[float, int, int]]:
    """What a record says is pending: total_amount, num_transactions, count."""
    found = [json.loads(value) for name, value in record.headers if name == "pending" and value]
    return [(float(amount), int(number), int(count)) for amount, number, count in itertools.chain(*found)]


def distinct(states: Iterable[int]) -> list[int]:
    """The states without repetitions: a step may change labels alone, or offsets alone."""
    kept = [0]
    for state in states:
        if state != kept[-1]:
            kept.append(state)
    return kept

"""The judge: was every change reflected exactly once, at every single commit and in the end?"""

import itertools
import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise, zip_longest
from typing import NamedTuple

from tests.faults.feeder import Feeder
from tests.faults.history import Written
from tests.faults.watcher import Seen, Watcher
from tests.support import oracle
from tests.support.changelog import Change, Row
from tests.support.oracle import Labelled, Multiset
from tests.support.pipeline import Pipeline
from tests.support.topics import Commit, Record
from tests.support.waiting import wait_until

N_CLUSTERS = 3


class Verdict(NamedTuple):
    """The result of a scenario; `clean` if it is as guaranteed."""

    records: int
    """Input records."""
    commits: int
    """Transactions that committed offsets."""
    lost: int
    """Users whose final record differs from the oracle's, or who have other pending rows."""
    duplicates: int
    """Committed records that repeat the previous record of their user."""
    wrong_commits: int
    """Commits at which the output was not that of the input up to the committed offsets."""
    moved_back: int
    """Committed offsets below the previous one, or without the client's mark."""
    uncommitted_seen: int
    """Records of aborted transactions seen by a read_committed reader."""
    aborted: int
    """Records of aborted transactions."""
    untrue: tuple[str, ...] = ()
    """What is wrong with any committed record of the output: users deleted or rows written without a cause."""

    @property
    def clean(self) -> bool:
        """Whether every guarantee was kept."""
        steps = self.duplicates or self.wrong_commits or self.moved_back or self.uncommitted_seen
        return not (steps or self.lost or self.untrue)


def judge(
    pipeline: Pipeline,
    feeder: Feeder,
    watcher: Watcher,
    stepwise: bool = True,
    watched: bool = True,
    onward: bool = True,
) -> Verdict:
    """Judge a pipeline whose client has ended.

    Parameters
    ----------
    watcher : the reader of the output.
    stepwise : whether to compare each commit with the input; needs a complete output with one partition.
    watched : whether the watcher must have met each record that the output has; not so after some outages.
    onward : whether offsets must not move back, as they do with --rebuild.
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
        duplicates=duplicates(committed),
        wrong_commits=wrong_commits(pipeline, feeder, committed, batches) if stepwise else 0,
        moved_back=moved_back(batches, pipeline.mark) if onward else 0,
        uncommitted_seen=uncommitted_seen(watcher, committed, aborted) if watched else 0,
        aborted=len(aborted),
        untrue=tuple(untrue(pipeline, feeder, watcher)),
    )


def lost(pipeline: Pipeline, changes: Iterable[Change]) -> int:
    """Count the users whose final record or pending rows differ from the oracle's."""
    expected, expected_pending = expectation(changes, pipeline.timed)
    found = pipeline.labelling()
    pending = pending_of(pipeline)
    labels = sum(expected.get(user) != found.get(user) for user in expected.keys() | found.keys())
    users = expected_pending.keys() | pending.keys()
    return labels + sum(expected_pending.get(user) != pending.get(user) for user in users)


def expectation(changes: Iterable[Change], timed: bool) -> tuple[dict[str, Labelled], dict[str, Multiset]]:
    """The labelled rows and the pending rows that the output must have after some changes.

    Rows stay pending only if the first records of the input are deleted: retractions of rows that were never read.
    """
    users = oracle.replay(changes)
    table = {user: row for user, rows in users.items() for row, count in rows.items() if count > 0}
    numbers = oracle.labels(table, N_CLUSTERS, timed)
    pending = {user: Counter({row: count for row, count in rows.items() if count < 0}) for user, rows in users.items()}
    labelled = {user: Labelled(user, *row, numbers[user]) for user, row in table.items()}
    return labelled, {user: rows for user, rows in pending.items() if rows}


def pending_of(pipeline: Pipeline) -> dict[str, Multiset]:
    """User -> pending rows in the output."""
    found = pipeline.pending().items()
    return {user: Counter({(amount, int(n)): int(count) for amount, n, count in rows}) for user, rows in found}


def duplicates(committed: Iterable[Record]) -> int:
    """Count the records equal to the previous one of their key."""
    last: dict[bytes | None, tuple[object, object]] = {}
    count = 0
    for record in committed:
        content = (record.value, record.headers)
        count += last.get(record.key) == content
        last[record.key] = content
    return count


def untrue(pipeline: Pipeline, feeder: Feeder, watcher: Watcher) -> list[str]:
    """Return what is wrong with any record that the output has, or had before the broker removed it."""
    after = Watcher(pipeline)
    after.start()
    after.stop()
    watcher.stop()
    # A recreated output counts from zero again, so a record has its time in addition to its position.
    records = {(each.made, each.partition, each.offset): each for each in (*watcher.seen, *after.seen)}
    return feeder.history.wrong(written(pipeline, seen) for _, seen in sorted(records.items()))


def written(pipeline: Pipeline, seen: Seen) -> Written:
    """Decode a record."""
    record = Record(seen.partition, seen.offset, seen.key, seen.value, [])
    row = None if record.value is None else Row(*pipeline.labelled(record)[:3])
    return Written(pipeline.user_of(record), row, seen.made)


def uncommitted_seen(watcher: Watcher, committed: Sequence[Record], aborted: set[tuple[int, int]]) -> int:
    """Count the aborted records that the watcher saw, once it has seen all committed ones."""
    positions = {record[:2] for record in committed}
    wait_until(lambda: len(watcher.seen) >= len(positions), "the watcher to see every label", timeout_s=15.0)
    watcher.stop()
    return len({each[:2] for each in watcher.seen} & aborted)


# Offsets

Batch = Mapping[int, Commit]
"""Partition -> what one transaction committed for it."""


def commit_batches(pipeline: Pipeline) -> list[Batch]:
    """The commits of the group, one per transaction: the marker of a transaction separates it from the next."""
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


def moved_back(batches: Iterable[Batch], mark: str) -> int:
    """Count the offsets below the previous one, and those without the client's mark."""
    history: dict[int, list[Commit]] = {}
    for batch in batches:
        for partition, commit in batch.items():
            history.setdefault(partition, []).append(commit)
    back = sum(a.offset > b.offset for commits in history.values() for a, b in pairwise(commits))
    return back + sum(not each.metadata.startswith(mark) for commits in history.values() for each in commits)


# Each commit compared with the input: the fingerprint of a table is a sum over its rows, so each row counts.


def fingerprint(row: Row, count: int) -> int:
    """The part of a row that occurs `count` times in the fingerprint of a table."""
    return count * hash(tuple(row))


def wrong_commits(pipeline: Pipeline, feeder: Feeder, committed: Iterable[Record], batches: Sequence[Batch]) -> int:
    """Count the states of the output that are not those of the input at the committed offsets.

    Commits of the parts of a first labelling are marked; the state after the last part may be complete.
    """
    written = states_of_output(pipeline, committed)
    read = distinct(states_of_input(feeder, batches))
    n_parts = len(list(itertools.takewhile(is_part, batches)))
    wrong = [differences(distinct(written[n:]), read) for n in (n_parts, max(0, n_parts - 1))]
    return min(wrong)


def differences(written: Iterable[int], read: Iterable[int]) -> int:
    """Count the indices at which two lists differ."""
    return sum(a != b for a, b in zip_longest(written, read))


def is_part(batch: Batch) -> bool:
    """Whether the commit is a part of a first labelling, which commits the offsets at which it began."""
    return all(" unfinished" in commit.metadata for commit in batch.values())


def states_of_input(feeder: Feeder, batches: Iterable[Batch]) -> list[int]:
    """The fingerprint of the input up to the offsets of each commit."""
    sums: dict[int, list[int]] = {}
    for at, changes in feeder.written_to.items():
        begin = feeder.begin.get(at, 0)
        signed = [0] * begin + [fingerprint(row, op.sign) for op, row in changes[begin:]]
        sums[at] = list(accumulate(signed, initial=0))
    offsets: dict[int, int] = {}
    states = []
    for batch in batches:
        offsets.update({partition: commit.offset for partition, commit in batch.items()})
        states.append(sum(sums[partition][offset] for partition, offset in offsets.items() if partition in sums))
    return states


def states_of_output(pipeline: Pipeline, committed: Iterable[Record]) -> list[int]:
    """The fingerprint of the output after each transaction, pending rows included."""
    users: dict[str, int] = {}
    states = list[int]()
    total = 0
    last: int | None = None
    for record in committed:
        if last not in (None, record.offset - 1):
            states.append(total)
        last = record.offset
        user_id, state = state_of(pipeline, record)
        total += state - users.get(user_id, 0)
        users[user_id] = state
    return [*states, total]


def state_of(pipeline: Pipeline, record: Record) -> tuple[str, int]:
    """User and fingerprint of a record: the row, and the pending rows."""
    user_id = pipeline.user_of(record)
    pending = pipeline.pending_in(record)
    state = sum(fingerprint(Row(user_id, amount, int(number)), int(count)) for amount, number, count in pending)
    if record.value is not None:
        labelled = pipeline.labelled(record)
        state += fingerprint(Row(*labelled[:3]), 1)
    return user_id, state


def distinct(states: Iterable[int]) -> list[int]:
    """The states without repetitions: a step may change only labels, or only offsets."""
    kept = [0]
    for state in states:
        if state != kept[-1]:
            kept.append(state)
    return kept

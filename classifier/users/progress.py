"""How far the output reflects the input: the group's committed offsets with their marks, and the checks of a restore.

Guarantee: a restore continues from committed offsets only if input, output and changelog mode are those that the marks
describe; else a StateError names what differs. A table restored from the output then belongs to these offsets.
"""

import dataclasses
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from confluent_kafka import OFFSET_INVALID, TopicPartition

from classifier import __version__
from classifier.clustering.number_of_clusters import Chosen
from classifier.config.settings import Settings
from classifier.errors import StateError
from classifier.features import TOTALS
from classifier.kafka.caught_up import CaughtUp
from classifier.kafka.record import LogPoint
from classifier.kafka.source import Topic, offsets_of
from classifier.kafka.topics import TopicWatch
from classifier.users.offset_metadata import ANY_FORMAT, FORMAT, Ids, Mark, are_unfinished, mark_of, marks_of
from classifier.users.table import UserTable
from classifier.users.truncation import check_truncation, lost_records_message

log = logging.getLogger("user_classifier")

START_OVER = "to start over: run again with --rebuild"
OTHER_OUTPUT = "choose another output with -o and its own group with -g, or recreate the topic and run with --rebuild"
OWN_GROUP = "give this one its own group with -g"
CANNOT_TELL = "to find out, the client needs the permission DescribeConfigs on the topic"
LOST_WITH_TOPIC = {
    "input": "the committed offsets count records of the old topic",
    "output": "the labels that belong to the committed offsets were in the old topic",
}

Bounds = Mapping[int, tuple[int, int]]  # by partition: first offset, next offset
Offsets = Mapping[int, TopicPartition]  # by partition


class Progress:
    """The committed offsets of one group in the input, and what belongs to them."""

    def __init__(self, settings: Settings, topic: Topic, watch: TopicWatch, heartbeat: Callable[[], bool]) -> None:
        self._settings = settings
        self._input = topic
        self._watch = watch
        self._heartbeat = heartbeat
        self._names = {"input": settings.topic, "output": settings.output}
        self._ids_before: Ids = {}  # as of the last restore that read the committed offsets
        self._layout = ""  # of the output
        self.rebuild = settings.rebuild  # until the first step is committed
        self.incomplete = False  # until the step is committed that completes a first labelling or a rebuild
        self.unconfirmed = False  # whether the input has to confirm the users of the output
        self.committed: Offsets = {}  # as this instance knows them
        self.batch_start: dict[int, int] = {}  # by partition: offset of the first record of the batch
        self.last_read: dict[int, LogPoint] = {}  # by partition: the last record read
        self.caught_up = CaughtUp(topic, has_tombstones=settings.changelog_mode == "upsert")
        self._tombstones_lost = False  # before this restore; the input has to confirm every user again

    # restore

    def begin(self) -> None:
        """Start a restore; StateError if a newer version wrote the offsets, or if they belong to another output."""
        self._watch.start()
        committed = self.committed_now().values()
        problem = other_output(committed, self._settings)
        if problem:  # in a rebuild, too: it would leave the other output without its offsets
            raise StateError(problem)
        if not self.rebuild:
            check_format(committed)
        self.unconfirmed = self.rebuild or are_unfinished(committed)

    def restore(self, layout: str, *, has_labels: bool) -> None:
        """Read the committed offsets; StateError if they belong to other topics or to another layout of the output."""
        self.committed = self.committed_now()
        committed = self.committed.values()
        if not self.rebuild:
            marks = marks_of(committed)
            named = all(mark.output_name for mark in marks)
            check_ids([self._ids_before, *(mark.ids for mark in marks)], self._ids(), self._names, named=named)
        self._ids_before = self._ids()
        self._layout = layout
        self.last_read = {}
        if has_labels:
            check_layout(committed, self._settings.output, layout)
        self.unconfirmed = self.rebuild or are_unfinished(committed)
        self._check_tombstones()
        self.incomplete = self.unconfirmed or not self._has_offsets

    def start_offsets(self, n_users: int) -> dict[int, int]:
        """Return the offset in each partition to read from; StateError if the committed ones do not fit.

        `n_users`: in the output. A partition without an offset, where others have one, is new: it is read from its
        beginning, whatever auto.offset.reset says.
        """
        settings, committed = self._settings, self.committed
        bounds = {partition: self._input.watermarks(partition) for partition in committed}
        if not self.rebuild:
            check_marks(committed.values(), settings.output, n_users, settings.changelog_mode, settings.features)
            if self._has_offsets:
                self._check_range(bounds, n_users)
                self._check_log(bounds)
        if self.rebuild or self._tombstones_lost:
            start = {partition: low for partition, (low, _) in bounds.items()}
            self.last_read = {}
        elif self._has_offsets:
            start = {partition: max(bounds[partition][0], at.offset) for partition, at in committed.items()}
        else:
            start = {partition: each[settings.reset_to] for partition, each in bounds.items()}
        self.batch_start = start
        return start

    def _check_tombstones(self) -> None:
        """Find out whether tombstones may have been removed since the committed offsets, before they were read.

        The input then has to confirm every user, as in a rebuild; StateError where it cannot.
        """
        self._tombstones_lost = False
        if self.unconfirmed or not self._has_offsets:
            self.caught_up.begin_full_read()
            return
        self.caught_up.begin(caught_up_before(self.committed.values()))
        if not self.caught_up.is_too_old:
            return
        problem = confirmation_problem(self._input, self._settings, self.committed, self.caught_up)
        if problem and problem.is_certain:
            raise StateError(problem.text)
        if problem:
            log.warning(problem.text)
            self.caught_up.begin(None)
            return
        log.warning("%s; reading it from its beginning to find them", str(self.caught_up))
        self._tombstones_lost = True
        self.unconfirmed = True
        self.caught_up.begin_full_read()

    def check_rows(self, checksum: int) -> None:
        """Raise StateError where the rows of the output are not those that belong to the committed offsets."""
        for mark in marks_of(self.committed.values()):
            if mark.row_checksum not in (None, checksum) and not mark.unfinished:
                raise StateError(
                    f"{self._settings.output} does not hold the rows that belong to the committed offsets: it lost its"
                    f" last records (unclean leader election, or lost disk of a broker); {START_OVER}"
                )

    def _check_log(self, bounds: Bounds) -> None:
        """Raise StateError where the log was truncated before a committed offset: it lost records that were read."""
        for partition, at in self.committed.items():
            mark = mark_of(at)
            if mark and mark.last_read:
                self.last_read[partition] = mark.last_read
        known = {each: point for each, point in self.last_read.items() if bounds[each][0] <= point.offset}
        check_truncation(self._input, known, offsets_of(self.committed), self._heartbeat, START_OVER)

    def _check_range(self, bounds: Bounds, n_users: int) -> None:
        """Raise StateError where the input does not hold the records after a committed offset."""
        if self.unconfirmed and not self._tombstones_lost:
            log.info("%s: continuing an unfinished labelling, %d users so far", self._settings.output, n_users)
            # A fresh start would not find either what retention has deleted since the labelling began.
            bounds = {partition: (0, high) for partition, (_, high) in bounds.items()}
        check_range(self.committed, bounds)

    @property
    def has_new_partitions(self) -> bool:
        """Whether the input has partitions that it did not have at the last commit."""
        return self._has_offsets and any(at.offset == OFFSET_INVALID for at in self.committed.values())

    @property
    def has_state(self) -> bool:
        """Whether the content of the output belongs into the table: not at a first start."""
        return self.rebuild or self._has_offsets

    @property
    def _has_offsets(self) -> bool:
        return has_offsets(self.committed.values())

    @property
    def choice(self) -> Chosen | None:
        """What -k auto has chosen at an earlier start; None in a rebuild, which chooses again."""
        if self.rebuild:
            return None
        return next((mark.choice for mark in marks_of(self.committed.values()) if mark.choice), None)

    @property
    def rebuild_option(self) -> str:
        """What a command with another changelog mode has to end in: offsets of one mode do not fit another."""
        return " --rebuild" if self._has_offsets else ""

    # steps

    def offsets(
        self,
        positions: Mapping[int, int],
        table: UserTable,
        choice: Chosen | None,
        n_duplicated: int,
        unordered_since: Mapping[int, int],
    ) -> list[TopicPartition]:
        """Return the offsets to commit with a step: that of the next record of each partition, with its mark."""
        mark = dataclasses.replace(
            self._mark(table, choice),
            n_duplicated=n_duplicated,
            row_checksum=table.row_checksum(),
            caught_up_at=None if self.caught_up.at is None else int(self.caught_up.at),
        )
        offsets = []
        for partition, position in positions.items():
            since = unordered_since.get(partition, position)
            of_partition = dataclasses.replace(
                mark,
                unordered_since=since if since < position else None,
                last_read=self.last_read.get(partition),
            )
            offsets.append(TopicPartition(self._settings.topic, partition, position, str(of_partition)))
        return offsets

    def part_offsets(self, table: UserTable, choice: Chosen | None) -> list[TopicPartition]:
        """Return the offsets to commit with each part of a step that completes the output, else nothing.

        They are where the batch begins: a restart reads it again.
        """
        if not self.incomplete:
            return []
        mark = str(self._mark(table, choice, unfinished=True))
        return [TopicPartition(self._settings.topic, *start, mark) for start in self.batch_start.items()]

    def committed_now(self) -> dict[int, TopicPartition]:
        """Return the group's committed offsets by partition, as the broker knows them now."""
        return self._input.committed(self._settings.group)

    def owns_offsets(self, *offsets: list[TopicPartition]) -> bool:
        """Return whether the committed offsets are the ones known here, or some of these: no other instance's."""
        known = [self.committed, *({each.partition: each for each in some} for some in offsets)]
        return offsets_of(self.committed_now()) in map(offsets_of, known)

    def step_committed(self, offsets: list[TopicPartition]) -> None:
        """Take note that a step was committed with these offsets."""
        self.committed = {each.partition: each for each in offsets}
        self.batch_start = offsets_of(self.committed)
        self.caught_up.committed()
        self.rebuild = False
        self.incomplete = False

    def _mark(self, table: UserTable, choice: Chosen | None, *, unfinished: bool = False) -> Mark:
        return Mark(
            n_users=len(table),
            n_unmatched=table.n_unmatched,
            layout=self._layout,
            features=self._settings.features,
            changelog_mode=self._settings.changelog_mode,
            choice=choice,
            version=__version__,
            ids=self._ids(),
            unfinished=unfinished,
            output_name=self._settings.output,
        )

    def _ids(self) -> Ids:
        """Return the topic ids as of the restore, by role."""
        return {role: self._watch.topic_id(name) for role, name in self._names.items()}


def has_offsets(committed: Iterable[TopicPartition]) -> bool:
    """Return whether the group has committed an offset in any partition."""
    return any(each.offset != OFFSET_INVALID for each in committed)


def caught_up_before(committed: Iterable[TopicPartition]) -> int | None:
    """Return when the input was last caught up before the last commit; None if a mark does not tell."""
    times = [mark.caught_up_at for mark in marks_of(committed)]
    known = [at for at in times if at is not None]
    return min(known) if known and len(known) == len(times) else None


class ConfirmationProblem(NamedTuple):
    """Why an input whose tombstones may be lost cannot confirm the users."""

    text: str
    is_certain: bool  # False if the topic may not be compacted at all


def confirmation_problem(
    topic: Topic, settings: Settings, partitions: Iterable[int], caught_up: CaughtUp
) -> ConfirmationProblem | None:
    """Return why the input may not hold the records of all users in the output; None if it does."""
    reason = why_incomplete(settings, topic.first_offsets(partitions))
    if not reason:
        return None
    if topic.cleanup_policy() is None:
        return ConfirmationProblem(f"{caught_up}, if the topic is compacted: {CANNOT_TELL}", is_certain=False)
    return ConfirmationProblem(f"{caught_up}, and it cannot show which: {reason}; {START_OVER}", is_certain=True)


def why_incomplete(settings: Settings, first_offsets: Mapping[int, int]) -> str:
    """Return why the input may not hold the records of all users in the output; empty if it does.

    Compaction keeps the last record of each user, and the first offset. Only retention and a deletion of records, with
    any cleanup.policy, move it.
    """
    if settings.reset_to:
        return "auto.offset.reset is latest, so the labels did not begin with its first record"
    trimmed = next(((partition, low) for partition, low in first_offsets.items() if low), None)
    if trimmed is None:
        return ""
    return f"retention has deleted the records of other users ({settings.topic} [{trimmed[0]}] begins at {trimmed[1]})"


def check_format(committed: Iterable[TopicPartition]) -> None:
    """Raise StateError where a newer version has written what this one does not know how to continue."""
    for each in committed:
        match = ANY_FORMAT.match(each.metadata or "")
        if match and int(match["format"]) > FORMAT and mark_of(each) is None:
            by = match["by"] or "a newer version"
            raise StateError(
                f"{each.topic} [{each.partition}]: the committed offset {each.offset} was written by user_classifier"
                f" {by}, and this older version cannot continue from it; run {by} again; {START_OVER}"
            )


def other_output(committed: Iterable[TopicPartition], settings: Settings) -> str | None:
    """Return what is wrong if the offsets of the group belong to another output; None if not, or if no mark tells."""
    for mark in marks_of(committed):
        if mark.output_name not in ("", settings.output):
            return (
                f"group {settings.group} has its offsets in {settings.topic} for the output {mark.output_name}, not for"
                f" {settings.output}; {OWN_GROUP}"
            )
    return None


def check_ids(known: Iterable[Ids], now: Ids, names: Mapping[str, str], *, named: bool = True) -> None:
    """Raise StateError where a topic was recreated since; all by role. An id that is not known fits any topic.

    `named` is False for offsets whose marks do not name their output: it may be another one.
    """
    for ids in known:
        for role, name in names.items():
            if ids.get(role) and now[role] and ids[role] != now[role]:
                other = "" if named or role == "input" else f"; or the group is that of another output: {OWN_GROUP}"
                raise StateError(
                    f"{name} was deleted and recreated ({LOST_WITH_TOPIC[role]}; id {ids[role]}, now {now[role]});"
                    f" {START_OVER}{other}"
                )


def check_layout(committed: Iterable[TopicPartition], output: str, layout: str) -> None:
    """Raise StateError where the old and the new record of a user are in two partitions: either may be read last."""
    for before in {mark.layout for mark in marks_of(committed)} - {layout}:
        then, now = ((each or " partitions=1").strip().replace(" ", ", ") for each in (before, layout))
        if "keys=avro" in set(before.split()) - set(layout.split()):
            now += f", as subject {output}-key does not exist any more"
        raise StateError(f"{output} has changed since its labels were written (then {then}; now {now}); {OTHER_OUTPUT}")


def check_marks(
    committed: Iterable[TopicPartition], output: str, n_users: int, mode: str, features: str = str(TOTALS)
) -> None:
    """Raise StateError where the marks do not fit the number of users in the output, changelog mode or features."""
    with_offset = [each for each in committed if each.offset != OFFSET_INVALID]
    if not with_offset and n_users:
        raise StateError(f"{output} holds {n_users} users, but the group has no committed offsets; {START_OVER}")
    for each in with_offset:
        where = f"{each.topic} [{each.partition}]: the committed offset {each.offset}"
        mark = mark_of(each)
        if mark is None:
            raise StateError(
                f"{where} was not written by user_classifier, {output} holds {n_users} users; {START_OVER}"
            )
        if mark.n_users != n_users and not mark.unfinished:
            raise StateError(f"{where} belongs to {mark.n_users} users, but {output} holds {n_users}; {START_OVER}")
        if mark.changelog_mode != mode:
            raise StateError(
                f"{where} was reached with --changelog-mode {mark.changelog_mode}, this is {mode}; {START_OVER}"
            )
        if mark.features != features:
            raise StateError(f"{where} was reached with --features {mark.features}, this is {features}; {START_OVER}")


def check_range(committed: Offsets, bounds: Bounds) -> None:
    """Raise StateError where the input no longer holds the records after a committed offset."""
    for partition, (low, high) in bounds.items():
        at = committed[partition].offset
        where = f"{committed[partition].topic} [{partition}]: the committed offset is {at}, but the topic"
        if at != OFFSET_INVALID and at < low:
            raise StateError(f"{where} now begins at {low} (retention deleted unread records); {START_OVER}")
        if at > high:
            raise StateError(lost_records_message(committed[partition].topic, partition, high, START_OVER))


def warn_of_lost_retractions(committed: Iterable[TopicPartition], n_unmatched: int) -> None:
    """Log how many unmatched retractions compaction has removed, if any; `n_unmatched` are left."""
    n_lost = max((mark.n_unmatched for mark in marks_of(committed)), default=0) - n_unmatched
    if n_lost > 0:
        log.warning(
            "%d unmatched retractions were older than delete.retention.ms and are lost; if a total is wrong: --rebuild",
            n_lost,
        )

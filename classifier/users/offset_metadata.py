"""The mark beside each committed offset: what `user_labeling` held when this offset was reached.

Guarantee: every later version reads the marks of the earlier ones. Where what is kept in offsets and output changes so
that an earlier version would go on wrongly, FORMAT is raised; whatever the format, a mark begins with its number and
says by which version it was written, so that an earlier one can refuse it with the truth.
"""

import logging
import re
from collections.abc import Iterable, Mapping

from confluent_kafka import OFFSET_INVALID, TopicPartition

from classifier.clustering.number_of_clusters import Chosen
from classifier.errors import StateError
from classifier.users.output_codec import KeyCodec
from classifier.users.table import UserTable

log = logging.getLogger("user_classifier")

Ids = Mapping[str, str] | re.Match[str]  # of the input and the output
OTHER_OUTPUT = "choose another output with -o, or make the topic anew and run with --rebuild"
WHAT_WENT = {
    "input": "the committed offsets count records of the old topic",
    "output": "the labels that belong to the committed offsets went with the old topic",
}
FORMAT = 1
# Metadata of every committed offset.
MARK = re.compile(
    rf"user_classifier/{FORMAT} users=(?P<users>\d+)(?: waiting=(?P<waiting>\d+))?"
    r"(?P<layout>(?: partitions=\d+)?(?: keys=avro)?)(?: mode=(?P<mode>\w+))?"
    r"(?: k=(?P<k>\d+)(?: scale=(?P<scale>\w+))?)?(?: by=(?P<by>\S+))?"
    r"(?: input=(?P<input>\S+))?(?: output=(?P<output>\S+))?(?P<unfinished> unfinished)?"
)
ANY_FORMAT = re.compile(r"user_classifier/(?P<format>\d+)\b(?:.* by=(?P<by>\S+))?")
UNFINISHED = " unfinished"  # behind a mark: the output is half of what the records from this offset on will make it


def mark(
    table: UserTable, mode: str, chosen: Chosen | None = None, layout: str = "", ids: str = "", by: str = ""
) -> str:
    """Return the metadata that says how many users of the output belong to these offsets.

    `waiting` counts users known by retractions alone. Their record is a tombstone, which compaction removes
    after delete.retention.ms (1 day): that is how long a retraction can wait for its row over a restart.
    `mode` is the changelog mode, nothing for retract. `k` is the number of clusters that -k auto has chosen,
    `scale` the one on which it did, nothing for none.
    `layout` is as `output_layout` gives it, `ids` as `ids_of`; `by` is the version that writes.
    """
    read_as = "" if mode == "retract" else f" mode={mode}"
    waiting = f" waiting={table.n_unmatched}" if table.n_unmatched else ""
    k = f" k={chosen.n_clusters}" if chosen else ""
    if chosen and chosen.scale != "none":
        k += f" scale={chosen.scale}"
    told_by = f" by={by}" if by else ""
    return f"user_classifier/{FORMAT} users={len(table)}{waiting}{layout}{read_as}{k}{told_by}{ids}"


def output_layout(n_partitions: int, keys: KeyCodec) -> str:
    """Return what decides where the records of a user lie in the output, nothing for one partition and plain keys."""
    return (f" partitions={n_partitions}" if n_partitions > 1 else "") + (" keys=avro" if keys.are_avro else "")


def check_layout(committed: Iterable[TopicPartition], output: str, layout: str) -> None:
    """Raise StateError where a user's old and new records lie in two partitions, and the old may be read last."""
    for before in {match["layout"] for match in marks_of(committed)} - {layout}:
        then, now = ((each or " partitions=1").strip().replace(" ", ", ") for each in (before, layout))
        raise StateError(f"{output} has changed under the labels (then {then}; now {now}); {OTHER_OUTPUT}")


def ids_of(ids: Ids) -> str:
    """Return the ids of both topics, as far as the brokers tell them."""
    return "".join(f" {role}={ids[role]}" for role in ("input", "output") if ids[role])


def check_ids(known: Iterable[Ids], now: Ids, names: Mapping[str, str], rebuild: str) -> None:
    """Raise StateError where a topic is not the one that offsets belong to.

    All by role, which is `input` or `output`. A mark of before ids were kept fits any topic.
    """
    for ids in known:
        for role, name in names.items():
            if ids[role] and now[role] and ids[role] != now[role]:
                raise StateError(
                    f"{name} was deleted and recreated ({WHAT_WENT[role]}; id {ids[role]}, now {now[role]}); {rebuild}"
                )


def check_format(committed: Iterable[TopicPartition], rebuild: str) -> None:
    """Raise StateError where a newer version has kept what this one does not know how to go on from."""
    for each in committed:
        match = ANY_FORMAT.match(each.metadata or "")
        if match and int(match["format"]) > FORMAT:
            by = match["by"] or "a newer version"
            raise StateError(
                f"{each.topic} [{each.partition}]: the committed offset {each.offset} was written by user_classifier"
                f" {by}, and this older version does not know how to go on from it; run {by} again; {rebuild}"
            )


def marks_of(committed: Iterable[TopicPartition]) -> list[re.Match[str]]:
    """Return the marks beside offsets."""
    return [match for each in committed if (match := MARK.match(each.metadata or ""))]


def chosen_before(committed: Iterable[TopicPartition]) -> Chosen | None:
    """Return what -k auto has chosen, from the marks beside the offsets."""
    told = (Chosen(int(match["k"]), match["scale"] or "none") for match in marks_of(committed) if match["k"])
    return next(told, None)


def is_unfinished(committed: Iterable[TopicPartition]) -> bool:
    """Return whether a first labelling or a rebuild has begun at these offsets, and has not come to its end."""
    return any(match["unfinished"] for match in marks_of(committed))


def check_range(offsets: Mapping[int, TopicPartition], bounds: Mapping[int, tuple[int, int]], rebuild: str) -> None:
    """Raise StateError where the input no longer holds the records after a committed offset."""
    for partition, (low, high) in bounds.items():
        at = offsets[partition].offset
        where = f"{offsets[partition].topic} [{partition}]: the committed offset is {at}, but the topic"
        if at != OFFSET_INVALID and at < low:
            raise StateError(f"{where} now begins at {low} (retention deleted unread records); {rebuild}")
        if at > high:
            raise StateError(f"{where} ends at {high} (it was deleted and made again); {rebuild}")


def check_marks(committed: Iterable[TopicPartition], output: str, n_users: int, mode: str, rebuild: str) -> bool:
    """Say whether to go on from these offsets (True) or to start empty (False).

    StateError where the marks beside them do not fit the users found in the output, or the changelog mode.
    """
    marked = [each for each in committed if each.offset != OFFSET_INVALID]
    if not marked and n_users:
        raise StateError(f"{output} holds {n_users} users, but the group has no committed offsets; {rebuild}")
    for each in marked:
        where = f"{each.topic} [{each.partition}]: the committed offset {each.offset}"
        match = MARK.match(each.metadata or "")
        if match is None:
            raise StateError(f"{where} was not written by user_classifier, {output} holds {n_users} users; {rebuild}")
        if int(match["users"]) != n_users and not match["unfinished"]:
            raise StateError(f"{where} belongs to {match['users']} users, but {output} holds {n_users}; {rebuild}")
        if (before := match["mode"] or "retract") != mode:
            raise StateError(f"{where} was reached with --changelog-mode {before}, this is {mode}; {rebuild}")
    return bool(marked)


def warn_of_dropped(committed: Iterable[TopicPartition], n_unmatched: int) -> None:
    """Say when compaction removed retractions that waited too long for their rows."""
    dropped = max(int(match["waiting"] or 0) for match in marks_of(committed)) - n_unmatched
    if dropped > 0:
        log.warning(
            "%d retractions without a row were older than delete.retention.ms and are forgotten;"
            " should a total be wrong: --rebuild",
            dropped,
        )

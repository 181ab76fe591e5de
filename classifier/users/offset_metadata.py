"""The format of the mark in the metadata of each committed offset: what the output held when the offset was reached.

    user_classifier/1 users=3 waiting=1 partitions=6 keys=avro mode=upsert k=4 scale=log by=0.1.0 input=ID output=ID
    unfinished several=2 since=17 last=16.3 rows=00c0ffee caught_up=1764580000 output_name=user_labeling

With other features than the two totals, it begins with user_classifier/2 and names them: features=visits,last_visit

Guarantee: every later version reads the marks of all earlier ones. If offsets or output change so that an earlier
version would continue wrongly, FORMAT is raised. In every format a mark begins with the number of the format and names
the version that wrote it, so that an earlier version can refuse it and name that version.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from confluent_kafka import TopicPartition

from classifier.clustering.number_of_clusters import Chosen
from classifier.features import TOTALS
from classifier.kafka.record import LogPoint
from classifier.users.output_codec import KeyCodec

FORMAT = 1
FEATURES_FORMAT = 2  # of other features than the two totals, which earlier versions do not know
ANY_FORMAT = re.compile(r"user_classifier/(?P<format>\d+)\b(?:.* by=(?P<by>\S+))?")
MARK = re.compile(
    rf"user_classifier/(?P<format>{FORMAT}|{FEATURES_FORMAT}) users=(?P<users>\d+)(?: waiting=(?P<waiting>\d+))?"
    r"(?P<layout>(?: partitions=\d+)?(?: keys=avro)?)(?: mode=(?P<mode>\w+))?"
    r"(?: k=(?P<k>\d+)(?: scale=(?P<scale>\w+))?)?(?: by=(?P<by>\S+))?"
    r"(?: input=(?P<input>\S+))?(?: output=(?P<output>\S+))?(?P<unfinished> unfinished)?"
)
OUTPUT_NAME = re.compile(r" output_name=(\S+)")
SEVERAL = re.compile(r" several=(\d+)")
SINCE = re.compile(r" since=(\d+)")
LAST = re.compile(r" last=(\d+)\.(-?\d+)")
ROWS = re.compile(r" rows=([0-9a-f]{8})")
FEATURES = re.compile(r" features=(\S+)")
CAUGHT_UP = re.compile(r" caught_up=(\d+)")

Ids = Mapping[str, str]  # topic ids by role, "input" and "output"; empty where the brokers give none
NO_IDS: Ids = {"input": "", "output": ""}


@dataclass(frozen=True)
class Mark:
    """What belongs to a committed offset; `str` gives its text."""

    n_users: int  # in the output
    # Users known by unmatched retractions alone. Their record is a tombstone, which compaction removes after
    # delete.retention.ms (1 day): that is how long a retraction can wait for its row over a restart.
    n_unmatched: int = 0
    layout: str = ""  # see `output_layout`
    changelog_mode: str = "retract"
    choice: Chosen | None = None  # of -k auto
    version: str = ""  # that wrote it
    ids: Ids = field(default_factory=lambda: NO_IDS)
    # A first labelling or a rebuild is under way: the output holds part of what the records after this offset make it.
    unfinished: bool = False
    output_name: str = ""  # a group keeps the offsets of one output; empty in marks of earlier versions
    n_duplicated: int = 0  # users with more than one row at the last two ends of the input
    unordered_since: int | None = None  # offset in this partition: records from here on may be in any order
    last_read: LogPoint | None = None  # the last record of this partition before the offset
    row_checksum: int | None = None  # of the rows in the output, see `UserTable.row_checksum`
    features: str = str(TOTALS)  # names, separated by commas
    caught_up_at: int | None = None  # of an input with tombstones, in seconds since the epoch; see `CaughtUp`

    def __str__(self) -> str:
        features = None if self.features == str(TOTALS) else self.features
        parts = [f"user_classifier/{FEATURES_FORMAT if features else FORMAT} users={self.n_users}"]
        if self.n_unmatched:
            parts.append(f" waiting={self.n_unmatched}")
        parts.append(self.layout)
        if self.changelog_mode != "retract":
            parts.append(f" mode={self.changelog_mode}")
        if self.choice:
            parts.append(f" k={self.choice.n_clusters}")
            if self.choice.scale != "none":
                # Earlier versions read letters, digits and '_' here, and nothing after another character.
                parts.append(f" scale={self.choice.scale.replace('-', '_')}")
        if self.version:
            parts.append(f" by={self.version}")
        parts += [f" {role}={self.ids[role]}" for role in NO_IDS if self.ids[role]]
        if self.unfinished:
            parts.append(" unfinished")
        last_read = self.last_read and f"{self.last_read.offset}.{self.last_read.leader_epoch}"
        checksum = None if self.row_checksum is None else f"{self.row_checksum:08x}"
        others = {
            "several": self.n_duplicated or None,
            "since": self.unordered_since,
            "last": last_read,
            "rows": checksum,
            "caught_up": self.caught_up_at,
            "features": features,
            "output_name": self.output_name or None,
        }
        parts += [f" {name}={value}" for name, value in others.items() if value is not None]
        return "".join(parts)


def mark_of(committed: TopicPartition) -> Mark | None:
    """Return the mark of a committed offset; None for metadata of another format or another program."""
    metadata = committed.metadata or ""
    match = MARK.match(metadata)
    features = FEATURES.search(metadata)
    if match is None or int(match["format"]) != (FEATURES_FORMAT if features else FORMAT):
        return None
    output_name = OUTPUT_NAME.search(metadata)
    several = SEVERAL.search(metadata)
    since = SINCE.search(metadata)
    last = LAST.search(metadata)
    rows = ROWS.search(metadata)
    caught_up = CAUGHT_UP.search(metadata)
    return Mark(
        n_users=int(match["users"]),
        n_unmatched=int(match["waiting"] or 0),
        layout=match["layout"],
        changelog_mode=match["mode"] or "retract",
        choice=Chosen(int(match["k"]), (match["scale"] or "none").replace("_", "-")) if match["k"] else None,
        version=match["by"] or "",
        ids={role: match[role] or "" for role in NO_IDS},
        unfinished=match["unfinished"] is not None,
        output_name=output_name[1] if output_name else "",
        n_duplicated=int(several[1]) if several else 0,
        unordered_since=int(since[1]) if since else None,
        last_read=LogPoint(int(last[1]), int(last[2])) if last else None,
        row_checksum=int(rows[1], 16) if rows else None,
        caught_up_at=int(caught_up[1]) if caught_up else None,
        features=features[1] if features else str(TOTALS),
    )


def marks_of(committed: Iterable[TopicPartition]) -> list[Mark]:
    """Return the marks of committed offsets, of those that have one."""
    return [mark for each in committed if (mark := mark_of(each))]


def are_unfinished(committed: Iterable[TopicPartition]) -> bool:
    """Return whether these offsets belong to a first labelling or a rebuild that is not complete."""
    return any(mark.unfinished for mark in marks_of(committed))


def output_layout(n_partitions: int, keys: KeyCodec) -> str:
    """Return what decides in which partition the records of a user are; empty for one partition and plain keys."""
    partitions = f" partitions={n_partitions}" if n_partitions > 1 else ""
    return partitions + (" keys=avro" if keys.are_avro else "")


def n_duplicated_before(committed: Iterable[TopicPartition]) -> int | None:
    """Return how many users had more than one row at the last commit; None before the first."""
    return max((mark.n_duplicated for mark in marks_of(committed)), default=None)


def unordered_since(committed: Mapping[int, TopicPartition]) -> dict[int, int]:
    """Return by partition the offset from which on records have to be read again to know their order."""
    marks = {partition: mark_of(at) for partition, at in committed.items()}
    return {
        partition: mark.unordered_since
        for partition, mark in marks.items()
        if mark and mark.unordered_since is not None
    }

"""Whether the input still holds the records up to the committed offsets, or its log was truncated and has grown again.

A log loses its last records in an unclean leader election, or with a broker's disk. New records then get the offsets of
the lost ones, and a later leader epoch. librdkafka does not compare the epochs of offsets that it is given
(confluentinc/librdkafka issue 5158), so each mark names the last record read, and a restore reads that record again.
"""

from collections.abc import Callable, Mapping

from classifier.errors import StateError
from classifier.kafka.client import POLL_SECONDS
from classifier.kafka.record import LogPoint, Record, log_point
from classifier.kafka.source import Topic

MAX_RECORDS = 100  # per poll: one record of each partition is wanted


def lost_records_message(topic: str, partition: int, offset: int, advice: str) -> str:
    """Return the message of a log that was truncated."""
    return (
        f"{topic} [{partition}] lost its records from offset {offset} on, which were read before (unclean leader"
        f" election, lost disk of a broker, or recreated topic); {advice}"
    )


def check_truncation(
    topic: Topic,
    last_read: Mapping[int, LogPoint],
    next_offsets: Mapping[int, int],
    heartbeat: Callable[[], bool],
    advice: str,
) -> None:
    """Raise StateError where another record, or none, is at the offset of the last record read.

    Parameters
    ----------
    last_read : by partition, for partitions whose log begins at or before that record.
    next_offsets : the committed offset of each of these partitions; their logs reach it.
    heartbeat : called before each poll; if it returns False, the check ends.
    """
    source = topic.read_from({partition: point.offset for partition, point in last_read.items()})
    found: dict[int, Record] = {}
    while not source.take_ends({partition: point.offset + 1 for partition, point in last_read.items()}):
        if not heartbeat():
            return
        for record in source.read(MAX_RECORDS, POLL_SECONDS):
            found.setdefault(record.partition(), record)
    for partition, known in last_read.items():
        if is_lost(known, found.get(partition), next_offsets[partition], topic):
            offset = first_lost(topic, partition, known, heartbeat)
            raise StateError(lost_records_message(topic.name, partition, offset, advice))


def is_lost(known: LogPoint, found: Record | None, next_offset: int, topic: Topic) -> bool:
    """Return whether the last record read was lost; `found`: the first record at its offset or after it."""
    if found is not None and found.offset() == known.offset:
        return log_point(found) != known
    # Compaction may have removed it. But nothing was read between it and the committed offset.
    replaced = found is not None and found.offset() < next_offset
    return replaced or not topic.is_compacted()


def first_lost(topic: Topic, partition: int, known: LogPoint, heartbeat: Callable[[], bool]) -> int:
    """Return the offset from which on a partition has other records than before, at most that of the last one read.

    They have later leader epochs than the last record read, and epochs never fall within a partition.
    """
    low = topic.watermarks(partition)[0]
    high = known.offset
    while low < high and heartbeat():
        middle = (low + high) // 2
        record = first_record(topic, partition, middle, heartbeat)
        if record is None or record.offset() >= high or log_point(record).leader_epoch > known.leader_epoch:
            high = middle
        else:
            low = record.offset() + 1
    return high


def first_record(topic: Topic, partition: int, offset: int, heartbeat: Callable[[], bool]) -> Record | None:
    """Return the first record at or after an offset; None if there is none."""
    source = topic.read_from({partition: offset})
    while heartbeat():
        records = source.read(1, POLL_SECONDS)
        if records or source.at_end:
            return records[0] if records else None
    return None

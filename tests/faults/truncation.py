"""Removes the last records of a partition from the disk of a broker, as a power cut or a lost disk does."""

import struct
from collections.abc import Iterator
from pathlib import Path

from local.services.kafka import KafkaBroker

HEADER = struct.Struct(">qi")
"""What a batch of records begins with: its first offset, and the number of bytes that follow."""
DERIVED = {".index", ".timeindex", ".txnindex", ".snapshot"}
"""Files that a broker makes from the records."""
CHECKPOINTS = ("recovery-point-offset-checkpoint", "replication-offset-checkpoint", ".kafka_cleanshutdown")
"""Files by which a broker takes the records for complete."""


def truncate(broker: KafkaBroker, topic: str, partition: int, first_lost: int) -> None:
    """Remove the batches from an offset on; the broker must be stopped. A batch must begin there."""
    data = broker.directory / "data"
    folder = data / f"{topic}-{partition}"
    n_removed = sum(_truncate_segment(segment, first_lost) for segment in sorted(folder.glob("*.log")))
    if not n_removed:
        raise AssertionError(f"{folder} has no batch from offset {first_lost} on")
    for path in folder.iterdir():
        if path.suffix in DERIVED:
            path.unlink()
    for name in CHECKPOINTS:
        (data / name).unlink(missing_ok=True)


def lose_records(broker: KafkaBroker, topic: str, partition: int, first_lost: int) -> None:
    """Stop a broker, remove records, and start it again."""
    broker.stop()
    truncate(broker, topic, partition, first_lost)
    broker.start()


def _truncate_segment(segment: Path, first_lost: int) -> int:
    """Return how many batches were removed."""
    data = segment.read_bytes()
    lost = [(position, offset) for position, offset in _batches(data) if offset >= first_lost]
    if lost:
        position, offset = lost[0]
        if offset != first_lost:
            raise AssertionError(f"{segment}: no batch begins at offset {first_lost}, the next one at {offset}")
        with segment.open("r+b") as file:
            file.truncate(position)
    return len(lost)


def _batches(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each batch begins in the file, and its first offset."""
    position = 0
    while position + HEADER.size <= len(data):
        offset, size = HEADER.unpack_from(data, position)
        if size <= 0:  # the file is longer than what was written
            return
        yield position, offset
        position += HEADER.size + size

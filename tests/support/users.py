"""Many users with totals, written to transactions_aggregate as by Flink's GROUP BY."""

import itertools
import struct
import zlib
from collections.abc import Iterator

import numpy as np
from confluent_kafka import Producer
from numpy.typing import NDArray

from tests.support.topics import TIMEOUT_S

RECORDS_PER_TRANSACTION = 100_000
INSERT = b"\0"
UPDATE_BEFORE = b"\1"
UPDATE_AFTER = b"\2"


class Users:
    """A table of users user_0, user_1, ..., whose changes are written to a topic."""

    def __init__(self, bootstrap_servers: str, topic: str, schema_id: int, partitions: int = 6) -> None:
        self.totals: NDArray[np.float64] = np.empty((0, 2))
        self.n_records = 0
        self._topic = topic
        self._prefix = b"\0" + struct.pack(">I", schema_id)
        self._partitions = partitions
        settings = {"bootstrap.servers": bootstrap_servers, "transactional.id": f"users of {topic}", "linger.ms": 20}
        queue = {"queue.buffering.max.messages": 3 * RECORDS_PER_TRANSACTION, "log_level": 0}
        self._producer = Producer({**settings, **queue})
        self._producer.init_transactions(TIMEOUT_S)

    def add(self, totals: NDArray[np.float64]) -> None:
        """Add users."""
        first = len(self.totals)
        self.totals = np.vstack((self.totals, totals))
        self._write((INSERT, value) for value in self._values(np.arange(first, len(self.totals))))

    def change(self, users: NDArray[np.int64], totals: NDArray[np.float64]) -> None:
        """Change the totals of some users: the old row is retracted and the new one added in one transaction."""
        before = [*self._values(users)]
        self.totals[users] = totals
        pairs = zip(before, self._values(users), strict=True)
        self._write(change for old, new in pairs for change in ((UPDATE_BEFORE, old), (UPDATE_AFTER, new)))

    def rows(self) -> dict[str, tuple[float, int]]:
        """The totals of each user."""
        return {f"user_{at}": (amount, int(n)) for at, (amount, n) in enumerate(self.totals.tolist())}

    def _values(self, users: NDArray[np.int64]) -> Iterator[bytes]:
        rows = zip(users.tolist(), self.totals[users].tolist(), strict=True)
        for at, (amount, n) in rows:
            name = b"user_%d" % at
            body = b"\2%c%b\2%b\2%b" % (2 * len(name), name, struct.pack("<d", amount), varint(int(n)))
            yield self._prefix + body

    def _write(self, changes: Iterator[tuple[bytes, bytes]]) -> None:
        """Both records of an update are in one transaction."""
        producer = self._producer
        partitions = self._partitions
        while some := list(itertools.islice(changes, RECORDS_PER_TRANSACTION)):
            producer.begin_transaction()
            for op, value in some:
                producer.produce(self._topic, value, partition=zlib.crc32(value) % partitions, headers=[("op", op)])
            producer.commit_transaction(TIMEOUT_S)
            self.n_records += len(some)


def varint(number: int) -> bytes:
    """The Avro encoding of a whole number from 0."""
    left = 2 * number
    found = bytearray()
    while left > 127:
        found.append(left & 127 | 128)
        left >>= 7
    return bytes([*found, left])

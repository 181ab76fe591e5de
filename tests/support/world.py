"""Runs of the client, one after the other, on a broker and a registry in memory, with accidents."""

import itertools
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, cast

import pytest
from confluent_kafka import KafkaError
from hypothesis import strategies as st

from classifier.config.settings import Settings
from classifier.errors import ClassifierError
from classifier.reports import Reports
from classifier.stop import StopRequest
from tests.support import oracle
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.fakes import Accident, FakeBroker, FakeConsumer, FakeProducer, failure
from tests.support.memory import KafkaInMemory, registry_of
from tests.support.wire import AGGREGATE_SCHEMA, LABELING_SCHEMA, body, frame, unframe
from user_classifier import label

BASE = Settings(
    schema_registry={},
    consumer={"bootstrap.servers": "host:9092"},
    producer={},
    topic="in",
    output="out",
    until_end=True,
)
METHODS = ("begin_transaction", "produce", "send_offsets_to_transaction", "commit_transaction")
ROWS = [Row(f"user {number}", 10.0 * number, number) for number in range(1, 7)]
INSERTS = [Placed(0, Change(Op.INSERT, row)) for row in ROWS]


NO_TIME = {"transaction.timeout.ms": "0"}  # for [producer]: any number of records fills a transaction


@contextmanager
def smallest_parts(size: int = 1) -> Iterator[None]:
    """With NO_TIME, commit a step in parts of `size` records."""
    with pytest.MonkeyPatch.context() as patch:
        for module in ("transaction_size", "sink"):
            patch.setattr(f"classifier.kafka.{module}.MIN_RECORDS", size)
        yield


class Died(BaseException):
    """The process has ended, as by kill -9."""


class Abandoned(NamedTuple):
    """Why a run ended before the end of the input."""

    reason: BaseException


class World:
    """A broker, a registry, and runs of the client one after the other."""

    def __init__(self, partitions: int = 1, **given: object) -> None:
        self.broker = FakeBroker(**{"in": partitions, "out": 2, "error_log": 1})
        self.registry = registry_of(in__value=AGGREGATE_SCHEMA, out__value=LABELING_SCHEMA)
        self.settings = Settings(**{**vars(BASE), **given})
        self.stop = StopRequest()
        self.seeds = itertools.count()

    def write(self, placed: list[Placed], times: Iterable[int] | None = None) -> None:
        """Write changes to the input, with timestamps if `times` are given."""
        for (partition, (op, row)), time in zip(placed, times or itertools.repeat(0), strict=False):
            value = frame(1, body(AGGREGATE_SCHEMA, row._asdict()))
            self.broker.append("in", partition, value, [("op", bytes([op]))], None, time)

    def run(
        self,
        accidents: dict[str, list[Accident | None]] | None = None,
        report: Any = None,
        tick: float = 1.0,
    ) -> Abandoned | None:
        """Run the client until the end of the input, an error or an accident; each call of its clock adds `tick`."""
        self.stop = StopRequest()
        consumer = FakeConsumer(self.broker, seed=next(self.seeds))
        # A read-only run has no producer.
        producer = cast(FakeProducer, None) if self.settings.read_only else FakeProducer(self.broker, accidents)
        kafka = KafkaInMemory(self.settings, self.stop, consumer, producer)
        clock = itertools.count(0.0, tick)
        try:
            label(self.settings, kafka, self.registry, self.stop, report or Reports(), clock.__next__)
        except (ClassifierError, Died) as reason:
            return Abandoned(reason)
        finally:
            assert consumer.closed
        return None

    def labelling(self) -> dict[str, oracle.Labelled]:
        """The output, compacted."""
        last = {message.key(): message for log in self.broker.logs["out"] for message in log}
        values = [value for message in last.values() if (value := message.value()) is not None]
        rows = [oracle.Labelled(**unframe(LABELING_SCHEMA, value)) for value in values]
        return {row.user_id: row for row in rows}

    def pending(self) -> dict[str, list[list[float]]]:
        """The pending rows by user."""
        last = {message.key(): message for log in self.broker.logs["out"] for message in log}
        headers = {(key or b"").decode(): dict(message.headers() or []) for key, message in last.items()}
        return {user_id: json.loads(named["pending"] or b"") for user_id, named in headers.items() if named}

    def tombstones(self) -> int:
        """The number of tombstones."""
        return sum(message.value() is None for log in self.broker.logs["out"] for message in log)

    def offsets(self) -> dict[int, list[int]]:
        """All committed offsets by partition."""
        found: dict[int, list[int]] = {}
        for each in self.broker.history:
            found.setdefault(each.partition, []).append(each.offset)
        return found


def dies() -> None:
    """kill -9."""
    raise Died


def aborts() -> None:
    """The broker has aborted the transaction."""
    raise failure(KafkaError.INVALID_PRODUCER_EPOCH, abort=True)


def hesitates() -> None:
    """The call can be retried."""
    raise failure(KafkaError.COORDINATOR_LOAD_IN_PROGRESS, retriable=True)


def accidents(world: World) -> st.SearchStrategy[dict[str, list[Accident | None]]]:
    """Accidents for a few calls of each method."""

    def stops() -> None:
        world.stop.requested = True

    kinds: dict[str, list[Accident]] = {
        "begin_transaction": [dies, hesitates, stops],
        "produce": [dies, stops],
        "send_offsets_to_transaction": [dies, aborts, hesitates, stops],
        "commit_transaction": [dies, aborts, hesitates, stops],
    }
    queues = {name: st.lists(st.sampled_from([None, None, *kinds[name]]), max_size=4) for name in METHODS}
    return st.fixed_dictionaries(queues)


def grouped(n_groups: int, n_users: int = 12, moved: float = 0.0) -> list[Placed]:
    """New users in distant groups."""
    rows = [Row(f"u{i:02}", 1000.0 * (i % n_groups) + i + moved, 1 + i % n_groups) for i in range(n_users)]
    return [Placed(0, Change(Op.INSERT, row)) for row in rows]

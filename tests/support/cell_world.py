"""Runs of the client with --cells, one after the other, on a broker and a registry in memory."""

import itertools
from typing import Any, cast

from classifier.config.settings import Settings
from classifier.errors import ClassifierError
from classifier.reports import Reports
from classifier.stop import StopRequest
from tests.support.cell_records import CELLS_KEY, CELLS_VALUE, LABELS_KEY, LABELS_VALUE, count_record, label_of
from tests.support.fakes import Accident, FakeBroker, FakeConsumer, FakeProducer
from tests.support.memory import KafkaInMemory, registry_of
from tests.support.world import BASE, NO_TIME, Abandoned, Died
from user_classifier import label

IDS = 1, 2


class CellWorld:
    """Topics `in` and `out` of cells; `counts` holds the number of users last written to `in`, by cell."""

    def __init__(self, partitions: int = 1, **given: object) -> None:
        self.broker = FakeBroker(**{"in": partitions, "out": 2})
        subjects = {"in__key": CELLS_KEY, "in__value": CELLS_VALUE, "out__key": LABELS_KEY, "out__value": LABELS_VALUE}
        self.registry = registry_of(**subjects)
        ours: dict[str, Any] = {"cells": True, "batch_interval": 60.0, "producer": NO_TIME}
        self.settings = Settings(**{**vars(BASE), **ours, **given})
        self.stop = StopRequest()
        self.seeds = itertools.count()
        self.counts: dict[int, int] = {}

    def write(self, counts: dict[int, int]) -> None:
        """Write the new number of users of some cells."""
        for cell, n in counts.items():
            key, value = count_record(IDS, cell, n)
            self.broker.append("in", cell % len(self.broker.logs["in"]), value, [], key)
            self.counts[cell] = n

    def run(self, accidents: dict[str, list[Accident | None]] | None = None, report: Any = None) -> Abandoned | None:
        """Run the client until the end of the input, or until an error or an accident ends it."""
        self.stop = StopRequest()
        consumer = FakeConsumer(self.broker, seed=next(self.seeds), most=5_000)
        producer = cast(FakeProducer, None) if self.settings.read_only else FakeProducer(self.broker, accidents)
        kafka = KafkaInMemory(self.settings, self.stop, consumer, producer)
        clock = itertools.count(0.0, 1.0)
        try:
            label(self.settings, kafka, self.registry, self.stop, report or Reports(), clock.__next__)
        except (ClassifierError, Died) as reason:
            return Abandoned(reason)
        return None

    @property
    def written(self) -> list[tuple[int, int]]:
        """Cell and label of every record of the output, in order."""
        return [
            label_of(message.key() or b"", message.value() or b"") for log in self.broker.logs["out"] for message in log
        ]

    def labels(self) -> dict[int, int]:
        """The output, compacted."""
        return dict(self.written)

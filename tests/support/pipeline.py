"""One test's pipeline: an input topic, an output topic and a group of its own on the broker that all tests share."""

import copy
import itertools
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from local.services.kafka import KafkaBroker
from local.services.process import free_port
from local.services.registry import SchemaRegistry
from tests.support import configuration
from tests.support.changelog import Op, Placed
from tests.support.oracle import Labelled
from tests.support.subjects import Subjects
from tests.support.topics import Outgoing, Record, Topics
from tests.support.wire import (
    AGGREGATE_SCHEMA,
    KEY_SCHEMA,
    LABELING_SCHEMA,
    Headers,
    body,
    frame,
    schema_id_of,
    unframe,
)

MARK = "user_classifier/1 users="
"""What the metadata of each committed offset begins with."""

NUMBERS = itertools.count(1)


class Services(NamedTuple):
    """What all tests share."""

    topics: Topics
    subjects: Subjects


@contextmanager
def running_services(directory: Path) -> Iterator[Services]:
    """A broker and a registry on free ports."""
    broker = KafkaBroker(directory / "kafka", free_port())
    registry = SchemaRegistry(directory / "registry", free_port())
    try:
        broker.launch()
        registry.launch()
        broker.wait_ready()
        registry.wait_ready()
        topics = Topics(broker.bootstrap_servers)
        topics.wait_for_coordinator()
        yield Services(topics, Subjects(registry.url))
    finally:
        registry.stop()
        broker.stop()


def new_name(test: str) -> str:
    """The name of a pipeline: that of its test, as a topic can have it, and a number, as two files may use one name."""
    return "".join(letter if letter.isalnum() else "_" for letter in test)[:60] + f"_{next(NUMBERS)}"


class Pipeline:
    """Topics, schemas, group and configuration file of one test."""

    def __init__(self, services: Services, directory: Path, name: str, partitions: int = 1) -> None:
        self.topics, self.subjects = services
        self.directory = directory
        self.source, self.output, self.group = f"{name}_aggregate", f"{name}_labeling", f"{name}_group"
        self.topics.create(self.source, partitions)
        self.topics.create(self.output, 1, {"cleanup.policy": "compact"})
        self.schema_id = self.subjects.register(f"{self.source}-value", AGGREGATE_SCHEMA)
        self.sections = configuration.sections(self.topics.bootstrap_servers, self.subjects.url)
        self.file = configuration.write(directory / f"{name}.ini", self.sections)
        self.avro_key = False
        self._written = 0

    def arguments(self, *more: str) -> list[str]:
        """The command line of the client."""
        return [str(self.file), "-t", self.source, "-g", self.group, "-o", self.output, *more]

    def make_output_with_avro_keys(self) -> None:
        """Register what statement 5 does without 'key.format' = 'raw': an Avro key and the four columns."""
        self.subjects.register(f"{self.output}-key", KEY_SCHEMA)
        self.subjects.register(f"{self.output}-value", LABELING_SCHEMA)
        self.avro_key = True

    def twin(self) -> "Pipeline":
        """A second client's pipeline: the same input, an output and a group of its own."""
        other = copy.copy(self)
        other.output, other.group = f"{self.output}_twin", f"{self.group}_twin"
        other.topics.create(other.output, 1, {"cleanup.policy": "compact"})
        if self.avro_key:
            other.make_output_with_avro_keys()
        return other

    def configure(self, section: str, **properties: str) -> None:
        """Set properties in the configuration file; an underscore stands for a dot."""
        self.sections[section].update({name.replace("_", "."): value for name, value in properties.items()})
        configuration.write(self.file, self.sections)

    # Writing the input

    @property
    def n_written(self) -> int:
        """How many changes have been written."""
        return self._written

    def write(self, placed: Iterable[Placed], digits: bool = False) -> None:
        """Write changes as Flink does; `digits` writes the op header as an ASCII digit."""
        self.topics.write(self.source, self.outgoing(placed, digits))

    def outgoing(self, placed: Iterable[Placed], digits: bool = False) -> list[Outgoing]:
        """The records of some changes."""
        records = []
        for partition, (op, row) in placed:
            value = frame(self.schema_id, body(AGGREGATE_SCHEMA, row._asdict()))
            records.append(Outgoing(partition, value, self._headers(op, digits)))
        return records

    def _headers(self, op: Op, digits: bool) -> Headers:
        self._written += 1
        if op is Op.INSERT and self._written % 2:  # a row that is just inserted needs no header
            return []
        return [("op", str(int(op)).encode() if digits else bytes([op]))]

    # Reading the output

    def labelling(self) -> dict[str, Labelled]:
        """The compacted output: the users that have a row."""
        rows = [self.labelled(record) for record in self.topics.compacted(self.output).values() if record.value]
        return {row.user_id: row for row in rows}

    def labelled(self, record: Record) -> Labelled:
        """The row in a record, whose key must name the same user."""
        fields = self._decoded(record)
        row = Labelled(fields["user_id"], fields["total_amount"], fields["num_transactions"], fields["label"])
        if row.user_id != self.user_of(record):
            raise AssertionError(f"the key of {record} names another user than its value")
        return row

    def _decoded(self, record: Record) -> dict[str, Any]:
        if record.value is None:
            raise AssertionError(f"{record} is a tombstone")
        schema = self.subjects.schema(schema_id_of(record.value))
        fields: dict[str, Any] = unframe(schema, record.value)
        return fields

    def user_of(self, record: Record) -> str:
        """The user that a key names: an Avro record if the key has a schema, else the bare text."""
        if record.key is None:
            raise AssertionError(f"{record} has no key")
        if self.avro_key:
            key: str = unframe(self.subjects.schema(schema_id_of(record.key)), record.key)["user_id"]
            return key
        return record.key.decode()

    def emitted(self) -> list[tuple[str, Labelled | None]]:
        """Everything written to the output, in order; None is a tombstone."""
        records = self.topics.read(self.output)
        return [(self.user_of(record), self.labelled(record) if record.value else None) for record in records]

    def pending(self) -> dict[str, list[list[float]]]:
        """What the latest record of each user still owes or is owed."""
        owed = {}
        for record in self.topics.compacted(self.output).values():
            for name, value in record.headers:
                if name == "pending" and value:
                    owed[self.user_of(record)] = json.loads(value)
        return owed

    def assert_nothing_doubled(self) -> None:
        """No record says of its user what the record before said."""
        said: dict[bytes | None, tuple[object, object]] = {}
        for record in self.topics.read(self.output):
            news = (record.value, record.headers)
            if said.get(record.key) == news:
                raise AssertionError(f"{record} repeats the record before it of this user")
            said[record.key] = news

    # The group

    def offsets(self, isolation: str = "read_committed") -> dict[int, int]:
        """Partition of the input -> committed offset; see Topics.committed."""
        committed = self.topics.committed(self.group, isolation)
        return {partition: commit.offset for (topic, partition), commit in committed.items() if topic == self.source}

    def lag(self) -> int:
        """How many records of an input written without transactions are not yet committed as read."""
        offsets = self.offsets()
        return sum(end - offsets.get(partition, 0) for partition, end in self.topics.ends(self.source).items())

    def assert_offsets_sound(self) -> None:
        """Every offset bore the mark, none moved back, and the input is read to its end."""
        commits = self.topics.commit_history(self.group)
        unmarked = [commit for commit in commits if not commit.metadata.startswith(MARK)]
        if unmarked or not commits:
            raise AssertionError(f"{len(commits)} offsets committed, without the mark: {unmarked}")
        for partition, offsets in self.offset_history().items():
            if list(offsets) != sorted(offsets):
                raise AssertionError(f"the offset of {self.source} [{partition}] moved back: {offsets}")
        if self.lag():
            raise AssertionError(f"{self.lag()} records of {self.source} are not read")

    def offset_history(self) -> dict[int, Sequence[int]]:
        """Partition of the input -> every offset ever committed, oldest first."""
        history: dict[int, list[int]] = {}
        for commit in self.topics.commit_history(self.group):
            if commit.topic == self.source:
                history.setdefault(commit.partition, []).append(commit.offset)
        return dict(history)

"""The pipeline of one test: input topic, output topic and group, on the broker that all tests share."""

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
from tests.support.last_purchase import FEATURES, check_time, fields_of
from tests.support.oracle import Labelled
from tests.support.subjects import Subjects
from tests.support.topics import Outgoing, Record, Topics
from tests.support.wire import (
    AGGREGATE_SCHEMA,
    KEY_SCHEMA,
    LABELING_SCHEMA,
    TIMED_SCHEMA,
    Headers,
    body,
    frame,
    schema_id_of,
    unframe,
)

MARK = "user_classifier/1 users="
"""The beginning of the metadata of each committed offset."""
TIMED_MARK = "user_classifier/2 users="
"""The same with other features than the two totals."""

NUMBERS = itertools.count(1)


class Services(NamedTuple):
    """The broker's topics and the registry's subjects, shared by all tests."""

    topics: Topics
    subjects: Subjects


@contextmanager
def running_services(directory: Path) -> Iterator[Services]:
    """Start a broker and a registry on free ports; stop both."""
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
    """The name of a pipeline: the name of its test as a topic may have it, and a number, as names may repeat."""
    return "".join(letter if letter.isalnum() else "_" for letter in test)[:60] + f"_{next(NUMBERS)}"


class Pipeline:
    """Topics, schemas, group and configuration file of one test.

    With `timed`, users have a third feature, last_purchase, which the client is started with.
    """

    def __init__(
        self, services: Services, directory: Path, name: str, partitions: int = 1, timed: bool = False
    ) -> None:
        self.topics, self.subjects = services
        self.directory = directory
        self.source = f"{name}_aggregate"
        self.output = f"{name}_labeling"
        self.group = f"{name}_group"
        self.timed = timed
        self.input_schema = TIMED_SCHEMA if timed else AGGREGATE_SCHEMA
        self.mark = TIMED_MARK if timed else MARK
        self.topics.create(self.source, partitions)
        self.topics.create(self.output, 1, {"cleanup.policy": "compact"})
        self.schema_id = self.subjects.register(f"{self.source}-value", self.input_schema)
        self.sections = configuration.sections(self.topics.bootstrap_servers, self.subjects.url)
        self.file = configuration.write(directory / f"{name}.ini", self.sections)
        self.avro_key = False
        self._written = 0

    def arguments(self, *more: str) -> list[str]:
        """The command line of the client."""
        features = ["--features", FEATURES] if self.timed else []
        return [str(self.file), "-t", self.source, "-g", self.group, "-o", self.output, *features, *more]

    def make_output_with_avro_keys(self) -> None:
        """Register the schemas of statement 5 without 'key.format' = 'raw': an Avro key, and the row with its label."""
        *_, label = LABELING_SCHEMA["fields"]
        self.subjects.register(f"{self.output}-key", KEY_SCHEMA)
        self.subjects.register(
            f"{self.output}-value", {**LABELING_SCHEMA, "fields": [*self.input_schema["fields"], label]}
        )
        self.avro_key = True

    def twin(self) -> "Pipeline":
        """The pipeline of a second client: the same input, another output and group."""
        other = copy.copy(self)
        other.output = f"{self.output}_twin"
        other.group = f"{self.group}_twin"
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
        """The number of changes written."""
        return self._written

    def write(self, placed: Iterable[Placed], digits: bool = False) -> None:
        """Write changes as Flink does; `digits` writes the op header as an ASCII digit."""
        self.topics.write(self.source, self.outgoing(placed, digits))

    def outgoing(self, placed: Iterable[Placed], digits: bool = False) -> list[Outgoing]:
        """The records of some changes."""
        records = []
        for partition, (op, row) in placed:
            value = frame(self.schema_id, body(self.input_schema, fields_of(row)))
            records.append(Outgoing(partition, value, self._headers(op, digits)))
        return records

    def _headers(self, op: Op, digits: bool) -> Headers:
        self._written += 1
        if op is Op.INSERT and self._written % 2:  # a row that is just inserted needs no header
            return []
        return [("op", str(int(op)).encode() if digits else bytes([op]))]

    # Reading the output

    def labelling(self) -> dict[str, Labelled]:
        """The users of the compacted output that have a row."""
        rows = [self.labelled(record) for record in self.topics.compacted(self.output).values() if record.value]
        return {row.user_id: row for row in rows}

    def labelled(self, record: Record) -> Labelled:
        """The row of a record; its key must name the same user, and last_purchase must be that of the row."""
        fields = self._decoded(record)
        row = Labelled(fields["user_id"], fields["total_amount"], fields["num_transactions"], fields["label"])
        if row.user_id != self.user_of(record):
            raise AssertionError(f"the key of {record} names another user than its value")
        if self.timed:
            check_time(fields["last_purchase"], row.total_amount, row.num_transactions)
        return row

    def _decoded(self, record: Record) -> dict[str, Any]:
        if record.value is None:
            raise AssertionError(f"{record} is a tombstone")
        schema = self.subjects.schema(schema_id_of(record.value))
        fields: dict[str, Any] = unframe(schema, record.value)
        return fields

    def user_of(self, record: Record) -> str:
        """The user of a key: an Avro record if keys have a schema, else plain text."""
        if record.key is None:
            raise AssertionError(f"{record} has no key")
        if self.avro_key:
            key: str = unframe(self.subjects.schema(schema_id_of(record.key)), record.key)["user_id"]
            return key
        return record.key.decode()

    def emitted(self) -> list[tuple[str, Labelled | None]]:
        """All records of the output, in order; None is a tombstone."""
        records = self.topics.read(self.output)
        return [(self.user_of(record), self.labelled(record) if record.value else None) for record in records]

    def pending(self) -> dict[str, list[list[float]]]:
        """The pending rows in the latest record of each user."""
        found = {}
        for record in self.topics.compacted(self.output).values():
            if rows := self.pending_in(record):
                found[self.user_of(record)] = rows
        return found

    def pending_in(self, record: Record) -> list[list[float]]:
        """The pending rows of a record: total_amount, num_transactions, count."""
        rows = []
        for amount, number, *times, count in itertools.chain(
            *(json.loads(value) for name, value in record.headers if name == "pending" and value)
        ):
            if len(times) != self.timed:
                raise AssertionError(f"{record} has pending rows with {2 + len(times)} features")
            if times:
                check_time(times[0], amount, number)
            rows.append([amount, number, count])
        return rows

    def assert_nothing_doubled(self) -> None:
        """Check that no record repeats the previous record of its user."""
        last: dict[bytes | None, tuple[object, object]] = {}
        for record in self.topics.read(self.output):
            content = (record.value, record.headers)
            if last.get(record.key) == content:
                raise AssertionError(f"{record} repeats the previous record of this user")
            last[record.key] = content

    # The group

    def offsets(self, isolation: str = "read_committed") -> dict[int, int]:
        """Partition of the input -> committed offset; see Topics.committed."""
        committed = self.topics.committed(self.group, isolation, self.source)
        return {partition: commit.offset for (_, partition), commit in committed.items()}

    def lag(self) -> int:
        """The number of records whose offsets are not committed; of an input written without transactions."""
        offsets = self.offsets()
        return sum(end - offsets.get(partition, 0) for partition, end in self.topics.ends(self.source).items())

    def assert_offsets_sound(self) -> None:
        """Check that every offset has the mark, none moved back, and the input is read to its end."""
        commits = self.topics.commit_history(self.group)
        unmarked = [commit for commit in commits if not commit.metadata.startswith(self.mark)]
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

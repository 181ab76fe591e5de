"""The state of a release in Kafka: input, output, offsets with their metadata, and schemas, as the release wrote them.

Each release has a file, written by `python -m tests.upgrades.write`. A test loads it into other services, where only
the ids of schemas and topics differ.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tests.support.changelog import Row
from tests.support.last_purchase import fields_of
from tests.support.pipeline import Pipeline, Services
from tests.support.topics import Outgoing
from tests.support.wire import TIMED_SCHEMA, Headers, body, unframe

FOLDER = Path(__file__).parent / "samples"
NOTHING = "-"


@dataclass(frozen=True)
class Sample:
    """The state of one pipeline; records are encoded as text."""

    name: str
    """The prefix of its topics and its group."""
    partitions: int
    options: list[str]
    schemas: dict[str, dict[str, Any]]
    """Subject -> id and schema."""
    topic_ids: dict[str, str]
    """Topic -> its id."""
    offsets: dict[str, tuple[int, str]]
    """Partition of the input -> committed offset and metadata."""
    input: list[str]
    """The records that the release has read."""
    later: list[str]
    """Records after those."""
    output: list[str]
    timed: bool = False
    """Whether the users of the input have a third feature; see `Pipeline`."""

    @property
    def unfinished(self) -> bool:
        """Whether the release was killed during a labelling."""
        return any(" unfinished" in mark for _, mark in self.offsets.values())

    def load(self, services: Services, directory: Path) -> Pipeline:
        """Write the state to new topics, a new group and a registry, and return the pipeline."""
        pipeline = Pipeline(services, directory, self.name, self.partitions, self.timed)
        ids = {
            known["id"]: pipeline.subjects.register(subject, known["schema"]) for subject, known in self.schemas.items()
        }
        pipeline.avro_key = f"{pipeline.output}-key" in self.schemas
        for topic, lines in ((pipeline.source, self.input), (pipeline.output, self.output)):
            pipeline.topics.write(topic, self._records(topic, lines, ids))
        for partition, (offset, mark) in self.offsets.items():
            self.commit(pipeline, int(partition), offset, mark)
        return pipeline

    def named(self, name: str) -> "Sample":
        """Return the same state with other topics and another group."""
        return Sample(**json.loads(json.dumps(asdict(self)).replace(self.name, name)))

    def with_third_feature(self) -> "Sample":
        """Return the same state with a third feature in the input, which the release was not asked for."""
        subject = next(name for name in self.schemas if name.endswith("_aggregate-value"))
        known = self.schemas[subject]

        def extended(line: str) -> str:
            record = from_line(line)
            value = record.value and record.value[:5] + body(
                TIMED_SCHEMA, fields_of(Row(**unframe(known["schema"], record.value)))
            )
            return to_line(record.partition, record.key, value, record.headers)

        return replace(
            self,
            schemas={**self.schemas, subject: {**known, "schema": TIMED_SCHEMA}},
            input=[*map(extended, self.input)],
            later=[*map(extended, self.later)],
            timed=True,
        )

    def commit(self, pipeline: Pipeline, partition: int, offset: int, mark: str) -> None:
        """Commit an offset with its metadata, in which the ids of topics are replaced by the current ones."""
        for topic, known in self.topic_ids.items():
            mark = mark.replace(known, pipeline.topics.topic_id(topic))
        pipeline.topics.commit(pipeline.group, pipeline.source, {partition: offset}, mark)

    def write_later(self, pipeline: Pipeline) -> None:
        """Write the later records."""
        ids = {known["id"]: pipeline.subjects.register(name, known["schema"]) for name, known in self.schemas.items()}
        pipeline.topics.write(pipeline.source, self._records(pipeline.source, self.later, ids))

    def _records(self, topic: str, lines: list[str], ids: Mapping[int, int]) -> list[Outgoing]:
        """The records, with the numbers that schemas have here."""
        keys_are_avro = f"{topic}-key" in self.schemas
        records = []
        for record in map(from_line, lines):
            key = renumbered(record.key, ids) if keys_are_avro else record.key
            records.append(record._replace(key=key, value=renumbered(record.value, ids)))
        return records


def renumbered(data: bytes | None, ids: Mapping[int, int]) -> bytes | None:
    """Replace the schema id at the start of a key or value."""
    return data and data[:1] + ids[int.from_bytes(data[1:5], "big")].to_bytes(4, "big") + data[5:]


def to_line(partition: int, key: bytes | None, value: bytes | None, headers: Headers) -> str:
    """Return a record as text: partition, key, value, headers."""
    encoded = [f"{name}:{text(data)}" for name, data in headers]
    return " ".join([str(partition), text(key), text(value), *encoded])


def from_line(line: str) -> Outgoing:
    """Return the record that `to_line` has encoded."""
    partition, key, value, *headers = line.split(" ")
    named = (each.split(":") for each in headers)
    return Outgoing(int(partition), data(value), [(name, data(held)) for name, held in named], data(key))


def text(data: str | bytes | None) -> str:
    """Encode bytes as text."""
    if data is None:
        return NOTHING
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def data(text: str) -> bytes | None:
    """Decode the bytes that `text` has encoded."""
    return None if text == NOTHING else base64.b64decode(text)


def write(version: str, samples: list[Sample]) -> Path:
    """Write the file of a release."""
    path = FOLDER / f"{version}.json"
    path.write_text(json.dumps([asdict(each) for each in samples], indent=1) + "\n", encoding="utf-8")
    return path


def samples() -> Iterator[tuple[str, Sample]]:
    """Yield release and state, for all releases."""
    for path in sorted(FOLDER.glob("*.json")):
        for fields in json.loads(path.read_text(encoding="utf-8")):
            yield path.stem, Sample(**fields)

"""What a release leaves in Kafka: input, output, offsets with their marks, and schemas, as it wrote them.

A file for each release, made by `python -m tests.upgrades.write`. Loaded into other brokers it is as it was; only
what they number themselves is other there: schemas, and the ids of topics.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.support.pipeline import Pipeline, Services
from tests.support.topics import Outgoing
from tests.support.wire import Headers

FOLDER = Path(__file__).parent / "samples"
NOTHING = "-"


@dataclass(frozen=True)
class Sample:
    """The state of one pipeline; records are lines of text."""

    name: str
    """Which also names its topics and its group."""
    partitions: int
    options: list[str]
    schemas: dict[str, dict[str, Any]]
    """Subject -> id and schema."""
    topic_ids: dict[str, str]
    """Topic -> its id."""
    offsets: dict[str, tuple[int, str]]
    """Partition of the input -> committed offset and mark."""
    input: list[str]
    """What the release has read."""
    later: list[str]
    """What comes after it."""
    output: list[str]

    @property
    def unfinished(self) -> bool:
        """Whether the release died in the middle of a labelling."""
        return any(mark.endswith(" unfinished") for _, mark in self.offsets.values())

    def load(self, services: Services, directory: Path) -> Pipeline:
        """Put it into brokers and a registry that know nothing of it."""
        pipeline = Pipeline(services, directory, self.name, self.partitions)
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
        """The same with other topics and another group."""
        return Sample(**json.loads(json.dumps(asdict(self)).replace(self.name, name)))

    def commit(self, pipeline: Pipeline, partition: int, offset: int, mark: str) -> None:
        """Commit an offset with its mark, which names the topics by the ids that they have here."""
        for topic, known in self.topic_ids.items():
            mark = mark.replace(known, pipeline.topics.topic_id(topic))
        pipeline.topics.commit(pipeline.group, pipeline.source, {partition: offset}, mark)

    def write_later(self, pipeline: Pipeline) -> None:
        """Write what comes after."""
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
    """What has a schema's number in front, with another one."""
    return data and data[:1] + ids[int.from_bytes(data[1:5], "big")].to_bytes(4, "big") + data[5:]


def to_line(partition: int, key: bytes | None, value: bytes | None, headers: Headers) -> str:
    """A record as text: partition, key, value, headers."""
    told = [f"{name}:{text(data)}" for name, data in headers]
    return " ".join([str(partition), text(key), text(value), *told])


def from_line(line: str) -> Outgoing:
    """What `to_line` has written."""
    partition, key, value, *headers = line.split(" ")
    named = (each.split(":") for each in headers)
    return Outgoing(int(partition), data(value), [(name, data(held)) for name, held in named], data(key))


def text(data: str | bytes | None) -> str:
    """Bytes as text."""
    if data is None:
        return NOTHING
    return base64.b64encode(data.encode() if isinstance(data, str) else data).decode()


def data(text: str) -> bytes | None:
    """What `text` has written."""
    return None if text == NOTHING else base64.b64decode(text)


def write(version: str, samples: list[Sample]) -> Path:
    """Write the file of a release."""
    path = FOLDER / f"{version}.json"
    path.write_text(json.dumps([asdict(each) for each in samples], indent=1) + "\n", encoding="utf-8")
    return path


def samples() -> Iterator[tuple[str, Sample]]:
    """Release and state, of all releases."""
    for path in sorted(FOLDER.glob("*.json")):
        for told in json.loads(path.read_text(encoding="utf-8")):
            yield path.stem, Sample(**told)

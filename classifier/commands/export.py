"""The labels as a file: the users of the output in the order of user_id, for a campaign.

Guarantee: the file is whole, or as it was before. Nothing is written to Kafka, no group is joined and no offset
committed, so whoever may read the output may export it, and a client that is running does not notice.
"""

import contextlib
import csv
import gzip
import io
import itertools
import logging
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer
from numpy.typing import NDArray

from classifier.config.settings import Settings
from classifier.errors import ClassifierError, ConfigError, RestoreNeeded, StateError, TopicMissing
from classifier.formatting import format_users
from classifier.kafka.client import Kafka
from classifier.kafka.record import Record
from classifier.kafka.source import Source, Topic
from classifier.kafka.topics import missing_topic_message
from classifier.label_names import label_names_from, missing_name_message, parse_label
from classifier.reports.output_file import check_path
from classifier.row import LABEL_FIELDS
from classifier.serialization.registry import SchemaRegistry
from classifier.stop import StopRequest
from classifier.users.output import read_labels
from classifier.users.output_codec import KeyCodec, LabelCodec
from classifier.users.table import LabelledUsers

log = logging.getLogger("user_classifier")

ROW_GROUP_SIZE = 50_000  # users written between two looks at whether to stop; in Parquet, a row group
SILENCE_SECONDS = 10.0  # without a record, until the brokers are asked for something to which they must answer
LABEL_NAME = "label_name"  # the column that --label-names adds
# What a spreadsheet takes for a formula; it may pass over white space and control characters before it. A text that
# begins with the mark itself gets another one, so that taking one away gives back every text.
TEXT_MARK = "'"
NO_TEXT = re.compile(r"'|[\s\x00-\x1f]*[=+\-@＝＋－＠]|[\t\r\n\x00]")

Columns = Sequence[str]
Blocks = Iterable[Sequence[Sequence[Any]]]  # many users at once, by column


class Asked(NamedTuple):
    """What is to be written."""

    path: Path
    names: Sequence[str]
    label: int | None  # of the users wanted, None for all


def export(settings: Settings, kafka: Kafka, registry: SchemaRegistry, stop: StopRequest) -> None:
    """Read the output to its end, and write its users to the file."""
    asked = what_is_asked(settings)
    stop.last_step = f"{asked.path} is as it was"
    said, newest = read_output(settings, kafka, registry, stop)
    places = chosen(said, asked, settings.output)
    write(asked.path, columns_of(asked), blocks(places, said, asked.names, stop))
    log.info("%s: %s of %s%s", asked.path, format_users(len(places)), settings.output, told_newest(newest))


# what is asked for: looked at before anything is read


def what_is_asked(settings: Settings) -> Asked:
    """Return what is to be written; ConfigError where it cannot be."""
    path = settings.export or Path()
    try:
        check_path(path, tuple(FORMATS), "write")
        names = label_names_from(settings.label_names, None)  # how many clusters there are, the output says
        text = settings.export_label
        label = None if text is None else parse_label(text, names)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if format_of(path) is write_parquet:
        check_arrow(path)
    with beside(path):
        pass  # what the disk has against a file there is said now
    return Asked(path, names, label)


def check_arrow(path: Path) -> None:
    """Raise ConfigError where the package that writes Parquet is not there."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        wanted = "type: pip install pyarrow, or end the name in .csv"
        raise ConfigError(f"{path}: .parquet files need the package pyarrow ({error}); {wanted}") from None


# the output, as a restore reads it


class Output(Source):
    """The output; it tells how old its newest record is, and whether it is silent because the brokers are away."""

    def __init__(self, kafka: Kafka, consumer: Consumer, topic: Topic, partitions: Iterable[int]) -> None:
        super().__init__(kafka, consumer, topic.name, dict.fromkeys(partitions, OFFSET_BEGINNING), uses_group=False)
        self.newest = 0  # timestamp of that record in ms
        self._ask, self._heard = topic.partitions, time.monotonic()

    def read(self, limit: int, timeout: float) -> list[Record]:
        """See Source."""
        records = super().read(limit, timeout)
        self.newest = max([self.newest, *(record.timestamp()[1] for record in records)])
        if not records and time.monotonic() - self._heard > SILENCE_SECONDS:
            self._ask()  # says that they are away, and waits
            self._heard = time.monotonic()
        elif records:
            self._heard = time.monotonic()
        return records


def read_output(
    settings: Settings, kafka: Kafka, registry: SchemaRegistry, stop: StopRequest
) -> tuple[LabelledUsers, int]:
    """Return the last word on every user, and the timestamp of the newest record in ms."""
    consumer = kafka.consumer()
    try:
        kafka.connect(consumer, "consumer")
        topic = Topic(kafka, consumer, settings.output)
        partitions = topic.partitions()
        if not partitions:
            raise TopicMissing(missing_topic_message(settings.output, settings))
        keys, values = KeyCodec(registry, settings.output), LabelCodec(registry, settings.output)
        source = Output(kafka, consumer, topic, partitions)
        said = read_labels(source, keys, values, stop)
    except RestoreNeeded as gone:
        raise StateError(f"{gone}; run the export again") from None
    finally:
        consumer.close()
    if stop.requested:
        raise ClassifierError(f"{settings.output} was not read to its end")
    return said, source.newest


def chosen(said: LabelledUsers, asked: Asked, output: str) -> NDArray[np.intp]:
    """Return the places of the users to be written; ConfigError where their label is none, or has no name."""
    there = np.unique(said.labels).tolist()
    if there and (complaint := missing_name_message(there[-1], asked.names, output)):
        raise ConfigError(complaint)
    if there and there[-1] + 1 < len(asked.names):
        told = "the highest label of %s is %d, and --label-names has %d names; are they as many as the clusters?"
        log.warning(told, output, there[-1], len(asked.names))
    if asked.label is not None and asked.label not in there:
        others = f"only of {', '.join(map(str, there))}" if there else "nor any other user"
        raise ConfigError(f"--export-label: {output} has no user of label {asked.label}, {others}")
    return np.flatnonzero(np.isin(said.labels, there if asked.label is None else asked.label))


# the file


def columns_of(asked: Asked) -> Columns:
    """Return the names of the columns: those of the output, and one for names if there are some."""
    return [*LABEL_FIELDS, *([LABEL_NAME] if asked.names else [])]


def blocks(places: NDArray[np.intp], said: LabelledUsers, names: Sequence[str], stop: StopRequest) -> Blocks:
    """Yield many users at once, by column."""
    for start in range(0, len(places), ROW_GROUP_SIZE):
        if stop.requested:
            raise ClassifierError("not all was written")
        block = places[start : start + ROW_GROUP_SIZE].tolist()
        user_ids, labels = [said.user_ids[place] for place in block], said.labels[block].tolist()
        amounts, counts = zip(*map(said.rows.__getitem__, block), strict=True)
        yield [user_ids, amounts, counts, labels, *([[names[label] for label in labels]] if names else [])]


def write(path: Path, columns: Columns, table: Blocks) -> None:
    """Write beside `path`, and move when all of it lies on the disk; a reader never sees half a file."""
    with beside(path) as part:
        with part.open("wb") as file:
            format_of(path)(file, columns, table)
            file.flush()
            os.fsync(file.fileno())
        part.replace(linked(path))


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Make an empty file in the folder of `path`, with the rights of the file that is there; gone afterwards.

    It has a name of its own: of two exports at once, each writes a whole file.
    """
    there = linked(path)
    part = there.with_name(f".export-{secrets.token_hex(8)}")
    try:
        part.touch(exist_ok=False)
        if there.exists():
            shutil.copymode(there, part)
        yield part
    except OSError as error:
        raise ClassifierError(f"{path}: not written ({error.strerror or error})") from None
    finally:
        part.unlink(missing_ok=True)


def linked(path: Path) -> Path:
    """Return where the file lies: what is a link stays one."""
    return Path(os.path.realpath(path))


def write_csv(file: Any, columns: Columns, table: Blocks) -> None:
    """Write texts in quotes and numbers as they are, so that what is text is text whatever separates the columns."""
    for block in itertools.chain([[[column] for column in columns]], table):
        shown = [map(safe, values) if type(values[0]) is str else values for values in block]
        lines = io.StringIO()
        csv.writer(lines, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows(zip(*shown, strict=True))
        file.write(lines.getvalue().encode())


def safe(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return TEXT_MARK + text if NO_TEXT.match(text) else text


def write_gzip(file: BinaryIO, columns: Columns, table: Blocks) -> None:
    """Write CSV, compressed; the same users give the same bytes. Level 6 takes 2 s more a million users, for 6 %."""
    with gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as packed:
        write_csv(packed, columns, table)


def write_parquet(file: BinaryIO, columns: Columns, table: Blocks) -> None:
    """Write Parquet: texts as they are, and the types of the output."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    types = {"string": pyarrow.string(), "double": pyarrow.float64(), "long": pyarrow.int64(), "int": pyarrow.int32()}
    kinds = {**LABEL_FIELDS, LABEL_NAME: "string"}
    schema = pyarrow.schema([(column, types[kinds[column]]) for column in columns])
    with ParquetWriter(file, schema) as writer:
        for block in table:
            arrays = list(map(pyarrow.array, block, schema.types))
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


Format = Callable[[BinaryIO, Columns, Blocks], None]
FORMATS: dict[str, Format] = {".csv": write_csv, ".csv.gz": write_gzip, ".parquet": write_parquet}


def format_of(path: Path) -> Format:
    """Return what writes a file of this name."""
    return next(format for ending, format in FORMATS.items() if path.name.lower().endswith(ending))


def told_newest(newest: int) -> str:
    """Say how old the newest record is: a list that nobody keeps up to date looks like any other."""
    age = timedelta(seconds=round(max(0.0, time.time() - newest / 1000)))
    return f", the last change {age} ago" if newest else ""

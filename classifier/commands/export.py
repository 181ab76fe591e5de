"""--export: write the users of the output to a file, in the order of user_id.

Guarantee: the file is complete, or unchanged. Nothing is written to Kafka, no group is joined and no offset is
committed: permission to read the output is enough, and a running client is not affected.
"""

import contextlib
import csv
import gzip
import io
import itertools
import logging
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError
from numpy.typing import NDArray

from classifier.config.settings import Settings
from classifier.errors import ClassifierError, ConfigError, RestoreNeeded, StateError, TopicMissing
from classifier.features import TIMES, Features, time_texts
from classifier.formatting import format_users
from classifier.kafka.client import CALL_TIMEOUT_SECONDS, Kafka
from classifier.kafka.ends import EndOffsets
from classifier.kafka.record import Record
from classifier.kafka.source import Source, Topic
from classifier.kafka.topics import missing_topic_message
from classifier.label_names import label_names_from, missing_name_message, parse_label
from classifier.reports.output_file import Part, check_path, part_of
from classifier.serialization.registry import SchemaRegistry
from classifier.stop import StopRequest
from classifier.users.input_features import features_in_output
from classifier.users.output import read_labels
from classifier.users.output_codec import KeyCodec, LabelCodec
from classifier.users.table import LabelledUsers

log = logging.getLogger("user_classifier")

ROW_GROUP_SIZE = 50_000  # users written between two checks for a stop request; in Parquet, a row group
SILENCE_SECONDS = 10.0  # without a record, after which a request to the brokers tests whether they answer
LABEL_NAME = "label_name"  # the column that --label-names adds
# A spreadsheet takes a text for a formula if it matches FORMULA_START, also after white space and control characters.
# Such a text gets TEXT_MARK in front, and so does one that begins with the mark itself: removing one mark restores
# every text.
TEXT_MARK = "'"
FORMULA_START = re.compile(r"'|[\s\x00-\x1f]*[=+\-@＝＋－＠]|[\t\r\n\x00]")

Columns = Mapping[str, str]  # names, each with its Avro type or the name of its logical type
Blocks = Iterable[Sequence[Sequence[Any]]]  # blocks of users, each a list of columns


class ExportRequest(NamedTuple):
    """What --export and its options ask for."""

    path: Path
    names: Sequence[str]
    label: int | None  # None for the users of all labels


def export(settings: Settings, kafka: Kafka, registry: SchemaRegistry, stop: StopRequest) -> None:
    """Read the output to its end, and write its users to the file."""
    request = export_request(settings)
    stop.last_step = f"{request.path} is unchanged"
    features = features_in_output(settings, registry)
    users, newest_ms = read_output(settings, kafka, registry, stop, features)
    selected = select_users(users, request, settings.output)
    write_file(request.path, columns_of(features, request.names), blocks(selected, users, request.names, stop))
    n_users = format_users(len(selected))
    log.info("%s: %s of %s%s", request.path, n_users, settings.output, age_of_newest(newest_ms))


# Checks before anything is read


def export_request(settings: Settings) -> ExportRequest:
    """Return what to write; ConfigError or ClassifierError if that is impossible."""
    path = settings.export or Path()
    try:
        check_path(path, tuple(FORMATS), "write")
        names = label_names_from(settings.label_names, None)  # the number of clusters is known from the output only
        text = settings.export_label
        label = None if text is None else parse_label(text, names)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if format_of(path) is write_parquet:
        check_pyarrow(path)
    with temporary_file(path):
        pass  # fails now, and not after the output is read, if no file can be created in the folder
    return ExportRequest(path, names, label)


def check_pyarrow(path: Path) -> None:
    """Raise ConfigError if the package that writes Parquet is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        remedy = "type: pip install pyarrow, or end the name in .csv"
        raise ConfigError(f"{path}: .parquet files need the package pyarrow ({error}); {remedy}") from None


# Reading the output


class LabelSource(Source):
    """Reads the output from its beginning; keeps the time of its newest record, and notices an outage."""

    def __init__(self, kafka: Kafka, consumer: Consumer, topic: str, partitions: Iterable[int]) -> None:
        super().__init__(kafka, consumer, topic, dict.fromkeys(partitions, OFFSET_BEGINNING), uses_group=False)
        self.newest_ms = 0  # timestamp of the newest record; 0 without records
        self._ends: EndOffsets | None = None  # requested in a silence
        self._last_record_at = time.monotonic()

    def read(self, limit: int, timeout: float) -> list[Record]:
        """Return records as Source does; in a long silence, ask whether the leaders of the partitions answer."""
        records = super().read(limit, timeout)
        now = time.monotonic()
        if records:
            self.newest_ms = max(self.newest_ms, *(record.timestamp()[1] for record in records))
            self._last_record_at = now
        elif now - self._last_record_at > SILENCE_SECONDS:
            self._ask_leaders()
        return records

    def _ask_leaders(self) -> None:
        """Request the ends of the partitions; log an outage if a leader does not answer in time."""
        self._ends = self._ends or self.request_ends()
        if self._ends.wait(CALL_TIMEOUT_SECONDS) is None:
            error = KafkaError(KafkaError._TIMED_OUT, "the leader of a partition does not answer")
            self.kafka.note_failure(error, f"read topic {self.topic}")
            return
        self.kafka.outage.note_recovery()
        self._ends = None
        self._last_record_at = time.monotonic()


def read_output(
    settings: Settings, kafka: Kafka, registry: SchemaRegistry, stop: StopRequest, features: Features
) -> tuple[LabelledUsers, int]:
    """Return the newest row and label of each user, and the timestamp of the newest record in ms."""
    consumer = kafka.consumer()
    try:
        kafka.connect(consumer, "consumer")
        partitions = Topic(kafka, consumer, settings.output).partitions()
        if not partitions:
            raise TopicMissing(missing_topic_message(settings.output, settings))
        keys = KeyCodec(registry, settings.output)
        values = LabelCodec(registry, settings.output, features)
        source = LabelSource(kafka, consumer, settings.output, partitions)
        users = read_labels(source, keys, values, stop)
    except RestoreNeeded as error:
        raise StateError(f"{error}; run the export again") from None
    finally:
        consumer.close()
    if stop.requested:
        raise ClassifierError(f"{settings.output} was not read to its end")
    return users, source.newest_ms


def select_users(users: LabelledUsers, request: ExportRequest, output: str) -> NDArray[np.intp]:
    """Return the indices of the users to write; ConfigError if their label does not occur or has no name."""
    labels = np.unique(users.labels).tolist()
    if labels:
        problem = missing_name_message(labels[-1], request.names, output)
        if problem:
            raise ConfigError(problem)
        if labels[-1] + 1 < len(request.names):
            message = "the highest label of %s is %d, but --label-names has %d names; give one name for each cluster"
            log.warning(message, output, labels[-1], len(request.names))
    if request.label is None:
        return np.arange(len(users.labels))
    if request.label not in labels:
        others = f"only of {', '.join(map(str, labels))}" if labels else "and no other user"
        raise ConfigError(f"--export-label: {output} has no user of label {request.label}, {others}")
    return np.flatnonzero(users.labels == request.label)


# Writing the file


def columns_of(features: Features, names: Sequence[str]) -> Columns:
    """Return the columns of the file: those of the output, and the name of the label if there are names."""
    return {**features.output_types, **({LABEL_NAME: "string"} if names else {})}


def blocks(indices: NDArray[np.intp], users: LabelledUsers, names: Sequence[str], stop: StopRequest) -> Blocks:
    """Yield the columns of ROW_GROUP_SIZE users at a time; ClassifierError after a stop request."""
    for start in range(0, len(indices), ROW_GROUP_SIZE):
        if stop.requested:
            raise ClassifierError("the file was not written to its end")
        block = indices[start : start + ROW_GROUP_SIZE].tolist()
        user_ids = [users.user_ids[index] for index in block]
        labels = users.labels[block].tolist()
        values = zip(*map(users.rows.__getitem__, block), strict=True)
        columns = [user_ids, *values, labels]
        if names:
            columns.append([names[label] for label in labels])
        yield columns


def write_file(path: Path, columns: Columns, table: Blocks) -> None:
    """Write a temporary file, and rename it once it is complete on the disk: no reader sees half a file."""
    with temporary_file(path) as part:
        format_of(path)(part.file, columns, table)
        part.file.flush()
        os.fsync(part.file.fileno())
        part.replace_target()


@contextlib.contextmanager
def temporary_file(path: Path) -> Iterator[Part]:
    """Create an empty file in the folder of `path`; ClassifierError if it cannot be written or renamed."""
    try:
        with part_of(path) as part:
            yield part
    except OSError as error:
        raise ClassifierError(f"{path}: not written ({error.strerror or error})") from None


def write_csv(file: Any, columns: Columns, table: Blocks) -> None:
    """Write CSV: texts and times in quotes, also if they look like numbers, and numbers without."""
    for block in itertools.chain([[[column] for column in columns]], table):
        texts = [csv_texts(values, type_) for values, type_ in zip(block, columns.values(), strict=True)]
        lines = io.StringIO()
        csv.writer(lines, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n").writerows(zip(*texts, strict=True))
        file.write(lines.getvalue().encode())


def csv_texts(values: Sequence[Any], type_: str) -> Iterable[Any]:
    """Return the values of a column as they are written."""
    if type(values[0]) is str:
        return map(spreadsheet_text, values)
    return time_texts(values, type_) if type_ in TIMES else values


def spreadsheet_text(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    return TEXT_MARK + text if FORMULA_START.match(text) else text


def write_gzip(file: BinaryIO, columns: Columns, table: Blocks) -> None:
    """Write compressed CSV; the same users give the same bytes. Level 6 saves 6 % for 2 s more a million users."""
    with gzip.GzipFile("", "wb", compresslevel=1, fileobj=file, mtime=0) as compressed:
        write_csv(compressed, columns, table)


def write_parquet(file: BinaryIO, columns: Columns, table: Blocks) -> None:
    """Write Parquet: unchanged texts, and the types of the output."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    types = {
        "string": pyarrow.string(),
        "double": pyarrow.float64(),
        "float": pyarrow.float32(),
        "long": pyarrow.int64(),
        "int": pyarrow.int32(),
        "date": pyarrow.date32(),
        "timestamp-millis": pyarrow.timestamp("ms", "UTC"),
        "timestamp-micros": pyarrow.timestamp("us", "UTC"),
        "local-timestamp-millis": pyarrow.timestamp("ms"),
        "local-timestamp-micros": pyarrow.timestamp("us"),
    }
    schema = pyarrow.schema([(column, types[type_]) for column, type_ in columns.items()])
    with ParquetWriter(file, schema) as writer:
        for block in table:
            arrays = list(map(pyarrow.array, block, schema.types))
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


Format = Callable[[BinaryIO, Columns, Blocks], None]
FORMATS: dict[str, Format] = {".csv": write_csv, ".csv.gz": write_gzip, ".parquet": write_parquet}


def format_of(path: Path) -> Format:
    """Return the function that writes files with the suffix of this path."""
    return next(write for suffix, write in FORMATS.items() if path.name.lower().endswith(suffix))


def age_of_newest(newest_ms: int) -> str:
    """Return the age of the newest record as text, '' without records: an outdated list looks like any other."""
    if not newest_ms:
        return ""
    age = timedelta(seconds=round(max(0.0, time.time() - newest_ms / 1000)))
    return f", the last change {age} ago"

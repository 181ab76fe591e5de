"""--export: the users of the output as a file, which is complete or unchanged; no text becomes a formula."""

import builtins
import csv
import errno
import gzip
import itertools
import logging
import os
import stat
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, TopicPartition
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet

from classifier import features
from classifier.commands import export as export_module
from classifier.commands.export import columns_of, export, spreadsheet_text
from classifier.config.settings import Settings
from classifier.errors import ClassifierError, ConfigError, StateError, TopicMissing
from classifier.stop import StopRequest
from classifier.users.multiset import Multiset
from classifier.users.output import label_records
from classifier.users.output_codec import KeyCodec, LabelCodec
from classifier.users.table import Change as TableChange
from tests.support import configuration, inside
from tests.support.admin import done
from tests.support.changelog import Change, Op, Placed
from tests.support.configuration import taken
from tests.support.fakes import FakeAdmin, FakeConsumer, FakeMessage, FakeProducer, failure
from tests.support.memory import KafkaInMemory
from tests.support.world import BASE, INSERTS, ROWS, World

HEADER = '"user_id","total_amount","num_transactions","label"'
OLD = "old content\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that an export replaces."""
    path = tmp_path / "labels.csv"
    path.write_text(OLD)
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A complete configuration."""
    return configuration.write(tmp_path / "x.ini", configuration.sections("127.0.0.1:1", "http://127.0.0.1:1"))


@pytest.fixture
def world() -> World:
    """Six users, labelled 0, 0, 1, 1, 2, 2; the last of them was labelled first."""
    made = World()
    for some in (INSERTS[5:], INSERTS[:5]):
        made.write(some)
        assert made.run() is None
    return made


def exported(
    world: World, path: Path, stop: StopRequest | None = None, consumer: FakeConsumer | None = None, **given: object
) -> None:
    """Export the output of a world; without a producer, nothing can be written to Kafka."""
    settings, stop = Settings(**{**vars(BASE), "export": path, **given}), stop or StopRequest()
    consumer = consumer or FakeConsumer(world.broker, seed=3)
    kafka = KafkaInMemory(settings, stop, consumer, cast(FakeProducer, None))
    try:
        export(settings, kafka, world.registry, stop)
    finally:
        assert consumer.closed


def lines(path: Path) -> list[str]:
    """The lines of a file, each ended by a line feed."""
    return path.read_bytes().decode().split("\n")[:-1]


def unchanged(path: Path) -> bool:
    """Whether the file is unchanged, and no other file is in the folder."""
    return path.read_text() == OLD and [each.name for each in path.parent.iterdir()] == [path.name]


def test_the_users_in_the_order_of_user_id(world: World, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    exported(world, file)
    rows = [f'"{row.user_id}",{row.total_amount},{row.num_transactions}' for row in ROWS]
    labels = [world.labelling()[row.user_id].label for row in ROWS]
    assert lines(file) == [HEADER, *(f"{row},{label}" for row, label in zip(rows, labels, strict=True))]
    assert caplog.messages[-1] == f"{file}: 6 users of out"
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_names_and_one_label(world: World, file: Path) -> None:
    names = "low,=middle,high"
    of_label = [row.user_id for row in ROWS if world.labelling()[row.user_id].label == 1]
    for label in ("1", "=middle"):
        exported(world, file, label_names=names, export_label=label)
        assert lines(file)[0] == f'{HEADER},"label_name"'
        assert [line.split(",")[0].strip('"') for line in lines(file)[1:]] == of_label
        assert {line.split(",")[4] for line in lines(file)[1:]} == {'"\'=middle"'}


def test_deleted_users_are_omitted(world: World, file: Path) -> None:
    world.write([Placed(0, Change(Op.DELETE, ROWS[0]))])
    world.run()
    exported(world, file)
    assert [line.split(",")[0] for line in lines(file)[1:]] == [f'"{row.user_id}"' for row in ROWS[1:]]


def test_pending_rows_are_not_exported(file: Path) -> None:
    world = World()
    of_ann: Multiset = {(9.0, 9): -1}
    of_bob: Multiset = {(8.0, 8): -1}
    changes: list[TableChange] = [("ann", (1.0, 1), 0, of_ann), ("bob", None, -1, of_bob)]
    codecs = KeyCodec(world.registry, "out"), LabelCodec(world.registry, "out")
    for topic, key, value, headers in label_records(changes, *codecs, "out"):
        world.broker.append(topic, 0, value, headers or [], key)
    exported(world, file)
    assert lines(file) == [HEADER, '"ann",1.0,1,0']


def test_an_empty_output(file: Path) -> None:
    exported(World(), file)
    assert lines(file) == [HEADER]
    exported(World(), file.with_suffix(".parquet"))
    assert parquet.read_table(file.with_suffix(".parquet")).column_names == HEADER.replace('"', "").split(",")


def test_the_age_of_the_newest_record(
    world: World, file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    world.broker.append("out", 0, None, [], b"nobody", 1_000_000)
    monkeypatch.setattr(time, "time", lambda: 1_000 + 3 * 86_400 + 61.0)
    exported(world, file)
    assert caplog.messages[-1] == f"{file}: 6 users of out, the last change 3 days, 0:01:01 ago"


class OutageConsumer(FakeConsumer):
    """A consumer during an outage, which ends with the second request to the leaders."""

    requests = 0

    def list_offsets(self, wanted: Iterable[TopicPartition], **_: object) -> dict[TopicPartition, Future[Any]]:
        """Fail at the first request only; in the place of the admin client's."""
        self.requests += 1
        cause = failure(KafkaError._TRANSPORT)
        return {at: done(cause if self.requests == 1 else SimpleNamespace(offset=0)) for at in wanted}

    def consume(self, limit: int, timeout: float) -> list[FakeMessage]:
        """Return nothing until the outage is over."""
        return super().consume(limit, timeout) if self.requests >= 2 else []


def test_an_outage_while_it_reads(
    world: World, file: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_module, "SILENCE_SECONDS", 0.0)
    monkeypatch.setattr(export_module, "CALL_TIMEOUT_SECONDS", 0.1)
    consumer = OutageConsumer(world.broker, seed=3)
    monkeypatch.setattr(FakeAdmin, "list_offsets", lambda _, wanted, **options: consumer.list_offsets(wanted))
    exported(world, file, consumer=consumer)
    assert len(lines(file)) == 1 + len(ROWS)
    assert "cannot read topic out: the leader of a partition does not answer; retrying until it is back" in caplog.text
    assert caplog.text.count(": back after ") == 1


# Formats

TEXTS = st.text(max_size=5) | st.text("=+-@'\t\r\n\" ;,a\0＝", max_size=5)
TOTALS = st.floats(-1e150, 1e150), st.integers(0, 2**63 - 1), st.integers(0, 9)
TABLES = st.lists(st.tuples(TEXTS, *TOTALS, TEXTS), max_size=7)
COLUMNS = columns_of(features.TOTALS, ["a name"])


def written(name: str, rows: list[tuple[Any, ...]], folder: Path) -> Path:
    """A file with these rows, written in blocks of three."""
    blocks = [list(zip(*rows[at : at + 3], strict=True)) for at in range(0, len(rows), 3)]
    export_module.write_file(folder / name, COLUMNS, blocks)
    return folder / name


@given(TABLES)
def test_a_csv_file_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    folder = tmp_path_factory.mktemp("csv")
    plain = written("a.csv", rows, folder)
    compressed = written("a.CSV.gz", rows, folder)
    assert gzip.decompress(compressed.read_bytes()) == plain.read_bytes()
    with plain.open(encoding="utf-8", newline="") as text:
        header, *found = csv.reader(text)
    assert header == [*COLUMNS]
    assert [read(row) for row in found] == rows


def read(row: list[str]) -> tuple[Any, ...]:
    """The values of a row, without the mark in front of a text."""
    user_id, amount, number, label, name = row
    return user_id.removeprefix("'"), float(amount), int(number), int(label), name.removeprefix("'")


@given(TABLES)
def test_a_parquet_file_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    found = parquet.read_table(written("a.parquet", rows, tmp_path_factory.mktemp("parquet")))
    assert [str(each) for each in found.schema.types] == ["string", "double", "int64", "int32", "string"]
    assert [tuple(row.values()) for row in found.to_pylist()] == rows


def test_the_same_users_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", itertools.count(0.0, 60.0).__next__)
    one, other = (written(f"{name}.csv.gz", [("ann", 1.0, 1, 0, "low")], tmp_path) for name in "ab")
    assert one.read_bytes() == other.read_bytes()


def test_numbers_stay_numbers(tmp_path: Path) -> None:
    path = written("a.csv", [("ann", -0.1 - 0.2, 2**53 + 1, 0, "low")], tmp_path)
    assert lines(path)[1] == '"ann",-0.30000000000000004,9007199254740993,0,"low"'


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\tx", "\rx", " =1", "\0=1", "＝1", "＠x", "'=1"]
)
def test_a_formula_becomes_text(text: str) -> None:
    assert spreadsheet_text(text) == f"'{text}"


@pytest.mark.parametrize("text", ["ann", "a=1", "a-b", "", "User_1", " ann", "1-2", "é"])
def test_any_other_text_is_unchanged(text: str) -> None:
    assert spreadsheet_text(text) == text


# Refused before anything is read


def refused(path: Path, **given: object) -> str:
    """The error of an export that must not read anything."""
    settings = Settings(**{**vars(BASE), "export": path, **given})
    with pytest.raises(ClassifierError) as caught:
        export(settings, cast(Any, None), cast(Any, None), StopRequest())
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("labels.xlsx", "cannot write .xlsx files; end it in .csv, .csv.gz or .parquet"),
        ("labels.tsv.gz", "cannot write .gz files; end it in .csv, .csv.gz or .parquet"),
        ("labels", "the name has no suffix; end it in .csv, .csv.gz or .parquet"),
        ("folder.csv", "is a folder; give the path of a file"),
        ("none/labels.csv", "there is no folder {folder}/none; to create it: mkdir -p {folder}/none"),
        (f"{'x' * 300}.csv", "not written (File name too long)"),
    ],
)
def test_a_file_that_cannot_be_written(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    assert refused(tmp_path / name) == f"{tmp_path / name}: {message.format(folder=tmp_path)}"


def test_a_folder_without_space_for_a_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = os.open

    def full(path: str, flags: int, *given: Any, **named: Any) -> int:
        if flags & os.O_CREAT:
            raise OSError(errno.ENOSPC, "No space left on device")
        return opening(path, flags, *given, **named)

    monkeypatch.setattr(os, "open", full)
    assert refused(file) == f"{file}: not written (No space left on device)"
    assert unchanged(file)


@pytest.mark.parametrize(
    ("label", "names", "message"),
    [
        ("much", None, "a label is a number, 0 for the users who spend least, got 'much'; for names add --label-names"),
        ("-1", None, "a label is a number, 0 for the users who spend least, got '-1'; for names add --label-names"),
        ("much", "a,b", "there is no label 'much' among 0 a, 1 b"),
        ("2", "a,b", "there is no label '2' among 0 a, 1 b"),
        ("1", "1,0", "'1' is the name of one label and the number of another; choose other --label-names"),
    ],
)
def test_an_invalid_label(label: str, names: str | None, message: str, file: Path) -> None:
    assert refused(file, export_label=label, label_names=names) == message


def test_without_the_package_for_parquet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    importing = builtins.__import__

    def without(name: str, *given: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError(f"No module named {name!r}")
        return importing(name, *given)

    monkeypatch.setattr(builtins, "__import__", without)
    assert refused(tmp_path / "a.parquet") == (
        f"{tmp_path / 'a.parquet'}: .parquet files need the package pyarrow (No module named 'pyarrow.parquet');"
        " type: pip install pyarrow, or end the name in .csv"
    )


@pytest.mark.parametrize(
    "option", ["--rebuild", "--summary", "--check", "--explore-k", "--dry-run", "--metrics-port 9400", "--plot a.png"]
)
def test_options_that_cannot_be_combined(option: str, config: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        taken(config, "--export", "a.csv", *option.split())
    assert str(caught.value) == f"--export and {option.split()[0]} cannot be combined; run one after the other"


def test_options_that_can_be_combined(config: Path) -> None:
    found = taken(config, "--export", "a.csv", "--until-end", "--label-names", "a,b", "--export-label", "b")
    assert (found.export, found.export_label, found.read_only) == (Path("a.csv"), "b", True)


def test_a_label_without_a_file(config: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        taken(config, "--export-label", "2")
    assert str(caught.value) == "--export-label needs --export FILE; add it, or leave --export-label out"


def test_a_mistake_is_one_line_and_exit_code_2(config: Path) -> None:
    finished = inside.run([str(config), "--export", "labels.xlsx"])
    assert (finished.code, finished.output) == (
        2,
        "user_classifier.py: error: labels.xlsx: cannot write .xlsx files; end it in .csv, .csv.gz or .parquet\n",
    )


# Refused because of the content of the output


@pytest.mark.parametrize(
    ("given_options", "error", "message"),
    [
        ({"export_label": "7"}, ConfigError, "--export-label: out has no user of label 7, only of 0, 1, 2"),
        (
            {"label_names": "low,high"},
            ConfigError,
            "--label-names: out has a label 2, got 2 names; add a name for it",
        ),
        (
            {"output": "none"},
            TopicMissing,
            "topic none does not exist; check its name, or create it:"
            " confluent kafka topic create none --config cleanup.policy=compact",
        ),
    ],
)
def test_a_label_a_name_or_a_topic_that_does_not_exist(
    given_options: dict[str, Any], error: type[ClassifierError], message: str, world: World, file: Path
) -> None:
    with pytest.raises(error) as caught:
        exported(world, file, **given_options)
    assert str(caught.value) == message
    assert unchanged(file)


def test_a_label_of_an_empty_output(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"^--export-label: out has no user of label 0, and no other user$"):
        exported(World(), file, export_label="0")
    assert unchanged(file)


def test_more_names_than_labels(world: World, file: Path, caplog: pytest.LogCaptureFixture) -> None:
    exported(world, file, label_names="a,b,c,d")
    assert caplog.messages[:-1] == [
        "the highest label of out is 2, but --label-names has 4 names; give one name for each cluster"
    ]


def test_a_record_of_another_program(world: World, file: Path) -> None:
    world.broker.append("out", 1, b"{}", [], b"dea")
    with pytest.raises(StateError) as caught:
        exported(world, file)
    assert str(caught.value).startswith("out [1] at offset 0: not written by user_classifier (not Confluent Avro")
    assert unchanged(file)


class DeletedRecordsConsumer(FakeConsumer):
    """A consumer of a topic whose records are deleted while they are read."""

    def consume(self, limit: int, timeout: float) -> list[FakeMessage]:
        """Return the error of librdkafka."""
        return [FakeMessage(("out", 0, 4), error=KafkaError(KafkaError._AUTO_OFFSET_RESET, "out of range"))]


def test_records_deleted_while_they_are_read(world: World, file: Path) -> None:
    with pytest.raises(StateError) as caught:
        exported(world, file, consumer=DeletedRecordsConsumer(world.broker, seed=3))
    assert str(caught.value) == (
        "out [0]: the next record to read is no longer available (out of range); run the export again"
    )
    assert unchanged(file)


# The old file stays until the new one is complete


def stops_after(n_blocks: int, stop: StopRequest) -> Callable[..., list[Any]]:
    """`spreadsheet_text`, and a stop request on the way."""
    left = itertools.count(1)

    def with_stop(text: str) -> Any:
        stop.requested = next(left) >= n_blocks
        return text

    return with_stop


def test_an_export_that_is_stopped(world: World, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = StopRequest()
    monkeypatch.setattr(export_module, "ROW_GROUP_SIZE", 2)
    monkeypatch.setattr(export_module, "spreadsheet_text", stops_after(6, stop))
    with pytest.raises(ClassifierError, match=r"^the file was not written to its end$"):
        exported(world, file, stop)
    assert unchanged(file)
    assert stop.last_step == f"{file} is unchanged"


def test_an_export_that_is_stopped_while_it_reads(world: World, file: Path) -> None:
    stop = StopRequest()
    stop.requested = True
    with pytest.raises(ClassifierError, match=r"^out was not read to its end$"):
        exported(world, file, stop)
    assert unchanged(file)


@pytest.mark.parametrize("name", ["labels.csv", "labels.csv.gz", "labels.parquet"])
def test_a_disk_that_becomes_full(name: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    path.write_text(OLD)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ClassifierError) as caught:
        exported(world, path)
    assert str(caught.value) == f"{path}: not written (No space left on device)"
    assert unchanged(path)


def test_the_file_keeps_its_permissions(world: World, file: Path) -> None:
    file.chmod(0o640)
    exported(world, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_a_link_stays_a_link(world: World, file: Path, tmp_path: Path) -> None:
    (folder := tmp_path / "folder").mkdir()
    (link := folder / "link.csv").symlink_to(file)
    exported(world, link)
    assert link.is_symlink()
    assert lines(file)[0] == HEADER
    assert list(folder.iterdir()) == [link]

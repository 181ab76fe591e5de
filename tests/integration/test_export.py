"""--export next to a running client: the file has the content of the topic, and the client is not affected."""

import csv
import gzip
from pathlib import Path

from pyarrow import parquet

from tests.conftest import MakePipeline
from tests.faults.open_transactions import open_transaction
from tests.support import client, inside
from tests.support.changelog import aggregation, cut, place_by_hash
from tests.support.client import Client
from tests.support.oracle import Labelled
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

BLOCKED = "an open transaction of another program blocks the records after it"


def rows_of(path: Path) -> list[Labelled]:
    """The rows of a file."""
    if path.suffix == ".parquet":
        return [Labelled(**row) for row in parquet.read_table(path).to_pylist()]
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    rows = list(csv.DictReader(text.splitlines()))
    return [
        Labelled(row["user_id"], float(row["total_amount"]), int(row["num_transactions"]), int(row["label"]))
        for row in rows
    ]


def rows_in(pipeline: Pipeline) -> list[Labelled]:
    """The rows of the topic, in the order of user_id."""
    return [row for _, row in sorted(pipeline.labelling().items())]


def test_next_to_a_running_client(make_pipeline: MakePipeline, tmp_path: Path) -> None:
    pipeline = make_pipeline(partitions=3)
    first, second = cut(place_by_hash(aggregation(seed=7, n_users=40, n_transactions=600), 3), [500])
    pipeline.write(first)
    with Client(pipeline.arguments("--batch-interval", "0"), tmp_path / "log") as running:
        wait_until(lambda: pipeline.lag() == 0, "the first labels")
        for name in ("labels.csv", "labels.csv.gz", "labels.parquet"):
            before = pipeline.topics.commit_history(pipeline.group)
            finished = client.run(pipeline.arguments("--export", str(tmp_path / name)))
            assert finished.code == 0, finished.output
            last_line = finished.stderr.splitlines()[-1]
            assert (
                f" INFO {tmp_path / name}: {len(rows_in(pipeline))} users of {pipeline.output}, the last" in last_line
            )
            assert rows_of(tmp_path / name) == rows_in(pipeline)
            assert pipeline.topics.commit_history(pipeline.group) == before
        pipeline.write(second)
        wait_until(lambda: pipeline.lag() == 0, "the client to continue")
        assert running.stop() == 0, running.output
    finished = inside.run(pipeline.arguments("--export", str(tmp_path / "labels.csv"), "--export-label", "2"))
    assert finished.code == 0, finished.output
    assert rows_of(tmp_path / "labels.csv") == [row for row in rows_in(pipeline) if row.label == 2]


def test_with_avro_keys_and_no_input(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.make_output_with_avro_keys()
    pipeline.write(place_by_hash(aggregation(seed=2, n_users=9, n_transactions=90, deleted=0.2), 1))
    inside.run_to_end(pipeline.arguments())
    pipeline.topics.delete(pipeline.source)
    finished = inside.run(pipeline.arguments("--export", str(tmp_path / "labels.csv")))
    assert finished.code == 0, finished.output
    assert rows_of(tmp_path / "labels.csv") == rows_in(pipeline)


def test_an_open_transaction_is_reported_and_waited_for(pipeline: Pipeline, tmp_path: Path) -> None:
    first, second = cut(place_by_hash(aggregation(seed=3, n_users=9, n_transactions=90), 1), [50])
    pipeline.write(first)
    file = tmp_path / "labels.csv"
    arguments = pipeline.arguments("--export", str(file))
    with Client(pipeline.arguments(), tmp_path / "labelling") as labelling:
        wait_until(lambda: pipeline.lag() == 0, "the first labels")
        with open_transaction(pipeline):
            pipeline.write(second)
            wait_until(lambda: pipeline.lag() == 0, "labels after the open transaction")
            with Client(arguments, tmp_path / "stopped") as stopped:
                stopped.wait_for_output(BLOCKED)
                assert stopped.stop() == 1
                assert stopped.output.splitlines()[-1] == (
                    f"user_classifier.py: error: {pipeline.output} was not read to its end; stop requested meanwhile,"
                    f" {file} is unchanged"
                )
            waiting = Client(arguments, tmp_path / "waiting")
            waiting.wait_for_output(BLOCKED)
            assert not file.exists()
        with waiting:
            assert waiting.wait() == 0, waiting.output
        assert labelling.running
    assert rows_of(file) == rows_in(pipeline)

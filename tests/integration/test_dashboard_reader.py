"""The reader of the page follows the features in the schema of the output."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dashboard.options import parsed
from dashboard.reader import Reader
from tests.conftest import MakePipeline
from tests.support.pipeline import Pipeline
from tests.support.topics import Outgoing
from tests.support.waiting import wait_until
from tests.support.wire import body, frame, record_schema

AMOUNT = {"total_amount": "double"}
TOTALS = {**AMOUNT, "num_transactions": "long"}
TIME: Any = {"type": "long", "logicalType": "timestamp-millis"}
WITH_TIME = {**TOTALS, "last_purchase": TIME}
SAMPLES = {"total_amount": 1.5, "num_transactions": 2, "last_purchase": 3}


@contextmanager
def reading(pipeline: Pipeline) -> Iterator[Reader]:
    """A reader of the output."""
    settings, _ = parsed([str(pipeline.file), "-o", pipeline.output])
    reader = Reader(settings).start()
    try:
        yield reader
    finally:
        reader.close()


def label(pipeline: Pipeline, types: dict[str, Any], *user_ids: str) -> None:
    """Register a schema of the output with these features, and write a label for each user."""
    schema = record_schema("user_labeling_value", user_id="string", **types, label="int")
    schema_id = pipeline.subjects.register(f"{pipeline.output}-value", schema)
    rows = [{"user_id": each, **{name: SAMPLES[name] for name in types}, "label": 0} for each in user_ids]
    values = [frame(schema_id, body(schema, row)) for row in rows]
    records = [Outgoing(0, value, [], each.encode()) for each, value in zip(user_ids, values, strict=True)]
    pipeline.topics.write(pipeline.output, records)


def shown(reader: Reader) -> tuple[tuple[str, ...], list[int], int]:
    """The features, the sizes of the labels, and the number of users who are not shown."""
    if reader.latest is None:
        return (), [], 0
    return reader.latest.features.names, reader.latest.sizes(), reader.n_others


def wait_for(reader: Reader, types: dict[str, Any], sizes: list[int], n_others: int) -> None:
    """Wait until the reader has these features and sizes."""
    wanted = (tuple(types), sizes, n_others)
    wait_until(lambda: shown(reader) == wanted, f"{wanted}, not {shown(reader)}: {reader.problem}")


@pytest.mark.parametrize(
    ("before", "after"), [(TOTALS, WITH_TIME), (WITH_TIME, TOTALS), (AMOUNT, TOTALS), (TOTALS, AMOUNT)]
)
def test_other_features_while_it_runs(
    make_pipeline: MakePipeline, before: dict[str, Any], after: dict[str, Any]
) -> None:
    """Users are shown again as the client labels them again; until then a warning counts the others."""
    pipeline = make_pipeline()
    label(pipeline, before, "ann", "bob")
    with reading(pipeline) as reader:
        wait_for(reader, before, [2], 0)
        label(pipeline, after, "bob")
        wait_for(reader, after, [1], 1)
        assert reader.others_text == (
            f"1 user not shown: the rows have other features than {','.join(after)};"
            " a run with --rebuild labels all users again"
        )
        label(pipeline, after, "ann")
        wait_for(reader, after, [2], 0)
        assert reader.others_text == reader.problem == ""
    with reading(pipeline) as reader:
        wait_for(reader, after, [2], 0)


def test_an_output_that_has_no_schema_yet(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline()
    with reading(pipeline) as reader:
        wait_until(lambda: reader.latest, "the end of the empty topic")
        label(pipeline, WITH_TIME, "ann")
        wait_for(reader, WITH_TIME, [1], 0)
        assert reader.latest
        assert [column[0] for column in reader.latest.values] == [1.5, 2, 3]

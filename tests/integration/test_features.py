"""--features: other columns than the two totals, in any order of arrival, over restarts, and changes of the list."""

import random
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from classifier.config.settings import SCALES
from tests.conftest import MakePipeline
from tests.support import inside, scaled
from tests.support.kmeans import fitted_kmeans
from tests.support.pipeline import MARK, Pipeline
from tests.support.topics import Outgoing
from tests.support.wire import body, frame, schema_id_of, unframe

DAY_MS = 86_400_000
TIME = {"type": "long", "logicalType": "timestamp-millis"}
DATE = {"type": "int", "logicalType": "date"}
TYPES: dict[str, Any] = {
    "user_id": "string",
    "total_amount": "double",
    "num_transactions": "long",
    "visits": "int",
    "last_purchase": TIME,
    "first_day": DATE,
    "city": "string",
    **{f"x{number}": "double" for number in range(16)},
}
INPUT = {
    "type": "record",
    "name": "input",
    "fields": [{"name": name, "type": ["null", kind], "default": None} for name, kind in TYPES.items()],
}
LISTS = {
    1: ["visits"],
    2: ["last_purchase", "total_amount"],
    3: ["total_amount", "num_transactions", "last_purchase"],
    5: ["first_day", "visits", "x1", "last_purchase", "total_amount"],
    16: [f"x{number}" for number in range(14)] + ["last_purchase", "visits"],
}
Row = dict[str, Any]


def rows(n_users: int, seed: int = 7) -> list[Row]:
    """Users in three groups, which differ in every column."""
    rng = random.Random(seed)
    found = []
    for number in range(n_users):
        group = number % 3
        row: Row = {name: (1 + group) ** 4 * rng.uniform(1, 2) for name in TYPES if name.startswith("x")}
        row |= {"user_id": f"user {number:04d}", "city": None, "visits": (1 + group) ** 5 + rng.randrange(5)}
        row |= {"total_amount": round(10.0 ** (1 + group) * rng.uniform(1, 2), 2), "num_transactions": 1 + group}
        row["last_purchase"] = 1_700_000_000_000 - int((4.0**group) * rng.uniform(1, 2) * DAY_MS)
        row["first_day"] = 19_000 + 100 * group + rng.randrange(20)
        found.append(row)
    return found


def write(pipeline: Pipeline, changes: Sequence[tuple[int, Row]], n_partitions: int = 1) -> None:
    """Write rows as a retract changelog, in this order."""
    schema_id = pipeline.subjects.register(f"{pipeline.source}-value", INPUT)
    records = [
        Outgoing(number % n_partitions, frame(schema_id, body(INPUT, row)), [("op", bytes([op]))])
        for number, (op, row) in enumerate(changes)
    ]
    pipeline.topics.write(pipeline.source, records)


def expected_labels(table: Sequence[Row], names: Sequence[str], scale: str) -> dict[str, int]:
    """The labels of scikit-learn's own pipeline, in the order of the mean of the first feature."""
    table = sorted(table, key=lambda row: str(row["user_id"]))
    matrix = np.array([[row[name] for name in names] for row in table], np.float64)
    for index, name in enumerate(names):
        per_day = {"last_purchase": DAY_MS, "first_day": 1}.get(name)
        if per_day:
            matrix[:, index] = (matrix[:, index].max() - matrix[:, index]) / per_day
    found = fitted_kmeans(scaled.points(matrix, scale), 3, init="k-means++", random_state=42).labels_
    order = np.argsort([matrix[found == label, 0].mean() for label in range(3)])
    return {row["user_id"]: int(np.flatnonzero(order == label)[0]) for row, label in zip(table, found, strict=True)}


def output(pipeline: Pipeline) -> dict[str, Row]:
    """The users of the output with all their fields."""
    found = {}
    for record in pipeline.topics.compacted(pipeline.output).values():
        if record.value is not None:
            schema = pipeline.subjects.schema(schema_id_of(record.value))
            row = unframe({**schema, "fields": [plain(each) for each in schema["fields"]]}, record.value)
            found[row["user_id"]] = row
    return found


def plain(field: Row) -> Row:
    """A field without its logical type: the number itself."""
    kinds = [kind["type"] if isinstance(kind, dict) else kind for kind in field["type"]]
    return {**field, "type": kinds}


def arguments(pipeline: Pipeline, names: Sequence[str], *more: str) -> list[str]:
    """The command line with --features."""
    return pipeline.arguments("--features", ",".join(names), *more)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("names", LISTS.values(), ids=map(str, LISTS))
def test_labels_are_those_of_scikit_learn(make_pipeline: MakePipeline, names: list[str], scale: str) -> None:
    """In any order of arrival, before and after a restart with changed rows."""
    pipeline = make_pipeline(partitions=3)
    table = rows(60)
    changes = [(0, row) for row in table]
    random.Random(3).shuffle(changes)
    write(pipeline, changes, 3)
    inside.run_to_end(arguments(pipeline, names, "--scale", scale))
    labels = expected_labels(table, names, scale)
    assert {user: row["label"] for user, row in output(pipeline).items()} == labels
    for row in output(pipeline).values():
        source = next(each for each in table if each["user_id"] == row["user_id"])
        assert row == {**{name: source[name] for name in ["user_id", *names]}, "label": labels[row["user_id"]]}
    newer = rows(60, seed=8)[:20]
    write(pipeline, [each for old, new in zip(table, newer, strict=False) for each in ((2, new), (1, old))], 3)
    inside.run_to_end(arguments(pipeline, names, "--scale", scale))
    labels = expected_labels(newer + table[20:], names, scale)
    assert {user: row["label"] for user, row in output(pipeline).items()} == labels


def test_the_output_has_the_types_of_the_input(pipeline: Pipeline) -> None:
    write(pipeline, [(0, row) for row in rows(6)])
    names = ["visits", "last_purchase", "first_day", "x0"]
    inside.run_to_end(arguments(pipeline, names))
    record = next(iter(pipeline.topics.compacted(pipeline.output).values()))
    assert record.value is not None
    fields = {each["name"]: each["type"][1] for each in pipeline.subjects.schema(schema_id_of(record.value))["fields"]}
    assert fields == {name: TYPES.get(name, "int") for name in ["user_id", *names, "label"]}


def test_another_list_is_refused_and_rebuilt(pipeline: Pipeline) -> None:
    table = rows(12)
    write(pipeline, [(0, row) for row in table])
    inside.run_to_end(pipeline.arguments())
    before = output(pipeline)
    names = LISTS[3]
    refused = inside.run(arguments(pipeline, names, "--until-end"))
    assert refused.code == 1
    assert "has other features (total_amount double, num_transactions long) than this run" in refused.stderr
    assert "--rebuild" in refused.stderr
    assert output(pipeline) == before
    inside.run_to_end(arguments(pipeline, names, "--rebuild"))
    assert {user: row["label"] for user, row in output(pipeline).items()} == expected_labels(table, names, "none")
    refused = inside.run(pipeline.arguments("--until-end"))
    assert refused.code == 1
    assert "add --features total_amount,num_transactions,last_purchase" in refused.stderr
    inside.run_to_end(pipeline.arguments("--rebuild"))
    assert output(pipeline) == before


def test_the_order_of_the_list_stands_in_the_mark(pipeline: Pipeline) -> None:
    write(pipeline, [(0, row) for row in rows(12)])
    inside.run_to_end(arguments(pipeline, ["visits", "x0"]))
    (mark,) = [each.metadata for each in pipeline.topics.committed(pipeline.group, pipeline.source).values()]
    assert mark.startswith(MARK.replace("/1", "/2"))
    assert " features=visits,x0" in mark
    refused = inside.run(arguments(pipeline, ["x0", "visits"], "--until-end"))
    assert refused.code == 1
    assert "was reached with --features visits,x0, this is x0,visits; to start over: run again with --rebuild" in (
        refused.stderr
    )


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        ("visits,last_visit", "has no field last_visit; the fields that can be features: total_amount double,"),
        ("city", "has city as string, neither a number nor a point in time; the fields that can be features: "),
        ("visits,visits", "visits is there twice; leave one out"),
        ("label", "label is a field of the output with another meaning; leave it out"),
    ],
)
def test_a_wrong_list_is_one_line(pipeline: Pipeline, names: str, problem: str) -> None:
    write(pipeline, [(0, row) for row in rows(6)])
    refused = inside.run(pipeline.arguments("--features", names, "--until-end"))
    assert refused.code == 2
    assert problem in refused.stderr
    if "the fields that can be features" in problem:
        checked = inside.run(pipeline.arguments("--features", names, "--check"))
        assert problem in checked.stdout


@pytest.mark.parametrize(
    ("field", "value", "problem"),
    [
        ("x0", None, "x0 must be a number up to 1e+150, got None"),
        ("x0", float("nan"), "x0 must be a number up to 1e+150, got nan"),
        ("x0", 2e150, "x0 must be a number up to 1e+150, got 2e+150"),
        ("last_purchase", None, "last_purchase must be a point in time (timestamp-millis), got None"),
        ("num_transactions", -1, "num_transactions must be a whole number >= 0, got -1"),
    ],
)
def test_a_value_that_is_no_feature_is_named(pipeline: Pipeline, field: str, value: object, problem: str) -> None:
    table = rows(6)
    write(pipeline, [(0, row) for row in table] + [(0, {**table[0], "user_id": "bad", field: value})])
    names = ["x0", "last_purchase", "num_transactions"]
    failed = inside.run(arguments(pipeline, names, "--until-end"))
    assert failed.code == 1
    assert f"{pipeline.source} [0] at offset 6: {problem}" in failed.stderr
    assert "bad" not in output(pipeline)
    inside.run_to_end(arguments(pipeline, ["visits"], "--rebuild"))
    assert "bad" in output(pipeline)


def test_cells_count_the_two_totals(pipeline: Pipeline) -> None:
    refused = inside.run(pipeline.arguments("--cells", "--features", "visits"))
    assert refused.code == 2
    assert "--features visits cannot be combined with --cells: Flink counts cells of total_amount and" in refused.stderr


@pytest.mark.parametrize(
    ("names", "axes"),
    [(["last_purchase"], []), (["visits", "last_purchase", "x0", "first_day"], ["first_day", "x0"])],
    ids=["one", "four"],
)
def test_reports_name_the_features(pipeline: Pipeline, tmp_path: Path, names: list[str], axes: list[str]) -> None:
    write(pipeline, [(0, row) for row in rows(30)])
    picture = tmp_path / "clusters.svg"
    preview = inside.run(arguments(pipeline, names, "--dry-run", "--scale", "log-standard"))
    assert preview.stdout.splitlines()[0].split() == ["user_id", *names, "label"]
    assert "2023-11-1" in preview.stdout
    explored = inside.run(arguments(pipeline, names, "--explore-k"))
    assert f"share of the variance that K-means sees: {names[0]} " in explored.stdout
    plot = ["--plot", str(picture), *(["--plot-features", ",".join(axes)] if axes else [])]
    finished = inside.run_to_end(arguments(pipeline, names, "--summary", *plot))
    assert all(f"mean {name}" in finished.stderr for name in names)
    assert re.search(r" 2023-11-1\d \d\d:\d\d \(age \d+\.\d days\)", finished.stderr)
    assert picture.read_bytes().startswith(b"<?xml")

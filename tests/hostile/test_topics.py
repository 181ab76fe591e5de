"""Topics, subjects and changelogs that the client does not expect: complete messages."""

from typing import Any

import pytest

from tests.hostile.records import register_json
from tests.support import inside
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.pipeline import Pipeline
from tests.support.topics import Outgoing
from tests.support.wire import KEY_SCHEMA, LABELING_SCHEMA, NAMESPACE, record_schema

PREFIX = "user_classifier.py: error: "
ROWS = [Row("ann", 1.0, 1), Row("bob", 2.0, 1), Row("ann", 3.0, 2)]


def complaint(arguments: list[str], code: int = 1) -> str:
    """The message of a run that fails."""
    finished = inside.run([*arguments, "--until-end"])
    assert finished.code == code, finished.output
    assert PREFIX in finished.stderr
    return finished.stderr.split(PREFIX)[1].rstrip("\n")


def write_upserts(pipeline: Pipeline, key: bytes | None) -> None:
    """Write rows that replace each other, without retractions."""
    placed = [Placed(0, Change(Op.INSERT, row)) for row in ROWS]
    pipeline.topics.write(pipeline.source, [Outgoing(0, each.value, [], key) for each in pipeline.outgoing(placed)])


@pytest.mark.parametrize(("key", "mode"), [(b"ann", "upsert"), (None, "append")])
def test_a_topic_without_retractions_read_as_retract(key: bytes | None, mode: str, pipeline: Pipeline) -> None:
    write_upserts(pipeline, key)
    assert complaint(pipeline.arguments()) == (
        f"{pipeline.source}: user_id 'ann' has 2 rows and no record has an op header, so nothing ever retracts one;"
        f" this is not a retract changelog: run with --changelog-mode {mode}"
    )
    assert pipeline.offsets() == {}
    inside.run_to_end(pipeline.arguments("--changelog-mode", mode))
    assert {user: row[1:3] for user, row in pipeline.labelling().items()} == {"ann": (3.0, 2), "bob": (2.0, 1)}


def test_a_retract_changelog_may_have_keys(pipeline: Pipeline) -> None:
    changes = [(Op.INSERT, ROWS[0]), (Op.UPDATE_BEFORE, ROWS[0]), (Op.UPDATE_AFTER, ROWS[2])]
    records = pipeline.outgoing([Placed(0, Change(*change)) for change in changes])
    pipeline.topics.write(pipeline.source, [record._replace(key=b"ann") for record in records])
    inside.run_to_end(pipeline.arguments())
    assert {user: row[1:3] for user, row in pipeline.labelling().items()} == {"ann": (3.0, 2)}


LABELS = record_schema("labels", user_id="string", total_amount="double", num_transactions="long", label="int")


def labels(**changed: Any) -> dict[str, Any]:
    """The schema of the labels with fields of another type, or without those that are None."""
    fields = [field for field in LABELS["fields"] if changed.get(field["name"], "") is not None]
    types = {name: ["null", kind] for name, kind in changed.items()}
    return {**LABELS, "fields": [{**field, "type": types.get(field["name"], field["type"])} for field in fields]}


UNFIT_VALUES = {
    **{f"no {field['name']}": labels(**{field["name"]: None}) for field in LABELS["fields"]},
    "label is a string": labels(label="string"),
    "user_id is a number": labels(user_id="long"),
    "user_id is bytes": labels(user_id="bytes"),
    "total_amount is rounded": labels(total_amount="float"),
    "total_amount is whole": labels(total_amount="long"),
    "num_transactions is short": labels(num_transactions="int"),
    "num_transactions is a time": labels(num_transactions={"type": "long", "logicalType": "timestamp-millis"}),
    "a field more without default": {**LABELS, "fields": [*LABELS["fields"], {"name": "since", "type": "long"}]},
    "no record": "string",
}


@pytest.mark.parametrize("schema", UNFIT_VALUES.values(), ids=UNFIT_VALUES)
def test_a_value_subject_that_does_not_fit(schema: Any, pipeline: Pipeline) -> None:
    pipeline.subjects.register(f"{pipeline.output}-value", schema)
    pipeline.write([Placed(0, Change(Op.INSERT, ROWS[0]))])
    assert complaint(pipeline.arguments()) == unfit(pipeline)


def unfit(pipeline: Pipeline) -> str:
    """The message about a schema that cannot hold a label."""
    return (
        f"subject {pipeline.output}-value is not a record of user_id string, total_amount double, num_transactions"
        " long and label int; delete the subject or choose another output with -o"
    )


@pytest.mark.parametrize(
    "schema",
    [
        "string",
        {"type": "record", "name": "user_labeling_key", "namespace": NAMESPACE, "fields": []},
        {**KEY_SCHEMA, "fields": [{"name": "id", "type": "string"}]},
        {**KEY_SCHEMA, "fields": [{"name": "user_id", "type": "long"}]},
    ],
    ids=["no record", "no fields", "another field", "a number"],
)
def test_a_key_subject_that_does_not_fit(schema: Any, pipeline: Pipeline) -> None:
    pipeline.subjects.register(f"{pipeline.output}-key", schema)
    pipeline.subjects.register(f"{pipeline.output}-value", LABELING_SCHEMA)
    pipeline.write([Placed(0, Change(Op.INSERT, ROWS[0]))])
    assert complaint(pipeline.arguments()) == (
        f"subject {pipeline.output}-key is not a record of one string user_id;"
        " delete the subject or choose another topic"
    )


def test_a_value_subject_that_is_not_avro(pipeline: Pipeline) -> None:
    register_json(pipeline.subjects, f"{pipeline.output}-value")
    assert complaint(pipeline.arguments()) == unfit(pipeline)


def test_labels_may_have_more_fields(pipeline: Pipeline) -> None:
    more = [*LABELS["fields"], {"name": "note", "type": ["null", "string"], "default": None}]
    pipeline.subjects.register(f"{pipeline.output}-value", {**LABELS, "fields": list(reversed(more))})
    pipeline.write([Placed(0, Change(Op.INSERT, ROWS[0]))])
    inside.run_to_end(pipeline.arguments())
    assert {user: row[1:3] for user, row in pipeline.labelling().items()} == {"ann": (1.0, 1)}


def test_wrong_topic_names(pipeline: Pipeline) -> None:
    source = complaint(pipeline.arguments("-t", "misspelt"))
    output = complaint(pipeline.arguments("-o", "misspelt"))
    target = complaint(pipeline.arguments("--error-handling-mode", "log", "--error-handling-log-target", "misspelt"))
    make = "topic misspelt does not exist; check its name, or create it: confluent kafka topic create misspelt"
    assert (source, output, target) == (make, f"{make} --config cleanup.policy=compact", make)


@pytest.mark.parametrize("more", [["-o", "x"], ["--error-handling-mode", "log", "--error-handling-log-target", "x"]])
def test_one_topic_in_two_roles(more: list[str], pipeline: Pipeline) -> None:
    message = complaint([str(pipeline.file), "-t", "x", *more], code=2)
    option = "--error-handling-log-target" if len(more) > 2 else "-o"
    assert message == f"{option} and -t are both x; each needs a topic of its own"


@pytest.mark.parametrize("policy", ["delete", "compact,delete", "compact"])
def test_an_output_that_is_not_compacted(policy: str, pipeline: Pipeline) -> None:
    output = f"{pipeline.output}_uncompacted"
    pipeline.topics.create(output, 1, {"cleanup.policy": policy})
    finished = inside.run_to_end(pipeline.arguments("-o", output))
    warning = (
        f"topic {output} has cleanup.policy {policy}, so labels of quiet users will be deleted;"
        f" to fix it: confluent kafka topic update {output} --config cleanup.policy=compact\n"
    )
    assert finished.output.count(warning) == (policy != "compact")
    assert finished.output.count("cleanup.policy") == 2 * (policy != "compact")

"""Subjects of the output are deleted permanently: a rebuild needs no old rows, but it needs the keys."""

import re
from collections.abc import Iterator

import pytest
import requests

from tests.support import inside
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.pipeline import Pipeline
from tests.support.registry_proxy import RegistryProxy
from tests.support.wire import LABELING_SCHEMA, schema_id_of

ROWS = {name: Row(name, 10.0 ** (number % 3), 1 + number) for number, name in enumerate("abcdef")}


class Forgetful(RegistryProxy):
    """Forgets the ids of a subject that is deleted permanently, as Confluent's registry does; Apicurio keeps some."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.forgotten: set[int] = set()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        asked = re.search(r"/schemas/ids/(\d+)", path)
        if asked and int(asked[1]) in self.forgotten:
            return 404, "application/json", b'{"error_code": 40403, "message": "Schema not found"}'
        return super().answer(method, path, headers, body)

    def delete_permanently(self, subject: str) -> None:
        """Delete a subject with its ids."""
        at = f"{self.url}/subjects/{subject}"
        for version in requests.get(f"{at}/versions", timeout=10).json():
            self.forgotten.add(requests.get(f"{at}/versions/{version}", timeout=10).json()["id"])
        requests.delete(at, timeout=10).raise_for_status()


@pytest.fixture
def registry(pipeline: Pipeline) -> Iterator[Forgetful]:
    """The registry of the client."""
    made = Forgetful(pipeline.subjects.url)
    with made:
        pipeline.configure("schema_registry", url=made.url)
        yield made


def write(pipeline: Pipeline, op: Op, *rows: Row) -> None:
    """Write changes of the same kind."""
    pipeline.write(Placed(0, Change(op, row)) for row in rows)


def refused(pipeline: Pipeline, *more: str) -> str:
    """Run the client, which has to refuse; return its message."""
    before = pipeline.topics.read(pipeline.output)
    finished = inside.run(pipeline.arguments("--until-end", *more))
    assert finished.code == 1, finished.output
    assert pipeline.topics.read(pipeline.output) == before
    return finished.stderr.splitlines()[-1].removeprefix("user_classifier.py: error: ")


def labelled_by_another_schema(pipeline: Pipeline) -> int:
    """Label the users, in a schema that the client does not register itself; return its id."""
    schema_id = pipeline.subjects.register(f"{pipeline.output}-value", {**LABELING_SCHEMA, "name": "another"})
    write(pipeline, Op.INSERT, *ROWS.values())
    inside.run_to_end(pipeline.arguments())
    return schema_id


def test_the_value_subject(pipeline: Pipeline, registry: Forgetful) -> None:
    old = labelled_by_another_schema(pipeline)
    registry.delete_permanently(f"{pipeline.output}-value")
    write(pipeline, Op.DELETE, ROWS["c"])
    write(pipeline, Op.UPDATE_BEFORE, ROWS["d"])
    write(pipeline, Op.UPDATE_AFTER, new := Row("d", 77.0, 9))
    write(pipeline, Op.INSERT, late := Row("z", 5.0, 1))
    assert refused(pipeline) == (
        f"{pipeline.output} [0] at offset 0: schema id {old} is not in the Schema Registry; check [schema_registry]"
        f" url; if subject {pipeline.output}-value was deleted permanently: run again with --rebuild"
    )
    finished = inside.run(pipeline.arguments("--until-end", "--rebuild"))
    assert finished.code == 0, finished.output
    assert f"{pipeline.output}: the schemas of 6 users are not in the Schema Registry; " in finished.stderr
    expected = {**ROWS, "d": new, "z": late}
    del expected["c"]
    found = pipeline.labelling()
    assert {name: row[:3] for name, row in found.items()} == expected
    newest = pipeline.topics.compacted(pipeline.output)
    assert newest[b"c"].value is None
    assert old not in {schema_id_of(record.value) for record in newest.values() if record.value}
    labels = {name: row.label for name, row in found.items()}
    write(pipeline, Op.INSERT, Row("y", 5.0, 1))
    inside.run_to_end(pipeline.arguments())
    after = {name: row.label for name, row in pipeline.labelling().items()}
    assert after == {**labels, "y": labels["z"]}


@pytest.mark.parametrize("parts", [("key",), ("key", "value")])
def test_the_key_subject(pipeline: Pipeline, registry: Forgetful, parts: tuple[str, ...]) -> None:
    """Nobody can say whom the keys name; a new subject has another id, and so other keys."""
    pipeline.make_output_with_avro_keys()
    labelled_by_another_schema(pipeline)
    for part in parts:
        registry.delete_permanently(f"{pipeline.output}-{part}")
    message = refused(pipeline, "--rebuild")
    advice = "; choose another output with -o and its own group with -g, or recreate the topic and run with --rebuild"
    reason = f"; subject {pipeline.output}-key was deleted permanently{advice}"
    if "value" in parts:
        assert message.startswith(f"{pipeline.output} [0] at offset 0: key ")
        assert message.endswith(f" has a schema id{reason}")
    else:
        assert message == (
            f"{pipeline.output} has changed since its labels were written (then keys=avro; now partitions=1, as subject"
            f" {pipeline.output}-key does not exist any more){advice}"
        )

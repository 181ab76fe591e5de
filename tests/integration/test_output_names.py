"""Any name of an output that Kafka allows gives a schema that the registry accepts."""

import re
import uuid

import pytest

from classifier.users.output_codec import label_schema
from tests.support import inside, oracle
from tests.support.changelog import aggregation, place_by_hash
from tests.support.pipeline import Pipeline

AVRO_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)
NAMES = {
    "2025_labels": "_2025_labels_value",
    "2025": "_2025_value",
    "-labels": "_labels_value",
    ".labels": "_labels_value",
    "..a": "__a_value",
    "eu-west-1.user.labels": "eu_west_1_user_labels_value",
    "_labels": "_labels_value",
    "user_labeling": "user_labeling_value",
}


@pytest.mark.parametrize(("topic", "name"), NAMES.items())
def test_the_name_of_the_schema(topic: str, name: str) -> None:
    assert label_schema(topic)["name"] == name
    assert AVRO_NAME.fullmatch(name)


@pytest.mark.parametrize("beginning", ["2025_labels", "2025", "-labels", ".labels"], ids="abcd")
def test_the_schema_is_registered_and_read_again(beginning: str, pipeline: Pipeline) -> None:
    changes = aggregation(seed=3, n_users=5, n_transactions=9)
    pipeline.write(place_by_hash(changes, 1))
    pipeline.output = f"{beginning}{uuid.uuid4().int % 10**9}"
    pipeline.topics.create(pipeline.output, 1, {"cleanup.policy": "compact"})
    arguments = [*pipeline.arguments()[:-2], f"-o{pipeline.output}"]  # joined: the name may begin with a dash
    for _ in range(2):  # the second run restores the first one's labels
        inside.run_to_end(arguments)
        assert pipeline.labelling() == oracle.labelled(changes)

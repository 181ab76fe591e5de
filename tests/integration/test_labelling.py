"""The labels in a real `user_labeling` are those of one fit on the replayed table."""

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.conftest import MakePipeline
from tests.support import client, inside, oracle
from tests.support.changelog import aggregation, cut, place_by_hash
from tests.support.pipeline import Pipeline
from tests.support.strategies import changelogs, cuts, placements
from tests.support.wire import KEY_SCHEMA, LABELING_SCHEMA, body, frame, record_schema, schema_id_of


def test_a_realistic_changelog(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(partitions=6)
    pipeline.make_output_with_avro_keys()
    changes = aggregation(seed=4, n_users=300, n_transactions=5000)
    pipeline.write(place_by_hash(changes, 6))
    assert client.run(pipeline.arguments("--until-end")).code == 0
    assert pipeline.labelling() == oracle.labelled(changes)
    assert pipeline.pending() == {}
    pipeline.assert_offsets_sound()


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_any_changelog(make_pipeline: MakePipeline, data: st.DataObject) -> None:
    """Any changes, in any partitions, with restarts anywhere; either format of the key and of `op`."""
    changes = data.draw(changelogs(max_users=9, max_steps=80), "changes")
    placed = data.draw(placements(changes), "places")
    n_clusters, avro_key, digits = data.draw(st.tuples(st.integers(1, 4), st.booleans(), st.booleans()), "settings")
    pipeline = make_pipeline(partitions=6)
    if avro_key:
        pipeline.make_output_with_avro_keys()
    for piece in cut(placed, data.draw(cuts(len(placed), max_cuts=3), "cuts")):
        pipeline.write(piece, digits)
        inside.run_to_end(pipeline.arguments("-k", str(n_clusters)))
    assert pipeline.labelling() == oracle.labelled(changes, n_clusters)
    assert pipeline.pending() == oracle.pending(changes)
    pipeline.assert_offsets_sound()
    pipeline.assert_nothing_doubled()


def test_an_output_created_by_hand_gets_plain_keys_and_a_schema(pipeline: Pipeline) -> None:
    pipeline.write(place_by_hash(aggregation(seed=2, n_users=5, n_transactions=9, deleted=0), 1))
    inside.run_to_end(pipeline.arguments())
    records = list(pipeline.topics.compacted(pipeline.output).values())
    assert {record.key for record in records} == {user_id.encode() for user_id in pipeline.labelling()}
    schema = pipeline.subjects.schema(schema_id_of(records[0].value or b""))
    columns = {"user_id": "string", "total_amount": "double", "num_transactions": "long", "label": "int"}
    assert schema == record_schema(f"{pipeline.output}_value", **columns)
    assert pipeline.subjects.exists(f"{pipeline.output}-value")
    assert not pipeline.subjects.exists(f"{pipeline.output}-key")


def test_an_output_created_by_statement_5_has_avro_keys(pipeline: Pipeline) -> None:
    pipeline.make_output_with_avro_keys()
    key_id = pipeline.subjects.register(f"{pipeline.output}-key", KEY_SCHEMA)
    pipeline.write(place_by_hash(aggregation(seed=2, n_users=5, n_transactions=9, deleted=0), 1))
    inside.run_to_end(pipeline.arguments())
    keys = {frame(key_id, body(KEY_SCHEMA, {"user_id": user_id})) for user_id in pipeline.labelling()}
    assert set(pipeline.topics.compacted(pipeline.output)) == keys


def test_an_existing_schema_is_kept(pipeline: Pipeline) -> None:
    """Fields are found by name: another order, another record name, another column, no nulls."""
    columns = {"label": "int", "user_id": "string", "num_transactions": "long", "total_amount": "double"}
    fields: list[dict[str, object]] = [{"name": name, "type": kind} for name, kind in columns.items()]
    fields.insert(1, {"name": "note", "type": ["null", "string"], "default": None})
    schema = {**LABELING_SCHEMA, "name": "labels", "fields": fields}
    schema_id = pipeline.subjects.register(f"{pipeline.output}-value", schema)
    changes = aggregation(seed=2, n_users=5, n_transactions=9)
    pipeline.write(place_by_hash(changes, 1))
    inside.run_to_end(pipeline.arguments())
    assert pipeline.labelling() == oracle.labelled(changes)
    values = [record.value for record in pipeline.topics.compacted(pipeline.output).values()]
    assert {schema_id_of(value) for value in values if value} == {schema_id}


def test_the_clusters_are_drawn_with_plot(pipeline: Pipeline, tmp_path: Path) -> None:
    pipeline.write(place_by_hash(aggregation(seed=2, n_users=12, n_transactions=60), 1))
    picture = tmp_path / "clusters.png"
    inside.run_to_end(pipeline.arguments("--plot", str(picture)))
    assert picture.read_bytes().startswith(b"\x89PNG")

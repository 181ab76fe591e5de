"""Write the state of this release, for the tests of later releases: python -m tests.upgrades.write

Run it once for each release, when __version__ is raised, and commit the file. Files of earlier releases stay as they
are.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from classifier import __version__
from tests.support import client, inside
from tests.support.changelog import Change, Op, Placed, Row, aggregation, of_other_users, place_by_hash
from tests.support.last_purchase import fields_of
from tests.support.pipeline import Pipeline, Services, running_services
from tests.support.topics import Outgoing
from tests.support.wire import body, frame, schema_id_of
from tests.support.world import smallest_parts
from tests.upgrades.sample import Sample, to_line, write


class Case(NamedTuple):
    """A way to run the client."""

    name: str
    partitions: int
    options: tuple[str, ...]
    avro_key: bool = False
    parts: int = 0
    """The client is killed after this many parts of the first labelling, of one user each; 0: it completes it."""
    timed: bool = False
    """Whether users have a third feature; see `Pipeline`."""


THREE_FEATURES = Case("three", 2, ("-k", "4"), timed=True)
CASES = (
    Case("retract", 3, ("-k", "4")),
    Case("chosen", 1, ("-k", "auto", "--scale", "log"), avro_key=True),
    Case("upsert", 2, ("--changelog-mode", "upsert", "--fit", "cells")),
    Case("half", 2, ("-k", "auto"), parts=5),
    THREE_FEATURES,
)


def main() -> None:
    """Run the client for each case and write the state."""
    with tempfile.TemporaryDirectory() as folder, running_services(Path(folder)) as running:
        found = [state_of(running, Path(folder), case) for case in CASES]
    print(f"written: {write(__version__, found)}")


def state_of(services: Services, folder: Path, case: Case) -> Sample:
    """Run the client for one case and return the state."""
    name = f"release_{__version__.replace('.', '_')}_{case.name}"
    pipeline = Pipeline(services, folder, name, case.partitions, case.timed)
    if case.avro_key:
        pipeline.make_output_with_avro_keys()
    first, later = (upserts if case.name == "upsert" else retractions)(pipeline, case)
    pipeline.topics.write(pipeline.source, first)
    label(pipeline, case)
    return sample(pipeline, case, first, later)


def label(pipeline: Pipeline, case: Case) -> None:
    """Run the client."""
    if case.parts:
        with smallest_parts(), pytest.MonkeyPatch.context() as patch:
            patch.setattr("classifier.kafka.transaction_size.SHARE_OF_TIMEOUT", 1e-9)
            inside.run_and_die(pipeline.arguments(*case.options), "begin_transaction", case.parts)
        return
    finished = client.run(pipeline.arguments("--until-end", *case.options))
    if finished.code:
        raise RuntimeError(finished.output)


def retractions(pipeline: Pipeline, case: Case) -> tuple[list[Outgoing], list[Outgoing]]:
    """Return a changelog in two parts; two rows follow their retractions, so the first part leaves these unmatched."""
    changes = aggregation(seed=3, n_users=12, n_transactions=50, deleted=0.1)
    placed = place_by_hash(changes, case.partitions)
    retracted = {change.row for _, change in placed if change.op is Op.UPDATE_BEFORE}
    late = next(each for each in placed if each.change.op is Op.INSERT and each.change.row in retracted)
    unknown = Row("known by a retraction alone", 8.0, 1)
    first = [*(each for each in placed if each is not late), Placed(0, Change(Op.DELETE, unknown))]
    others = of_other_users(aggregation(seed=4, n_users=6, n_transactions=20))
    later = [late, Placed(0, Change(Op.INSERT, unknown)), *place_by_hash(others, case.partitions)]
    return pipeline.outgoing(first), pipeline.outgoing(later)


def upserts(pipeline: Pipeline, case: Case) -> tuple[list[Outgoing], list[Outgoing]]:
    """Return rows in two parts: some users are deleted, later rows replace earlier ones, some deleted users return."""
    rows = [Row(f"user {at}", float(10 ** (at % 3) * (1 + at)), 1 + at % 4) for at in range(15)]

    def record(at: int, row: Row, deleted: bool = False) -> Outgoing:
        value = None if deleted else frame(pipeline.schema_id, body(pipeline.input_schema, fields_of(row)))
        return Outgoing(at % case.partitions, value, [], row.user_id.encode())

    first = [record(at, row) for at, row in enumerate(rows)] + [record(at, rows[at], deleted=True) for at in (2, 7)]
    later = [record(at, rows[at]._replace(total_amount=5000.0 + at)) for at in (2, 4, 9)]
    return first, [*later, record(11, rows[11], deleted=True)]


def sample(pipeline: Pipeline, case: Case, first: Sequence[Outgoing], later: Sequence[Outgoing]) -> Sample:
    """Return the state in the broker."""
    topics = pipeline.topics
    subjects = pipeline.subjects
    output = topics.read(pipeline.output)
    value = next(each.value for each in output if each.value)
    schema_ids = {f"{pipeline.source}-value": pipeline.schema_id, f"{pipeline.output}-value": schema_id_of(value)}
    if case.avro_key:
        schema_ids[f"{pipeline.output}-key"] = schema_id_of(output[0].key or b"")
    committed = sorted(topics.committed(pipeline.group).values())
    return Sample(
        name=pipeline.source.removesuffix("_aggregate"),
        partitions=case.partitions,
        options=list(case.options),
        schemas={subject: {"id": at, "schema": subjects.schema(at)} for subject, at in schema_ids.items()},
        topic_ids={topic: topics.topic_id(topic) for topic in (pipeline.source, pipeline.output)},
        offsets={str(each.partition): (each.offset, each.metadata) for each in committed},
        input=[to_line(each.partition, each.key, each.value, each.headers) for each in first],
        later=[to_line(each.partition, each.key, each.value, each.headers) for each in later],
        output=[to_line(each.partition, each.key, each.value, each.headers) for each in output],
        timed=case.timed,
    )


if __name__ == "__main__":
    main()

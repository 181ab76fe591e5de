"""Records that cannot be read, among valid ones, in each error-handling mode; many in one run."""

import re
from collections.abc import Sequence

from tests.hostile.records import KINDS, Bad, Schemas, bad_records
from tests.support import inside, oracle
from tests.support.changelog import Change, aggregation, place_by_hash
from tests.support.pipeline import MARK, Pipeline
from tests.support.topics import Outgoing, Record
from tests.support.waiting import wait_until
from tests.support.wire import Headers

ADVICE = "; to skip such records: --error-handling-mode ignore, to keep them: log"
COUNTED = re.compile(r"(\d+) records cannot be read \(mode (\w+)\), the first: (.+)")


def mixed(pipeline: Pipeline, bad: Sequence[Bad]) -> tuple[list[Change], dict[int, Bad]]:
    """Write bad records among valid ones; return the valid changes, and the bad records by offset."""
    changes = aggregation(seed=11, n_users=12, n_transactions=3 * len(bad))
    good = pipeline.outgoing(place_by_hash(changes, 1))
    records: list[Outgoing] = []
    offsets: dict[int, Bad] = {}
    for at, record in enumerate(good):
        if at % 3 == 1 and len(offsets) < len(bad):
            offsets[len(records)] = bad[len(offsets)]
            records.append(offsets[len(records)].outgoing())
        records.append(record)
    assert len(offsets) == len(bad)
    pipeline.topics.write(pipeline.source, records)
    return changes, offsets


def position(pipeline: Pipeline, offset: int) -> str:
    """How the client writes a position."""
    return f"{pipeline.source} [0] at offset {offset}"


def dead_letters(pipeline: Pipeline, offsets: dict[int, Bad]) -> list[tuple[bytes | None, bytes | None, Headers]]:
    """The records that mode log must write."""
    letters = []
    for offset, bad in offsets.items():
        cause = {
            "exception": "RecordError",
            "message": bad.cause,
            "topic": pipeline.source,
            "partition": "0",
            "offset": str(offset),
        }
        added: Headers = [(f"__streams.errors.{name}", text.encode()) for name, text in cause.items()]
        letters.append((bad.key, bad.value, [*bad.headers, *added]))
    return letters


def stored(records: Sequence[Record]) -> list[tuple[bytes | None, bytes | None, Headers]]:
    """The records written, in the order of the input's offsets."""
    by_offset = sorted(records, key=lambda record: int(dict(record.headers)["__streams.errors.offset"] or b""))
    return [(record.key, record.value, list(record.headers)) for record in by_offset]


def test_mode_ignore_counts_them_and_loses_no_valid_record(pipeline: Pipeline) -> None:
    changes, offsets = mixed(pipeline, bad_records(Schemas(pipeline)))
    finished = inside.run_to_end(pipeline.arguments("--error-handling-mode", "ignore"))
    counted = COUNTED.findall(finished.output)
    assert sum(int(count) for count, *_ in counted) == len(offsets)
    first = next(iter(offsets))
    assert counted[0][1:] == ("ignore", f"{position(pipeline, first)}: {offsets[first].cause}")
    assert pipeline.labelling() == oracle.labelled(changes)
    assert pipeline.pending() == {}
    assert pipeline.offsets() == {0: len(changes) + len(offsets)}


def test_mode_log_keeps_each_once_even_after_a_crash(pipeline: Pipeline) -> None:
    target = f"{pipeline.source}_errors"
    pipeline.topics.create(target)
    changes, offsets = mixed(pipeline, bad_records(Schemas(pipeline)))
    arguments = pipeline.arguments("--error-handling-mode", "log", "--error-handling-log-target", target)
    assert inside.run_and_die(arguments, at="commit_transaction")
    assert pipeline.topics.read(target) == []
    inside.run_to_end(arguments)
    assert stored(pipeline.topics.read(target)) == dead_letters(pipeline, offsets)
    assert pipeline.labelling() == oracle.labelled(changes)
    assert pipeline.pending() == {}
    assert pipeline.offsets() == {0: len(changes) + len(offsets)}


def test_mode_fail_stops_before_each_cause(pipeline: Pipeline) -> None:
    schemas = Schemas(pipeline)
    # Two of each kind: the client stops at the others in the same way.
    kinds = [kind(schemas) for kind in KINDS]
    changes, offsets = mixed(pipeline, [bad for kind in kinds for bad in (kind[0], kind[-1])])
    for offset, bad in offsets.items():
        failed = inside.run(pipeline.arguments("--until-end", "--batch-size", "1"))
        assert failed.code == 1
        message = f"user_classifier.py: error: {position(pipeline, offset)}: {bad.cause}{ADVICE}\n"
        assert failed.stderr.endswith(message), failed.stderr
        skip(pipeline, offset)
    inside.run_to_end(pipeline.arguments())
    assert pipeline.labelling() == oracle.labelled(changes)


def skip(pipeline: Pipeline, offset: int) -> None:
    """Skip one bad record as an administrator does: commit the next offset with the client's metadata."""
    # A commit is acknowledged before it can be read; with one record per batch, it is the offset of the bad one.
    wait_until(lambda: pipeline.offsets() == {0: offset}, f"the offset {offset} to be committed", 10.0)
    (commit,) = (each for each in pipeline.topics.committed(pipeline.group).values() if each.topic == pipeline.source)
    assert commit.metadata.startswith(MARK)
    pipeline.topics.commit(pipeline.group, pipeline.source, {0: offset + 1}, commit.metadata)


def test_a_value_with_two_errors_is_kept_once(pipeline: Pipeline) -> None:
    target = f"{pipeline.source}_errors"
    pipeline.topics.create(target)
    garbage = b"garbage"
    cause = "not Confluent Avro (first byte 0x67)"
    bad = [
        Bad(garbage, "header op must be one byte from 0 to 3, got [b'\\t']", [("op", b"\t")]),
        Bad(garbage, cause),
        Bad(garbage, cause, [("op", b"\1")]),
        Bad(garbage, cause),
    ]
    _, offsets = mixed(pipeline, bad)
    inside.run_to_end(pipeline.arguments("--error-handling-mode", "log", "--error-handling-log-target", target))
    assert stored(pipeline.topics.read(target)) == dead_letters(pipeline, offsets)

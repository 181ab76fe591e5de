"""Judges every committed record of the output, and waits for the labels that the oracle expects."""

from collections.abc import Iterable, Mapping, Sequence

from tests.faults.history import History, Written
from tests.support import oracle
from tests.support.changelog import Change, Row
from tests.support.client import Client
from tests.support.oracle import Labelled, Table
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

LABELS_S = 90.0
"""How long the expected labels may take to appear on a busy machine."""


def wrong_records(pipeline: Pipeline, changes: Iterable[Change]) -> list[str]:
    """Return what is wrong with any committed record of the output; see `History.wrong`."""
    rows = [(user_id, None if row is None else Row(*row[:3])) for user_id, row in pipeline.emitted()]
    return History(changes).wrong(Written(user_id, row, made=0.0) for user_id, row in rows)


def differences(found: Mapping[str, Labelled], expected: Mapping[str, Labelled]) -> list[str]:
    """Return the users whose row or label is not the expected one."""
    return [
        f"{user_id}: {found.get(user_id)}, expected {expected.get(user_id)}"
        for user_id in sorted(found.keys() | expected.keys())
        if found.get(user_id) != expected.get(user_id)
    ]


def wrong_labels(pipeline: Pipeline, changes: Sequence[Change]) -> list[str]:
    """Return the users whose last record is not what one fit on the whole changelog gives."""
    return differences(pipeline.labelling(), oracle.labelled(changes))


def wrong_rows(pipeline: Pipeline, table: Table) -> list[str]:
    """Return the users whose last record is not what one fit on this table gives."""
    numbers = oracle.labels(table, 3)
    expected = {user_id: Labelled(user_id, *row, numbers[user_id]) for user_id, row in table.items()}
    return differences(pipeline.labelling(), expected)


def wait_for_labels(client: Client, pipeline: Pipeline, changes: Sequence[Change]) -> None:
    """Wait until the running client has written the labels of the whole changelog."""
    try:
        wait_until(
            lambda: not client.running or not wrong_labels(pipeline, changes), "the labels of the oracle", LABELS_S
        )
    except TimeoutError:
        left = wrong_labels(pipeline, changes)
        raise AssertionError(f"{len(left)} users are wrong, {left[:3]}; the client:\n{client.output[-3000:]}") from None
    assert client.running, client.output[-3000:]

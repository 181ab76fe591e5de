"""Calls of the brokers that fail: an outage is told, waited for, and left when told to stop."""

import pytest
from confluent_kafka import KafkaError

from classifier import outage
from classifier.errors import BrokerUnavailable
from tests.support.fakes import failure
from tests.support.memory import in_memory

AGAIN = failure(KafkaError.COORDINATOR_LOAD_IN_PROGRESS, retriable=True)


def test_an_outage_is_told_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    kafka, left = in_memory(), [AGAIN, AGAIN, AGAIN]

    def call() -> str:
        if left:
            raise left.pop()
        return "answer"

    assert kafka.call("read topic t", call) == "answer"
    assert len(caplog.records) == 1, "one answer is not yet the end: another call may still hang"
    left.append(AGAIN)
    kafka.call("read topic t", call)
    kafka.outage.note_recovery()  # as after a commit
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == "Kafka host:9092: cannot read topic t: made up; retrying until it is back"
    assert told[1].startswith("Kafka host:9092: back after ")
    assert len(told) == 2


def test_an_outage_is_over_when_nothing_has_failed_for_a_while(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a quiet topic, where nothing is committed."""
    kafka = in_memory()
    kafka.outage.note_failure("made up")
    kafka.call("read topic t", lambda: None)
    assert len(caplog.records) == 1
    monkeypatch.setattr(outage, "CALM_SECONDS", 0.0)
    kafka.call("read topic t", lambda: None)
    assert caplog.records[-1].getMessage().startswith("Kafka host:9092: back after ")


def test_a_signal_ends_an_outage() -> None:
    kafka = in_memory()

    def call() -> None:
        kafka.stop.requested = True
        raise AGAIN

    with pytest.raises(BrokerUnavailable, match=r"^cannot read topic t: made up$"):
        kafka.call("read topic t", call)


def test_who_waits_is_alive() -> None:
    kafka = in_memory()
    polls: list[None] = []
    kafka.on_wait = lambda: polls.append(None)
    answers = iter([AGAIN, AGAIN, None])

    def call() -> None:
        if (failed := next(answers)) is not None:
            raise failed

    kafka.call("read topic t", call)
    assert len(polls) == 2

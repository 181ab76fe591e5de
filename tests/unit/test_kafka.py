"""Calls of the brokers that fail: an outage is told, waited for, and left when told to stop."""

import pytest
from confluent_kafka import KafkaError

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
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == "Kafka host:9092: cannot read topic t: made up; trying again until it is back"
    assert told[1].startswith("Kafka host:9092: back after ")
    assert len(told) == 2


def test_a_signal_ends_an_outage() -> None:
    kafka = in_memory()

    def call() -> None:
        kafka.stop.requested = True
        raise AGAIN

    with pytest.raises(BrokerUnavailable, match=r"^cannot read topic t: made up$"):
        kafka.call("read topic t", call)

"""Each alert of docs/running.md fires for a client in the state that it is for, and none for a client that labels."""

import contextlib
import itertools
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Producer

from local.services.process import free_port
from tests.faults.broker_faults import HANGS, NO_FETCH, NO_LIST_OFFSETS, NO_PRODUCE, BrokerFault
from tests.faults.outages import odd_schema
from tests.faults.stack import RelayedStack
from tests.faults.two_brokers import TwoBrokers
from tests.faults.users_input import UsersInput
from tests.support.alerts import NO_LABELS, Scrapes, documented
from tests.support.changelog import Change, Op, Placed, Row
from tests.support.client import Client
from tests.support.pipeline import Pipeline, new_name
from tests.support.topics import Outgoing
from tests.support.waiting import wait_until
from tests.support.wire import body, frame

ALERTS = documented()
ALIVE, NOT_READY = 200, 503
LONGEST_S = 2 * 3600.0
"""Longer than any alert looks back."""
TIMEOUT_S = 30.0
SCRAPE_S = 0.3
SCRAPES_PER_CHANGE = 4
"""A commit takes five scrapes, so that each of five minutes of Prometheus has some."""
STANDS_STILL = """
import sys, threading
import user_classifier

def cluster(*given, **named):
    threading.Event().wait()

user_classifier.cluster = cluster
sys.exit(user_classifier.main(sys.argv[1:]))
"""


@pytest.fixture
def pipeline(stack: RelayedStack, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Pipeline]:
    """A pipeline with three users, on services that run at the end."""
    made = Pipeline(stack.services, tmp_path, new_name(request.node.name))
    made.write([Placed(0, insert(f"User_{number}")) for number in range(3)])
    try:
        yield made
    finally:
        stack.revive()


def insert(user_id: str, amount: float = 1.0) -> Change:
    """A new row."""
    return Change(Op.INSERT, Row(user_id, amount, 1))


@contextlib.contextmanager
def scraped(pipeline: Pipeline, *more: str, wait_for: str = " changes, fit ") -> Iterator[tuple[Client, Scrapes]]:
    """A client that has written this, and what is scraped from it."""
    port = free_port()
    options = ["--batch-interval", "0.1", "--metrics-port", str(port), *more]
    with Client(pipeline.arguments(*options), pipeline.directory / "client.log") as running:
        running.wait_for_output(wait_for)
        yield running, Scrapes(port)


def firing(scrapes: Scrapes) -> list[str]:
    """The alerts that fire, once Prometheus has scraped for long."""
    scrapes.scrape_for(LONGEST_S)
    return [name for name, alert in ALERTS.items() if scrapes.fires(alert)]


def wait_until_ready(scrapes: Scrapes) -> None:
    """Wait until the client is ready."""
    wait_until(lambda: scrapes.page("/ready") == (ALIVE, "ready\n"), "the client to be ready")


# None fires


@pytest.mark.parametrize("options", [[], ["-k", "5"], ["-k", "auto"], ["--scale", "log"]], ids=" ".join)
def test_none_for_a_client_that_labels(pipeline: Pipeline, options: list[str]) -> None:
    """Also with fewer users than clusters."""
    with scraped(pipeline, *options) as (running, scrapes):
        wait_until_ready(scrapes)
        assert firing(scrapes) == []
        assert running.stop() == 0


def test_none_after_an_outage(stack: RelayedStack, pipeline: Pipeline) -> None:
    with scraped(pipeline) as (running, scrapes):
        alert = ALERTS["Kafka or the registry is out of reach"].sooner("300", "2")
        stack.broker.kill()
        scrapes.wait_until_fires(alert)
        stack.broker.start()
        wait_until_ready(scrapes)
        assert firing(scrapes) == []
        assert running.stop() == 0


# The process


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_the_client_is_down(pipeline: Pipeline, number: signal.Signals, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.support.alerts.SCRAPE_TIMEOUT_S", 0.2)  # a suspended process accepts connections
    alert = ALERTS["The client is down"]
    with scraped(pipeline) as (running, scrapes):
        wait_until_ready(scrapes)
        running.send(number)
        scrapes.wait_until_fires(alert)


def test_the_client_hangs(pipeline: Pipeline, tmp_path: Path) -> None:
    """It stands still in a fit."""
    script = tmp_path / "stands_still.py"
    script.write_text(STANDS_STILL, encoding="utf-8")
    pipeline.configure("consumer", max_poll_interval_ms="3000", session_timeout_ms="3000")
    port = free_port()
    with Client(pipeline.arguments("--metrics-port", str(port)), tmp_path / "log", script) as running:
        running.wait_for_output(" users restored ")
        scrapes = Scrapes(port)
        scrapes.wait_until_fires(ALERTS["The client hangs"])
        assert scrapes.page("/health")[0] == scrapes.page("/ready")[0] == NOT_READY


def test_it_restarts_repeatedly(pipeline: Pipeline, tmp_path: Path) -> None:
    """As it does while no broker answers at the start."""
    port = free_port()
    for section in ("consumer", "producer"):
        pipeline.configure(section, bootstrap_servers=f"127.0.0.1:{free_port()}")
    scrapes = Scrapes(port)
    alert = ALERTS["It restarts repeatedly"]
    for number in range(5):
        assert not scrapes.fires(alert)
        with Client(pipeline.arguments("--metrics-port", str(port)), tmp_path / f"{number}.log") as running:
            wait_until(scrapes.answers, "the client to serve its metrics")
            scrapes.scrape()
            if number == 0:
                wait_until(lambda: "restored yet, kafka out of reach for " in scrapes.page("/ready")[1], "the outage")
                assert running.wait() == 1
        scrapes.scrape()  # between two starts
    assert scrapes.fires(alert)


# Services


def test_kafka_out_of_reach(stack: RelayedStack, pipeline: Pipeline) -> None:
    with scraped(pipeline) as (_, scrapes):
        wait_until_ready(scrapes)
        stack.broker.kill()
        scrapes.wait_until_fires(ALERTS["Kafka or the registry is out of reach"].sooner("300", "2"))
        scrapes.wait_until_fires(ALERTS["It is not ready"])
        assert scrapes.page("/health")[0] == ALIVE
        assert scrapes.page("/ready")[1].startswith("not ready: kafka out of reach for ")


def test_the_registry_out_of_reach(stack: RelayedStack, pipeline: Pipeline) -> None:
    """The client is alive for longer than max.poll.interval.ms: a restart would not help."""
    pipeline.configure("consumer", max_poll_interval_ms="6000", session_timeout_ms="6000")
    schema_id = pipeline.subjects.register(f"{pipeline.source}-value", odd_schema(0))
    with scraped(pipeline) as (running, scrapes):
        wait_until_ready(scrapes)
        stack.registry.kill()
        value = frame(schema_id, body(odd_schema(0), Row("User_9", 9.0, 9)._asdict()))
        pipeline.topics.write(pipeline.source, [Outgoing(0, value, [])])
        scrapes.wait_until_fires(ALERTS["Kafka or the registry is out of reach"].sooner("300", "7"))
        assert scrapes.page("/health")[0] == ALIVE
        assert scrapes.page("/ready")[1].startswith("not ready: schema_registry out of reach for ")
        stack.registry.start()
        wait_until_ready(scrapes)
        assert running.stop() == 0


@pytest.mark.parametrize("fault", [NO_LIST_OFFSETS, NO_FETCH, HANGS], ids=str)
def test_a_leader_out_of_reach(two_brokers: TwoBrokers, tmp_path: Path, fault: BrokerFault) -> None:
    """One of two brokers: the other one answers, and no record is known to be behind."""
    pipeline = two_brokers.pipeline(tmp_path, "leader")
    source = UsersInput(pipeline)
    source.spend()
    with scraped(two_brokers.behind_relays(pipeline)) as (running, scrapes):
        wait_until_ready(scrapes)
        with two_brokers.struck.with_fault(fault):
            source.spend()
            scrapes.wait_until_fires(ALERTS["Kafka or the registry is out of reach"].sooner("300", "12"))
            assert scrapes.page("/health")[0] == ALIVE
        wait_until_ready(scrapes)
        assert running.stop() == 0


# Labels


def test_a_client_that_restores_for_long(pipeline: Pipeline) -> None:
    """An open transaction of another program blocks the restore."""
    servers = {"bootstrap.servers": pipeline.topics.bootstrap_servers}
    producer = Producer({**servers, "transactional.id": f"{pipeline.group}_other"})
    producer.init_transactions(TIMEOUT_S)
    producer.begin_transaction()
    producer.produce(pipeline.output, key=b"User_1", value=None)
    producer.flush(TIMEOUT_S)
    with scraped(pipeline, wait_for="an open transaction of another program blocks") as (_, scrapes):
        scrapes.wait_until_fires(ALERTS["It is not ready"])
        assert scrapes.page("/health")[0] == ALIVE
        assert scrapes.page("/ready") == (NOT_READY, "not ready: the state is not restored yet\n")
    producer.abort_transaction(TIMEOUT_S)


def test_it_does_not_commit(stack: RelayedStack, pipeline: Pipeline) -> None:
    """The broker answers all but writes. Transactions time out, and the client restores again and again."""
    for section in ("consumer", "producer"):
        pipeline.configure(section, bootstrap_servers=stack.behind_faulty)
    pipeline.configure("producer", transaction_timeout_ms="6000")
    alert = ALERTS["It does not commit"].sooner("900", "15")
    with scraped(pipeline) as (running, scrapes):
        wait_until_ready(scrapes)
        with stack.faulty[0].with_fault(NO_PRODUCE):
            pipeline.write([Placed(0, insert("User_9"))])
            scrapes.wait_until_fires(alert)
            assert "; restoring from " in running.output
            assert not scrapes.scrape()["user_classifier_behind_records"][NO_LABELS]
            scrapes.wait_until_fires(ALERTS["Kafka or the registry is out of reach"].sooner("300", "20"))
            assert running.output.count("; restoring from ") > 1, "a restore is no end of the outage"
            assert "the output: back" not in running.output
            assert scrapes.page("/health")[0] == ALIVE
        wait_until_ready(scrapes)
        assert running.stop() == 0


def test_the_lag_grows(pipeline: Pipeline) -> None:
    with scraped(pipeline, "--batch-size", "100") as (_, scrapes):
        for first in range(0, 250_000, 50_000):  # a producer takes 100,000 at once
            numbers = range(first, first + 50_000)
            pipeline.write([Placed(0, insert(f"User {number}", 1.0 + number)) for number in numbers])
        scrapes.wait_until_fires(ALERTS["The lag grows"])


def test_records_that_cannot_be_read(pipeline: Pipeline) -> None:
    with scraped(pipeline, "--error-handling-mode", "ignore") as (_, scrapes):
        assert firing(scrapes) == []
        pipeline.topics.write(pipeline.source, [Outgoing(0, b"{}", [])])
        scrapes.wait_until_fires(ALERTS["Records that cannot be read"])


def test_users_with_several_rows(pipeline: Pipeline) -> None:
    with scraped(pipeline) as (_, scrapes):
        pipeline.write([Placed(0, insert("User_1", 7.0))])
        scrapes.wait_until_fires(ALERTS["Users with several rows"])


def test_commits_are_slow(stack: RelayedStack, pipeline: Pipeline) -> None:
    for section in ("consumer", "producer"):
        pipeline.configure(section, bootstrap_servers=stack.relay.bootstrap_servers)
    alert = ALERTS["Commits are slow"].sooner("10", "1")
    with scraped(pipeline) as (_, scrapes):
        stack.relay.bytes_per_s = 100.0
        try:
            numbers = itertools.count()

            def slow() -> bool:
                number = next(numbers)
                if number % SCRAPES_PER_CHANGE == 0:
                    pipeline.write([Placed(0, insert(f"User_{100 + number}"))])
                time.sleep(SCRAPE_S)
                scrapes.scrape()
                return scrapes.fires(alert)

            wait_until(slow, "slow commits")
        finally:
            stack.relay.bytes_per_s = None

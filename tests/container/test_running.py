"""The client as process 1 of a container with a read-only root file system, on a real broker."""

import re
import signal
import time
from pathlib import Path

import pytest

from local.services.process import free_port
from tests.container.conftest import Start
from tests.support import oracle
from tests.support.changelog import Change, Op, Placed, Row, aggregation, of_other_users, place_by_hash
from tests.support.listening import addresses_of_listener
from tests.support.pipeline import Pipeline
from tests.support.waiting import wait_until

CHANGES = aggregation(seed=7, n_users=12, n_transactions=60)
MORE = of_other_users(aggregation(seed=9, n_users=20, n_transactions=100))
STOP_S = 5.0
"""Well below the 10 s after which Docker kills, and the timeouts of the client for a service that is down."""


@pytest.fixture
def filled(pipeline: Pipeline) -> Pipeline:
    """A pipeline with records in its input and a configuration file that reads the brokers from the environment."""
    pipeline.write(place_by_hash(CHANGES, 1))
    for section in ("consumer", "producer"):
        pipeline.configure(section, bootstrap_servers="${BROKERS}")
    return pipeline


def test_it_labels_stops_and_continues(filled: Pipeline, start: Start) -> None:
    brokers = filled.topics.bootstrap_servers
    started = time.monotonic()
    with start(*filled.arguments(), BROKERS=brokers) as container:
        wait_until(lambda: filled.labelling() or not container.running, "the first label")
        print(f"{time.monotonic() - started:.1f} s from the start of the container to the first label")
        wait_until(lambda: filled.lag() == 0, "all records to be read")
        assert container.is_read_only()
        assert container.stop() == 0, container.output
    filled.write(place_by_hash(MORE, 1))
    with start(*filled.arguments("--until-end"), BROKERS=brokers) as container:
        assert container.wait() == 0, container.output
    assert filled.labelling() == oracle.labelled(CHANGES + MORE)
    filled.assert_offsets_sound()
    filled.assert_nothing_doubled()


@pytest.mark.parametrize("library", ["", "numpy", "confluent_kafka", "sklearn"])
def test_sigterm_in_the_first_second(library: str, filled: Pipeline, start: Start) -> None:
    """From the first line of the script on, at any stage of the imports."""
    with start(*filled.arguments(), BROKERS=filled.topics.bootstrap_servers) as container:
        wait_until(lambda: container.handles(signal.SIGTERM), "process 1 to handle SIGTERM")
        wait_until(lambda: container.has_loaded(library), f"{library} to be imported")
        container.send(signal.SIGTERM)
        assert container.wait(STOP_S) == 0, container.output


def test_reports_write_only_their_own_files(filled: Pipeline, start: Start, folder: Path) -> None:
    """The options import libraries, some of which want a folder for caches."""
    changes = [Change(Op.INSERT, Row(f"user {at}", float(100 + at % 7 * 100), 10 + at % 3)) for at in range(3000)]
    filled.write([Placed(0, change) for change in changes])
    reports = ["--plot", "/mounted/clusters.svg", "--summary", "-k", "auto", "--scale", "log", "--fit", "cells"]
    with start(*filled.arguments("--until-end", *reports), BROKERS=filled.topics.bootstrap_servers) as container:
        assert container.wait() == 0, container.output
        assert not re.search(r"WARNING|Traceback|read-only|Read-only", container.output), container.output
    assert (folder / "clusters.svg").read_text(encoding="utf-8").startswith("<?xml")
    with start(*filled.arguments("--export", "/mounted/labels.csv"), BROKERS=filled.topics.bootstrap_servers) as export:
        assert export.wait() == 0, export.output
    assert len((folder / "labels.csv").read_text(encoding="utf-8").splitlines()) == 1 + len(filled.labelling())


def test_health(filled: Pipeline, start: Start) -> None:
    port = free_port()
    options = ["--metrics-port", str(port), "--metrics-host", "0.0.0.0"]
    variables = {"BROKERS": filled.topics.bootstrap_servers, "METRICS_PORT": str(port)}
    with start(*filled.arguments(*options), **variables) as container:
        wait_until(container.healthy, "the container to be healthy")
        assert addresses_of_listener(port) == {"0.0.0.0"}
        container.send(signal.SIGSTOP)
        assert not container.healthy()
        container.send(signal.SIGCONT)
        assert container.stop() == 0
    variables["METRICS_PORT"] = str(free_port())  # no program listens there
    with start(*filled.arguments(*options), **variables) as container:
        wait_until(lambda: "users restored" in container.output, "the client to start")
        assert not container.healthy()


def test_a_client_without_metrics_counts_as_healthy(filled: Pipeline, start: Start) -> None:
    with start(*filled.arguments(), BROKERS=filled.topics.bootstrap_servers) as container:
        wait_until(lambda: "users restored" in container.output, "the client to start")
        assert container.healthy()

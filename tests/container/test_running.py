"""The client as process 1 of a container whose root file system is read-only, against a real broker."""

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
AT_ONCE_S = 5.0
"""Far from the 10 s after which Docker kills, and from what the client gives a service that is away."""


@pytest.fixture
def filled(pipeline: Pipeline) -> Pipeline:
    """A pipeline whose input holds something, and whose file takes the brokers from the environment."""
    pipeline.write(place_by_hash(CHANGES, 1))
    for section in ("consumer", "producer"):
        pipeline.configure(section, bootstrap_servers="${BROKERS}")
    return pipeline


def test_labels_and_stops_and_goes_on(filled: Pipeline, start: Start) -> None:
    brokers = filled.topics.bootstrap_servers
    began = time.monotonic()
    with start(*filled.arguments(), BROKERS=brokers) as container:
        wait_until(lambda: filled.labelling() or not container.running, "the first label")
        print(f"{time.monotonic() - began:.1f} s from the start of the container to the first label")
        wait_until(lambda: filled.lag() == 0, "all to be read")
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
    """From the first line of the script on, however far the imports are."""
    with start(*filled.arguments(), BROKERS=filled.topics.bootstrap_servers) as container:
        wait_until(lambda: container.listens_to(signal.SIGTERM), "process 1 to listen")
        wait_until(lambda: container.has_loaded(library), f"{library} to be imported")
        container.send(signal.SIGTERM)
        assert container.wait(AT_ONCE_S) == 0, container.output


def test_reports_need_no_place_but_their_own(filled: Pipeline, start: Start, folder: Path) -> None:
    """Each option imports libraries, some of which look for a place to keep something."""
    changes = [Change(Op.INSERT, Row(f"user {at}", float(1 + at % 7 * 100), 1 + at % 3)) for at in range(3000)]
    filled.write([Placed(0, change) for change in changes])
    asked = ["--plot", "/mounted/clusters.svg", "--summary", "-k", "auto", "--scale", "log", "--fit", "cells"]
    with start(*filled.arguments("--until-end", *asked), BROKERS=filled.topics.bootstrap_servers) as container:
        assert container.wait() == 0, container.output
        assert not re.search(r"WARNING|Traceback|read-only|Read-only", container.output), container.output
    assert (folder / "clusters.svg").read_text(encoding="utf-8").startswith("<?xml")
    with start(*filled.arguments("--export", "/mounted/labels.csv"), BROKERS=filled.topics.bootstrap_servers) as export:
        assert export.wait() == 0, export.output
    assert len((folder / "labels.csv").read_text(encoding="utf-8").splitlines()) == 1 + len(filled.labelling())


def test_health(filled: Pipeline, start: Start) -> None:
    port = free_port()
    options = ["--metrics-port", str(port), "--metrics-host", "0.0.0.0"]
    given = {"BROKERS": filled.topics.bootstrap_servers, "METRICS_PORT": str(port)}
    with start(*filled.arguments(*options), **given) as container:
        wait_until(container.healthy, "the container to be healthy")
        assert addresses_of_listener(port) == {"0.0.0.0"}
        container.send(signal.SIGSTOP)
        assert not container.healthy()
        container.send(signal.SIGCONT)
        assert container.stop() == 0
    given["METRICS_PORT"] = str(free_port())  # where nobody listens
    with start(*filled.arguments(*options), **given) as container:
        wait_until(lambda: "users restored" in container.output, "the client to have begun")
        assert not container.healthy()


def test_a_client_without_metrics_counts_as_healthy(filled: Pipeline, start: Start) -> None:
    with start(*filled.arguments(), BROKERS=filled.topics.bootstrap_servers) as container:
        wait_until(lambda: "users restored" in container.output, "the client to have begun")
        assert container.healthy()

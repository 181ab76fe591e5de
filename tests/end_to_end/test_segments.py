"""The CDNOW customers through Flink: the labels equal those of scikit-learn, for each --scale and --fit."""

import json
from pathlib import Path

import fastavro
import numpy as np
import pytest

from local.own_data import load
from local.own_data.purchases import Purchases, ReadOptions
from local.sql.flink_tables import Endpoints
from local.sql.topics import Topics
from tests.end_to_end.sessions import Session
from tests.support import inside, oracle, scaled
from tests.support.cdnow import AMOUNT, N_CUSTOMERS, N_PURCHASES, USER, cdnow_file
from tests.support.customers import customers
from tests.support.kmeans import fitted_kmeans
from tests.support.optimum import inertia
from tests.support.oracle import Table
from tests.support.pipeline import Pipeline, Services
from tests.support.waiting import wait_until

N_PARTITIONS = 6
COPIES = 2
"""Statement 4 counts each purchase in two windows."""
MANY_RUNS = 10
PREFIX = "cdnow_"
"""Of the topics, because the broker is shared."""


def on_tables_of_this_test(number: int) -> str:
    """Return a statement of the pipeline, with the names of this test's tables."""
    (path,) = load.statement().parent.glob(f"{number}_*.sql")
    return path.read_text(encoding="utf-8").replace("transactions_", f"{PREFIX}transactions_")


def load_purchases(session: Session) -> None:
    """Run statement 1 and load the file in place of statement 2."""
    session.workspace.run(on_tables_of_this_test(1))
    topic = f"{PREFIX}transactions_enriched"
    endpoints = Endpoints(session.topics.bootstrap_servers, session.subjects.url)
    registered = Topics(endpoints).latest_schema(f"{topic}-value")
    assert registered is not None
    schema = fastavro.parse_schema(json.loads(registered.schema))
    into = load.Target(topic, N_PARTITIONS, registered.schema_id, schema)
    purchases = Purchases(cdnow_file(), ReadOptions(user=USER, amount=AMOUNT))
    load.load(purchases, N_PURCHASES, endpoints.bootstrap_servers, into)


def table_of(pipeline: Pipeline) -> Table:
    """Return the totals in the output."""
    return {user: (row.total_amount, row.num_transactions) for user, row in pipeline.labelling().items()}


def labelled(pipeline: Pipeline, scale: str, fit: str) -> dict[str, int]:
    """Run the client to the end of its input and return the label of each user."""
    inside.run_to_end(pipeline.arguments("--scale", scale, "--fit", fit))
    return {user: row.label for user, row in pipeline.labelling().items()}


@pytest.fixture
def pipeline(session: Session, services: Services, tmp_path: Path) -> Pipeline:
    """A client whose input is what Flink computed from the purchases."""
    load_purchases(session)
    for number in (3, 4):
        session.workspace.run(on_tables_of_this_test(number))
    found = Pipeline(services, tmp_path, f"{PREFIX}segments")
    found.source = f"{PREFIX}transactions_aggregate"

    def all_counted() -> bool:
        labelled(found, "none", "users")
        return sum(count for _, count in table_of(found).values()) == COPIES * N_PURCHASES

    wait_until(all_counted, "Flink to count all purchases", 300)
    return found


def test_customers_are_labelled_as_scikit_learn_labels_them(pipeline: Pipeline) -> None:
    table = table_of(pipeline)
    users = sorted(table)
    totals = np.array([table[user] for user in users])
    assert len(users) == N_CUSTOMERS
    numbers, file_totals = customers()
    assert [int(user) for user in users] == numbers.tolist()
    assert totals == pytest.approx(COPIES * file_totals), "to the cent"
    for scale in ("none", "standard", "log"):
        expected = oracle.labels(table, 3) if scale == "none" else scaled.labels(table, 3, scale)[0]
        assert labelled(pipeline, scale, "users") == expected
        found = labelled(pipeline, scale, "cells")
        assert table_of(pipeline) == table
        labels = np.array([found[user] for user in users])
        points = scaled.points(totals, scale)
        _, least = scaled.labels(table, 3, scale, MANY_RUNS)
        assert inertia(points, tuple(labels.tolist())) < 1.001 * least
        centers = np.array([points[labels == label].mean(axis=0) for label in range(3)])
        refined = fitted_kmeans(points, 3, init=centers, n_init=1)
        assert (refined.labels_ != labels).mean() < 0.001, "scikit-learn finds no better fit from these centers"
        assert np.diff([totals[labels == label, 0].mean() for label in range(3)]).min() > 0

"""Missing topics: the message names the statement or command that creates them."""

import pytest

from classifier.errors import TopicMissing
from tests.support.world import World


@pytest.mark.parametrize(
    ("given", "topic", "message"),
    [
        (
            {"topic": "transactions_aggregate"},
            "transactions_aggregate",
            "topic transactions_aggregate does not exist; check its name, or create it:"
            " run sql/3_create_transactions_aggregate.sql",
        ),
        (
            {"output": "user_labeling"},
            "user_labeling",
            "topic user_labeling does not exist; check its name, or create it: run sql/5_create_user_labeling.sql",
        ),
        (
            {"error_handling_mode": "log", "error_handling_log_target": "dead"},
            "dead",
            "topic dead does not exist; check its name, or create it: confluent kafka topic create dead",
        ),
        (
            {"topic": "user_cells", "cells": True},
            "user_cells",
            "topic user_cells does not exist; check its name, or create it: run sql/scale_out/1_create_user_cells.sql",
        ),
        (
            {"topic": "my_cells", "cells": True},
            "my_cells",
            "topic my_cells does not exist; check its name, or create it: confluent kafka topic create my_cells"
            " --config cleanup.policy=compact",
        ),
    ],
)
def test_missing_topic(given: dict[str, object], topic: str, message: str) -> None:
    ended = World(**given).run()  # type: ignore[arg-type]
    assert isinstance(ended and ended.reason, TopicMissing)
    assert str(ended and ended.reason) == message

"""When everything is labelled: as a reader of both topics of labels sees it."""

from contextlib import closing

import pytest

from local.own_data.labelled_users import LabelledUsers
from local.sql.flink_tables import Endpoints
from tests.support.changelog import Op
from tests.support.pipeline import Services
from tests.support.topics import Outgoing
from tests.support.waiting import wait_until
from tests.support.wire import LABELING_SCHEMA, body, frame

LABELS = "labelled_labels"
FINAL = "labelled_final"
SECONDS = 0.05


class Writer:
    """Writes rows of labels as the client does, and as Flink does behind it."""

    def __init__(self, services: Services) -> None:
        self.topics, self._subjects = services
        self._ids = {name: self._subjects.register(f"{name}-value", LABELING_SCHEMA) for name in (LABELS, FINAL)}

    def label(self, user_id: str, count: int | None) -> None:
        """A user's newest row, None if there is none any more."""
        value = None if count is None else self._value(LABELS, user_id, count)
        self.topics.write(LABELS, [Outgoing(0, value, [], user_id.encode())])

    def final(self, op: Op, user_id: str, count: int) -> None:
        """A row added or taken back."""
        self.topics.write(FINAL, [Outgoing(0, self._value(FINAL, user_id, count), [("op", bytes([op]))])])

    def _value(self, topic: str, user_id: str, count: int) -> bytes:
        row = {"user_id": user_id, "total_amount": 1.0, "num_transactions": count, "label": 0}
        return frame(self._ids[topic], body(LABELING_SCHEMA, row))


@pytest.fixture
def writer(services: Services) -> Writer:
    """Both topics."""
    for name in (LABELS, FINAL):
        services.topics.create(name, 1)
    return Writer(services)


def test_complete_when_both_topics_count_every_purchase(services: Services, writer: Writer) -> None:
    """Three purchases, of two users; each is counted twice."""
    endpoints = Endpoints(services.topics.bootstrap_servers, services.subjects.url)
    with closing(LabelledUsers(endpoints, LABELS, FINAL)) as labelled:

        def comes_to(*expected: int) -> None:
            def is_so() -> bool:
                labelled.read(SECONDS)
                return (labelled.n_users, labelled.n_purchases, labelled.n_final_purchases) == expected

            wait_until(is_so, f"users, purchases, and those that followed: {expected}")

        writer.label("ann", 2)
        comes_to(1, 1, 0)
        writer.label("bob", 2)
        writer.label("eve", 8)
        comes_to(3, 6, 0)
        writer.label("eve", None)
        writer.label("ann", 4)
        comes_to(2, 3, 0)
        assert not labelled.is_complete(3), "nothing has followed"
        writer.final(Op.INSERT, "ann", 2)
        writer.final(Op.UPDATE_AFTER, "ann", 4)  # read before the one that takes the old row back
        comes_to(2, 3, 3)
        assert not labelled.is_complete(3), "bob has no row"
        writer.final(Op.INSERT, "bob", 2)
        comes_to(2, 3, 4)
        assert not labelled.is_complete(3), "ann has two rows"
        writer.final(Op.UPDATE_BEFORE, "ann", 2)
        comes_to(2, 3, 3)
        assert labelled.is_complete(3)
        assert not labelled.is_complete(4)

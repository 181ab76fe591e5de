"""TopicWatch: no step is committed after a topic was deleted, recreated or extended."""

from dataclasses import replace
from typing import Any

import pytest

from classifier import __version__
from classifier.errors import RestoreNeeded, StateError, TopicMissing, TopicsChanged
from classifier.kafka.topics import TopicWatch
from classifier.users.output import read_labels
from classifier.users.table import LabelledUsers
from tests.support import oracle
from tests.support.fakes import FakeBroker, FakeConsumer
from tests.support.marks import without_row_parts
from tests.support.memory import SETTINGS, in_memory
from tests.support.world import INSERTS, World

TOPICS = {"transactions_aggregate": 2, "user_labeling": 1}


def identified(world: World) -> World:
    """Return the same world with a broker that reports topic ids."""
    world.broker.ids.update({"in": "in/1", "out": "out/1"})
    return world


def watching() -> tuple[FakeBroker, TopicWatch]:
    """Return a broker and a started watch."""
    broker = FakeBroker(**TOPICS)
    watch = TopicWatch(in_memory(consumer=FakeConsumer(broker, seed=1)), SETTINGS)
    watch.start()
    return broker, watch


def test_topic_ids_are_in_the_offset_metadata() -> None:
    world = identified(World())
    world.write(INSERTS)
    assert world.run() is None
    ids = "input=in/1 output=out/1"
    mark = without_row_parts(world.broker.history[0].metadata)
    assert mark == f"user_classifier/1 users=6 partitions=2 by={__version__} {ids}"
    assert world.run() is None, "the ids match at the next start"


def test_metadata_without_ids_is_accepted() -> None:
    world = World()
    world.write(INSERTS[:3])
    world.run()
    identified(world).write(INSERTS[3:])
    assert world.run() is None
    assert world.labelling() == oracle.labelled(change for _, change in INSERTS)


@pytest.mark.parametrize(
    ("topic", "what"),
    [
        ("in", "the committed offsets count records of the old topic"),
        ("out", "the labels that belong to the committed offsets were in the old topic"),
    ],
)
@pytest.mark.parametrize("at", ["between two runs", "in the middle of a step"])
def test_recreated_topic(topic: str, what: str, at: str) -> None:
    """In the middle of a step: after its records were read, before its commit."""
    world = identified(World())
    world.write(INSERTS[:3])
    world.run()
    committed = len(world.broker.history)
    world.write(INSERTS[3:])
    if at == "between two runs":
        world.broker.ids[topic] = f"{topic}/2"
        ended = world.run()
    else:
        restored = iter([True])
        request = TopicWatch.request

        def recreate_and_request(watch: TopicWatch) -> None:
            if not next(restored, False):
                world.broker.ids[topic] = f"{topic}/2"
            request(watch)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TopicWatch, "request", recreate_and_request)
            ended = world.run()
    assert isinstance(ended and ended.reason, StateError)
    assert str(ended and ended.reason) == (
        f"{topic} was deleted and recreated ({what}; id {topic}/1, now {topic}/2); to start over: run again with"
        " --rebuild"
    )
    assert len(world.broker.history) == committed


def test_a_restore_that_fails_does_not_forget_the_topic_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka deletes the offsets with the topic: only the client remembers that there was another topic."""
    world = identified(World())
    world.write(INSERTS[:3])
    world.run()
    world.write(INSERTS[3:])
    requests = iter(["of the start", "of the step"])
    failures = iter([RestoreNeeded("the output cannot be read")])
    request = TopicWatch.request

    def request_or_fail(watch: TopicWatch) -> None:
        if next(requests, "") == "of the step":
            world.broker.ids["in"] = "in/2"
            world.broker.offsets.clear()
            raise RestoreNeeded("the next record to read is no longer available")
        request(watch)

    def read_or_fail(*given: Any, **named: Any) -> LabelledUsers:
        if world.broker.ids["in"] == "in/2" and (failure := next(failures, None)):
            raise failure
        return read_labels(*given, **named)

    monkeypatch.setattr(TopicWatch, "request", request_or_fail)
    monkeypatch.setattr("classifier.users.intake.read_labels", read_or_fail)
    ended = world.run()
    assert str(ended and ended.reason).startswith("in was deleted and recreated (")
    assert not list(failures)


def test_a_rebuild_accepts_recreated_topics() -> None:
    world = identified(World())
    world.write(INSERTS)
    world.run()
    world.broker.ids["in"] = "in/2"
    world.settings = replace(world.settings, rebuild=True)
    assert world.run() is None
    assert without_row_parts(world.broker.history[-1].metadata).endswith(" input=in/2 output=out/1")


def test_a_topic_that_is_missing_in_some_answers_was_not_deleted() -> None:
    """A broker that has just started may not know each topic yet."""
    broker, watch = watching()
    log = broker.logs.pop("user_labeling")
    n_requests = 0
    request = TopicWatch.request

    def counted_request(watch: TopicWatch) -> None:
        nonlocal n_requests
        n_requests += 1
        if n_requests == 3:
            broker.logs["user_labeling"] = log
        request(watch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TopicWatch, "request", counted_request)
        watch.start()
    assert n_requests == 3


def test_deleted_topic() -> None:
    broker, watch = watching()
    del broker.logs["user_labeling"]
    with pytest.raises(TopicMissing) as caught:
        watch.start()
    assert str(caught.value) == (
        "topic user_labeling was deleted while it was in use; topic user_labeling does not exist; check its name, or"
        " create it: run sql/5_create_user_labeling.sql"
    )


def test_one_answer_without_the_topic_does_not_end_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    broker, watch = watching()
    log = broker.logs.pop("user_labeling")
    request = TopicWatch.request
    requested = iter([True])

    def second_request_finds_it(watch: TopicWatch) -> None:
        if not next(requested, False):
            broker.logs["user_labeling"] = log
        request(watch)

    monkeypatch.setattr(TopicWatch, "request", second_request_finds_it)
    watch.check()


def test_fewer_partitions_are_an_outdated_answer() -> None:
    broker, watch = watching()
    broker.logs["transactions_aggregate"].pop()
    watch.check()
    broker.logs["transactions_aggregate"] += [[], []]
    with pytest.raises(TopicsChanged, match="has new partitions"):
        watch.check()

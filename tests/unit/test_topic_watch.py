"""Topics known by their ids: no commit passes over records of a topic that is not the one the offsets belong to."""

from dataclasses import replace

import pytest

from classifier import __version__
from classifier.errors import StateError, TopicMissing, TopicsChanged
from classifier.kafka.topics import TopicWatch
from tests.support import oracle
from tests.support.fakes import FakeBroker, FakeConsumer
from tests.support.memory import SETTINGS, in_memory
from tests.support.world import INSERTS, World

TOPICS = {"transactions_aggregate": 2, "user_labeling": 1}


def identified(world: World) -> World:
    """The same world, its broker telling ids."""
    world.broker.ids.update({"in": "in/1", "out": "out/1"})
    return world


def watching() -> tuple[FakeBroker, TopicWatch]:
    """A watch that has begun."""
    broker = FakeBroker(**TOPICS)
    watch = TopicWatch(in_memory(consumer=FakeConsumer(broker, seed=1)), SETTINGS)
    watch.start()
    return broker, watch


def test_ids_stand_beside_the_offsets() -> None:
    world = identified(World())
    world.write(INSERTS)
    assert world.run() is None
    ids = "input=in/1 output=out/1"
    assert world.broker.history[0].metadata == f"user_classifier/1 users=6 partitions=2 by={__version__} {ids}"
    assert world.run() is None, "and fit at the next start"


def test_marks_of_before_ids_were_kept_fit() -> None:
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
def test_a_topic_made_anew(topic: str, what: str, at: str) -> None:
    """In the middle of a step: after its records were read, before anything is committed."""
    world = identified(World())
    world.write(INSERTS[:3])
    world.run()
    committed = len(world.broker.history)
    world.write(INSERTS[3:])
    if at == "between two runs":
        world.broker.ids[topic] = f"{topic}/2"
        ended = world.run()
    else:
        restored, ask = iter([True]), TopicWatch.request

        def asked(watch: TopicWatch) -> None:
            if not next(restored, False):
                world.broker.ids[topic] = f"{topic}/2"
            ask(watch)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(TopicWatch, "request", asked)
            ended = world.run()
    assert isinstance(ended and ended.reason, StateError)
    assert str(ended and ended.reason) == (
        f"{topic} was deleted and recreated ({what}; id {topic}/1, now {topic}/2); to start over: run again with"
        " --rebuild"
    )
    assert len(world.broker.history) == committed


def test_a_rebuild_takes_the_topics_as_they_are() -> None:
    world = identified(World())
    world.write(INSERTS)
    world.run()
    world.broker.ids["in"] = "in/2"
    world.settings = replace(world.settings, rebuild=True)
    assert world.run() is None
    assert str(world.broker.history[-1].metadata).endswith(" input=in/2 output=out/1")


def test_a_topic_that_is_seen_again_at_once_was_not_deleted() -> None:
    """A broker that has just started may not know each topic yet."""
    broker, watch = watching()
    log = broker.logs.pop("user_labeling")
    looks = 0
    ask = TopicWatch.request

    def asked(watch: TopicWatch) -> None:
        nonlocal looks
        looks += 1
        if looks == 3:
            broker.logs["user_labeling"] = log
        ask(watch)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TopicWatch, "request", asked)
        watch.start()
    assert looks == 3


def test_a_topic_that_has_gone() -> None:
    broker, watch = watching()
    del broker.logs["user_labeling"]
    with pytest.raises(TopicMissing) as caught:
        watch.start()
    assert str(caught.value) == (
        "topic user_labeling was deleted while it was in use; topic user_labeling does not exist; check its name, or"
        " create it: run sql/5_create_user_labeling.sql"
    )


def test_one_answer_without_the_topic_ends_no_step(monkeypatch: pytest.MonkeyPatch) -> None:
    broker, watch = watching()
    log, ask, asked = broker.logs.pop("user_labeling"), TopicWatch.request, iter([True])

    def asks(watch: TopicWatch) -> None:
        if not next(asked, False):
            broker.logs["user_labeling"] = log
        ask(watch)

    monkeypatch.setattr(TopicWatch, "request", asks)
    watch.check()


def test_fewer_partitions_are_an_answer_of_before() -> None:
    broker, watch = watching()
    broker.logs["transactions_aggregate"].pop()
    watch.check()
    broker.logs["transactions_aggregate"] += [[], []]
    with pytest.raises(TopicsChanged, match="has new partitions"):
        watch.check()

"""The client's `main` in the process of the test: half a second instead of the three of a separate process."""

import contextlib
import functools
import gc
import io
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

import user_classifier
from classifier.kafka.client import Kafka
from classifier.kafka.source import Source
from classifier.loop.schedule import Schedule
from classifier.users.truncation import check_truncation
from tests.support.client import Finished


class Died(BaseException):
    """The process ends here, as by kill -9: no `except ClassifierError` sees it."""


def run(arguments: Sequence[str]) -> Finished:
    """Run the client until it ends; its log counts as stderr."""
    out = io.StringIO()
    err = io.StringIO()
    try:
        with (
            _process_restored(),
            _logging_to(err),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            code = user_classifier.main([*arguments])
    except SystemExit as end:
        code = int(end.code or 0)
    return Finished(code, out.getvalue(), err.getvalue())


def run_to_end(arguments: Sequence[str]) -> Finished:
    """Run the client with --until-end; its exit code must be 0."""
    finished = run([*arguments, "--until-end"])
    if finished.code != 0:
        raise AssertionError(f"the client ended with {finished.code}:\n{finished.output}")
    return finished


def run_and_die(arguments: Sequence[str], at: str, after: int = 0) -> bool:
    """Run the client to the end, unless it dies before: at a call of its producer, which is not made.

    Parameters
    ----------
    at : name of the producer's method, e.g. commit_transaction.
    after : number of calls before that.

    Returns
    -------
    Whether it died.
    """

    with pytest.MonkeyPatch.context() as patch:
        make = Kafka.producer
        patch.setattr(Kafka, "producer", lambda *given: _DyingProducer(make(*given), at, after))
        try:
            run_to_end(arguments)
        except Died:
            return True
    return False


def run_and_stop(arguments: Sequence[str], after: int) -> None:
    """Run the client to the end, unless SIGTERM stops it before: at the end of step number `after`, from 1."""
    steps = 0
    with pytest.MonkeyPatch.context() as patch:
        stepped = Schedule.stepped

        def counted(progress: Schedule, began: float, now: float) -> None:
            nonlocal steps
            stepped(progress, began, now)
            steps += 1
            if steps == after:
                signal.raise_signal(signal.SIGTERM)

        patch.setattr(Schedule, "stepped", counted)
        run_to_end(arguments)


@contextlib.contextmanager
def counting_reads(topic: str) -> Iterator[Callable[[], int]]:
    """Count the records that clients read from a topic within the block, without those that a restore checks."""
    count = 0
    with pytest.MonkeyPatch.context() as patch:
        read = Source.read

        def counted(source: Source, limit: int, timeout: float) -> list[Any]:
            nonlocal count
            records = read(source, limit, timeout)
            if source.topic == topic:
                count += len(records)
            return records

        def uncounted(*given: Any) -> None:
            nonlocal count
            before = count
            check_truncation(*given)
            count = before

        patch.setattr(Source, "read", counted)
        patch.setattr("classifier.users.progress.check_truncation", uncounted)
        yield lambda: count


class _DyingProducer:
    """A producer whose method `at` works `after` times, and then ends the process."""

    def __init__(self, producer: Any, at: str, after: int) -> None:
        self._producer = producer
        self._at = at
        self._left = after

    def __len__(self) -> int:
        return len(self._producer)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._producer, name)
        return functools.partial(self._unless_dead, method) if name == self._at else method

    def _unless_dead(self, method: Callable[..., Any], *given: Any, **named: Any) -> Any:
        if self._left == 0:
            raise Died
        self._left -= 1
        return method(*given, **named)


@contextlib.contextmanager
def _process_restored() -> Iterator[None]:
    """Restore what the client changes in its process: handlers of signals, and the garbage collector."""
    collects = gc.isenabled()
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        if collects:
            gc.enable()
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _logging_to(stream: io.StringIO) -> Iterator[None]:
    """Collect the client's log, without the handlers that pytest sets on the root logger."""
    handler = logging.StreamHandler(stream)
    log = logging.getLogger("user_classifier")
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(handler)

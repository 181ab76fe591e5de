"""The first signal asks, the second ends."""

import os
import signal
import threading

import pytest

from classifier import stop as stop_module
from classifier.stop import NOT_COMMITTED, StopRequest


def test_a_second_signal_ends_at_once_whichever_it_is() -> None:
    stop = StopRequest()
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        stop.install()
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == [signal.SIG_DFL] * 2
    finally:
        stop.close()
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])


def test_what_does_not_end_by_itself_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    ended = threading.Event()
    monkeypatch.setattr(stop_module, "GRACE_SECONDS", 0.0)

    def noted(code: int) -> None:
        said.append(str(code))
        ended.set()

    monkeypatch.setattr(os, "_exit", noted)
    stop = StopRequest(said.append)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        stop.install()
        stop.last_step = NOT_COMMITTED
        signal.raise_signal(signal.SIGTERM)
        assert ended.wait(30.0)
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])
    assert said == [f"told to stop, but something did not answer within 0 s; {NOT_COMMITTED}", "1"]

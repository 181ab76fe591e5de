"""The client, which records its step on a board and signals itself at an aim: traced BOARD AIM|none ARGUMENTS...

Functions of the client are wrapped from outside.
"""

import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import confluent_kafka

import user_classifier
from classifier.kafka import client
from classifier.users.intake import UserIntake
from tests.faults.steps import ENTRY, EXIT, Aim, Board, Step


class Tracer:
    """Records the current step on the board."""

    def __init__(self, board: Board, aim: Aim | None) -> None:
        self._board = board
        self._aim = aim
        self._entries = 0

    def wrap(self, step: Step, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, recorded as a step."""

        @functools.wraps(function)
        def traced(*positional: Any, **named: Any) -> Any:
            outer = self._board.step
            aimed = self._enter(step)
            try:
                return function(*positional, **named)
            finally:
                if aimed is not None and aimed.when == EXIT:
                    _send_signal(aimed)
                self._board.step = Step.BETWEEN if outer is Step.START else outer

        return traced

    def _enter(self, step: Step) -> Aim | None:
        """Record the step; return the aim if it is for this entry."""
        self._board.step = step
        aim = self._aim
        if aim is None or aim.step is not step:
            return None
        self._entries += 1
        if self._entries != aim.entry:
            return None
        if aim.when == ENTRY:
            _send_signal(aim)
        elif aim.when != EXIT:
            threading.Thread(target=_send_signal_after, args=(aim,), daemon=True).start()
        return aim


def _send_signal(aim: Aim) -> None:
    os.kill(os.getpid(), signal.Signals[aim.signal])


def _send_signal_after(aim: Aim) -> None:
    time.sleep(float(aim.when))
    _send_signal(aim)


def trace(tracer: Tracer) -> None:
    """Wrap the client's steps. PRODUCE is a transaction until its offsets are sent."""

    class Producer(confluent_kafka.Producer):
        pass

    for name, step in (
        ("begin_transaction", Step.PRODUCE),
        ("produce", Step.PRODUCE),
        ("flush", Step.PRODUCE),
        ("send_offsets_to_transaction", Step.OFFSETS),
        ("commit_transaction", Step.COMMIT),
    ):
        setattr(Producer, name, tracer.wrap(step, getattr(confluent_kafka.Producer, name)))
    for owner, name, step in (
        (UserIntake, "restore", Step.RESTORE),
        (UserIntake, "gather", Step.GATHER),
        (user_classifier, "cluster", Step.FIT),
    ):
        setattr(owner, name, tracer.wrap(step, getattr(owner, name)))
    setattr(client, "Producer", Producer)  # noqa: B010


def main() -> int:
    """Run the client."""
    board, aim, *arguments = sys.argv[1:]
    trace(Tracer(Board(Path(board)), None if aim == "none" else Aim.parse(aim)))
    return user_classifier.main(arguments)


if __name__ == "__main__":
    sys.exit(main())

"""The first signal asks, the second ends."""

import signal

from classifier.stop import StopRequest


def test_a_second_signal_ends_at_once_whichever_it_is() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        stop = StopRequest()
        stop.install()
        signal.raise_signal(signal.SIGINT)
        assert stop.requested
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == [signal.SIG_DFL] * 2
    finally:
        signal.signal(signal.SIGINT, before[0])
        signal.signal(signal.SIGTERM, before[1])

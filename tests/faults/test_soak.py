"""What the long run would show: a client that grows is seen."""

import re

import pytest

from tests.faults.soak import Sample, check_growth, growth

STEADY = [Sample(200.0 + number % 7, 20 + number % 3, 30) for number in range(100)]


def test_a_steady_client_does_not_grow() -> None:
    first, last = growth(STEADY)
    assert first == last == Sample(203.0, 21, 30)
    check_growth(first, last)


def test_what_is_taken_before_the_warm_up_does_not_count() -> None:
    check_growth(*growth([Sample(20.0, 1, 3)] * 25 + STEADY[:75]))


@pytest.mark.parametrize("leak", [Sample(2.0, 0, 0), Sample(0.0, 1, 0), Sample(0.0, 0, 1)])
def test_a_leak_is_seen(leak: Sample) -> None:
    samples = [
        Sample(
            each.megabytes + number * leak.megabytes,
            each.threads + number * leak.threads,
            each.files + number * leak.files,
        )
        for number, each in enumerate(STEADY)
    ]
    with pytest.raises(AssertionError, match=re.escape("the client has grown: from Sample")):
        check_growth(*growth(samples))


def test_too_short_a_run_shows_nothing() -> None:
    with pytest.raises(AssertionError, match="2 samples are too few"):
        growth(STEADY[:2])

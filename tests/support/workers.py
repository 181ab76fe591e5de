"""What each worker process of pytest-xdist runs, and in which order.

A worker gets one unit of work after the other. A unit is a file, except where files share services that take long to
start, and where the tests of a file take minutes each. Workers share no broker: an open transaction of one test would
hold back the offsets that another one reads from __consumer_offsets.
"""

from collections.abc import Iterable

STACKS = ("tests/end_to_end/test_stack.py", "tests/end_to_end/test_page.py")
"""Each test of these files starts its own local stack, so each is a unit."""
UNITS = {
    "tests/container/": "image",
    "tests/end_to_end/": "Flink",
    "tests/faults/test_brokers": "slow faults",
    "tests/faults/test_replaced_topics": "slow faults",
    "tests/faults/test_slow_broker": "slow faults",
    "tests/faults/": "faults",
}
"""Beginning of a path -> unit; the first one counts."""


def unit_of(nodeid: str) -> str:
    """The unit of a test."""
    path = nodeid.partition("::")[0]
    if path in STACKS:
        return nodeid
    return next((unit for beginning, unit in UNITS.items() if path.startswith(beginning)), path)


def longest_first(nodeids: Iterable[str]) -> list[str]:
    """The tests in the order of their units: first those that take minutes, so that none of them is left at the end."""
    ranks = {unit: rank for rank, unit in enumerate([*UNITS.values(), *STACKS])}
    return sorted(nodeids, key=lambda nodeid: ranks.get(unit_of(nodeid).partition("::")[0], len(UNITS) + len(STACKS)))

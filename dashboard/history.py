"""How many users each label had, and when; kept in a bounded number of points, however long it goes on."""

from collections.abc import Sequence
from typing import NamedTuple

MOST_POINTS = 600


class Point(NamedTuple):
    """One moment."""

    time: float  # seconds since 1970
    sizes: Sequence[int]  # users by label


class History:
    """Sizes of the labels over time; of a long time, half of the points are kept."""

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._apart = 0.0  # least time between two points, in seconds

    def note(self, time: float, sizes: Sequence[int]) -> None:
        """Note the sizes at a time; the newest is always there."""
        points = self._points
        if len(points) > 1 and points[-1].time - points[-2].time < self._apart:
            points = points[:-1]
        points = [*points, Point(time, sizes)]
        if len(points) > MOST_POINTS:
            self._apart = 2 * (points[-1].time - points[0].time) / MOST_POINTS
            points = points[::-2][::-1]
        self._points = points  # a new list: whoever looks at the old one keeps it

    def since(self, time: float) -> list[Point]:
        """Return what was noted from a time on, with the last point before it."""
        points = self._points
        first = next((at for at, point in enumerate(points) if point.time > time), len(points))
        return points[max(0, first - 1) :]

"""The sizes of the labels over time, in a bounded number of points."""

from collections.abc import Sequence
from typing import NamedTuple

MAX_POINTS = 600


class Point(NamedTuple):
    """The sizes at one time."""

    time: float  # seconds since 1970
    sizes: Sequence[int]  # users by label


class History:
    """Sizes of the labels over time. When there are too many points, every second one is removed."""

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._min_interval = 0.0  # between two points, in seconds

    def add(self, time: float, sizes: Sequence[int]) -> None:
        """Add the sizes at a time; they replace the newest ones if these came too shortly before."""
        points = self._points
        if len(points) > 1 and points[-1].time - points[-2].time < self._min_interval:
            points = points[:-1]
        points = [*points, Point(time, sizes)]
        if len(points) > MAX_POINTS:
            self._min_interval = 2 * (points[-1].time - points[0].time) / MAX_POINTS
            points = points[::-2][::-1]
        self._points = points  # a new list, because other threads may read the old one

    def since(self, time: float) -> list[Point]:
        """Return the points after a time, and the last one before it."""
        points = self._points
        first = next((index for index, point in enumerate(points) if point.time > time), len(points))
        return points[max(0, first - 1) :]

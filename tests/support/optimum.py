"""All clusterings of a few points, to find the best one."""

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
Labels = tuple[int, ...]


def clusterings(n_points: int, n_clusters: int) -> Iterator[Labels]:
    """Each clustering once: clusters are numbered by their first point."""
    for labels in itertools.product(range(n_clusters), repeat=n_points):
        firsts = list(dict.fromkeys(labels))
        if firsts == list(range(n_clusters)):
            yield labels


def inertia(points: Points, labels: Labels) -> float:
    """Sum of squared distances to the means, from the definition."""
    numbers = np.array(labels)
    parts = (points[numbers == number] for number in set(labels))
    return float(sum(((part - part.mean(axis=0)) ** 2).sum() for part in parts))

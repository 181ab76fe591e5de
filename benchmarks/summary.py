"""Medians, ranges, percentiles and ratios of measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Summary:
    """The summary of repeated measurements."""

    median: float
    min: float
    max: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        """Summarize values; ValueError if there are none."""
        if not values:
            raise ValueError("nothing was measured")
        return cls(median(values), min(values), max(values), len(values))


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that is >= at least this share of the values."""
    if not values:
        raise ValueError("nothing was measured")
    ordered = sorted(values)
    rank = -(-round(share * 1_000_000) * len(ordered) // 1_000_000)  # rounded up, in whole numbers
    return ordered[max(0, rank - 1)]


def paired_ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Return our value over theirs, round by round: both ran right after each other, so a slow minute slows both."""
    return [one / other for one, other in zip(ours, theirs, strict=False)]

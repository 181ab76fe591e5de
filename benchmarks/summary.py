"""Medians with what lies around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Summary:
    """Several measurements of one thing."""

    median: float
    min: float
    max: float
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary:
        """Raises ValueError where nothing was measured."""
        if not values:
            raise ValueError("nothing was measured")
        return cls(median(values), min(values), max(values), len(values))


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    if not values:
        raise ValueError("nothing was measured")
    ordered = sorted(values)
    at = -(-round(share * 1_000_000) * len(ordered) // 1_000_000)  # rounded up, without a float's last digit
    return ordered[max(0, at - 1)]


def paired_ratios(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """Our value over theirs, round by round: the two ran next to each other, so a slow minute slows both."""
    return [one / other for one, other in zip(ours, theirs, strict=False)]

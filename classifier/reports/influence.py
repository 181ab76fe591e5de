"""How much each feature can influence the labels on a scale, and what to type if that is not wanted."""

import logging
import time

import numpy as np
from numpy.typing import NDArray

from classifier.clustering.scaling import MEDIAN, Scaling, Weights, median, variance_shares
from classifier.features import Features
from classifier.formatting import format_percentage
from classifier.reports.periodic import Clock, Periodic
from classifier.reports.step import Step

log = logging.getLogger("user_classifier")

CHECK_SECONDS = 60.0
LARGEST_SHARE = 0.95  # of the variance; if one feature has more, the others hardly count
REMEDY = "--scale log-standard"


def influence_lines(
    totals: NDArray[np.float64], scaling: Scaling, features: Features, weights: Weights | None = None
) -> list[str]:
    """Return a line with each feature's share of the variance; a second one if all but one hardly count.

    No lines without users, or if all are equal.
    """
    if not len(totals):
        return []
    shares = variance_shares(scaling.points(totals), weights).tolist()
    if not any(shares):
        return []
    texts = [f"{name} {format_percentage(share, 1)}" for name, share in zip(features.names, shares, strict=True)]
    lines = [f"share of the variance that K-means sees: {', '.join(texts)}"]
    largest = max(shares)
    if LARGEST_SHARE < largest < 1:  # a scale makes no difference to features that have the same value for all users
        name = features.names[shares.index(largest)]
        lines.append(f"the labels depend on {name} nearly alone; to give each feature the same weight: {REMEDY}")
    return lines


def small_values_note(
    totals: NDArray[np.float64], scaling: Scaling, features: Features, weights: Weights | None = None
) -> str | None:
    """Return a warning if --scale log hardly separates the users of a feature, because its values are small."""
    if scaling.name != "log" or not len(totals):
        return None
    medians = [median(np.abs(column), weights) for column in scaling.numbers(totals).T]
    small = [
        f"{feature.name} {value:.3g}{' days of age' if feature.units_per_day else ''}"
        for feature, value in zip(features.items, medians, strict=True)
        if value < MEDIAN
    ]
    if not small:
        return None
    return (
        f"--scale log: small medians ({', '.join(small)}); of values below {MEDIAN:.0f} the logarithm of 1 + value"
        f" depends on the unit, and differences count little; free of units: {REMEDY}"
    )


class SmallValuesWarning(Periodic):
    """Logs `small_values_note` once, when it first holds."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        super().__init__(self._warn, CHECK_SECONDS, clock)
        self._warned = False

    def _warn(self, step: Step) -> None:
        note = None if self._warned else small_values_note(step.totals, step.scaling, step.features, step.weights)
        if note:
            self._warned = True
            log.warning(note)

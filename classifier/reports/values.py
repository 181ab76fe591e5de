"""Values of features as texts for people: amounts, counts, and points in time as dates."""

import math
from collections.abc import Sequence

from classifier.clustering.scaling import Ages
from classifier.features import Feature, Features, time_texts
from classifier.formatting import format_amount

AMOUNT_WIDTH = 18  # characters of a column of amounts
COUNT_WIDTH = 16
MINUTE = len("2026-12-01 12:57")  # characters of a point in time to the minute


def value_text(feature: Feature, value: float) -> str:
    """Return a value of one user."""
    if feature.units_per_day:
        return time_text(feature, value)
    return f"{value:,.0f}" if feature.is_whole else format_amount(value)


def value_width(feature: Feature) -> int:
    """Return the width of a column with values of users under the name of the feature."""
    if feature.units_per_day:
        return max(len(feature.name), len(time_text(feature, 0)))
    return max(len(feature.name), COUNT_WIDTH if feature.is_whole else AMOUNT_WIDTH)


def mean_text(feature: Feature, value: float) -> str:
    """Return a mean, or a value of a centre: times to the minute, counts with a decimal; '-' for NaN."""
    if math.isnan(value):
        return "-"
    if feature.units_per_day:
        return time_text(feature, value)[:MINUTE]
    return f"{value:,.1f}" if feature.is_whole else format_amount(value)


def time_text(feature: Feature, value: float) -> str:
    """Return a point in time as a date, and with its time of day unless the type is that of dates."""
    low, high = feature.limits
    # The largest long has no float: that next to it is beyond the limit.
    return time_texts([min(max(round(value), int(low) + 1), int(high))], feature.type)[0]


def center_text(center: Sequence[float], features: Features, ages: Ages | None = None) -> str:
    """Return a centre in the units of the input: '29.03 / 1.2 / 2026-11-18 (age 13.2 days)'."""
    texts = [mean_text(feature, value) for feature, value in zip(features.items, center, strict=True)]
    if ages is not None:
        for column in ages.columns.tolist():
            age = (ages.newest[column] - center[column]) / ages.per_day[column]
            texts[column] += f" (age {age:,.1f} days)"
    return " / ".join(texts)

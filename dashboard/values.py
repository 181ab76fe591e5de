"""Values of features and their means as text: numbers as they always were, points in time as dates and times."""

import math

from classifier.features import Feature, Value, time_texts
from classifier.formatting import format_amount
from classifier.reports import values

SMALL = 0.1  # two decimals would hide half of the digits of a number below it


def heading(feature: Feature) -> str:
    """Return the name of a feature, with the time zone of a timestamp; a date and a local timestamp have none."""
    return f"{feature.name} (UTC)" if feature.type.startswith("timestamp-") else feature.name


def value_text(feature: Feature, value: Value) -> str:
    """Return the value of a user; a point in time as --export writes it."""
    if feature.units_per_day:
        return time_texts([value], feature.type)[0]
    if feature.is_whole:
        return f"{value:,}"  # all digits
    return f"{value:.3g}" if 0 < abs(value) < SMALL else format_amount(value)


def mean_text(feature: Feature, mean: float, newest: float) -> str:
    """Return the mean of some users; of points in time with its age, as K-means sees it: days before the newest."""
    if feature.units_per_day and not math.isnan(mean):
        age = (newest - mean) / feature.units_per_day
        return f"{values.mean_text(feature, mean)} (age {age:,.1f} days)"
    return f"{mean:.3g}" if 0 < abs(mean) < SMALL else values.mean_text(feature, mean)

"""Points in time as text and on an axis. They are the numbers in the records, of any year."""

import re
from typing import Any

import numpy as np

from classifier.features import TIMES, Feature

MAX_LONG = 2**63 - 1
MAX_TICKS = 7
# Distances of ticks, in units of numpy, which has calendar months and years.
STEPS = {"ms": (1, 2, 5, 10, 20, 50, 100, 200, 500), "s": (1, 2, 5, 10, 30), "m": (1, 2, 5, 10, 30)}
STEPS |= {"h": (1, 2, 3, 6, 12), "D": (1, 2, 5, 10), "M": (1, 2, 3, 6)}
STEPS |= {"Y": tuple(factor * 10**power for power in range(9) for factor in (1, 2, 5))}
SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "D": 86_400.0, "M": 2_629_746.0, "Y": 31_556_952.0}
FIRST_YEAR = 1970  # of numpy and Avro
TIME_TEXT = re.compile(r"\d{4}(-\d\d(-\d\d([ T]\d\d:\d\d(:\d\d)?)?)?)?")


def moment(feature: Feature, value: float) -> Any:
    """Return a point in time as datetime64, rounded to the unit in the records."""
    return np.int64(min(max(round(value), -MAX_LONG), MAX_LONG)).astype(f"datetime64[{TIMES[feature.type].unit}]")


def time_text(feature: Feature, value: float, unit: str = "m") -> str:
    """Return a point in time down to this unit of numpy: 'm' for minutes, 's' for seconds; a date is a day."""
    shown: Any = "D" if feature.units_per_day == 1 else unit
    return str(np.datetime_as_string(moment(feature, value), unit=shown)).replace("T", " ")


def time_of(text: str, feature: Feature, *, end: bool) -> float:
    """Return the first point in time that a text means, or its last: of '2026-12' that of the month.

    For a date, a time of day is left out. ValueError if the text is no date and no time.
    """
    if not TIME_TEXT.fullmatch(text):
        raise ValueError(f"{feature.name}: {text} is no date or time; type e.g. 2026-12-01 or 2026-12-01 18:30")
    try:
        first = np.datetime64(text[:10] if feature.units_per_day == 1 else text.replace(" ", "T"))
    except ValueError:
        raise ValueError(f"{feature.name}: there is no {text}") from None
    unit = f"datetime64[{TIMES[feature.type].unit}]"
    if not end:
        return float(first.astype(unit).astype(np.int64))
    return float((first + 1).astype(unit).astype(np.int64)) - 1


def time_ticks(feature: Feature, ends: tuple[float, float]) -> tuple[list[float], list[str]]:
    """Return the points in time to mark between two others, and their texts: whole hours, days, months or years."""
    step, unit = step_of(feature, ends)
    first, last = (int(moment(feature, end).astype(f"datetime64[{unit}]").astype(np.int64)) for end in ends)
    origin = FIRST_YEAR if unit == "Y" else 0
    numbers = np.arange(-(-(first + origin) // step) * step, last + origin + 1, step) - origin
    times = numbers.astype(f"datetime64[{unit}]")
    shown: Any = "m" if unit == "h" else unit
    texts = np.datetime_as_string(times, unit=shown).tolist()
    coordinates = times.astype(f"datetime64[{TIMES[feature.type].unit}]").astype(np.float64).tolist()
    inside = [index for index, coordinate in enumerate(coordinates) if ends[0] <= coordinate <= ends[1]]
    return [coordinates[index] for index in inside], [texts[index].replace("T", "<br>") for index in inside]


def step_of(feature: Feature, ends: tuple[float, float]) -> tuple[int, str]:
    """Return the distance of ticks between two points in time, as a number of units of numpy."""
    seconds = (ends[1] - ends[0]) / feature.units_per_day * SECONDS["D"]
    units = list(STEPS)
    for unit in units[units.index("D") if feature.units_per_day == 1 else 0 :]:
        for step in STEPS[unit]:
            if seconds <= MAX_TICKS * step * SECONDS[unit]:
                return step, unit
    return STEPS["Y"][-1], "Y"

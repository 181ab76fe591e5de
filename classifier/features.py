"""The features of a user: the fields of the input that K-means works on, by default its two totals.

Numbers keep their Avro type in the output. A point in time is the number in the record (milliseconds, microseconds or
days since 1970), and counts for K-means as its age in days before the newest one in the table.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from classifier.formatting import abbreviated

Value = float | int  # of a feature; of a point in time the number in the record

DEFAULT_FEATURES = ("total_amount", "num_transactions")
DEFAULT_TYPES = {"total_amount": "double", "num_transactions": "long"}  # of these names in every list
AMOUNT, COUNT = DEFAULT_FEATURES
USER_ID, LABEL = "user_id", "label"  # the other fields of the output
MAX_FEATURES = 16
MAX_AMOUNT = 1e150  # squares of numbers, and sums of squares, must stay finite

LARGEST = {"int": 2**31 - 1, "long": 2**63 - 1}
FRACTIONAL_TYPES = ("float", "double")


class TimeType(NamedTuple):
    """A logical type of Avro for points in time."""

    avro_type: str
    unit: str  # of numpy
    units_per_day: int


TIMES = {
    "date": TimeType("int", "D", 1),
    "timestamp-millis": TimeType("long", "ms", 86_400_000),
    "timestamp-micros": TimeType("long", "us", 86_400_000_000),
    "local-timestamp-millis": TimeType("long", "ms", 86_400_000),
    "local-timestamp-micros": TimeType("long", "us", 86_400_000_000),
}
TYPES = (*LARGEST, *FRACTIONAL_TYPES, *TIMES)


def time_texts(values: Sequence[Value], type_: str) -> list[str]:
    """Return points in time as texts: '2026-12-01', '2026-12-01 12:57:29.000'; UTC, unless the type is a local one."""
    times = np.array(values, np.int64).astype(f"datetime64[{TIMES[type_].unit}]")
    return [text.replace("T", " ") for text in np.datetime_as_string(times).tolist()]


class Feature(NamedTuple):
    """One feature. `type` is that of the output: an Avro type of TYPES, or the name of a logical type."""

    name: str
    type: str = "double"

    @property
    def units_per_day(self) -> int:
        """How many units of a point in time a day has; 0 for a number."""
        return TIMES[self.type].units_per_day if self.type in TIMES else 0

    @property
    def is_whole(self) -> bool:
        """Whether values are whole numbers, ints in Python; else floats."""
        return self.type not in FRACTIONAL_TYPES

    @property
    def avro_type(self) -> Any:
        """The type of the field in the output, without null."""
        if self.type not in TIMES:
            return self.type
        return {"type": TIMES[self.type].avro_type, "logicalType": self.type}

    @property
    def limits(self) -> tuple[Value, Value]:
        """The smallest and the largest value."""
        if not self.is_whole:
            return -MAX_AMOUNT, MAX_AMOUNT
        largest = LARGEST[TIMES[self.type].avro_type if self.type in TIMES else self.type]
        return 0 if self.name == COUNT else -largest - 1, largest

    @property
    def largest_sample(self) -> Value:
        """A value that a narrower type cannot hold."""
        if not self.is_whole:
            return float(np.float32(0.1)) if self.type == "float" else 0.1
        return min(self.limits[1], 2**53 + 1)

    def value_of(self, value: object) -> Value | None:
        """Return a decoded value as the value of a row; None if it is none of this feature."""
        low, high = self.limits
        if self.is_whole:
            return value if type(value) is int and low <= value <= high else None
        if not isinstance(value, float | int) or type(value) is bool or not low <= value <= high:
            return None
        return float(value) if self.type == "double" or np.float32(value) == value else None

    def metric_value(self, value: float) -> float:
        """Return a value for Prometheus: a point in time in seconds since 1970."""
        return value / self.units_per_day * 86_400 if self.units_per_day else value

    def all_valid(self, values: Sequence[Any]) -> bool:
        """Return whether `value_of` would return each of these values unchanged; False also where it may."""
        low, high = self.limits
        if set(map(type, values)) != {int if self.is_whole else float}:
            return False
        if self.is_whole:
            return bool(low <= min(values) and max(values) <= high)
        return self.type == "double" and bool(np.abs(values).max() <= high)

    def problem(self, value: object) -> str:
        """Return why a decoded value is none of this feature."""
        got = abbreviated(value)
        if self.units_per_day:
            return f"{self.name} must be a point in time ({self.type}), got {got}"
        if self.name == COUNT:
            return f"{self.name} must be a whole number >= 0, got {got}"
        if self.type == "double":
            return f"{self.name} must be a number up to {MAX_AMOUNT:g}, got {got}"
        kind = "whole number that fits" if self.is_whole else "number that fits"
        return f"{self.name} must be a {kind} into {self.type}, the type of the output, got {got}"


@dataclass(frozen=True)
class Features:
    """The features of a user in the order of --features, which is that of rows, of columns and of the output."""

    items: tuple[Feature, ...]

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(each.name for each in self.items)

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """The fields of a row in the input: user_id and the features."""
        return (USER_ID, *self.names)

    @cached_property
    def by_name(self) -> Mapping[str, Feature]:
        """The features by name."""
        return {each.name: each for each in self.items}

    @cached_property
    def output_types(self) -> Mapping[str, str]:
        """The type of each field of the output, in order: an Avro type, or the name of a logical type."""
        return {USER_ID: "string", **{each.name: each.type for each in self.items}, LABEL: "int"}

    @cached_property
    def avro_types(self) -> Mapping[str, Any]:
        """The Avro type of each field of the output, in order, without null."""
        return {USER_ID: "string", **{each.name: each.avro_type for each in self.items}, LABEL: "int"}

    @cached_property
    def units_per_day(self) -> tuple[int, ...]:
        """By feature: how many units of a point in time a day has, 0 for a number."""
        return tuple(each.units_per_day for each in self.items)

    @cached_property
    def is_whole(self) -> tuple[bool, ...]:
        """By feature: whether its values are ints."""
        return tuple(each.is_whole for each in self.items)

    def row(self, values: Sequence[Any]) -> tuple[Value, ...]:
        """Return a row of numbers read from JSON, which writes 2.0 as 2 in other programs."""
        return tuple(convert(value) for convert, value in zip(self.converters, values, strict=True))

    @cached_property
    def converters(self) -> tuple[Callable[[Any], Value], ...]:
        """By feature: int or float."""
        return tuple(int if each.is_whole else float for each in self.items)

    @property
    def are_default(self) -> bool:
        """Whether these are the two totals, for which nothing has to be said in marks and schemas."""
        return self.names == DEFAULT_FEATURES

    def __str__(self) -> str:
        return ",".join(self.names)


TOTALS = Features(tuple(Feature(name, DEFAULT_TYPES[name]) for name in DEFAULT_FEATURES))

"""The factors of the simulation, each with its origin.

`measured`: on 2 shared cores, with Flink 2.3.0 and state in RocksDB, in the local stack. `documented`: by Confluent.
`assumed`: neither.
"""

from __future__ import annotations

from typing import NamedTuple

MEASURED = "measured"
DOCUMENTED = "documented"
ASSUMED = "assumed"


class Factor(NamedTuple):
    """A figure with its unit and origin."""

    value: float
    unit: str
    origin: str


TRANSACTIONS_PER_USER = Factor(1e-4, "transactions per second and user", ASSUMED)
INPUT_RECORDS = Factor(
    4.0, "records per transaction into each statement: two windows, a retracted and an added row each", MEASURED
)
WRITTEN_BYTES = Factor(690.0, "bytes per transaction into all topics, ids of 36 characters", MEASURED)
JOIN_BYTES = Factor(119.0, "bytes of state per user in statement 4, ids of 36 characters, retract input", MEASURED)
UPSERT_BYTES = Factor(175.0, "the same with an upsert input", MEASURED)
CELL_BYTES = Factor(16.0, "bytes of state per labelled cell", MEASURED)
RECORDS_PER_CORE = Factor(10_000.0, "records per second and core, a rule of thumb of Confluent", ASSUMED)
LABELLED_PER_CORE = Factor(6_000.0, "users per second and core that statement 4 labels", MEASURED)
FLIPS = Factor(6e-5, "share of the users whose label changes in a minute, three clusters of lognormal users", MEASURED)
CFU_HOUR = Factor(0.21, "dollars per CFU and hour", DOCUMENTED)
CFUS_PER_CORE = Factor(1.0, "CFUs per core", ASSUMED)
HOURS_PER_MONTH = 730.0
FACTORS = {name: each for name, each in globals().items() if isinstance(each, Factor)}

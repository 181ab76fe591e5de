"""The runs of one program on one input: one row of the printed table."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmarks.processes import Usage
from benchmarks.steps import Step
from benchmarks.summary import Summary

LIMIT = "limit"
OURS = "user_classifier"
AVRO = "AvroDeserializer"
QUIX = "Quix Streams"
BYTEWAX = "Bytewax"


@dataclass
class ProgramRuns:
    """All runs of one program on one input."""

    name: str
    n_users: int
    n_records: int
    usages: list[Usage] = field(default_factory=list)
    old_rows: list[float] = field(default_factory=list)
    """Share of users whose last row is not their current one, run by run."""
    steps: list[list[Step]] = field(default_factory=list)
    """Of the client, run by run."""
    error: str = ""

    @property
    def rates(self) -> list[float]:
        """Records per second, run by run."""
        return [self.n_records / usage.seconds for usage in self.usages]

    @property
    def rate(self) -> Summary:
        """Records per second."""
        return Summary.of(self.rates)

    @property
    def cpu(self) -> Summary:
        """CPU seconds per million records."""
        return Summary.of([1e6 * usage.cpu_seconds / self.n_records for usage in self.usages])

    @property
    def peak(self) -> Summary:
        """Peak memory in MiB."""
        return Summary.of([usage.peak_mib for usage in self.usages])

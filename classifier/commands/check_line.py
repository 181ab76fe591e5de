"""A line of --check: what was checked, and the verdict."""

from typing import NamedTuple


class Line(NamedTuple):
    """The result of one check."""

    verdict: str  # ok, TO DO or unknown
    subject: str  # what was checked
    finding: str

    def __str__(self) -> str:
        return f"{self.verdict:<7} {self.subject}: {self.finding}"


def ok(subject: str, finding: str) -> Line:
    """Return a check that passed."""
    return Line("ok", subject, finding)


def unknown(subject: str, finding: str) -> Line:
    """Return a check that is impossible without writing, or without a permission that the client does not need."""
    return Line("unknown", subject, finding)


def to_do(subject: str, finding: str) -> Line:
    """Return a problem and its remedy."""
    return Line("TO DO", subject, finding)


def without(beginning: str, message: str) -> str:
    """Return a message without a beginning that repeats the subject of the line."""
    return message.removeprefix(f"{beginning} ")

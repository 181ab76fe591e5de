"""What the scenarios showed, as a table."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from tests.faults.verdict import Verdict

HEADER = (
    f"{'fault':<28}{'times':>6}{'records':>9}{'commits':>9}{'again s':>9}{'max s':>7}"
    f"{'lost':>6}{'doubled':>9}{'wrong':>7}{'back':>6}{'aborted':>9}{'of it seen':>12}"
)
EXPLANATION = """\
again s, max s   seconds from the fault (or its end, where it lasts) until a label made after it; median, largest
lost             users whose final record is not the oracle's, or who have something pending
doubled          committed records that repeat what the user's last one said
wrong            commits at which the output was not the input up to the offsets committed with it
back             committed offsets that moved back or lack the client's mark
aborted, seen    records of aborted transactions, and how many of these a read_committed reader saw"""


@dataclass
class Result:
    """One scenario's."""

    name: str
    times: int
    recovery: list[float]
    verdict: Verdict
    notes: list[str] = field(default_factory=list)

    @property
    def rebuilt(self) -> bool:
        """Whether the state was made anew on purpose, so that offsets move back and only losses can be judged."""
        return self.name.startswith(("reset_", "rebuild_"))

    def line(self) -> str:
        """Its line of the table."""
        v, again = self.verdict, self.recovery
        middle, most = (f"{median(again):.1f}", f"{max(again):.1f}") if again else ("-", "-")
        return (
            f"{self.name:<28}{self.times:>6}{v.records:>9}{v.commits:>9}{middle:>9}{most:>7}"
            f"{v.lost:>6}{v.doubled:>9}{v.wrong_commits:>7}{v.moved_back:>6}{v.aborted:>9}{v.uncommitted_seen:>12}"
        )


def table(results: Iterable[Result]) -> str:
    """All lines, each followed by its notes."""
    lines = [HEADER]
    for result in results:
        lines += [result.line(), *(f"    {note}" for note in result.notes)]
    return "\n".join([*lines, "", EXPLANATION])

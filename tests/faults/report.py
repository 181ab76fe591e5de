"""The results of fault scenarios, printed as a table."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from tests.faults.verdict import Verdict

HEADER = (
    f"{'scenario':<28}{'faults':>7}{'records':>9}{'commits':>9}{'recovery s':>12}{'max s':>7}"
    f"{'lost':>6}{'untrue':>8}{'duplicates':>12}{'wrong':>7}{'back':>6}{'aborted':>9}{'visible':>9}"
)
EXPLANATION = """\
recovery s, max s  seconds from the fault, or its end if it lasts, to the first label after it: median, maximum
lost               users whose last record differs from the expected one, or who have pending rows
untrue             committed records that delete a user whom the input had not deleted, or with a row it had not added
duplicates         committed records that repeat the user's last record
wrong              commits after which the output did not match the input up to the committed offsets
back               committed offsets that moved back or have no metadata of the client
aborted, visible   records of aborted transactions, and how many of them a read_committed consumer received"""

NAMED = 10
"""How many untrue records are named."""


@dataclass
class Result:
    """The result of one scenario."""

    name: str
    times: int
    recovery: list[float]
    verdict: Verdict
    notes: list[str] = field(default_factory=list)

    @property
    def rebuilt(self) -> bool:
        """Whether the scenario rebuilds the state, so that offsets move back: steps cannot be judged."""
        return self.name.startswith(("reset_", "rebuild_"))

    @property
    def passed(self) -> bool:
        """Whether everything was kept that can be judged."""
        return not (self.verdict.lost or self.verdict.untrue) and (self.rebuilt or self.verdict.clean)

    def __str__(self) -> str:
        return table([self])

    def line(self) -> str:
        """Return the row of the table."""
        v = self.verdict
        middle = f"{median(self.recovery):.1f}" if self.recovery else "-"
        longest = f"{max(self.recovery):.1f}" if self.recovery else "-"
        return (
            f"{self.name:<28}{self.times:>7}{v.records:>9}{v.commits:>9}{middle:>12}{longest:>7}"
            f"{v.lost:>6}{len(v.untrue):>8}{v.duplicates:>12}{v.wrong_commits:>7}{v.moved_back:>6}{v.aborted:>9}{v.uncommitted_seen:>9}"
        )


def table(results: Iterable[Result]) -> str:
    """Return all rows, each followed by its notes."""
    lines = [HEADER]
    for result in results:
        lines += [result.line(), *(f"    {note}" for note in (*result.notes, *result.verdict.untrue[:NAMED]))]
    return "\n".join([*lines, "", EXPLANATION])

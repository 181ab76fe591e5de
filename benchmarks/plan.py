"""What is measured: a full run, or a quick one with small sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace

TARGET_USERS = 10_000
"""The number of users at which targets compare with other programs."""

MANY_USERS = 1_000_000
RECORDS_PER_USER = 2.3
"""At least: one +I for each user, and -U and +U for two users in three."""

LONG_RECORDS = {TARGET_USERS: 20_000_000, MANY_USERS: 40_000_000}
"""Records of inputs where targets compare with the limit: so many that the start of a process counts little."""


@dataclass(frozen=True)
class Plan:
    """Sizes, numbers of runs and durations."""

    users: tuple[int, ...] = (10, 1_000, 10_000, 100_000, MANY_USERS)
    records: int = 1_000_000
    """Records of inputs for all programs; some programs need half a minute for them."""
    long_records: int = 4_000_000
    """Records of inputs for the limit and the client only: with fewer, their start would count too much."""
    runs: int = 5
    minutes: float = 45.0
    """No measurement starts if it is expected to end later; the last one may take a little longer."""
    only: frozenset[str] = frozenset()
    """Names of programs and measures; empty for all."""
    original_users: tuple[int, ...] = (10, 100, 1_000)
    original_seconds: float = 60.0
    changed_users: tuple[int, ...] = (10_000, 100_000, MANY_USERS)
    changed_steps: int = 5
    cell_users: int = MANY_USERS
    segments: tuple[int, ...] = (3, 5, 8)
    best_of: int = 60
    """Runs of k-means++; --fit cells is compared with the best of them."""
    feature_users: tuple[int, int] = (TARGET_USERS, MANY_USERS)
    """With five features: for records per second, and for steps."""
    restart_users: int = MANY_USERS
    latency_users: int = TARGET_USERS
    latency_seconds: float = 30.0
    starts: int = 10
    quick: bool = False

    def wants(self, name: str) -> bool:
        """Return whether a program or a measure is part of the plan."""
        return not self.only or name in self.only

    def records_for(self, n_users: int) -> int:
        """Return the number of records in the input for all programs."""
        return max(self.records, int(RECORDS_PER_USER * n_users))

    def long_records_for(self, n_users: int) -> int:
        """Return the number of records in the input for the limit and the client only."""
        if self.quick:
            return self.long_records
        return max(self.long_records, self.records_for(n_users), LONG_RECORDS.get(n_users, 0))

    @property
    def target_users(self) -> int:
        """The number of users at which other programs run in every round."""
        return TARGET_USERS if TARGET_USERS in self.users else max(self.users)

    def with_users(self, users: tuple[int, ...]) -> Plan:
        """Return the plan for other numbers of users, with no measure above the largest of them."""
        most = max(users)
        changed = tuple(n for n in self.changed_users if n <= most)
        return replace(
            self,
            users=users,
            changed_users=changed,
            cell_users=min(self.cell_users, most),
            feature_users=(min(self.feature_users[0], most), min(self.feature_users[1], most)),
            restart_users=min(self.restart_users, most),
            latency_users=min(self.latency_users, most),
        )


QUICK = Plan(
    users=(10, 1_000, 10_000),
    records=100_000,
    long_records=200_000,
    runs=2,
    minutes=3.0,
    original_users=(10, 100),
    original_seconds=3.0,
    changed_users=(10_000,),
    changed_steps=3,
    cell_users=10_000,
    segments=(5,),
    best_of=10,
    feature_users=(10_000, 10_000),
    restart_users=10_000,
    latency_seconds=5.0,
    starts=3,
    quick=True,
)

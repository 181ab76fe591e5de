"""The job of a measured program, and its result: usage when its table is complete, then the table."""

from __future__ import annotations

import json
import sys
import time
from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

Row = tuple[float, int]
"""total_amount, num_transactions"""

USER = "User_"
"""Prefix of every user_id; a number follows."""


@dataclass(frozen=True)
class Job:
    """Input, number of records, and path of the result."""

    bootstrap_servers: str
    registry_url: str
    topic: str
    n_partitions: int
    n_records: int
    n_users: int
    group: str
    output: str
    seconds: float
    """Time limit, for programs that need one."""
    result: str

    def write(self, path: Path) -> Path:
        """Save the job as JSON; return the path."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return path

    @classmethod
    def from_command_line(cls) -> Job:
        """Return the job whose file is the only argument."""
        return cls(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))

    def finish(self, n_records: int, table: Mapping[str, Row] | None = None, **more: object) -> None:
        """Save usage and table; the usage is taken first, as saving the table is no part of the job."""
        usage = {"at": time.monotonic(), "cpu_seconds": time.process_time(), "peak_mib": peak_mib()}
        if table is not None:
            save_table(table, Path(f"{self.result}.table"))
        answer = {**usage, "n_records": n_records, **more}
        Path(self.result).write_text(json.dumps(answer), encoding="utf-8")


def peak_mib() -> float:
    """Return the peak memory of this process so far."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def save_table(table: Mapping[str, Row], path: Path) -> None:
    """Save three columns as binary arrays: number of the user, total_amount, num_transactions."""
    users = array("q", (int(user_id[len(USER) :]) for user_id in table))
    amounts = array("d", (amount for amount, _ in table.values()))
    counts = array("q", (count for _, count in table.values()))
    with path.open("wb") as file:
        for column in (users, amounts, counts):
            column.tofile(file)

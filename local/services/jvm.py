"""Java options of all services, for a small machine."""

from __future__ import annotations

from pathlib import Path

FAST_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Djava.net.preferIPv4Stack=true")
"""Short start-up rather than the fastest code: the first compiler only, and one thread for garbage collection."""


def java_options(temporary: Path) -> tuple[str, ...]:
    """Return the options above, with temporary files in ``temporary``; Flink leaves 46 MB of them in each run."""
    temporary.mkdir(parents=True, exist_ok=True)
    return (*FAST_START, f"-Djava.io.tmpdir={temporary}")

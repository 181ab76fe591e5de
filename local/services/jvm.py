"""Options common to the Java services of a small machine."""

from __future__ import annotations

from pathlib import Path

FAST_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Djava.net.preferIPv4Stack=true")
"""Compile quickly rather than well, one collector thread: start-up is what a laptop notices."""


def java_options(temporary: Path) -> tuple[str, ...]:
    """The options above, and temporary files (Flink leaves 46 MB a run) in ``temporary`` instead of the system's."""
    temporary.mkdir(parents=True, exist_ok=True)
    return (*FAST_START, f"-Djava.io.tmpdir={temporary}")

"""Options common to the Java services of a small machine."""

from __future__ import annotations

FAST_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Djava.net.preferIPv4Stack=true")
"""Compile quickly rather than well, one collector thread: start-up is what a laptop notices."""

"""Unit tests wait for nothing."""

import pytest

from classifier import outage


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr(outage, "RETRY_SECONDS", 0)

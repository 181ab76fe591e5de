"""Tests of schema ids that do not exist do not wait half a minute for each."""

import pytest

from classifier.serialization import registry


@pytest.fixture(autouse=True)
def no_repeated_requests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Believe the first answer of the registry, which does not lag."""
    monkeypatch.setattr(registry, "MAX_REPEATED_REQUESTS", 0)

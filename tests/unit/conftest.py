"""Unit tests wait for nothing."""

import os
from collections.abc import Iterator

import pytest

from classifier import outage


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once."""
    monkeypatch.setattr(outage, "RETRY_SECONDS", 0)


@pytest.fixture(autouse=True)
def environment_as_it_was() -> Iterator[None]:
    """`python -m local` adds to a variable of its process, which is this one in unit tests."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)

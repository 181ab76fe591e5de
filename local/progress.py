"""How far something has come, as a bar on the terminal; where standard error is none, nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

Advance = Callable[[int], None]


@contextmanager
def bar(what: str, total: int, unit: str) -> Iterator[Advance]:
    """A bar that is gone in the end; what it gives is called with how much has come since the last call."""
    how = {"unit_scale": True, "leave": False, "dynamic_ncols": True, "disable": None}  # None: unless on a terminal
    with tqdm(desc=what, total=total, unit=unit, **how) as shown:

        def advance(n: int) -> None:
            shown.update(n)

        yield advance

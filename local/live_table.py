"""A query's changelog as a table on the terminal, updated as rows change."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TextIO

from classifier.formatting import printable
from local.sql.sql_gateway import Change

CURSOR_UP = "\x1b[{n}A"
CLEAR_TO_END = "\x1b[J"
ADDS = frozenset({"INSERT", "UPDATE_AFTER"})


class LiveTable:
    """The rows of a changelog; a row and its retraction may arrive in either order."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.columns = list(columns)
        self._counts: Counter[tuple[Any, ...]] = Counter()

    def apply(self, change: Change) -> None:
        """Add or retract a row."""
        self._counts[change.fields] += 1 if change.kind in ADDS else -1

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        """The current rows, sorted by their columns as text."""
        return sorted((row for row, count in self._counts.items() for _ in range(count)), key=_sort_key)

    def render(self) -> str:
        """Return the table as text with borders; numbers are right-aligned."""
        rows = self.rows
        texts = [[_text(value) for value in row] for row in rows]
        widths = [max(map(len, column)) for column in zip(self.columns, *texts, strict=True)]
        line = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
        header = _line([name.ljust(width) for name, width in zip(self.columns, widths, strict=True)])
        body = [_line(_aligned(row, text, widths)) for row, text in zip(rows, texts, strict=True)]
        return "\n".join([line, header, line, *body, line])


class Screen:
    """Prints versions of a table: on a terminal in place of the previous version, elsewhere only those to keep."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._on_terminal = out.isatty()
        self._height = 0

    def draw(self, text: str, keep: bool = False) -> None:
        """Print ``text``; without a terminal only if ``keep``."""
        if not (self._on_terminal or keep):
            return
        up = CURSOR_UP.format(n=self._height) + CLEAR_TO_END if self._height else ""
        self._out.write(f"{up}{text}\n")
        self._out.flush()
        self._height = text.count("\n") + 1 if self._on_terminal else 0


def follow(changes: Iterable[Change | None], table: LiveTable, screen: Screen, is_done: Callable[[], bool]) -> None:
    """Apply the changes and draw the table at each pause, until ``is_done`` or the end of the query."""
    for change in changes:
        if change is not None:
            table.apply(change)
            continue
        screen.draw(table.render())
        if is_done():
            return


def _sort_key(row: tuple[Any, ...]) -> tuple[str, ...]:
    return tuple(str(value) for value in row)


def _text(value: Any) -> str:
    return "NULL" if value is None else printable(str(value))


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _aligned(row: Sequence[Any], texts: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [
        text.ljust(width) if isinstance(value, str) else text.rjust(width)
        for value, text, width in zip(row, texts, widths, strict=True)
    ]

"""A bar while catching up: records, rate, time left. On a terminal only, gone once caught up."""

import contextlib
import sys
from typing import Any, TextIO

from classifier.reports.step import Step

SHOW_FROM_RECORDS = 10_000  # behind: what is read in less than a second needs no bar
REDRAW_SECONDS = 0.1
LAYOUT = "catching up {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} records, {rate_fmt}, {remaining} left"


class ProgressBar:
    """Shows the way to the end of the input. Log lines appear above the bar meanwhile."""

    def __init__(self, stream: TextIO | None = None, redraw_seconds: float = REDRAW_SECONDS) -> None:
        """`stream` is stderr unless given; to one that is no terminal nothing is written."""
        self._stream, self._redraw_seconds = sys.stderr if stream is None else stream, redraw_seconds
        self._bar: Any = None
        self._shown = contextlib.ExitStack()

    def read(self, n_records: int, n_behind: int | None) -> None:
        """Advance; begin when far behind, end when not behind any more."""
        if n_behind is None:
            return
        if self._bar is None and n_behind >= SHOW_FROM_RECORDS and self._stream.isatty():
            self._open()
        if self._bar is None:
            return
        self._bar.total = self._bar.n + n_records + n_behind
        self._bar.update(n_records)
        if n_behind == 0:
            self.close()

    def bad(self, n_records: int) -> None:
        """They count as read."""

    def step(self, step: Step) -> None:
        """A step moves nothing."""

    def close(self) -> None:
        """Take the bar away."""
        self._bar = None
        self._shown.close()

    def _open(self) -> None:
        from tqdm import tqdm  # most runs never show a bar
        from tqdm.contrib.logging import logging_redirect_tqdm

        tqdm.monitor_interval = 0  # no thread that watches over bars nobody updates
        self._bar = tqdm(
            total=0,
            unit="",
            unit_scale=True,
            leave=False,
            file=self._stream,
            mininterval=self._redraw_seconds,
            miniters=1,  # or a rate that drops would leave the bar behind
            dynamic_ncols=True,
            bar_format=LAYOUT,
        )
        self._shown.callback(self._bar.close)
        self._shown.enter_context(logging_redirect_tqdm())

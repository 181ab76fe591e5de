"""A progress bar while catching up: records, rate, time left. On a terminal only; removed once caught up."""

import contextlib
import sys
from typing import Any, TextIO

from classifier.reports.step import Step

SHOW_FROM_RECORDS = 10_000  # behind; fewer are read in less than a second
REDRAW_SECONDS = 0.1
BAR_FORMAT = "catching up {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} records, {rate_fmt}, {remaining} left"


class ProgressBar:
    """Shows the progress to the end of the input. Log lines appear above the bar."""

    def __init__(self, stream: TextIO | None = None, redraw_seconds: float = REDRAW_SECONDS) -> None:
        """Write to `stream`, by default stderr, if it is a terminal."""
        self._stream = sys.stderr if stream is None else stream
        self._redraw_seconds = redraw_seconds
        self._bar: Any = None
        self._open_bar = contextlib.ExitStack()

    def read(self, n_records: int, n_behind: int | None) -> None:
        """Advance the bar; open it when far behind, close it when no longer behind."""
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

    def restored(self, *, complete: bool) -> None:
        """A restore reads another topic."""

    def bad(self, n_records: int) -> None:
        """Bad records are among the records of `read`."""

    def step(self, step: Step) -> None:
        """A step does not move the bar."""

    def close(self) -> None:
        """Remove the bar."""
        self._bar = None
        self._open_bar.close()

    def _open(self) -> None:
        from tqdm import tqdm  # here, because most runs never show a bar
        from tqdm.contrib.logging import logging_redirect_tqdm

        tqdm.monitor_interval = 0  # no monitor thread
        self._bar = tqdm(
            total=0,
            unit="",
            unit_scale=True,
            leave=False,
            file=self._stream,
            mininterval=self._redraw_seconds,
            miniters=1,  # tqdm would otherwise skip updates after the rate drops
            dynamic_ncols=True,
            bar_format=BAR_FORMAT,
        )
        self._open_bar.callback(self._bar.close)
        self._open_bar.enter_context(logging_redirect_tqdm())

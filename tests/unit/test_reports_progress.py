"""The bar on a terminal: visible while catching up, removed afterwards, and log lines stay whole."""

import io
import logging
import re

import pytest

from classifier.reports.progress import SHOW_FROM_RECORDS, ProgressBar
from tests.support.terminal import screen

FAR = 10 * SHOW_FROM_RECORDS


class Terminal(io.StringIO):
    """A stream that claims to be a terminal."""

    def isatty(self) -> bool:
        return True

    def screen(self) -> list[str]:
        """The lines on the screen."""
        return screen(self.getvalue())


def counts(text: str) -> list[tuple[str, str]]:
    """Records and total of every bar that was drawn."""
    return re.findall(r"(\S+)/(\S+) records,", text)


def test_nothing_is_written_unless_the_stream_is_a_terminal() -> None:
    stream = io.StringIO()
    bar = ProgressBar(stream, 0.0)
    bar.read(5, FAR)
    bar.read(FAR, 0)
    bar.close()
    assert stream.getvalue() == ""


def test_few_records_show_no_bar() -> None:
    terminal = Terminal()
    bar = ProgressBar(terminal, 0.0)
    bar.read(5, SHOW_FROM_RECORDS - 1)
    bar.close()
    assert terminal.getvalue() == ""


def test_catching_up() -> None:
    terminal = Terminal()
    bar = ProgressBar(terminal, 0.0)
    bar.read(20_000, 80_000)
    bar.read(0, 80_000)
    bar.read(0, None)  # e.g. during a restore
    bar.read(30_000, 70_000)  # more records have arrived
    assert counts(terminal.getvalue())[-1] == ("50.0k", "120k")
    assert "catching up  42%" in terminal.screen()[-1]
    assert re.search(r"records, \S+/s, \S+ left", terminal.screen()[-1])
    bar.read(70_000, 0)
    assert terminal.screen() == [""], "removed once caught up"
    written = terminal.getvalue()
    bar.read(100, 0)
    bar.close()
    assert terminal.getvalue() == written


def test_falling_behind_again_opens_a_new_bar() -> None:
    terminal = Terminal()
    bar = ProgressBar(terminal, 0.0)
    bar.read(FAR, FAR)
    bar.read(FAR, 0)
    before = len(terminal.getvalue())
    bar.read(1000, 49_000)
    assert counts(terminal.getvalue()[before:])[-1] == ("1.00k", "50.0k")
    bar.close()


def test_log_lines_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    handler = logging.StreamHandler(terminal)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    monkeypatch.setattr(logging.root, "handlers", [handler])
    log = logging.getLogger("user_classifier.test_progress")
    bar = ProgressBar(redraw_seconds=0.0)
    for at in range(1, 6):
        bar.read(FAR, (5 - at) * FAR)
        log.warning("step %d", at)
    bar.close()
    log.warning("done")
    assert counts(terminal.getvalue()), "there was a bar"
    assert terminal.screen() == [*(f"WARNING step {at}" for at in range(1, 6)), "WARNING done", ""]
    assert logging.root.handlers == [handler], "logging is as it was"

"""`python -m dashboard` in a process, and its page in a browser."""

import csv
import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page, TimeoutError

from local.services.process import free_port, is_listening
from tests.support.client import ROOT
from tests.support.waiting import wait_until

PATIENCE_S = 180.0  # a machine busy with other tests draws slowly
PATIENCE_MS = 1000 * PATIENCE_S
CLICK_MS = 20_000.0  # from a click to its download; Streamlit has lost a click on a button that it was redrawing


class Served:
    """A dashboard in the background, until the end of the block."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self.port = free_port()
        self._log = log
        command = [sys.executable, "-m", "dashboard", *arguments, "--port", str(self.port)]
        with log.open("wb") as out:
            self._process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=subprocess.STDOUT)

    def __enter__(self) -> "Served":
        wait_until(lambda: is_listening(self.port) or self._process.poll() is not None, "the page to be served")
        assert self._process.poll() is None, self.output
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(20)

    @property
    def url(self) -> str:
        """The address of the page."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """The output on the terminal."""
        return self._log.read_text(encoding="utf-8")


class Seen:
    """The page in a browser."""

    def __init__(self, page: Page) -> None:
        self.page = page
        page.set_default_timeout(PATIENCE_MS)

    def table(self, caption: str) -> dict[str, list[str]]:
        """The rows of a table, by their first entries; empty while it does not exist."""
        script = """caption => [...document.querySelectorAll('table.labels')]
            .filter(table => table.caption.textContent.startsWith(caption)).slice(0, 1)
            .flatMap(table => [...table.tBodies[0].rows])
            .map(row => [...row.cells].map(cell => cell.innerText.trim()))"""
        rows: list[list[str]] = self.page.evaluate(script, caption)
        return {first.lstrip("●■▲◆▼✚✖⬢⬟★ \n"): rest for first, *rest in rows}

    def number(self, name: str) -> str:
        """The text of a number at the top."""
        found = self.page.get_by_test_id("stMetric").filter(has_text=name).get_by_test_id("stMetricValue")
        return found.inner_text()

    def wait_for_users(self, n_users: int) -> None:
        """Wait until the page shows this number of users."""
        self.wait_for(f"{n_users:,}", "stMetricValue")

    def wait_for(self, text: str, kind: str) -> None:
        """Wait for an element of this kind with this text."""
        self.page.get_by_test_id(kind).filter(has_text=text).first.wait_for()

    @property
    def problem(self) -> str:
        """The problem that the page shows, '' without one."""
        return "\n".join(self.page.get_by_test_id("stAlertContentError").all_inner_texts())

    def wait_for_problem(self, text: str) -> None:
        """Wait until the page shows a problem with this text."""
        wait_until(lambda: text in self.problem, f"the problem {text!r}, the page shows {self.problem!r}", PATIENCE_S)

    def wait_for_no_problem(self) -> None:
        """Wait until the page shows no problem."""
        wait_until(lambda: not self.problem, "the page to show no problem", PATIENCE_S)

    def saved(self) -> bytes:
        """The content of the list that the button saves; clicked again if the click met it while it was redrawn."""
        return wait_until(self._save, "a download", PATIENCE_S)

    def _save(self) -> bytes:
        try:
            with self.page.expect_download(timeout=CLICK_MS) as download:
                self.page.get_by_role("button", name="Save as CSV").click()
        except TimeoutError:
            return b""
        return download.value.path().read_bytes()

    def choose_list(self, name: str) -> None:
        """Choose the label of the list."""
        box = self.page.get_by_role("combobox", name="Users of")
        box.fill(name)
        box.press("Enter")


def csv_rows(data: bytes) -> list[list[str]]:
    """The rows of a CSV file, without the header."""
    return list(csv.reader(io.StringIO(data.decode())))[1:]

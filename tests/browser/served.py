"""`python -m dashboard` as its user has it, and its page as a person sees it."""

import csv
import io
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from playwright.sync_api import Page

from local.services.process import free_port, is_listening
from tests.support.client import ROOT
from tests.support.waiting import wait_until

PATIENCE_S = 180.0  # a machine that is busy with other tests draws slowly
PATIENCE_MS = 1000 * PATIENCE_S


class Served:
    """A page that is served in the background; leaving the block ends it."""

    def __init__(self, arguments: Sequence[str], log: Path) -> None:
        self.port, self._log = free_port(), log
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
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def output(self) -> str:
        """What was written to the terminal."""
        return self._log.read_text(encoding="utf-8")


class Seen:
    """The page in a browser."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def table(self, caption: str) -> dict[str, list[str]]:
        """The rows of a table, by their first cells; none while it is not there."""
        script = """caption => [...document.querySelectorAll('table.labels')]
            .filter(table => table.caption.textContent.startsWith(caption)).slice(0, 1)
            .flatMap(table => [...table.tBodies[0].rows])
            .map(row => [...row.cells].map(cell => cell.innerText.trim()))"""
        rows: list[list[str]] = self.page.evaluate(script, caption)
        return {first.lstrip("●■▲◆▼✚✖⬢⬟★ \n"): rest for first, *rest in rows}

    def number(self, name: str) -> str:
        """What a number at the top says."""
        found = self.page.get_by_test_id("stMetric").filter(has_text=name).get_by_test_id("stMetricValue")
        return found.inner_text()

    def wait_for_users(self, n_users: int) -> None:
        """Wait until so many are counted."""
        self.wait_for(f"{n_users:,}", "stMetricValue")

    def wait_for(self, text: str, kind: str) -> None:
        """Wait until an element of this kind says this first of all."""
        self.page.get_by_test_id(kind).filter(has_text=text).first.wait_for()

    @property
    def trouble(self) -> str:
        """What is said to be wrong."""
        return "\n".join(self.page.get_by_test_id("stAlertContentError").all_inner_texts())

    def wait_for_trouble(self, text: str) -> None:
        """Wait until something is said to be wrong."""
        wait_until(lambda: text in self.trouble, f"the page to say {text!r}, it says {self.trouble!r}", PATIENCE_S)

    def wait_for_no_trouble(self) -> None:
        """Wait until all is well."""
        wait_until(lambda: not self.trouble, "the page to say nothing of trouble", PATIENCE_S)

    def saved(self) -> bytes:
        """The list, as the button saves it."""
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name="Save as CSV").click()
        return download.value.path().read_bytes()

    def choose_list(self, name: str) -> None:
        """Choose whose list is to be saved."""
        choice = self.page.get_by_role("combobox", name="Users of")
        choice.fill(name)
        choice.press("Enter")


def csv_rows(data: bytes) -> list[list[str]]:
    """The rows of a CSV file below its heading."""
    return list(csv.reader(io.StringIO(data.decode())))[1:]

"""A browser on this machine: Chromium or one of its kin, as the system has it, or as Playwright has installed it."""

import os
import shutil
from pathlib import Path

from playwright.sync_api import Browser, Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "chrome")
APPLICATION = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
WANTED = (
    "no Chromium found: install one (apt-get install chromium, or .venv/bin/playwright install chromium),"
    " or name one: CHROMIUM=/path/to/chromium"
)


def executable(playwright: Playwright) -> str:
    """Return the program; FileNotFoundError says what to type."""
    if given := os.environ.get("CHROMIUM"):
        return given
    found = [*filter(None, map(shutil.which, NAMES)), str(APPLICATION), playwright.chromium.executable_path]
    for path in found:
        if Path(path).exists():
            return path
    raise FileNotFoundError(WANTED)


def launched(playwright: Playwright) -> Browser:
    """Start it without a window. Root gets no sandbox from it."""
    path = executable(playwright)
    return playwright.chromium.launch(executable_path=path, chromium_sandbox=os.geteuid() != 0)

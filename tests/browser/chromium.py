"""A browser on this machine: Chromium or one of its kin, as the system has it, or as Playwright has installed it.

python -m tests.browser.chromium --install   have one: Debian's, where there is none and root may install it
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

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


def install() -> None:
    """Install one with Debian's packages, where that can be done without asking; else say that tests will fail."""
    with sync_playwright() as playwright:
        try:
            executable(playwright)
        except FileNotFoundError as error:
            if os.geteuid() or not shutil.which("apt-get"):
                print(f"the tests of the page in a browser will fail: {error}", file=sys.stderr)
                return
            print("installing chromium, for the tests of the page in a browser", flush=True)
            for command in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", "chromium"]):
                subprocess.run(["apt-get", *command], check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__" and sys.argv[1:] == ["--install"]:
    install()

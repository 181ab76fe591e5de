"""A browser on this machine: Chromium or a relative of it, from the system or installed by Playwright.

python -m tests.browser.chromium --install   install Debian's, if there is none and this account is root
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "microsoft-edge", "chrome")
APPLICATION = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")
NOT_FOUND = (
    "no Chromium found: install one (apt-get install chromium, or .venv/bin/playwright install chromium),"
    " or name one: CHROMIUM=/path/to/chromium"
)


def executable(playwright: Playwright) -> str:
    """Return the path of the program; FileNotFoundError with a remedy if there is none."""
    given = os.environ.get("CHROMIUM")
    if given:
        return given
    paths = [*filter(None, map(shutil.which, NAMES)), str(APPLICATION), playwright.chromium.executable_path]
    for path in paths:
        if Path(path).exists():
            return path
    raise FileNotFoundError(NOT_FOUND)


def launched(playwright: Playwright) -> Browser:
    """Start it without a window; its sandbox is not available to root."""
    path = executable(playwright)
    return playwright.chromium.launch(executable_path=path, chromium_sandbox=os.geteuid() != 0)


def install() -> None:
    """Install Debian's package if there is no browser and this account is root; else print that tests will fail."""
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

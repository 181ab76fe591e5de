"""One browser for all tests of this folder, and a new page for each."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, sync_playwright

from tests.browser.chromium import launched
from tests.browser.served import Seen


@pytest.fixture(scope="session")
def browser() -> Iterator[BrowserContext]:
    """A real browser; without one the tests fail, with a message on what to install."""
    with sync_playwright() as playwright:
        started = launched(playwright)
        yield started.new_context(viewport={"width": 1300, "height": 1900})
        started.close()


@pytest.fixture
def seen(browser: BrowserContext) -> Iterator[Seen]:
    """A new page; a request to another machine is an error."""
    page = browser.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    yield Seen(page)
    page.close()
    external = [url for url in requests if "//127.0.0.1:" not in url and not url.startswith(("data:", "blob:"))]
    assert external == []

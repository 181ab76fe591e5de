"""One browser for all tests here, and a new page for each."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import BrowserContext, sync_playwright

from tests.browser.chromium import launched
from tests.browser.served import PATIENCE_MS, Seen


@pytest.fixture(scope="session")
def browser() -> Iterator[BrowserContext]:
    """A real one; without it the tests fail, and say what to install."""
    with sync_playwright() as playwright:
        started = launched(playwright)
        yield started.new_context(viewport={"width": 1300, "height": 1900})
        started.close()


@pytest.fixture
def seen(browser: BrowserContext) -> Iterator[Seen]:
    """A page that nobody has looked at yet; to ask another machine for something is an error."""
    page, elsewhere = browser.new_page(), list[str]()
    page.set_default_timeout(PATIENCE_MS)
    page.on("request", lambda request: elsewhere.append(request.url) if "//127.0.0.1:" not in request.url else None)
    yield Seen(page)
    page.close()
    assert [url for url in elsewhere if not url.startswith(("data:", "blob:"))] == []

"""One browser for all tests here, and a new page for each."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.chromium import launched
from tests.browser.served import Seen


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real one; without it the tests fail, and say what to install."""
    with sync_playwright() as playwright:
        started = launched(playwright)
        yield started
        started.close()


@pytest.fixture
def seen(browser: Browser) -> Iterator[Seen]:
    """A page that nobody has looked at yet; whatever it asks of another machine is an error."""
    context = browser.new_context(viewport={"width": 1300, "height": 1900})
    page, elsewhere = context.new_page(), list[str]()
    page.on("request", lambda request: elsewhere.append(request.url) if "//127.0.0.1:" not in request.url else None)
    yield Seen(page)
    context.close()
    assert [url for url in elsewhere if not url.startswith(("data:", "blob:"))] == []

"""What a page of another website can send to the registry of the local stack."""

from urllib.parse import urlsplit

import pytest
import requests

from tests.support.pipeline import Services

SECONDS = 30.0
SCHEMA = '{"schema": "\\"string\\""}'


@pytest.mark.parametrize(
    "origin", ["http://elsewhere.example", "null", "http://localhost:8888", "http://127.0.0.1:8888", "https://{own}"]
)
def test_another_website_is_refused(origin: str, services: Services) -> None:
    url = services.subjects.url
    sent = {"Origin": origin.format(own=urlsplit(url).netloc)}
    read = requests.get(f"{url}/subjects", headers=sent, timeout=SECONDS)
    assert (read.status_code, read.text) == (403, "")
    for kind in ("text/plain", "application/json"):
        headers = {**sent, "Content-Type": kind}
        address = f"{url}/subjects/elsewhere-value/versions"
        assert requests.post(address, data=SCHEMA, headers=headers, timeout=SECONDS).status_code == 403
    assert "elsewhere-value" not in requests.get(f"{url}/subjects", timeout=SECONDS).json()


def test_its_own_page_is_answered(services: Services) -> None:
    url = services.subjects.url
    answer = requests.get(f"{url}/subjects", headers={"Origin": f"http://{urlsplit(url).netloc}"}, timeout=SECONDS)
    assert answer.status_code == 200

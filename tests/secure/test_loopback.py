"""The local services cannot be reached from another machine."""

from urllib.parse import urlsplit

import pytest

from tests.support.listening import addresses_of_listener, is_loopback
from tests.support.pipeline import Services


@pytest.mark.parametrize("service", ["broker", "registry"])
def test_only_this_machine_can_connect(service: str, services: Services) -> None:
    broker = services.topics.bootstrap_servers
    port = urlsplit(services.subjects.url if service == "registry" else f"kafka://{broker}").port
    assert port is not None
    addresses = addresses_of_listener(port)
    assert addresses
    assert all(map(is_loopback, addresses)), addresses


@pytest.mark.parametrize(
    ("address", "local"),
    [("127.0.0.1", True), ("::ffff:127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("::", False)],
)
def test_is_loopback(address: str, local: bool) -> None:
    assert is_loopback(address) is local

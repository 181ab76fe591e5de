"""The command line of the dashboard: the client's configuration file, and its options that concern the output."""

import argparse
import ipaddress
import re
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from classifier.config.argument_types import host_name, whole_number
from classifier.config.settings import LOOPBACK, OPTIONS, Settings, add_option, settings_from
from classifier.errors import ConfigError
from classifier.label_names import label_names_from

DEFAULT_PORT = 8501
BASE_PATH = re.compile(r"[\w.~-]+(/[\w.~-]+)*", re.ASCII)
ALL_ADDRESSES = ("0.0.0.0", "::")
CLIENT_OPTIONS = ("output", "label_names", "log_level")
EXAMPLES = """\
examples:
  python -m dashboard ./configurations/configuration.ini
  python -m dashboard ./configurations/local.ini --label-names stingy,standard,spendthrift --port 8600
  python -m dashboard ./configurations/local.ini --host 0.0.0.0 --allowed-origin https://labels.example.com
"""


class Address(NamedTuple):
    """Where the page is served, and where a browser sees it."""

    host: str
    port: int
    origins: Sequence[str]  # of a reverse proxy, such as https://labels.example.com
    base_path: str  # without a slash at either end

    @property
    def hosts(self) -> list[str]:
        """The host names that a request may have."""
        proxies = [urlsplit(origin).hostname or "" for origin in self.origins]
        own = [self.host] if self.host not in ALL_ADDRESSES else []
        return list(dict.fromkeys((LOOPBACK, "localhost", *own, *proxies)))

    @property
    def url(self) -> str:
        """The address to open in a browser."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        origin = self.origins[0] if self.origins else f"http://{host}:{self.port}"
        return f"{origin}/{self.base_path}" if self.base_path else origin

    @property
    def is_of_this_machine_only(self) -> bool:
        """Whether no other machine can connect."""
        try:
            return ipaddress.ip_address(self.host.partition("%")[0]).is_loopback
        except ValueError:
            return self.host == "localhost"


def origin(text: str) -> str:
    """Return an origin as a browser sends it: scheme, host and a port other than the scheme's own."""
    problem = f"must be the beginning of an address in the browser, such as https://labels.example.com, got {text!r}"
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise argparse.ArgumentTypeError(problem) from None
    host = parts.hostname or ""
    extra = parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc
    if parts.scheme not in ("http", "https") or extra or not text.isascii():
        raise argparse.ArgumentTypeError(problem)
    try:
        host_name(host)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(problem) from None
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (
        f":{port}" if port not in (None, {"http": 80, "https": 443}[parts.scheme]) else ""
    )


def base_path(text: str) -> str:
    """Return the path of the page without a slash at either end."""
    path = text.strip("/")
    if (path and not BASE_PATH.fullmatch(path)) or ".." in path.split("/"):
        raise argparse.ArgumentTypeError(f"must be a path such as /labels, got {text!r}")
    return path


def parser() -> argparse.ArgumentParser:
    """Return the parser; the options of the client are those of classifier/config/settings.py."""
    made = argparse.ArgumentParser(
        prog="python -m dashboard",
        description="Show the labels in a browser. The page updates itself and writes nothing.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("config", metavar="CONFIG_FILE", help="the client's INI file")
    for each in OPTIONS:
        if each.name in CLIENT_OPTIONS:
            add_option(made, each)
        else:
            made.set_defaults(**{each.name: each.default})
    add_address_options(made)
    made.set_defaults(group=None)  # the dashboard joins no group, also if the file has one
    return made


def add_address_options(made: argparse.ArgumentParser) -> None:
    """Add the options of where the page is served."""
    made.add_argument(
        "--port",
        type=whole_number("port"),
        default=DEFAULT_PORT,
        metavar="PORT",
        help=f"port of the page (default: {DEFAULT_PORT})",
    )
    made.add_argument(
        "--host",
        type=host_name,
        default=LOOPBACK,
        metavar="HOST",
        help=f"address to listen at; others than {LOOPBACK} only for a reverse proxy that asks for a password"
        f" (default: {LOOPBACK})",
    )
    made.add_argument(
        "--allowed-origin",
        type=origin,
        action="append",
        default=[],
        metavar="URL",
        help="address of that proxy in the browser, such as https://labels.example.com; may be repeated",
    )
    made.add_argument(
        "--base-path",
        type=base_path,
        default="",
        metavar="PATH",
        help="path of the page behind that proxy, such as /labels (default: /)",
    )


def parsed(arguments: Sequence[str]) -> tuple[Settings, Address]:
    """Return the settings, and where the page is served; ConfigError for an invalid value."""
    namespace = parser().parse_args(arguments)
    address = Address(namespace.host, namespace.port, namespace.allowed_origin, namespace.base_path)
    for name in ("host", "port", "allowed_origin", "base_path"):
        delattr(namespace, name)
    if address.port > 65535:
        raise ConfigError(f"--port: a port is a whole number from 1 to 65535, got {address.port}")
    if address.host in ALL_ADDRESSES and not address.origins:
        proxy = "the address of the proxy in the browser: --allowed-origin https://..."
        raise ConfigError(f"--host {address.host}: the page refuses requests for unknown host names; add {proxy}")
    settings = settings_from(namespace)
    try:
        label_names_from(settings.label_names, None)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    return settings, address

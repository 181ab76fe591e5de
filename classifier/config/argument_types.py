"""What the command line takes for a number, a name, a duration: text in, value out, or argparse's error."""

import argparse
import math
import re
from collections.abc import Callable

TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)

# A name, an IPv4 address, or an IPv6 address with its zone.
HOST_NAME = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*|(?=.*:)[0-9A-Fa-f:.]+(%[\w.-]+)?", re.ASCII)


def whole_number(name: str) -> Callable[[str], int]:
    """Return an argparse type for whole numbers from 1."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) >= 1):
            raise argparse.ArgumentTypeError(f"{name} must be a whole number >= 1, got {text!r}")
        return int(text)

    return parse


def topic_name(text: str) -> str:
    """Parse the name of a topic for argparse."""
    if not TOPIC_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"a topic name has letters, digits, '.', '_' and '-', got {text!r}")
    return text


def host_name(text: str) -> str:
    """Parse an address to listen at for argparse."""
    if not HOST_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be an address or a host name, such as 0.0.0.0, got {text!r}")
    return text


def group_name(text: str) -> str:
    """Parse the name of a group for argparse."""
    if not (text and text.isprintable()):  # bytes that are no UTF-8 would abort the Kafka client
        raise argparse.ArgumentTypeError(f"a group name needs printable characters, got {text!r}")
    return text


def seconds(text: str) -> float:
    """Parse a duration for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds >= 0, got {text!r}")
    return value


def number_or_auto(name: str) -> Callable[[str], int | str]:
    """Return an argparse type for whole numbers from 1 and the word auto."""
    parse = whole_number(f"{name} (or 'auto')")
    return lambda text: text if text == "auto" else parse(text)

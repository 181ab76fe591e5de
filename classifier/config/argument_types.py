"""Argument types of the command line: each turns text into a value, or raises argparse.ArgumentTypeError."""

import argparse
import math
import re
from collections.abc import Callable

from classifier.features import LABEL, MAX_FEATURES, USER_ID

FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*", re.ASCII)  # as Avro has it
TOPIC_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}", re.ASCII)
# A host name, an IPv4 address, or an IPv6 address with an optional zone.
HOST_NAME = re.compile(r"[\w-]{1,63}(\.[\w-]{1,63})*|(?=.*:)[0-9A-Fa-f:.]+(%[\w.-]+)?", re.ASCII)


def topic_name(text: str) -> str:
    """Return the name of a topic."""
    if not TOPIC_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"a topic name has letters, digits, '.', '_' and '-', got {text!r}")
    return text


def group_name(text: str) -> str:
    """Return the name of a consumer group."""
    if not (text and text.isprintable()):  # bytes that are not UTF-8 would abort the process inside librdkafka
        raise argparse.ArgumentTypeError(f"a group name needs printable characters, got {text!r}")
    return text


def host_name(text: str) -> str:
    """Return an address to listen at."""
    if not HOST_NAME.fullmatch(text):
        raise argparse.ArgumentTypeError(f"must be an address or a host name, such as 0.0.0.0, got {text!r}")
    return text


def seconds(text: str) -> float:
    """Return a duration in seconds, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"must be a number of seconds >= 0, got {text!r}")
    return value


def whole_number(name: str) -> Callable[[str], int]:
    """Return an argument type for whole numbers from 1. `name` is for the message."""

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) >= 1):
            raise argparse.ArgumentTypeError(f"{name} must be a whole number >= 1, got {text!r}")
        return int(text)

    return parse


def number_or_auto(name: str) -> Callable[[str], int | str]:
    """Return an argument type for whole numbers from 1 and the word auto."""
    parse = whole_number(f"{name} (or 'auto')")
    return lambda text: text if text == "auto" else parse(text)


def feature_list(text: str) -> str:
    """Return names of fields without spaces: 'total_amount,last_purchase'."""
    names = tuple(name.strip() for name in text.split(","))
    for index, name in enumerate(names):
        if not FIELD_NAME.fullmatch(name):
            raise argparse.ArgumentTypeError(f"a field name has letters, digits and '_', got {name!r}")
        if name in (USER_ID, LABEL):
            raise argparse.ArgumentTypeError(f"{name} is a field of the output with another meaning; leave it out")
        if name in names[:index]:
            raise argparse.ArgumentTypeError(f"{name} is there twice; leave one out")
    if len(names) > MAX_FEATURES:
        raise argparse.ArgumentTypeError(f"at most {MAX_FEATURES} features, got {len(names)}")
    return ",".join(names)


def plotted_features(text: str) -> str:
    """Return the names of one or two features."""
    names = feature_list(text)
    if names.count(",") > 1:
        raise argparse.ArgumentTypeError(f"a picture has two axes: name one or two features, got {text!r}")
    return names

"""The options for your own purchases: how to read the file, and what to pass to the client."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from local.own_data.purchases import AMOUNT_NAMES, USER_NAMES, WHITESPACE, Purchases, ReadOptions

CLIENT_OPTIONS = {
    "-k": "number of clusters",
    "--scale": "how totals are scaled",
    "--fit": "what the model is fitted on",
}
"""Options that are passed to user_classifier.py."""

DEFAULTS = {
    "user": "",
    "amount": "",
    "delimiter": "",
    "decimal": ".",
    "out": Path(),
    "k": None,
    "scale": None,
    "fit": None,
}


class OptionError(Exception):
    """Raised for options that cannot be combined."""


def add_demo(command: argparse.ArgumentParser) -> None:
    """Add the options of `demo`."""
    own = command.add_argument_group("your own purchases", "these options need --csv")
    own.add_argument("--csv", type=Path, metavar="FILE", help="run the pipeline on the purchases in FILE")
    add_columns(own.add_argument)
    own.add_argument(
        "--out",
        type=Path,
        default=DEFAULTS["out"],
        metavar="FOLDER",
        help="for clustering.png and labels.csv (default: the current folder)",
    )
    for option, what in CLIENT_OPTIONS.items():
        own.add_argument(option, metavar="VALUE", help=f"{what}, passed to user_classifier.py")


def add_columns(add: Callable[..., object]) -> None:
    """Add the options for reading a file."""
    for option, names in (("--user", USER_NAMES), ("--amount", AMOUNT_NAMES)):
        known = ", ".join(names)
        add(
            option,
            default=DEFAULTS[option.strip("-")],
            metavar="COLUMN",
            help=f"its name, or its number from 1 (default: one of {known})",
        )
    add(
        "--delimiter",
        type=_delimiter,
        default=DEFAULTS["delimiter"],
        metavar="CHARACTER",
        help=f"between the fields; also tab, or {WHITESPACE} for any whitespace (default: detected)",
    )
    add("--decimal", choices=(".", ","), default=DEFAULTS["decimal"], help="decimal point (default: %(default)s)")


def purchases(path: Path, arguments: argparse.Namespace) -> Purchases:
    """Return the purchases of a file; FileError if it cannot be read with these options."""
    return Purchases(path, ReadOptions(arguments.user, arguments.amount, arguments.delimiter, arguments.decimal))


def client_options(arguments: argparse.Namespace) -> list[str]:
    """Return the options to pass to user_classifier.py: those that were given."""
    given = {option: getattr(arguments, option.strip("-")) for option in CLIENT_OPTIONS}
    return [text for option, value in given.items() if value is not None for text in (option, value)]


def require_none(arguments: argparse.Namespace) -> None:
    """Raise OptionError if an option for a file was given without a file."""
    for name, default in DEFAULTS.items():
        if getattr(arguments, name) != default:
            option = "-k" if name == "k" else f"--{name}"
            raise OptionError(f"{option} needs a file of purchases: add --csv FILE, or CSV=FILE with make")


def _delimiter(text: str) -> str:
    delimiter = "\t" if text == "tab" else text
    if delimiter not in ("", WHITESPACE) and (len(delimiter) > 1 or delimiter in ' "\r\n'):
        raise argparse.ArgumentTypeError(f"a delimiter is one character, or tab, or {WHITESPACE}, got '{text}'")
    return delimiter

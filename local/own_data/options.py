"""The options that say where one's own purchases are, and what is to become of them."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from local.own_data.purchases import AMOUNT_NAMES, USER_NAMES, WHITESPACE, Purchases, ReadOptions

PASSED_ON = {"-k": "number of clusters", "--scale": "scale of the totals", "--fit": "way to fit"}
"""Options of user_classifier.py itself."""

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
    """Options that cannot be combined."""


def add_demo(command: argparse.ArgumentParser) -> None:
    """The options of `demo`."""
    own = command.add_argument_group("purchases of your own", "these need --csv")
    own.add_argument("--csv", type=Path, metavar="FILE", help="show the pipeline on the purchases in FILE")
    add_columns(own.add_argument)
    own.add_argument(
        "--out",
        type=Path,
        default=DEFAULTS["out"],
        metavar="FOLDER",
        help="for clustering.png and labels.csv (default: the current one)",
    )
    for option, what in PASSED_ON.items():
        own.add_argument(option, metavar="VALUE", help=f"{what}, passed on to user_classifier.py")


def add_columns(add: Callable[..., object]) -> None:
    """The options that say how a file is to be read."""
    for option, names in (("--user", USER_NAMES), ("--amount", AMOUNT_NAMES)):
        usual = ", ".join(names)
        add(
            option,
            default=DEFAULTS[option.strip("-")],
            metavar="COLUMN",
            help=f"its name, or its place from 1 (default: one of {usual})",
        )
    add(
        "--delimiter",
        type=_delimiter,
        default=DEFAULTS["delimiter"],
        metavar="CHARACTER",
        help=f"between the fields; also tab, or {WHITESPACE} for any whitespace (default: found out)",
    )
    add("--decimal", choices=(".", ","), default=DEFAULTS["decimal"], help="decimal point (default: %(default)s)")


def purchases(path: Path, arguments: argparse.Namespace) -> Purchases:
    """The file as it was said to be; FileError if it is not."""
    return Purchases(path, ReadOptions(arguments.user, arguments.amount, arguments.delimiter, arguments.decimal))


def passed_on(arguments: argparse.Namespace) -> list[str]:
    """The options for user_classifier.py, those that were given."""
    given = {option: getattr(arguments, option.strip("-")) for option in PASSED_ON}
    return [text for option, value in given.items() if value is not None for text in (option, value)]


def require_none(arguments: argparse.Namespace) -> None:
    """OptionError if something is said of a file, and no file."""
    for name, default in DEFAULTS.items():
        if getattr(arguments, name) != default:
            option = "-k" if name == "k" else f"--{name}"
            raise OptionError(f"{option} is for purchases of your own: add --csv FILE, or CSV=FILE with make")


def _delimiter(text: str) -> str:
    delimiter = "\t" if text == "tab" else text
    if delimiter not in ("", WHITESPACE) and (len(delimiter) > 1 or delimiter in ' "\r\n'):
        raise argparse.ArgumentTypeError(f"a delimiter is one character, or tab, or {WHITESPACE}, got '{text}'")
    return delimiter

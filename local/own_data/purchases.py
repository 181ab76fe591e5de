"""Purchases in a file: a table with a user and an amount in each row.

Guarantee: every row is a purchase, or the file is rejected with an error that names line and column. Only empty lines
and a header are skipped. Memory does not grow with the file.
"""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, NoReturn

from local.own_data.lines import FileError, Lines

WHITESPACE = "space"
"""The delimiter for any number of spaces and tabs; fields are then never quoted."""
DELIMITERS = ("\t", ";", "|", ",")
"""The delimiters to detect: the one that splits the first line into most fields, on a tie the first in this order."""
USER_NAMES = ("user_id", "user", "userid", "customer_id", "customer", "customerid", "client_id", "client")
AMOUNT_NAMES = ("amount", "price", "total", "value", "total_amount", "spent", "revenue")
"""Column names to detect. The first of each is the pipeline's own name and takes precedence over the others."""

NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
MAX_SHOWN = 40
ROWS_PER_CALL = 10_000

Progress = Callable[[int], None]


class Purchase(NamedTuple):
    """One row."""

    user_id: str
    amount: float


@dataclass(frozen=True)
class ReadOptions:
    """How to read a file; an empty value means that it is detected.

    Parameters
    ----------
    user, amount : the names of the columns, or their numbers from 1.
    delimiter : one character, or `WHITESPACE`.
    decimal : the decimal point, `.` or `,`.
    """

    user: str = ""
    amount: str = ""
    delimiter: str = ""
    decimal: str = "."


@dataclass(frozen=True)
class Column:
    """The index of a column, from 0, and its name or its number from 1."""

    index: int
    name: str

    def __str__(self) -> str:
        """Return the column as messages name it."""
        return f"column {self.name}"


class Layout(NamedTuple):
    """How the rows of a file are read."""

    delimiter: str
    has_header: bool
    n_fields: int
    user: Column
    amount: Column

    def __str__(self) -> str:
        """Return the layout as a message, so that the user sees a wrong guess."""
        header = "line 1 is its header" if self.has_header else "no header"
        return f"the user is {self.user}, the amount {self.amount}; {header}"


class Purchases:
    """Iterates over the purchases in a file; each iteration starts at its beginning."""

    def __init__(self, path: Path, options: ReadOptions) -> None:
        """Find the layout; FileError if the file does not exist or its first row does not have the columns."""
        self._options = options
        self._lines = Lines(path)
        self.path = path
        self.n_bytes = self._lines.size
        self.layout = self._find_layout()

    def __iter__(self) -> Iterator[Purchase]:
        return self.read()

    def read(self, advance: Progress = lambda n_bytes: None) -> Iterator[Purchase]:
        """Yield the purchases; call ``advance`` now and then with the number of bytes read since its last call."""
        layout = self.layout
        user = layout.user.index
        amount = layout.amount.index
        rows = self._rows(layout.delimiter)
        if layout.has_header:
            next(rows, None)
        n_reported = 0
        for n_rows, (number, fields) in enumerate(rows, 1):
            if len(fields) != layout.n_fields:
                self._reject_fields(number, len(fields))
            user_id = fields[user].strip()
            if not user_id:
                raise self._lines.error(f", {layout.user}: empty; each purchase needs a user", number)
            yield Purchase(user_id, self._amount(fields[amount], number))
            if n_rows % ROWS_PER_CALL == 0:
                n_bytes = self._lines.n_bytes
                advance(n_bytes - n_reported)
                n_reported = n_bytes

    def count(self, advance: Progress = lambda n_bytes: None) -> int:
        """Read the file to its end and return the number of purchases; FileError for the first row that is not one."""
        n_purchases = sum(1 for _ in self.read(advance))
        if not n_purchases:
            raise FileError(f"{self.path} has a header but no purchases")
        return n_purchases

    def _rows(self, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """Yield the fields of each row that is not empty, with the number of its first line."""
        begin = 1
        if delimiter == WHITESPACE:
            found = ((self._lines.number, line.split()) for line in self._lines)
            yield from (row for row in found if row[1])
            return
        reader = csv.reader(self._lines, delimiter=delimiter, strict=True)
        try:
            for fields in reader:
                if len(fields) > 1 or "".join(fields).strip():
                    yield begin, fields
                begin = reader.line_num + 1
        except csv.Error as error:
            raise self._lines.error(f": {error}; expected fields separated by '{delimiter}'", begin) from None

    def _find_layout(self) -> Layout:
        delimiter = self._options.delimiter or self._find_delimiter()
        _, first = next(self._rows(delimiter), (0, []))
        if not first:
            raise FileError(f"{self.path} is empty; expected one purchase per line")
        names = [name.strip() for name in first]
        chosen = (self._options.user, self._options.amount)
        has_header = not all(map(is_number, chosen)) or not any(map(self._is_amount, names))
        user = self._column("user", USER_NAMES, names, has_header)
        amount = self._column("amount", AMOUNT_NAMES, names, has_header)
        if user == amount:
            raise FileError(f"{self.path}: the user and the amount are both {user}; name two different columns")
        return Layout(delimiter, has_header, len(first), user, amount)

    def _find_delimiter(self) -> str:
        first = next((line for line in self._lines if line.strip()), "")

        def n_fields(delimiter: str) -> int:
            return len(next(csv.reader([first], delimiter=delimiter), []))

        best = max(DELIMITERS, key=n_fields)
        return best if n_fields(best) > 1 else WHITESPACE

    def _column(self, what: str, known: Sequence[str], names: Sequence[str], has_header: bool) -> Column:
        option = getattr(self._options, what)
        if is_number(option):
            index = int(option) - 1
            if index >= len(names):
                raise FileError(f"{self.path} has {len(names)} columns; there is no column {option} for the {what}")
            return Column(index, names[index] if has_header else option)
        name = option or self._detect(what, known, names)
        found = [index for index, each in enumerate(names) if each == name]
        if len(found) == 1:
            return Column(found[0], name)
        problem = f"{len(found)} columns are named {name}" if found else f"there is no column {name}"
        raise FileError(f"{self.path}: {problem}; {self._choose(what, names)}")

    def _detect(self, what: str, known: Sequence[str], names: Sequence[str]) -> str:
        """Return the one column with a known name."""
        found = [name for name in names if re.sub(r"[\s-]+", "_", name.lower()) in known]
        if known[0] in found:
            return known[0]
        if len(found) == 1:
            return found[0]
        if found:
            problem = f"{' and '.join(found)} may each be the {what}"
        else:
            problem = f"no column has a known name for the {what}"
        raise FileError(f"{self.path}: {problem}; {self._choose(what, names)}")

    def _choose(self, what: str, names: Sequence[str]) -> str:
        columns = ", ".join(shown(name) for name in names)
        return (
            f"the columns are {columns}. Choose the one of the {what} by name, or by number from 1: "
            f"--{what} NAME, or {what.upper()}=NAME with make"
        )

    def _reject_fields(self, number: int, n_fields: int) -> NoReturn:
        delimiter = self.layout.delimiter
        between = "whitespace" if delimiter == WHITESPACE else repr(delimiter)
        fields = "1 field" if n_fields == 1 else f"{n_fields} fields"
        expected = f"expected {self.layout.n_fields} as in the first line, separated by {between}"
        raise self._lines.error(f": {fields}; {expected}", number)

    def _amount(self, text: str, number: int) -> float:
        if self._is_amount(text):
            amount = float(text if self._options.decimal == "." else text.replace(",", "."))
            if math.isfinite(amount):
                return amount
        decimal = self._options.decimal
        hint = ""
        if decimal == "." and re.fullmatch(r"\s*[+-]?\d+,\d+\s*", text):
            hint = "; for decimal commas: --decimal , or DECIMAL=, with make"
        column = self.layout.amount
        raise self._lines.error(f", {column}: {shown(text)} is not a number; expected e.g. 12{decimal}50{hint}", number)

    def _is_amount(self, text: str) -> bool:
        if self._options.decimal == ",":
            text = text.replace(".", "?").replace(",", ".")
        return NUMBER.fullmatch(text) is not None


def is_number(column: str) -> bool:
    """Return whether an option names a column by its number."""
    return column.isascii() and column.isdigit() and int(column) > 0


def shown(text: str) -> str:
    """Return the text in quotes for a message, shortened and with escapes."""
    return repr(text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…")

"""Purchases in a file: a table whose lines each say who bought, and for how much.

Guarantee: every line is a purchase, or the file is refused with the line and the column that are wrong; nothing is
skipped but lines without anything on them and a header. Memory does not grow with the file.
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
"""A delimiter that is any number of spaces and tabs; what they separate is not quoted."""
DELIMITERS = ("\t", ";", "|", ",")
"""Those that are looked for. Of two that cut the first line into as many fields, the one named first counts."""
USER_NAMES = ("user_id", "user", "userid", "customer_id", "customer", "customerid", "client_id", "client")
AMOUNT_NAMES = ("amount", "price", "total", "value", "total_amount", "spent", "revenue")
"""What the columns are called if nobody says it. The first name of each is the pipeline's own and always counts."""

NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*", re.ASCII)
MOST_SHOWN = 40
LINES_PER_TELL = 10_000

Tell = Callable[[int], None]


class Purchase(NamedTuple):
    """One line."""

    user_id: str
    amount: float


@dataclass(frozen=True)
class ReadOptions:
    """What is said of a file beforehand; what is empty is found out.

    Parameters
    ----------
    user, amount : the columns' names, or their places from 1.
    delimiter : one character, or `WHITESPACE`.
    decimal : the decimal point, `.` or `,`.
    """

    user: str = ""
    amount: str = ""
    delimiter: str = ""
    decimal: str = "."


class Column(NamedTuple):
    """Where a column is, from 0, and what it is called."""

    at: int
    name: str

    def __str__(self) -> str:
        """For people, who count from 1."""
        place = str(self.at + 1)
        return f"column {place}" if self.name == place else f"column {self.name}"


class Layout(NamedTuple):
    """How the lines of a file are read."""

    delimiter: str
    has_header: bool
    n_fields: int
    user: Column
    amount: Column

    def __str__(self) -> str:
        """For people: a wrong guess must be seen."""
        header = "line 1 is its header" if self.has_header else "no header"
        return f"the user is {self.user}, the amount {self.amount}; {header}"


class Purchases:
    """Iterates over a file's purchases, from its beginning each time."""

    def __init__(self, path: Path, wanted: ReadOptions) -> None:
        """FileError if the file is not there, or its first line does not tell what is wanted."""
        self._wanted = wanted
        self._lines = Lines(path)
        self.path, self.n_bytes = path, self._lines.size
        self.layout = self._find_layout()

    def __iter__(self) -> Iterator[Purchase]:
        return self.read()

    def read(self, tell: Tell = lambda n_bytes: None) -> Iterator[Purchase]:
        """The purchases; ``tell`` hears now and then how many more bytes have been read."""
        _, has_header, n_fields, (user, _), (amount, _) = self.layout
        rows = self._rows(self.layout.delimiter)
        if has_header:
            next(rows, None)
        n_told = 0
        for n_rows, (number, fields) in enumerate(rows, 1):
            if len(fields) != n_fields:
                self._refuse_fields(number, len(fields))
            user_id = fields[user].strip()
            if not user_id:
                raise self._lines.error(f", {self.layout.user}: empty; each purchase needs its user", number)
            yield Purchase(user_id, self._number(fields[amount], number))
            if n_rows % LINES_PER_TELL == 0:
                n_told, before = self._lines.n_bytes, n_told
                tell(n_told - before)

    def count(self, tell: Tell = lambda n_bytes: None) -> int:
        """Read the file to its end: how many purchases there are; FileError for the first line that is none."""
        n_purchases = sum(1 for _ in self.read(tell))
        if not n_purchases:
            raise FileError(f"{self.path} has a header and no purchases")
        return n_purchases

    def _rows(self, delimiter: str) -> Iterator[tuple[int, list[str]]]:
        """The fields of each line on which there is something, with the number of the line where they begin."""
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
            raise self._lines.error(f": {error}; expected fields with '{delimiter}' between them", begin) from None

    def _find_layout(self) -> Layout:
        delimiter = self._wanted.delimiter or self._find_delimiter()
        _, first = next(self._rows(delimiter), (0, []))
        if not first:
            raise FileError(f"{self.path} is empty; expected a line for each purchase")
        names = [name.strip() for name in first]
        wanted = (self._wanted.user, self._wanted.amount)
        has_header = not all(map(is_place, wanted)) or not any(map(self._is_number, names))
        user = self._column("user", USER_NAMES, names, has_header)
        amount = self._column("amount", AMOUNT_NAMES, names, has_header)
        if user == amount:
            raise FileError(f"{self.path}: the user and the amount are both {user}; they are two columns")
        return Layout(delimiter, has_header, len(first), user, amount)

    def _find_delimiter(self) -> str:
        first = next((line for line in self._lines if line.strip()), "")

        def n_fields(delimiter: str) -> int:
            return len(next(csv.reader([first], delimiter=delimiter), []))

        best = max(DELIMITERS, key=n_fields)
        return best if n_fields(best) > 1 else WHITESPACE

    def _column(self, what: str, usual: Sequence[str], names: Sequence[str], has_header: bool) -> Column:
        wanted = getattr(self._wanted, what)
        if is_place(wanted):
            index = int(wanted) - 1
            if index >= len(names):
                raise FileError(f"{self.path} has {len(names)} columns, so none for the {what} at place {wanted}")
            return Column(index, names[index] if has_header else wanted)
        name = wanted or self._usual(what, usual, names)
        found = [index for index, each in enumerate(names) if each == name]
        if len(found) == 1:
            return Column(found[0], name)
        says = f"is there {len(found)} times" if found else "is not there"
        raise FileError(f"{self.path}: column {name} {says}; {self._choose(what, names)}")

    def _usual(self, what: str, usual: Sequence[str], names: Sequence[str]) -> str:
        """The one column whose name is usual for this."""
        alike = [name for name in names if re.sub(r"[\s-]+", "_", name.lower()) in usual]
        if len(alike) == 1 or usual[0] in alike:
            return usual[0] if usual[0] in alike else alike[0]
        says = f"{' and '.join(alike)} may be the {what}" if alike else f"no column has a usual name for the {what}"
        raise FileError(f"{self.path}: {says}; {self._choose(what, names)}")

    def _choose(self, what: str, names: Sequence[str]) -> str:
        there = ", ".join(shown(name) for name in names)
        return (
            f"there is {there}. Say which one it is, by name or by place from 1: "
            f"--{what} NAME, or {what.upper()}=NAME with make"
        )

    def _refuse_fields(self, number: int, n_fields: int) -> NoReturn:
        delimiter = self.layout.delimiter
        between = "whitespace" if delimiter == WHITESPACE else repr(delimiter)
        fields = "1 field" if n_fields == 1 else f"{n_fields} fields"
        expected = f"expected {self.layout.n_fields}, as in the first line, with {between} between them"
        raise self._lines.error(f": {fields}; {expected}", number)

    def _number(self, text: str, number: int) -> float:
        if self._is_number(text):
            amount = float(text if self._wanted.decimal == "." else text.replace(",", "."))
            if math.isfinite(amount):
                return amount
        decimal = self._wanted.decimal
        hint = ""
        if decimal == "." and re.fullmatch(r"\s*[+-]?\d+,\d+\s*", text):
            hint = "; for decimal commas: --decimal , or DECIMAL=, with make"
        where = f", {self.layout.amount}"
        raise self._lines.error(f"{where}: {shown(text)} is no number; expected e.g. 12{decimal}50{hint}", number)

    def _is_number(self, text: str) -> bool:
        if self._wanted.decimal == ",":
            text = text.replace(".", "?").replace(",", ".")
        return NUMBER.fullmatch(text) is not None


def is_place(column: str) -> bool:
    """Whether a column is said by its place."""
    return column.isascii() and column.isdigit() and int(column) > 0


def shown(text: str) -> str:
    """Text in quotes, not too much of it, whatever letters are in it."""
    return repr(text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…")

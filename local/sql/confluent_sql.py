"""A parser for Confluent Cloud's SQL: the kind of a statement, and the table of a CREATE TABLE. No Flink, no Kafka.

It knows the syntax that the pipeline uses, and raises :class:`StatementError` for everything else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from local.sql.column_types import COLUMN_TYPES

CHANGELOG_MODES = ("append", "retract", "upsert")
DEFAULT_BUCKETS = 6
"""Partitions of a table without INTO n BUCKETS, as in Confluent Cloud."""

OPTIONS = {
    "changelog.mode": CHANGELOG_MODES,
    "kafka.cleanup-policy": ("delete", "compact", "delete-compact"),
    "kafka.retention.time": None,
    "key.format": ("avro-registry", "raw"),
    "value.fields-include": ("all", "except-key"),
}
"""The supported options with their values; None stands for a duration."""

_TOKEN = re.compile(
    r"""(?P<space>\s+|--[^\n]*|/\*.*?\*/)|(?P<string>'(?:[^']|'')*')|(?P<quoted>`(?:[^`]|``)*`)"""
    r"""|(?P<word>[A-Za-z_$][\w$]*)|(?P<number>\d+(?:\.\d+)?)|(?P<symbol>.)""",
    re.DOTALL,
)
_DURATION = re.compile(r"(?P<number>\d+)\s*(?P<unit>ms|s|min|h|d)?")
_MILLISECONDS = {None: 1, "ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


class StatementError(Exception):
    """Raised for a statement that the local stack cannot run; the message names the position and what is supported."""


@dataclass(frozen=True)
class Token:
    """A word, string, number or symbol, and its index in the text."""

    kind: str
    text: str
    start: int

    @property
    def keyword(self) -> str:
        """The word in upper case; empty unless the token is an unquoted word."""
        return self.text.upper() if self.kind == "word" else ""

    @property
    def identifier(self) -> str:
        """The name without its backticks."""
        return self.text[1:-1].replace("``", "`") if self.kind == "quoted" else self.text


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    type: str
    nullable: bool = True


@dataclass(frozen=True)
class Table:
    """A table as declared by CREATE TABLE."""

    name: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...] = ()
    buckets: int = DEFAULT_BUCKETS
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def changelog_mode(self) -> str:
        """The mode in the options, or Confluent's default: upsert with a primary key, append without one."""
        return self.options.get("changelog.mode", "upsert" if self.primary_key else "append")

    @property
    def column_names(self) -> list[str]:
        """The columns' names, in order."""
        return [column.name for column in self.columns]

    @property
    def key_columns(self) -> list[Column]:
        """The columns of the primary key."""
        return [column for column in self.columns if column.name in self.primary_key]

    @property
    def value_columns(self) -> list[Column]:
        """The columns in a record's value; those of the key only with 'value.fields-include' = 'all'."""
        with_key = self.options.get("value.fields-include") == "all"
        return [column for column in self.columns if with_key or column.name not in self.primary_key]

    @property
    def has_raw_key(self) -> bool:
        """Whether a record's key is the plain column; Confluent's default is an Avro record."""
        return self.options.get("key.format") == "raw"


@dataclass(frozen=True)
class CreateTable:
    """CREATE TABLE."""

    table: Table


@dataclass(frozen=True)
class Insert:
    """INSERT INTO target [(columns)] query; without columns, the query returns all columns of the table."""

    target: str
    columns: tuple[str, ...]
    query: str


@dataclass(frozen=True)
class Select:
    """SELECT."""

    query: str


Statement = CreateTable | Insert | Select


def parse(text: str) -> Statement:
    """Parse the one statement in ``text``."""
    return _Parser(text).statement()


def tokenize(text: str) -> list[Token]:
    """Return the tokens of a statement, without spaces, comments and the final semicolon."""
    tokens = [Token(str(match.lastgroup), match.group(), match.start()) for match in _TOKEN.finditer(text)]
    tokens = [token for token in tokens if token.kind != "space"]
    if tokens and tokens[-1].text == ";":
        tokens.pop()
    return tokens


def tables_read(query: str) -> list[Token]:
    """Return the table names in a query: the names that follow FROM, JOIN or TABLE."""
    tokens = tokenize(query)
    return [
        token
        for before, token in pairwise(tokens)
        if before.keyword in {"FROM", "JOIN", "TABLE"} and _is_name(token) and token.keyword != "TABLE"
    ]


def duration_ms(text: str) -> int:
    """Return the milliseconds of a duration in Flink's notation: '0', '500 ms', '7 d'."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise StatementError(f"'{text}' is not a duration; write e.g. '7 d', '12 h', '30 min', or '0' for no limit")
    return int(match["number"]) * _MILLISECONDS[match["unit"]]


def _is_name(token: Token) -> bool:
    return token.kind in {"word", "quoted"}


class _Parser:
    """Recursive descent over the tokens of one statement."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = tokenize(text)
        self._index = 0

    def statement(self) -> Statement:
        """Parse the whole text."""
        if any(token.text == ";" for token in self._tokens):
            raise StatementError("more than one statement; run one at a time, as in a workspace cell")
        first = self._peek().keyword
        if first == "CREATE":
            return CreateTable(self._create_table())
        if first == "INSERT":
            return self._insert()
        if first == "SELECT":
            return Select(self._rest())
        raise self._error("CREATE TABLE, INSERT INTO or SELECT")

    def _create_table(self) -> Table:
        self._expect("CREATE", "TABLE")
        if self._peek().keyword == "IF":
            self._expect("IF", "NOT", "EXISTS")
        name = self._name()
        columns, key = self._definitions()
        buckets = self._distribution()
        options = self._options() if self._peek().keyword == "WITH" else {}
        self._expect_end()
        # Key columns are NOT NULL, even if the statement does not write it.
        columns = tuple(Column(c.name, c.type, c.nullable and c.name not in key) for c in columns)
        return _checked(Table(name, columns, key, buckets, options))

    def _definitions(self) -> tuple[tuple[Column, ...], tuple[str, ...]]:
        columns: list[Column] = []
        key: tuple[str, ...] = ()
        self._expect("(")
        while True:
            if self._peek().keyword == "PRIMARY":
                self._expect("PRIMARY", "KEY")
                key = self._names()
                self._expect("NOT", "ENFORCED")
            else:
                columns.append(self._column())
            if not self._skip(","):
                break
        self._expect(")")
        return tuple(columns), key

    def _column(self) -> Column:
        name = self._name()
        kind = self._type()
        if self._peek().keyword == "NOT":
            self._expect("NOT", "NULL")
            return Column(name, kind, nullable=False)
        return Column(name, kind)

    def _type(self) -> str:
        first = self._next()
        kind = first.keyword
        parameter = self._tokens[self._index : self._index + 3]
        if [token.text for token in parameter[::2]] == ["(", ")"]:
            kind += "".join(token.text for token in parameter)
            self._index += len(parameter)
        if kind not in COLUMN_TYPES:
            found = replace(first, text=kind or first.text)
            raise self._error(f"one of the types {', '.join(sorted(COLUMN_TYPES))}", found)
        return kind

    def _distribution(self) -> int:
        if not self._skip("DISTRIBUTED"):
            return DEFAULT_BUCKETS
        if self._skip("BY"):
            self._skip("HASH")
            self._names()
        if not self._skip("INTO"):
            return DEFAULT_BUCKETS
        count = self._next()
        if not count.text.isdigit() or int(count.text) < 1:
            raise StatementError(f"INTO {count.text} BUCKETS: the number must be a whole number >= 1")
        self._expect("BUCKETS")
        return int(count.text)

    def _options(self) -> dict[str, str]:
        options = {}
        self._expect("WITH", "(")
        while True:
            name = self._string()
            self._expect("=")
            options[name] = self._string()
            if not self._skip(","):
                break
        self._expect(")")
        return options

    def _insert(self) -> Insert:
        self._expect("INSERT", "INTO")
        target = self._name()
        columns = self._names() if self._peek().text == "(" else ()
        if self._peek().keyword != "SELECT":
            raise self._error("SELECT")
        return Insert(target, columns, self._rest())

    def _names(self) -> tuple[str, ...]:
        names = []
        self._expect("(")
        while True:
            names.append(self._name())
            if not self._skip(","):
                break
        self._expect(")")
        return tuple(names)

    def _name(self) -> str:
        token = self._next()
        if not _is_name(token):
            raise self._error("a name", token)
        return token.identifier

    def _string(self) -> str:
        token = self._next()
        if token.kind != "string":
            raise self._error("a string in single quotes", token)
        return token.text[1:-1].replace("''", "'")

    def _rest(self) -> str:
        last = self._tokens[-1]
        return self._text[self._peek().start : last.start + len(last.text)]

    def _expect(self, *words: str) -> None:
        for word in words:
            token = self._next()
            if token.text.upper() != word:
                raise self._error(word, token)

    def _expect_end(self) -> None:
        if self._index < len(self._tokens):
            raise self._error("the end of the statement")

    def _skip(self, word: str) -> bool:
        found = self._peek().text.upper() == word
        self._index += found
        return found

    def _next(self) -> Token:
        token = self._peek()
        self._index += 1
        return token

    def _peek(self) -> Token:
        end = Token("end", "", len(self._text))
        return self._tokens[self._index] if self._index < len(self._tokens) else end

    def _error(self, wanted: str, token: Token | None = None) -> StatementError:
        token = token or self._peek()
        line = self._text.count("\n", 0, token.start) + 1
        return StatementError(f"line {line}: expected {wanted}, found {token.text or 'the end of the statement'}")


def _checked(table: Table) -> Table:
    """Return the table; StatementError for options and combinations that the local stack does not support."""
    _check_options(table)
    _check_key(table)
    return table


def _check_options(table: Table) -> None:
    for name, value in table.options.items():
        if name not in OPTIONS:
            raise StatementError(f"{table.name}: unknown option '{name}'; supported are {', '.join(sorted(OPTIONS))}")
        allowed = OPTIONS[name]
        if allowed is None:
            duration_ms(value)
        elif value not in allowed:
            raise StatementError(f"{table.name}: '{name}' = '{value}'; supported are {', '.join(allowed)}")


def _check_key(table: Table) -> None:
    missing = set(table.primary_key) - set(table.column_names)
    if missing:
        raise StatementError(
            f"{table.name}: PRIMARY KEY names columns that the table does not have: {', '.join(sorted(missing))}"
        )
    if table.changelog_mode == "upsert" and not table.primary_key:
        raise StatementError(f"{table.name}: 'changelog.mode' = 'upsert' needs a PRIMARY KEY (column) NOT ENFORCED")
    if table.primary_key and table.changelog_mode != "upsert":
        raise StatementError(f"{table.name}: a PRIMARY KEY is supported here only with 'changelog.mode' = 'upsert'")
    if "key.format" in table.options and not table.primary_key:
        raise StatementError(f"{table.name}: 'key.format' needs a PRIMARY KEY (column) NOT ENFORCED")
    if table.has_raw_key and [column.type for column in table.key_columns] != ["STRING"]:
        raise StatementError(f"{table.name}: 'key.format' = 'raw' needs a PRIMARY KEY of one STRING column")

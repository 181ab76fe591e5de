"""The rules of the house, as far as a syntax tree shows them: each looks at one file and yields what breaks it."""

import ast
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

SCRIPT = "user_classifier.py"
MAX_LINES = {SCRIPT: 600}
MAX_LINES_OF_OTHERS = 350
MAX_LINES_OF_A_FUNCTION = 40
NO_SUBJECTS = {"util", "utils", "common", "helper", "helpers", "base", "manager", "managers", "misc"}
# Slow to import: --help and a mistake in the configuration are told without them.
HEAVY = {"matplotlib", "pandas", "prometheus_client", "pyarrow", "scipy", "sklearn", "tqdm"}
# What the parts of the script must not know.
ABOVE_THE_PARTS = {"user_classifier", "local", "dashboard", "benchmarks", "img", "tests"}
# Names with an underscore that are public all the same.
PUBLIC_METHODS = {"_asdict", "_fields", "_make", "_replace", "_exit"}  # of named tuples, and of os
PUBLIC_ERRORS = "KafkaError"  # its codes that begin with an underscore are those of the client library


class Import(NamedTuple):
    """One name that a file imports, written in full."""

    name: str
    line: int
    at_once: bool
    """Not only when a function is called."""

    @property
    def top(self) -> str:
        """The package."""
        return self.name.partition(".")[0]


class Source:
    """A Python file; its path is that from the root of the repository."""

    def __init__(self, path: str, text: str) -> None:
        self.path, self.text, self.tree = path, text, ast.parse(text)

    @property
    def module(self) -> str:
        """Its dotted name."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def imports(self) -> list[Import]:
        """All that it imports, wherever."""
        return list(_imports(self.tree, at_once=True))


def _imports(node: ast.AST, at_once: bool) -> Iterator[Import]:
    """The imports in a piece of a file."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ImportFrom):
            origin = "." * child.level + (child.module or "")
            yield from (Import(f"{origin}.{alias.name}", child.lineno, at_once) for alias in child.names)
        elif isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, at_once) for alias in child.names)
        else:
            yield from _imports(child, at_once and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def sources(root: Path, *patterns: str) -> list[Source]:
    """The Python files that the patterns name."""
    paths = sorted(path for pattern in patterns for path in root.glob(pattern))
    return [Source(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


# What one file shows


def too_long(source: Source) -> Iterator[str]:
    """A file is read in one sitting."""
    n_lines, limit = source.text.count("\n"), MAX_LINES.get(source.path, MAX_LINES_OF_OTHERS)
    if n_lines > limit:
        yield f"{source.path}: {n_lines} lines, at most {limit}: part it by subject"


def without_promise(source: Source) -> Iterator[str]:
    """A file opens with what it promises."""
    if not ast.get_docstring(source.tree):
        yield f"{source.path}: no docstring: open it with what it promises"


def without_subject(source: Source) -> Iterator[str]:
    """A file bears the name of its subject."""
    for part in source.module.split("."):
        if part.strip("_") in NO_SUBJECTS:
            yield f"{source.path}: {part} is no subject: name it after the one noun that it is about"


def long_functions(source: Source) -> Iterator[str]:
    """A function is seen at a glance; its docstring and its signature do not count."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            n_lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if n_lines > MAX_LINES_OF_A_FUNCTION:
                limit = f"at most {MAX_LINES_OF_A_FUNCTION}"
                yield f"{source.path}:{node.lineno}: {node.name} has {n_lines} lines, {limit}: give its steps names"


def private_names(source: Source) -> Iterator[str]:
    """A name with an underscore is used in the file that gives it, and nowhere else."""
    for each in source.imports:
        if any(map(_is_private, each.name.split("."))):
            yield f"{source.path}:{each.line}: imports {each.name}: what others need has no underscore"
    own = _names_given_in(source.tree) | PUBLIC_METHODS
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and node.attr not in own:
            written = ast.unparse(node)
            if written != f"{PUBLIC_ERRORS}.{node.attr}":
                yield f"{source.path}:{node.lineno}: {written} is of another module: what others need has no underscore"


def _is_private(name: str) -> bool:
    """One underscore; two are Python's own."""
    return name.startswith("_") and not name.startswith("__")


def _names_given_in(tree: ast.AST) -> set[str]:
    """Functions, classes, variables, and attributes of self and cls."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found |= {node.attr} if ast.unparse(node.value) in ("self", "cls") else set()
    return found


# What files show together


def layer_numbers(layers: Sequence[str]) -> dict[str, int]:
    """The layer of each module of classifier/, 0 is the highest."""
    return {f"classifier.{name}": number for number, names in enumerate(layers) for name in names.split()}


def against_the_direction(source: Source, layer_of: Mapping[str, int]) -> Iterator[str]:
    """A module of classifier/ imports from layers below its own, and nothing of what is built on top of it."""
    if source.module not in layer_of:
        yield f"{source.path}: in no layer: put it into the lowest one above all that it imports"
    for each in source.imports:
        where = f"{source.path}:{each.line}: imports {each.name}"
        room = _room_of(each, layer_of)
        if each.top in ABOVE_THE_PARTS or each.name.startswith("."):
            yield f"{where}: a part knows nothing of what is made of it, and names in full what it is made of"
        elif each.top == "classifier" and room is None:
            yield f"{where}, which is in no layer"
        elif room is not None and layer_of[room] <= layer_of.get(source.module, -1):
            yield f"{where}: {room} is not below it: what both need belongs below both"


def _room_of(imported: Import, rooms: Iterable[str]) -> str | None:
    """The module that a name is imported from."""
    found = [room for room in rooms if f"{imported.name}.".startswith(f"{room}.")]
    return max(found, key=len, default=None)


def heavy_reports(files: Iterable[Source]) -> dict[str, str]:
    """Report -> the heavy library that comes with it at once, directly or by way of another report."""
    reports = [source for source in files if _is_report(source)]
    found: dict[str, str] = {}
    while new := {
        source.module: library
        for source in reports
        for _, library in _heavy_imports(source, found)
        if source.module not in found
    }:
        found |= new
    return found


def _is_report(source: Source) -> bool:
    """What people look at lies in a folder of its own."""
    return source.module.startswith("classifier.reports.")


def _heavy_imports(source: Source, heavy: Mapping[str, str]) -> Iterator[tuple[Import, str]]:
    """What a file imports at once that is heavy, and the library that makes it so."""
    for each in source.imports:
        library = each.top if each.top in HEAVY else heavy.get(_room_of(each, heavy) or "", "")
        if each.at_once and library:
            yield each, library


def heavy_at_once(source: Source, heavy: Mapping[str, str]) -> Iterator[str]:
    """Only what people look at brings a heavy library at once; all others import one where they use it."""
    if not _is_report(source):
        for each, library in _heavy_imports(source, heavy):
            where = f"{source.path}:{each.line}: imports {each.name}"
            yield f"{where} at once, and {library} is slow to import: do so in the function that needs it"


def at_the_top(root: Path) -> set[str]:
    """What the repository holds at its top level; in a copy without git, what lies there."""
    if (root / ".git").exists():
        done = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)
        return {name.partition("/")[0] for name in done.stdout.split("\0") if name}
    ignored = {line.strip("/") for line in (root / ".gitignore").read_text(encoding="utf-8").splitlines()}
    return {path.name for path in root.iterdir()} - ignored

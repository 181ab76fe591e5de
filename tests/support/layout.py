"""Rules of the repository's layout that a syntax tree shows: each takes one file and yields its violations."""

import ast
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

SCRIPT = "user_classifier.py"
CLIENT = "classifier"
MAX_LINES_OF_A_FILE = 400
MAX_LINES_OF_THE_SCRIPT = 600
MAX_LINES_OF_A_FUNCTION = 40
NO_SUBJECTS = {"util", "utils", "common", "helper", "helpers", "base", "manager", "managers", "misc"}
# Slow to import: --help and a message on a wrong option come without them.
HEAVY = {"matplotlib", "pandas", "prometheus_client", "pyarrow", "scipy", "sklearn", "tqdm"}
# Everything that is built on classifier/, which therefore must not import it.
ABOVE_THE_CLIENT = {"user_classifier", "local", "dashboard", "benchmarks", "img", "tests"}
# May import scikit-learn's KMeans: the helper on one thread, and the original program as it was.
PINNED_FITS = {"tests/support/kmeans.py", "benchmarks/programs/original.py"}
# Public names that begin with an underscore.
PUBLIC_METHODS = {"_asdict", "_fields", "_make", "_replace", "_exit"}  # of named tuples, and of os
PUBLIC_ERRORS = "KafkaError"  # codes of librdkafka itself begin with an underscore


class Import(NamedTuple):
    """One imported name, in full."""

    name: str
    line: int
    at_import: bool
    """Executed when the file is imported, not only when a function is called."""

    @property
    def top(self) -> str:
        """The top-level package."""
        return self.name.partition(".")[0]


class Source:
    """A Python file and its syntax tree; the path is relative to the root of the repository."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.text = text
        self.tree = ast.parse(text)

    @property
    def module(self) -> str:
        """The dotted name."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def imports(self) -> list[Import]:
        """All imports, those inside functions included."""
        return list(_imports(self.tree, at_import=True))


def _imports(node: ast.AST, at_import: bool) -> Iterator[Import]:
    """The imports below a node."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ImportFrom):
            origin = "." * child.level + (child.module or "")
            yield from (Import(f"{origin}.{alias.name}", child.lineno, at_import) for alias in child.names)
        elif isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, at_import) for alias in child.names)
        else:
            yield from _imports(child, at_import and not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def sources(root: Path, *patterns: str) -> list[Source]:
    """The Python files that match the patterns."""
    paths = sorted(path for pattern in patterns for path in root.glob(pattern))
    return [Source(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8")) for path in paths]


# Rules for one file


def too_long(source: Source) -> Iterator[str]:
    """Files with more lines than the limit."""
    n_lines = source.text.count("\n")
    limit = MAX_LINES_OF_THE_SCRIPT if source.path == SCRIPT else MAX_LINES_OF_A_FILE
    if n_lines > limit:
        yield f"{source.path}: {n_lines} lines, at most {limit}: split it by subject"


def without_docstring(source: Source) -> Iterator[str]:
    """Files that do not open with a docstring."""
    if not ast.get_docstring(source.tree):
        yield f"{source.path}: no docstring: open it with what it provides"


def without_subject(source: Source) -> Iterator[str]:
    """Files and packages whose name is no subject."""
    for part in source.module.split("."):
        if part.strip("_") in NO_SUBJECTS:
            yield f"{source.path}: {part} is no subject: use the noun that it is about"


def long_functions(source: Source) -> Iterator[str]:
    """Functions whose body, docstring not counted, has more lines than the limit."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            body = node.body[1:] if ast.get_docstring(node) is not None else node.body
            n_lines = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            if n_lines > MAX_LINES_OF_A_FUNCTION:
                limit = f"at most {MAX_LINES_OF_A_FUNCTION}"
                yield f"{source.path}:{node.lineno}: {node.name} has {n_lines} lines, {limit}: split it into steps"


def private_names(source: Source) -> Iterator[str]:
    """Names with a leading underscore that are used outside the file that defines them."""
    for each in source.imports:
        if any(map(_is_private, each.name.split("."))):
            yield f"{source.path}:{each.line}: imports {each.name}: remove the underscore of a shared name"
    own = _names_defined_in(source.tree) | PUBLIC_METHODS
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr) and node.attr not in own:
            written = ast.unparse(node)
            if written != f"{PUBLIC_ERRORS}.{node.attr}":
                yield f"{source.path}:{node.lineno}: {written} is private: remove the underscore of a shared name"


def reference_fits(source: Source) -> Iterator[str]:
    """Tests and benchmarks that fit without the helper that pins scikit-learn to one thread."""
    if source.path in PINNED_FITS or not source.path.startswith(("tests/", "benchmarks/")):
        return
    for each in source.imports:
        if each.name.startswith("sklearn.cluster"):
            where = f"{source.path}:{each.line}: imports {each.name}"
            yield f"{where}: use tests.support.kmeans, which fits on one thread"


def _is_private(name: str) -> bool:
    """Whether a name begins with one underscore; two are Python's own."""
    return name.startswith("_") and not name.startswith("__")


def _names_defined_in(tree: ast.AST) -> set[str]:
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


# Rules for files together


def layer_numbers(layers: Sequence[str]) -> dict[str, int]:
    """The layer of each package of classifier/, from 1 for the lowest; several packages may share a layer."""
    return {f"{CLIENT}.{name}": number for number, names in enumerate(layers, start=1) for name in names.split()}


def against_the_order(source: Source, layer_of: Mapping[str, int]) -> Iterator[str]:
    """Imports of a file of classifier/ from its own layer's other packages, from a higher layer, or from above it.

    The modules directly in classifier/ are layer 0, the lowest. Files of one package may import each other.
    """
    package = source.path.rpartition("/")[0].replace("/", ".")
    if package != CLIENT and package not in layer_of:
        yield f"{source.path}: the package {package} is in no layer"
    for each in source.imports:
        where = f"{source.path}:{each.line}: imports {each.name}"
        imported = _package_of(each.name, layer_of)
        if each.top in ABOVE_THE_CLIENT:
            yield f"{where}: {CLIENT}/ does not import what is built on it"
        elif each.name.startswith("."):
            yield f"{where}: write the name in full"
        elif each.top == CLIENT and imported != package and layer_of.get(imported, 0) >= layer_of.get(package, 0):
            yield f"{where}: {imported} is not below {package}: move what both need below both"


def _package_of(name: str, packages: Iterable[str]) -> str:
    """The package of classifier/ that an imported name is from; classifier itself for the modules directly in it."""
    return next((package for package in packages if f"{name}.".startswith(f"{package}.")), CLIENT)


def import_cycles(files: Iterable[Source]) -> list[list[str]]:
    """Modules that import each other, those inside functions included; one list for each cycle."""
    by_name = {source.module: source for source in files}
    left = {
        name: {_module_of(each.name, by_name) for each in source.imports} & set(by_name) - {name}
        for name, source in by_name.items()
    }
    while removable := {name for name, imported in left.items() if not imported & set(left)}:
        left = {name: imported for name, imported in left.items() if name not in removable}
    return [_cycle_in(left)] if left else []


def _cycle_in(imported_by: Mapping[str, set[str]]) -> list[str]:
    """One cycle of a graph in which every module imports another one of it."""
    path = [min(imported_by)]
    while (following := min(imported_by[path[-1]] & set(imported_by))) not in path:
        path.append(following)
    return path[path.index(following) :]


def _module_of(name: str, modules: Iterable[str]) -> str:
    """The module that an imported name is from, or nothing."""
    return max((module for module in modules if f"{name}.".startswith(f"{module}.")), key=len, default="")


def heavy_reports(files: Iterable[Source]) -> dict[str, str]:
    """Report -> the heavy library that its import loads, directly or through another report."""
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
    """Whether a file is a report: only these may import a heavy library at the top."""
    return source.module.startswith(f"{CLIENT}.reports.")


def _heavy_imports(source: Source, heavy: Mapping[str, str]) -> Iterator[tuple[Import, str]]:
    """The heavy imports at the top of a file, each with the library that is slow."""
    for each in source.imports:
        library = each.top if each.top in HEAVY else heavy.get(_module_of(each.name, heavy), "")
        if each.at_import and library:
            yield each, library


def heavy_at_import(source: Source, heavy: Mapping[str, str]) -> Iterator[str]:
    """Heavy imports at the top of a file that is no report."""
    if not _is_report(source):
        for each, library in _heavy_imports(source, heavy):
            where = f"{source.path}:{each.line}: imports {each.name}"
            yield f"{where}, and {library} is slow to import: import it in the function that needs it"


def top_level_entries(root: Path) -> set[str]:
    """Files and folders at the top of the repository, as git has them; without git, all that are not ignored."""
    if (root / ".git").exists():
        done = subprocess.run(["git", "ls-files", "-z"], cwd=root, capture_output=True, text=True, check=True)
        return {name.partition("/")[0] for name in done.stdout.split("\0") if name}
    ignored = {line.strip("/") for line in (root / ".gitignore").read_text(encoding="utf-8").splitlines()}
    return {path.name for path in root.iterdir()} - ignored

"""The layout of the repository: top level, length of files and functions, direction of imports.

A new file in a package needs no entry here; a new package of classifier/ needs a layer.
"""

from collections.abc import Callable, Iterator

import pytest

from tests.support.client import ROOT
from tests.support.layout import (
    SCRIPT,
    Source,
    against_the_order,
    heavy_at_import,
    heavy_reports,
    import_cycles,
    layer_numbers,
    long_functions,
    private_names,
    reference_fits,
    sources,
    too_long,
    top_level_entries,
    without_docstring,
    without_subject,
)

Rule = Callable[[Source], Iterator[str]]

# The packages of classifier/, the lowest first: each imports only from layers above its own in this list, and from the
# modules directly in classifier/, which import no package. The script imports from all of them.
LAYERS = (
    "config",
    "kafka",
    "serialization",
    "clustering",
    "reports",
    "loop",
    "users cells",
    "commands",
)
LAYER_OF = layer_numbers(LAYERS)
TOP_LEVEL = {
    *("user_classifier.py", "configurations", "sql", "img", "requirements.txt", "README.md", "tests"),
    *("classifier", "local", "dashboard", "benchmarks", "docs", "Makefile", "pyproject.toml", "Dockerfile"),
    *("CHANGELOG.md", ".ci", ".gitignore", ".dockerignore", "requirements.lock", "deploy"),
}
CLIENT = sources(ROOT, SCRIPT, "classifier/**/*.py")
PRODUCT = [*CLIENT, *sources(ROOT, "dashboard/**/*.py", "local/**/*.py", "benchmarks/**/*.py", "img/**/*.py")]
EVERYTHING = [*PRODUCT, *sources(ROOT, "tests/**/*.py")]


def violations(rule: Rule, files: list[Source]) -> list[str]:
    """All violations of a rule."""
    return [violation for source in files for violation in rule(source)]


def order(source: Source) -> Iterator[str]:
    """The order of the packages, with the layers above."""
    return against_the_order(source, LAYER_OF)


def lightness(source: Source) -> Iterator[str]:
    """The rule of heavy libraries, with the reports of the client."""
    return heavy_at_import(source, heavy_reports([*CLIENT, source]))


@pytest.mark.parametrize("rule", [too_long, without_docstring, private_names])
def test_every_file_of_the_product_keeps(rule: Rule) -> None:
    assert violations(rule, PRODUCT) == []


@pytest.mark.parametrize("rule", [without_subject, long_functions, reference_fits])
def test_every_file_keeps(rule: Rule) -> None:
    assert violations(rule, EVERYTHING) == []


def test_packages_are_imported_in_one_direction() -> None:
    files = [source for source in CLIENT if source.path != SCRIPT]
    assert violations(order, files) == []
    packages = {source.module for source in files if source.path.endswith("/__init__.py")} - {"classifier"}
    assert packages == set(LAYER_OF), "a layer names a package that does not exist"


def test_no_modules_import_each_other() -> None:
    assert import_cycles(EVERYTHING) == []


def test_heavy_libraries_are_imported_when_they_are_used() -> None:
    assert violations(lightness, CLIENT) == []
    assert "classifier.reports.plot" in heavy_reports(CLIENT), "or the rule checks nothing"


def test_the_top_level_holds_nothing_else() -> None:
    found = top_level_entries(ROOT)
    assert found - TOP_LEVEL == set(), "move it into the folder of its subject"
    assert {SCRIPT, "classifier", "tests"} < found


NOT_ABOVE = "classifier/ does not import what is built on it"
NO_UNDERSCORE = "remove the underscore of a shared name"
SLOW = "is slow to import: import it in the function that needs it"


@pytest.mark.parametrize(
    ("rule", "path", "text", "violation"),
    [
        (too_long, SCRIPT, "\n" * 601, ": 601 lines, at most 600: split it by subject"),
        (too_long, "classifier/x.py", "\n" * 401, ": 401 lines, at most 400: split it by subject"),
        (without_docstring, "classifier/x.py", "x = 1\n", ": no docstring: open it with what it provides"),
        *(
            (without_subject, path, "", f": {name} is no subject: use the noun that it is about")
            for path, name in {"local/utils.py": "utils", "classifier/common/__init__.py": "common"}.items()
        ),
        (
            long_functions,
            "local/x.py",
            'async def f():\n    """Do."""\n' + "    g()\n" * 41,
            ":1: f has 41 lines, at most 40: split it into steps",
        ),
        (private_names, "img/x.py", "from local.y import _z\n", f":1: imports local.y._z: {NO_UNDERSCORE}"),
        (private_names, "img/x.py", "import numpy._core\n", f":1: imports numpy._core: {NO_UNDERSCORE}"),
        (private_names, "img/x.py", "import y\ny._z()\n", f":2: y._z is private: {NO_UNDERSCORE}"),
        (private_names, "img/x.py", "def f(y):\n    y._z = 1\n", f":2: y._z is private: {NO_UNDERSCORE}"),
        (
            reference_fits,
            "tests/unit/test_x.py",
            "def f():\n    from sklearn.cluster import KMeans\n",
            ":2: imports sklearn.cluster.KMeans: use tests.support.kmeans, which fits on one thread",
        ),
        (order, "classifier/x/y.py", "", ": the package classifier.x is in no layer"),
        (
            order,
            "classifier/serialization/avro.py",
            "def f():\n    from classifier import reports\n",
            ":2: imports classifier.reports: classifier.reports is not below classifier.serialization:"
            " move what both need below both",
        ),
        (
            order,
            "classifier/cells/x.py",
            "from classifier.users.table import UserTable\n",
            ":1: imports classifier.users.table.UserTable: classifier.users is not below classifier.cells:"
            " move what both need below both",
        ),
        (
            order,
            "classifier/row.py",
            "from classifier.config.settings import Settings\n",
            ":1: imports classifier.config.settings.Settings: classifier.config is not below classifier:"
            " move what both need below both",
        ),
        *(
            (order, "classifier/commands/x.py", f"from {name} import x\n", f":1: imports {name}.x: {NOT_ABOVE}")
            for name in (
                "user_classifier",
                "local.services.kafka",
                "benchmarks",
                "img",
                "tests.support",
                "dashboard",
            )
        ),
        (order, "classifier/commands/x.py", "from .y import z\n", ":1: imports .y.z: write the name in full"),
        (
            lightness,
            "classifier/commands/x.py",
            "def f():\n    import scipy\nimport sklearn.cluster\n",
            f":3: imports sklearn.cluster, and sklearn {SLOW}",
        ),
        (
            lightness,
            SCRIPT,
            "from classifier.reports.elbow import draw\n",
            f":1: imports classifier.reports.elbow.draw, and matplotlib {SLOW}",
        ),
    ],
)
def test_a_file_that_breaks_a_rule(rule: Rule, path: str, text: str, violation: str) -> None:
    assert list(rule(Source(path, text))) == [path + violation]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (too_long, "\n" * 400),
        (without_docstring, '"""What it provides."""\n'),
        (long_functions, 'def f():\n    """Do.\n\n    So.\n    """\n' + "    g()\n" * 40),
        (private_names, "class A:\n    def _b(self):\n        self._c = a._b()\n        return a._c, row._replace()\n"),
        (private_names, "from confluent_kafka import KafkaError\nKafkaError._TRANSPORT\n__import__('x').__name__\n"),
        (order, "from classifier.errors import ClassifierError\nfrom classifier import __version__\n"),
        (order, "from classifier.users.table import UserTable\nfrom classifier.commands.export import export\n"),
        (lightness, "import numpy\nfrom classifier.reports import build\ndef f():\n    from pandas import DataFrame\n"),
    ],
)
def test_a_file_that_keeps_a_rule(rule: Rule, text: str) -> None:
    assert list(rule(Source("classifier/commands/x.py", text))) == []


def test_a_cycle_is_found_in_the_file_and_in_a_function() -> None:
    imported = {"a": "import classifier.b\n", "b": "def f():\n    from classifier.c import d\n", "c": "", "d": ""}
    files = [Source(f"classifier/{name}.py", text) for name, text in imported.items()]
    assert import_cycles(files) == []
    back = Source("classifier/c.py", "from classifier import a\n")
    assert import_cycles([*files, back]) == [["classifier.a", "classifier.b", "classifier.c"]]

"""The house: what lies at the top, how long files and functions are, who imports whom. Each rule was seen to fail."""

from collections.abc import Callable, Iterator

import pytest

from tests.support.client import ROOT
from tests.support.layout import (
    SCRIPT,
    Source,
    against_the_direction,
    at_the_top,
    heavy_at_once,
    heavy_reports,
    layer_numbers,
    long_functions,
    private_names,
    sources,
    too_long,
    without_promise,
    without_subject,
)

Rule = Callable[[Source], Iterator[str]]

# The modules of classifier/: each imports only from the lines below its own. The script is above all of them.
LAYERS = (
    "look check export reports.asked reports.effective reports.jsonlog",
    "intake cell_intake connection number_of_clusters schedule reports.elbow",
    "topic_watch several_rows glance",
    "state comparison topics reports.metrics reports.plot reports.progress reports.summary",
    "changelog marks sink source exploration search reports.periodic",
    "kafka keys input_keys labels cell_records user_table reports",
    "avro settings lattice multisets",
    "registry rows records columns",
    "configuration parsing outage pace stop step label_names clusters schemas",
    "values streams transport cells",
    "errors text properties scaling reports.target",
)
LAYER_OF = layer_numbers(LAYERS)
# What the user asked for, then ours; a new thing finds its place in one of these.
TOP = {
    *("user_classifier.py", "configurations", "sql", "img", "requirements.txt", "README.md", "tests"),
    *("classifier", "local", "dashboard", "benchmarks", "docs", "Makefile", "pyproject.toml", "Dockerfile"),
    *("CHANGELOG.md", ".ci", ".gitignore", ".dockerignore", "requirements.lock", "deploy"),
}
CLIENT = sources(ROOT, SCRIPT, "classifier/**/*.py")
PRODUCT = [*CLIENT, *sources(ROOT, "dashboard/**/*.py", "local/**/*.py", "benchmarks/**/*.py", "img/**/*.py")]
EVERYTHING = [*PRODUCT, *sources(ROOT, "tests/**/*.py")]


def complaints(rule: Rule, files: list[Source]) -> list[str]:
    """What a rule says of some files."""
    return [told for source in files for told in rule(source)]


def direction(source: Source) -> Iterator[str]:
    """The rule of the layers, for the layers above."""
    return against_the_direction(source, LAYER_OF)


def lightness(source: Source) -> Iterator[str]:
    """The rule of heavy libraries, in the client as it is."""
    return heavy_at_once(source, heavy_reports([*CLIENT, source]))


@pytest.mark.parametrize("rule", [too_long, without_promise, private_names])
def test_every_file_of_the_product_keeps(rule: Rule) -> None:
    assert complaints(rule, PRODUCT) == []


@pytest.mark.parametrize("rule", [without_subject, long_functions])
def test_every_file_keeps(rule: Rule) -> None:
    assert complaints(rule, EVERYTHING) == []


def test_imports_run_one_way() -> None:
    parts = [source for source in CLIENT if source.path != SCRIPT]
    assert complaints(direction, parts) == []
    assert {source.module for source in parts} == set(LAYER_OF), "a layer names what is not there"


def test_heavy_libraries_are_imported_when_asked_for() -> None:
    assert complaints(lightness, CLIENT) == []
    assert "classifier.reports.plot" in heavy_reports(CLIENT), "or the rule looks at nothing"


def test_nothing_else_lies_at_the_top() -> None:
    found = at_the_top(ROOT)
    assert found - TOP == set(), "put it into the folder of its subject"
    assert {SCRIPT, "classifier", "tests"} < found


NAMED_IN_FULL = "a part knows nothing of what is made of it, and names in full what it is made of"
NO_UNDERSCORE = "what others need has no underscore"
SLOW = "is slow to import: do so in the function that needs it"


@pytest.mark.parametrize(
    ("rule", "path", "text", "told"),
    [
        (too_long, SCRIPT, "\n" * 601, ": 601 lines, at most 600: part it by subject"),
        (too_long, "classifier/x.py", "\n" * 351, ": 351 lines, at most 350: part it by subject"),
        (without_promise, "classifier/x.py", "x = 1\n", ": no docstring: open it with what it promises"),
        *(
            (without_subject, path, "", f": {name} is no subject: name it after the one noun that it is about")
            for path, name in {"local/utils.py": "utils", "classifier/common/__init__.py": "common"}.items()
        ),
        (
            long_functions,
            "local/x.py",
            'async def f():\n    """Do."""\n' + "    g()\n" * 41,
            ":1: f has 41 lines, at most 40: give its steps names",
        ),
        (private_names, "img/x.py", "from local.y import _z\n", f":1: imports local.y._z: {NO_UNDERSCORE}"),
        (private_names, "img/x.py", "import numpy._core\n", f":1: imports numpy._core: {NO_UNDERSCORE}"),
        (private_names, "img/x.py", "import y\ny._z()\n", f":2: y._z is of another module: {NO_UNDERSCORE}"),
        (private_names, "img/x.py", "def f(y):\n    y._z = 1\n", f":2: y._z is of another module: {NO_UNDERSCORE}"),
        (direction, "classifier/x.py", "", ": in no layer: put it into the lowest one above all that it imports"),
        (
            direction,
            "classifier/serialization/avro.py",
            "def f():\n    from classifier import sink\n",
            ":2: imports classifier.sink: classifier.sink is not below it: what both need belongs below both",
        ),
        (
            direction,
            "classifier/row.py",
            "from classifier.registry import Subject\n",
            ":1: imports classifier.registry.Subject: classifier.registry is not below it:"
            " what both need belongs below both",
        ),
        (direction, "classifier/row.py", "import classifier.x\n", ":1: imports classifier.x, which is in no layer"),
        *(
            (
                direction,
                "classifier/commands/preview.py",
                f"from {name} import x\n",
                f":1: imports {name}.x: {NAMED_IN_FULL}",
            )
            for name in (
                "user_classifier",
                "local.services.kafka",
                "benchmarks",
                "img",
                "tests.support",
                "dashboard",
                ".text",
            )
        ),
        (
            lightness,
            "classifier/reports/step.py",
            "def f():\n    import scipy\nimport sklearn.cluster\n",
            f":3: imports sklearn.cluster at once, and sklearn {SLOW}",
        ),
        (
            lightness,
            SCRIPT,
            "from classifier.reports.elbow import draw\n",
            f":1: imports classifier.reports.elbow.draw at once, and matplotlib {SLOW}",
        ),
    ],
)
def test_a_file_that_breaks_a_rule(rule: Rule, path: str, text: str, told: str) -> None:
    assert list(rule(Source(path, text))) == [path + told]


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (too_long, "\n" * 350),
        (without_promise, '"""What it promises."""\n'),
        (long_functions, 'def f():\n    """Do.\n\n    So.\n    """\n' + "    g()\n" * 40),
        (private_names, "class A:\n    def _b(self):\n        self._c = a._b()\n        return a._c, row._replace()\n"),
        (private_names, "from confluent_kafka import KafkaError\nKafkaError._TRANSPORT\n__import__('x').__name__\n"),
        (direction, "from classifier.errors import ClassifierError\n"),
        (lightness, "import numpy\nfrom classifier.reports import asked\ndef f():\n    from pandas import DataFrame\n"),
    ],
)
def test_a_file_that_keeps_a_rule(rule: Rule, text: str) -> None:
    assert list(rule(Source("classifier/commands/preview.py", text))) == []

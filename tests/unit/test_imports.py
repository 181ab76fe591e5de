"""What the code imports: no private module of a library, which the next release may remove."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
OURS = {"benchmarks", "classifier", "dashboard", "img", "local", "tests", "user_classifier"}
INTERNAL = {"confluent_kafka.cimpl"}  # private, although its name does not say so


def imported(text: str) -> Iterator[str]:
    """Every module and name that a file imports from a library, dotted."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{each.name}" for each in node.names)


def private(text: str) -> list[str]:
    """Those that are private to the library."""
    found = [each for each in imported(text) if each.partition(".")[0] not in {*OURS, *sys.stdlib_module_names}]
    hidden = [each for each in found if any(part.startswith("_") for part in each.split("."))]
    return hidden + [each for each in found if each.startswith(tuple(INTERNAL))]


FILES = [path for folder in OURS for path in (ROOT / folder).rglob("*.py")] + [ROOT / "user_classifier.py"]


def test_nothing_private_is_imported() -> None:
    assert len(FILES) > 150
    assert {str(path.relative_to(ROOT)): found for path in FILES if (found := private(path.read_text()))} == {}


@pytest.mark.parametrize(
    "line",
    [
        "from confluent_kafka.schema_registry.common._httpx_compat import httpx",
        "import confluent_kafka.admin._acl",
        "from confluent_kafka.admin import _acl",
        "from confluent_kafka.cimpl import NewTopic",
        "def late():\n    import sklearn.cluster._kmeans",
    ],
)
def test_what_is_private_is_found(line: str) -> None:
    assert len(private(line)) == 1

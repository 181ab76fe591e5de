"""The way of a record through the client, step by step, held to the code: a step names the function that takes it."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

from img.graphviz import DARK, LIGHT


@dataclass(frozen=True)
class Step:
    """One step of the way: what happens, in which room, in which function of it (or Class.method)."""

    name: str
    room: str
    function: str


WAY = (
    Step("consume", "source", "Source.read"),
    Step("net", "changelog", "Batch.take"),
    Step("decode", "avro", "AvroReader.all_fields"),
    Step("check rows", "rows", "user_rows"),
    Step("settle", "user_table", "UserTable.settle"),
    Step("encode user_id", "user_classifier", "one_hot_totals"),
    Step("fit", "user_classifier", "cluster"),
    Step("changed labels", "user_table", "UserTable.relabel"),
    Step("output records", "state", "label_records"),
    Step("encode values", "labels", "LabelCodec.encode"),
    Step("encode keys", "keys", "KeyCodec.encode"),
    Step("produce, commit", "sink", "Sink.write"),
)

COLOURS = {
    "light": LIGHT | {"import": "#a4aeb8", "way": "#c2410c", "badge": "#c2410c"},
    "dark": DARK | {"line": "#b1bac4", "import": "#5b6571", "way": "#f0883e", "badge": "#f0883e"},
}
"""By the colour scheme of the reader's page."""


def line_of(step: Step, code: str, where: str) -> int:
    """Return the line in which the step's function begins; RuntimeError if the code does not define it."""
    lines = dict(definitions(ast.parse(code)))
    if step.function not in lines:
        raise RuntimeError(
            f"{where} does not define {step.function}, where a record's way has its step {step.name!r};"
            " name the right function, or room, in img/way.py"
        )
    return lines[step.function]


def definitions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield functions, and methods as Class.method, each with the line it begins in."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node.lineno
        elif isinstance(node, ast.ClassDef):
            methods = [each for each in node.body if isinstance(each, ast.FunctionDef)]
            yield from ((f"{node.name}.{method.name}", method.lineno) for method in methods)

"""The diagram of the architecture, drawn by Graphviz from sources/architecture.dot, for light and for dark pages."""

from collections.abc import Mapping
from pathlib import Path
from string import Template

from img.graphviz import badge, graphviz
from img.paths import IMG, SOURCES
from img.style import DARK, LIGHT

SOURCE = SOURCES / "architecture.dot"
N_STEPS = 10

PICTURES = {"architecture-light.svg": LIGHT, "architecture-dark.svg": DARK}
"""A page shows the one that fits the colour scheme of its reader."""


def draw_architecture() -> list[Path]:
    """Draw both pictures; return their paths."""
    source = SOURCE.read_text(encoding="utf-8")
    paths = []
    for name, colours in PICTURES.items():
        path = IMG / name
        path.write_text(graphviz(filled_in(source, colours), SOURCE.name), encoding="utf-8")
        paths.append(path)
    return paths


def filled_in(source: str, colours: Mapping[str, str]) -> str:
    """Return the DOT source with its $names replaced by colours and badges; KeyError for an unknown name."""
    badges = {f"step_{number}": badge(number, colours) for number in range(1, N_STEPS + 1)}
    return Template(source).substitute(colours, **badges)

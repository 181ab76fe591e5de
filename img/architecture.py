"""The architecture, from sources/architecture.dot: in colours for light and for dark pages, by Graphviz."""

from collections.abc import Mapping
from pathlib import Path
from string import Template

from img.graphviz import DARK, LIGHT, badge, graphviz
from img.places import IMG, SOURCES

SOURCE = SOURCES / "architecture.dot"
N_STEPS = 10

PICTURES = {"architecture-light.svg": LIGHT, "architecture-dark.svg": DARK}
"""A page picks one by its reader's colour scheme."""


def draw_architecture() -> list[Path]:
    """Draw both pictures; return where they are."""
    source = SOURCE.read_text(encoding="utf-8")
    paths = []
    for name, colours in PICTURES.items():
        path = IMG / name
        path.write_text(graphviz(filled_in(source, colours), SOURCE.name), encoding="utf-8")
        paths.append(path)
    return paths


def filled_in(source: str, colours: Mapping[str, str]) -> str:
    """Return the DOT text with its $names replaced by colours and badges; KeyError for one that is unknown."""
    badges = {f"step_{number}": badge(number, colours) for number in range(1, N_STEPS + 1)}
    return Template(source).substitute(colours, **badges)

"""The architecture, from sources/architecture.dot: in colours for light and for dark pages, by Graphviz."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from string import Template

from img.places import IMG, NODE_MODULES, SOURCES

SOURCE = SOURCES / "architecture.dot"
N_STEPS = 10

FONTS = "Helvetica,Arial,'Liberation Sans',sans-serif"
"""Of one width: Graphviz lays out with Helvetica, a reader's machine has one of these."""

LIGHT = {
    "paper": "#ffffff", "ink": "#1f2328", "line": "#59636e", "outside": "#eef0f2", "topic": "#fff3d6",
    "flink": "#dbeafe", "client": "#d8f3dc", "badge": "#1f2328", "number": "#ffffff",
}  # fmt: skip
DARK = {
    "paper": "#0d1117", "ink": "#e6edf3", "line": "#9198a1", "outside": "#2a313c", "topic": "#4a3a10",
    "flink": "#14365f", "client": "#124226", "badge": "#e6edf3", "number": "#0d1117",
}  # fmt: skip
PICTURES = {"architecture-light.svg": LIGHT, "architecture-dark.svg": DARK}
"""A page picks one by its reader's colour scheme."""


def draw_architecture() -> list[Path]:
    """Draw both pictures; return where they are."""
    source = SOURCE.read_text(encoding="utf-8")
    paths = []
    for name, colours in PICTURES.items():
        path = IMG / name
        path.write_text(with_fonts(graphviz(filled_in(source, colours))), encoding="utf-8")
        paths.append(path)
    return paths


def filled_in(source: str, colours: Mapping[str, str]) -> str:
    """Return the DOT text with its $names replaced by colours and badges; KeyError for one that is unknown."""
    badges = {f"step_{number}": badge(number, colours) for number in range(1, N_STEPS + 1)}
    return Template(source).substitute(colours, **badges)


def badge(number: int, colours: Mapping[str, str]) -> str:
    """Return the number of a step in a small round field, as a label of Graphviz."""
    size = 'WIDTH="22" HEIGHT="16"'
    return (
        f'<TABLE BORDER="0" CELLPADDING="0" CELLSPACING="0" STYLE="ROUNDED" BGCOLOR="{colours["badge"]}" {size}'
        f' FIXEDSIZE="TRUE"><TR><TD {size}><FONT COLOR="{colours["number"]}" POINT-SIZE="11">{number}</FONT></TD></TR>'
        "</TABLE>"
    )


def graphviz(dot: str) -> str:
    """Return the SVG that Graphviz makes of a DOT text; RuntimeError with its messages, warnings among them."""
    answer = subprocess.run(
        [Path(sys.executable).with_name("node"), IMG / "graphviz.cjs"],
        input=dot,
        capture_output=True,
        encoding="utf-8",
        env={**os.environ, "NODE_PATH": str(NODE_MODULES)},
        check=False,
    )
    if answer.returncode != 0:
        raise RuntimeError(f"Graphviz on {SOURCE.name}: {answer.stderr.strip()}")
    return answer.stdout


def with_fonts(svg: str) -> str:
    """Return the picture with fonts of the same width behind Helvetica, which not every machine has."""
    return svg.replace('font-family="Helvetica"', f'font-family="{FONTS}"')

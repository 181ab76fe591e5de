"""Graphviz, and what its pictures share: colours for light and for dark pages, numbers as badges, fonts."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from img.places import IMG, NODE_MODULES

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


def badge(number: int, colours: Mapping[str, str]) -> str:
    """Return the number of a step in a small round field, as a label of Graphviz."""
    size = 'WIDTH="22" HEIGHT="16"'
    return (
        f'<TABLE BORDER="0" CELLPADDING="0" CELLSPACING="0" STYLE="ROUNDED" BGCOLOR="{colours["badge"]}" {size}'
        f' FIXEDSIZE="TRUE"><TR><TD {size}><FONT COLOR="{colours["number"]}" POINT-SIZE="11">{number}</FONT></TD></TR>'
        "</TABLE>"
    )


def graphviz(dot: str, name: str) -> str:
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
        raise RuntimeError(f"Graphviz on {name}: {answer.stderr.strip()}")
    return with_fonts(answer.stdout)


def with_fonts(svg: str) -> str:
    """Return the picture with fonts of the same width behind Helvetica, which not every machine has."""
    return re.sub(r'font-family="Helvetica[^"]*"', f'font-family="{FONTS}"', svg)

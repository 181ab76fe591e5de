"""Graphviz, run by the Node.js of the virtual environment, and what its input is made of."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from img.paths import IMG, NODE_MODULES
from img.style import FONTS


def badge(number: int, colours: Mapping[str, str]) -> str:
    """Return the number of a step in a small rounded field, as an HTML-like label."""
    size = 'WIDTH="22" HEIGHT="16"'
    return (
        f'<TABLE BORDER="0" CELLPADDING="0" CELLSPACING="0" STYLE="ROUNDED" BGCOLOR="{colours["badge"]}" {size}'
        f' FIXEDSIZE="TRUE"><TR><TD {size}><FONT COLOR="{colours["number"]}" POINT-SIZE="11">{number}</FONT></TD></TR>'
        "</TABLE>"
    )


def graphviz(dot: str, name: str) -> str:
    """Return the SVG that Graphviz draws from DOT; RuntimeError with its messages, warnings included."""
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
    """Return the SVG with FONTS instead of Helvetica alone, which not every machine has."""
    return re.sub(r'font-family="Helvetica[^"]*"', f'font-family="{FONTS}"', svg)

"""What the rooms were before: one script, drawn from its own section headings, its sections as tall as they were long.

The way of a record jumps through it. The commit never changes: where git does not know it, the pictures stay.
"""

import math
import re
import subprocess
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from img.graphviz import FONTS
from img.places import IMG
from img.way import COLOURS, Step, line_of
from local.services.artifacts import ROOT

COMMIT = "0c4b5db864094057e3e9987df8783103bd2610f6"
SCRIPT = "user_classifier.py"
HEADING = re.compile(r"# -{20,} (.+)")
LEGEND = (
    f"{SCRIPT} before it was parted: each section with its number of lines.",
    "The strong arrows are the way of a record: each step with the function that took it.",
)
PICTURES = {f"rooms-before-{scheme}.svg": colours for scheme, colours in COLOURS.items()}

FUNCTIONS = {
    "consume": "Source.read",
    "net": "Batch.take",
    "decode": "AvroReader.all_fields",
    "check rows": "user_rows",
    "settle": "UserTable.settle",
    "encode user_id": "one_hot_totals",
    "fit": "cluster",
    "changed labels": "UserTable.relabel",
    "output records": "label_records",
    "encode values": "LabelCodec.encode",
    "encode keys": "KeyCodec.encode",
    "produce, commit": "Sink.write",
}
WAY = [Step(name, SCRIPT, function) for name, function in FUNCTIONS.items()]

# All in pixels.
PER_LINE = 0.3
LEFT, TOP, WIDTH, BELOW = 12, 42, 440, 46
BADGE = 24, 15  # of a step's number: width, height
APART, INSIDE = 17, 8  # from one step to the next below it, and to the end of its section; at least
REACH, REACH_PER_PIXEL = 34, 0.9  # how far a jump swings out: a little, and more the further it goes
BESIDE = 270  # what the longest jump needs beside the sections


class Section(NamedTuple):
    """Lines of the script under one heading."""

    name: str
    first: int
    n_lines: int

    def holds(self, line: int) -> bool:
        """Whether a line is among these."""
        return self.first <= line < self.first + self.n_lines


def draw_one_room() -> list[Path]:
    """Draw the script for light and for dark pages, if git knows it; return where the pictures are."""
    script = script_before()
    paths = []
    for name, colours in PICTURES.items() if script else ():
        path = IMG / name
        path.write_text(as_svg(script, colours), encoding="utf-8")
        paths.append(path)
    return paths


def script_before() -> str:
    """Return the script as it was; nothing in a clone without git or that commit."""
    try:
        command = ["git", "-C", str(ROOT), "show", f"{COMMIT}:{SCRIPT}"]
        return subprocess.run(command, capture_output=True, encoding="utf-8", check=True).stdout
    except (FileNotFoundError, subprocess.CalledProcessError):
        return ""


def sections(script: str) -> list[Section]:
    """Return the sections of a script in order; what stands above the first heading is one, too."""
    lines = script.splitlines()
    headings = {number: match[1] for number, line in enumerate(lines, 1) if (match := HEADING.fullmatch(line))}
    names = {1: "docstring, imports", **headings}
    return [
        Section(name, first, following - first)
        for (first, name), following in zip(names.items(), [*headings, len(lines) + 1], strict=True)
    ]


def as_svg(script: str, colours: Mapping[str, str]) -> str:
    """Return the picture."""
    n_lines, parts = len(script.splitlines()), sections(script)
    steps = [line_of(step, script, f"{SCRIPT} at {COMMIT[:7]}") for step in WAY]
    heights, bottom = step_heights(steps, parts), height_of(n_lines + 1)
    width, height = LEFT + WIDTH + BESIDE, round(bottom) + BELOW
    title = f'<tspan font-weight="bold">{SCRIPT}</tspan> {small(f"{n_lines:,} lines", colours)}'
    drawn = (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg"'
        f' font-family="{FONTS}" font-size="13" fill="{colours["ink"]}">',
        arrowhead(colours),
        f'<rect width="{width}" height="{height}" fill="{colours["paper"]}"/>',
        text(LEFT, TOP - 12, title),
        *(drawn_section(section, steps, colours) for section in parts),
        *(jump(one, other, colours) for one, other in pairwise(heights)),
        *(drawn_step(number, step, at, colours) for number, (step, at) in enumerate(zip(WAY, heights, strict=True), 1)),
        *(text(LEFT, bottom + 20 + 16 * row, line) for row, line in enumerate(LEGEND)),
        "</svg>\n",
    )
    return "\n".join(drawn)


def height_of(line: int) -> float:
    """Return where the top of a line is drawn."""
    return TOP + (line - 1) * PER_LINE


def step_heights(steps: list[int], parts: list[Section]) -> list[float]:
    """Return where the steps are drawn: near their lines, each with room for its name inside its section."""
    heights, least, most = {line: height_of(line) for line in steps}, -math.inf, math.inf
    for line in sorted(steps):  # down, away from the one above
        least = heights[line] = max(heights[line], least + APART)
    ends = {line: height_of(part.first + part.n_lines) for part in parts for line in steps if part.holds(line)}
    for line in sorted(steps, reverse=True):  # and up again, away from the end of the section
        most = heights[line] = min(heights[line], ends[line] - INSIDE, most - APART)
    return [heights[line] for line in steps]


def drawn_section(section: Section, steps: list[int], colours: Mapping[str, str]) -> str:
    """Return a section, in the colour of the client where the way comes by."""
    top, height = height_of(section.first), section.n_lines * PER_LINE
    return (
        f'<rect x="{LEFT}" y="{top:.1f}" width="{WIDTH}" height="{height:.1f}" stroke="{colours["line"]}"'
        f' fill="{colours["client" if any(map(section.holds, steps)) else "outside"]}"/>'
        + text(
            LEFT + 8, top + 17, f'<tspan font-weight="bold">{section.name}</tspan> {small(section.n_lines, colours)}'
        )
    )


def drawn_step(number: int, step: Step, at: float, colours: Mapping[str, str]) -> str:
    """Return a step, named inside the section, its number on the edge."""
    x, (width, height) = LEFT + WIDTH, BADGE
    return (
        text(x - width / 2 - 6, at + 4.5, f"{step.name} {small(step.function, colours)}", "end")
        + f'<rect x="{x - width / 2}" y="{at - height / 2:.1f}" width="{width}" height="{height}" rx="6"'
        f' fill="{colours["badge"]}"/>'
        + text(x, at + 4, f'<tspan font-size="11.5" fill="{colours["number"]}">{number}</tspan>', "middle")
    )


def jump(one: float, other: float, colours: Mapping[str, str]) -> str:
    """Return the way from one step to the next."""
    x = LEFT + WIDTH + BADGE[0] / 2
    reach = x + REACH + REACH_PER_PIXEL * abs(other - one)
    aside = 4 if other > one else -4  # one arrow comes, one goes
    return (
        f'<path d="M{x},{one + aside:.1f} C{reach:.1f},{one + aside:.1f} {reach:.1f},{other - aside:.1f}'
        f' {x + 4},{other - aside:.1f}" fill="none" stroke="{colours["way"]}" stroke-width="2.4"'
        ' marker-end="url(#arrowhead)"/>'
    )


def arrowhead(colours: Mapping[str, str]) -> str:
    """Return the head of the arrows."""
    return (
        '<marker id="arrowhead" viewBox="0 0 10 10" refX="6" refY="5" markerWidth="4.5" markerHeight="4.5"'
        f' orient="auto"><path d="M0,0 L10,5 L0,10 z" fill="{colours["way"]}"/></marker>'
    )


def text(x: float, y: float, content: str, anchor: str = "start") -> str:
    """Return a line of text."""
    return f'<text x="{x}" y="{y:.1f}" text-anchor="{anchor}">{content}</text>'


def small(content: object, colours: Mapping[str, str]) -> str:
    """Return what is told beside a name."""
    return f'<tspan dx="3" font-size="11" fill="{colours["line"]}">{content}</tspan>'

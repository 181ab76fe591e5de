"""The screen of a terminal as SVG, with a dark background of its own: legible on light and on dark pages."""

import os
import re
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from pyte.screens import Char, Screen
from rich.color import Color, ColorParseError, parse_rgb_hex
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme
from rich.text import Text

FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', 'Liberation Mono', monospace"
"""A picture in a page loads no font; readers' machines have one of these. Each piece of text has a fixed width."""

BACKGROUND = "#0d1117"
INK = "#e6edf3"
COLOURS = (
    *("#484f58", "#ff7b72", "#3fb950", "#d29922", "#58a6ff", "#bc8cff", "#39c5cf", "#b1bac4"),
    *("#8b949e", "#ffa198", "#56d364", "#e3b341", "#79c0ff", "#d2a8ff", "#56d4dd", "#ffffff"),
)
"""The 16 colours of a terminal, black first. All but black are legible on BACKGROUND."""

FORMAT = """\
<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{ font-family: FONTS; font-size: {char_height}px; line-height: {line_height}px; }}
.{unique_id}-title {{ font-family: Helvetica, Arial, sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
""".replace("FONTS", FONTS)
"""The SVG format of Rich without its web fonts."""


SIZE = re.compile(r'viewBox="0 0 ([\d.]+) ([\d.]+)"')
GAP = 16.0
"""Pixels between two windows of a picture."""


class Window(NamedTuple):
    """A screen, or a part of one, with a title."""

    title: str
    lines: Sequence[Text]


def screen_text(screen: Screen) -> list[Text]:
    """Return the lines of the screen with their colours, without the empty ones at its end."""
    lines = [_line([screen.buffer[y][x] for x in range(screen.columns)]) for y in range(screen.lines)]
    while lines and not lines[-1].plain:
        lines.pop()
    return lines


def save_picture(windows: Sequence[Window], path: Path) -> None:
    """Draw the windows below each other, all as wide as the longest line."""
    n_columns = max(line.cell_len for window in windows for line in window.lines)
    pieces = []
    width = height = 0.0
    for number, window in enumerate(windows):
        svg = _window_svg(window, n_columns, f"{path.stem}-{number}")
        size = SIZE.search(svg)
        assert size, "FORMAT has a viewBox"
        pieces.append(svg.replace("<svg ", f'<svg y="{height:g}" ', 1))
        width = float(size[1])
        height += float(size[2]) + GAP
    box = f'viewBox="0 0 {width:g} {height - GAP:g}" width="{width:g}" height="{height - GAP:g}"'
    pieces = [f'<svg {box} xmlns="http://www.w3.org/2000/svg">\n', *pieces, "</svg>\n"]
    path.write_text("".join(pieces), encoding="utf-8")


def _window_svg(window: Window, n_columns: int, unique_id: str) -> str:
    with Path(os.devnull).open("w", encoding="utf-8") as devnull:
        console = Console(record=True, width=n_columns, file=devnull, color_system="truecolor", legacy_windows=False)
        for line in window.lines:
            console.print(line, no_wrap=True, overflow="crop", highlight=False)
    return console.export_svg(title=window.title, theme=_theme(), code_format=FORMAT, unique_id=unique_id)


def _theme() -> TerminalTheme:
    colours: list[tuple[int, int, int]] = [parse_rgb_hex(colour[1:]) for colour in (BACKGROUND, INK, *COLOURS)]
    return TerminalTheme(colours[0], colours[1], colours[2:10], colours[10:])


def _line(characters: Sequence[Char]) -> Text:
    used = [x for x, character in enumerate(characters) if character.data != " " or _has_background(character)]
    text = Text(end="")
    for style, run in groupby(characters[: max(used, default=-1) + 1], _style):
        text.append("".join(character.data for character in run), style)
    return text


def _has_background(character: Char) -> bool:
    return bool(character.reverse) or character.bg != "default"


def _style(character: Char) -> Style:
    return Style(
        color=_colour(character.fg),
        bgcolor=_colour(character.bg),
        bold=character.bold,
        reverse=character.reverse,
        underline=character.underscore,
    )


def _colour(name: str) -> Color | None:
    """Return the colour of a name in pyte: default, one of 16 names, or six hexadecimal digits."""
    if name == "default":
        return None
    name = name.replace("brown", "yellow").replace("bright", "bright_")
    try:
        return Color.parse(name)
    except ColorParseError:
        return Color.parse(f"#{name}")

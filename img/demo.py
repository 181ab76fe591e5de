"""A picture of the terminal during `make demo`: its steps, and the live table of labelled users."""

from pathlib import Path

from img.paths import IMG
from img.screenshot import Window, save_picture, screen_text
from img.terminal import Terminal
from local.services.artifacts import ROOT

N_COLUMNS = 84
N_ROWS = 50
LABELLED_SECONDS = 240.0
"""Time limit until all users are labelled."""
TABLE_SECONDS = 12.0
"""Time until the picture is taken, with all users labelled; the demo shows the table for 20 s."""
STOPPED_SECONDS = 60.0
"""Time limit until the demo has ended."""


def draw_demo() -> Path:
    """Run the demo, draw its screen, and wait for its end; return the path of the picture."""
    path = IMG / "demo.svg"
    with Terminal(["sh"], ROOT, N_COLUMNS, N_ROWS) as terminal:
        terminal.type("make demo")
        terminal.wait(lambda lines: _has(lines, "all 10 users are labelled"), LABELLED_SECONDS)
        terminal.watch(TABLE_SECONDS)
        save_picture([Window("make demo", screen_text(terminal.screen))], path)
        terminal.wait(lambda lines: _has(lines, "stopping everything") and _prompts(lines), STOPPED_SECONDS)
    return path


def _has(lines: list[str], text: str) -> bool:
    return any(text in line for line in lines)


def _prompts(lines: list[str]) -> bool:
    return [line for line in lines if line][-1] == "$"

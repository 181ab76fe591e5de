"""The terminal during `make demo`: its steps, and the table of labelled users while it changes."""

from pathlib import Path

from img.places import IMG
from img.screenshot import Window, save_picture, screen_text
from img.terminal import Terminal
from local.services.artifacts import ROOT

N_COLUMNS, N_ROWS = 84, 50
LABELLED_SECONDS = 240.0
"""How long it may take until all users are labelled."""
TABLE_SECONDS = 12.0
"""How long the table is then watched; the demo shows it for 20 s."""
STOPPED_SECONDS = 60.0


def draw_demo() -> Path:
    """Run it, draw its screen, and let it end."""
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

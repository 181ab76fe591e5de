"""Enrichment and aggregation: the rows of two users before and after, as Flink's SQL client shows them."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from img.pipeline import Pipeline
from img.places import IMG
from img.screenshot import save_picture, screen_text
from img.terminal import Terminal
from local.artifacts import ROOT

ROWS_PER_SECOND = 1
STREAM_SECONDS = 35.0
"""The stream until it is stopped: three or four transactions of each of the ten users."""
COMMIT_SECONDS = 12.0
"""Two statements, one behind the other, commit every five seconds."""
QUIET_SECONDS = 4.0
"""No row for so long: all are there."""
WAIT_SECONDS = 60.0
N_COLUMNS, N_ROWS = 118, 50
PROMPT = "Flink SQL>"
SETTINGS = {
    "sql-client.execution.result-mode": "tableau",
    # Its columns are as wide as their types allow, 30 characters for a text or a DOUBLE: too wide for a page.
    "table.display.max-column-width": "8",
}
WHO = "WHERE user_id IN ('User_1', 'User_2')"


def draw_tables(pipeline: Pipeline) -> list[Path]:
    """Let the stream run a little, stop it, and draw both pictures."""
    pipeline.start_stream(ROWS_PER_SECOND)
    pipeline.run_statements(1, 4)
    time.sleep(STREAM_SECONDS)
    pipeline.stop_stream()
    time.sleep(COMMIT_SECONDS)
    with _sql_client(pipeline.directory) as terminal:
        return [
            _draw(terminal, "enrichment", "transactions", "transactions_enriched"),
            _draw(terminal, "aggregation", "transactions_enriched", "transactions_aggregate"),
        ]


@contextmanager
def _sql_client(directory: Path) -> Iterator[Terminal]:
    command = [sys.executable, "-m", "local", "sql", "--directory", str(directory)]
    with Terminal(command, ROOT, N_COLUMNS, N_ROWS) as terminal:
        terminal.wait(_prompts, WAIT_SECONDS)
        for name, value in SETTINGS.items():
            _run(terminal, f"SET '{name}' = '{value}';")
        yield terminal
        terminal.type("QUIT;")


def _draw(terminal: Terminal, name: str, *tables: str) -> Path:
    _run(terminal, "CLEAR;")
    for table in tables:
        terminal.type(f"SELECT * FROM {table} {WHO};")
        terminal.wait(lambda lines: "| +I |" in "\n".join(lines).rpartition(PROMPT)[2], WAIT_SECONDS)
        terminal.settle(QUIET_SECONDS, WAIT_SECONDS)
        terminal.press("^C")
        terminal.wait(_prompts, WAIT_SECONDS)
    path = IMG / f"{name}.svg"
    lines = screen_text(terminal.screen)
    save_picture(lines[:-1], "make sql", path)
    return path


def _run(terminal: Terminal, statement: str) -> None:
    terminal.type(statement)
    terminal.settle(1.0, WAIT_SECONDS)
    terminal.wait(_prompts, WAIT_SECONDS)


def _prompts(lines: list[str]) -> bool:
    """Whether the client waits for a statement."""
    return ([line for line in lines if line] or [""])[-1] == PROMPT

"""Pictures of enrichment and aggregation: rows before and after, as Flink's SQL client shows them."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from img.paths import IMG
from img.pipeline import Pipeline
from img.screenshot import Window, save_picture, screen_text
from img.terminal import Terminal
from local.services.artifacts import ROOT

ROWS_PER_SECOND = 1
STREAM_SECONDS = 8.0
"""How long the stream runs: long enough for a dozen transactions, which a reader can add up."""
COMMIT_SECONDS = 12.0
"""Time for two chained statements, each of which commits every five seconds."""
REFRESH_SECONDS = 4.0
"""The SQL client refreshes its table every second."""
QUIET_SECONDS = 1.0
"""A screen without changes for this long is complete."""
WAIT_SECONDS = 60.0

N_COLUMNS = 94
N_ROWS = 30
PROMPT = "Flink SQL>"
SETTINGS = {
    "sql-client.execution.result-mode": "table",
    # Characters of a STRING or a DOUBLE. The default, 30, is too wide for a page.
    "table.display.max-column-width": "8",
}
PICTURES = {
    "enrichment.svg": ("transactions", "transactions_enriched"),
    "aggregation.svg": ("transactions_enriched", "transactions_aggregate"),
}


def draw_tables(pipeline: Pipeline) -> list[Path]:
    """Run the stream for a short time, stop it, and draw both pictures; return their paths."""
    pipeline.start_stream(ROWS_PER_SECOND)
    pipeline.run_statements(1, 4)
    time.sleep(STREAM_SECONDS)
    pipeline.stop_stream()
    time.sleep(COMMIT_SECONDS)
    tables = dict.fromkeys(table for before_and_after in PICTURES.values() for table in before_and_after)
    with _sql_client(pipeline.directory) as terminal:
        windows = {table: _shown(terminal, table) for table in tables}
    for name, shown in PICTURES.items():
        save_picture([windows[table] for table in shown], IMG / name)
    return [IMG / name for name in PICTURES]


@contextmanager
def _sql_client(directory: Path) -> Iterator[Terminal]:
    command = [sys.executable, "-m", "local", "sql", "--directory", str(directory)]
    with Terminal(command, ROOT, N_COLUMNS, N_ROWS) as terminal:
        terminal.wait(_prompts, WAIT_SECONDS)
        for name, value in SETTINGS.items():
            terminal.type(f"SET '{name}' = '{value}';")
            terminal.settle(QUIET_SECONDS, WAIT_SECONDS)
        yield terminal


def _shown(terminal: Terminal, table: str) -> Window:
    """Return the rows of a table as the SQL client shows them, without repeated empty lines."""
    statement = f"SELECT * FROM {table};"
    terminal.type(statement)
    terminal.wait(lambda lines: any("User_" in line for line in lines), WAIT_SECONDS)
    terminal.watch(REFRESH_SECONDS)
    lines = screen_text(terminal.screen)
    terminal.press("Q")
    terminal.wait(_prompts, WAIT_SECONDS)
    terminal.type("CLEAR;")
    terminal.settle(QUIET_SECONDS, WAIT_SECONDS)
    return Window(statement, [lines[0], *(line for above, line in pairwise(lines) if above.plain or line.plain)])


def _prompts(lines: list[str]) -> bool:
    """Return whether the SQL client shows its prompt."""
    return ([line for line in lines if line] or [""])[-1] == PROMPT

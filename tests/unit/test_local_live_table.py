"""A query's changelog as a table on the terminal."""

import io
import random

from hypothesis import given
from hypothesis import strategies as st

from local.live_table import LiveTable, Screen, follow
from local.sql.sql_gateway import Change

COLUMNS = ["user_id", "total_amount", "label"]


class Terminal(io.StringIO):
    """A file that is a terminal."""

    def isatty(self) -> bool:
        """Return True."""
        return True


def test_a_table_as_text() -> None:
    """Sorted rows, right-aligned numbers, NULL for a missing value."""
    table = LiveTable(COLUMNS)
    for kind, *fields in [
        ("INSERT", "User_9", 102.0, 0),
        ("INSERT", "User_", 2015.4, 1),
        ("UPDATE_BEFORE", "User_", 2015.4, 1),
        ("UPDATE_AFTER", "User_", 2015.4, 2),
        ("INSERT", "User_6", None, 1),
        ("INSERT", "User_7", 1.0, 1),
        ("DELETE", "User_7", 1.0, 1),
    ]:
        table.apply(Change(kind, tuple(fields)))
    assert table.render() == (
        "+---------+--------------+-------+\n"
        "| user_id | total_amount | label |\n"
        "+---------+--------------+-------+\n"
        "| User_   |       2015.4 |     2 |\n"
        "| User_6  |         NULL |     1 |\n"
        "| User_9  |        102.0 |     0 |\n"
        "+---------+--------------+-------+"
    )


def test_a_user_id_begins_no_line() -> None:
    table = LiveTable(["user_id"])
    for user_id in ("a\nERROR x", "b\r\x1b[31m", "c\u2028x"):
        table.apply(Change("INSERT", (user_id,)))
    assert table.render().splitlines()[3:-1] == [
        r"| a\nERROR x  |",
        r"| b\r\x1b[31m |",
        r"| c\u2028x    |",
    ]


@given(st.lists(st.integers(0, 5), max_size=20), st.randoms(use_true_random=False))
def test_rows_and_retractions_in_any_order(values: list[int], rng: random.Random) -> None:
    kept = values[: len(values) // 2]
    changes = [Change("INSERT", (value,)) for value in values]
    changes += [Change("DELETE", (value,)) for value in values[len(kept) :]]
    rng.shuffle(changes)
    table = LiveTable(["n"])
    for change in changes:
        table.apply(change)
    assert table.rows == sorted((value,) for value in kept)


def test_a_table_is_overwritten_on_a_terminal() -> None:
    """Cursor up by the height of the last table, clear, print."""
    out = Terminal()
    screen = Screen(out)
    screen.draw("a\nb")
    screen.draw("c")
    assert out.getvalue() == "a\nb\n\x1b[2A\x1b[Jc\n"


def test_only_tables_to_keep_are_written_to_a_file() -> None:
    out = io.StringIO()
    screen = Screen(out)
    screen.draw("a")
    screen.draw("b", keep=True)
    assert out.getvalue() == "b\n"


def test_follow_stops_at_a_pause_once_it_is_done() -> None:
    """None is a pause; later changes stay unread."""
    changes = iter([Change("INSERT", (1,)), None, Change("INSERT", (2,)), None, Change("INSERT", (3,))])
    table = LiveTable(["n"])
    follow(changes, table, Screen(io.StringIO()), lambda: len(table.rows) == 2)
    assert table.rows == [(1,), (2,)]
    assert list(changes) == [Change("INSERT", (3,))]

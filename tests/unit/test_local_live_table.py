"""A query's changelog as a table."""

import io
import random

from hypothesis import given
from hypothesis import strategies as st

from local.live_table import LiveTable, Screen, follow
from local.sql.sql_gateway import Change

COLUMNS = ["user_id", "total_amount", "label"]


class Terminal(io.StringIO):
    """A file that can be overwritten."""

    def isatty(self) -> bool:
        """It can."""
        return True


def test_rows_and_drawing() -> None:
    """Sorted, numbers to the right, NULL for nothing."""
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


@given(st.lists(st.integers(0, 5), max_size=20), st.randoms(use_true_random=False))
def test_order_does_not_matter(values: list[int], rng: random.Random) -> None:
    """Rows taken back, before or after they are added, are not there; the rest is."""
    kept = values[: len(values) // 2]
    changes = [Change("INSERT", (value,)) for value in values]
    changes += [Change("DELETE", (value,)) for value in values[len(kept) :]]
    rng.shuffle(changes)
    table = LiveTable(["n"])
    for change in changes:
        table.apply(change)
    assert table.rows == sorted((value,) for value in kept)


def test_screen_overwrites_on_a_terminal() -> None:
    """Up by the height of what is there, clear, draw."""
    out = Terminal()
    screen = Screen(out)
    screen.draw("a\nb")
    screen.draw("c")
    assert out.getvalue() == "a\nb\n\x1b[2A\x1b[Jc\n"


def test_screen_keeps_a_file_short() -> None:
    """Only what is to be kept."""
    out = io.StringIO()
    screen = Screen(out)
    screen.draw("a")
    screen.draw("b", keep=True)
    assert out.getvalue() == "b\n"


def test_follow_draws_in_the_pauses_until_it_is_done() -> None:
    """None is a pause; what comes after the end is left."""
    changes = iter([Change("INSERT", (1,)), None, Change("INSERT", (2,)), None, Change("INSERT", (3,))])
    table = LiveTable(["n"])
    follow(changes, table, Screen(io.StringIO()), lambda: len(table.rows) == 2)
    assert table.rows == [(1,), (2,)]
    assert list(changes) == [Change("INSERT", (3,))]

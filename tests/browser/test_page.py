"""The page in a real browser: it shows the content of the topic, follows it, and exports lists."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from dashboard.page import REDRAW_SECONDS
from tests.browser.served import Seen, Served, csv_rows
from tests.support import inside
from tests.support.changelog import Change, Op, Placed, Row, aggregation, cut, place_by_hash
from tests.support.oracle import Labelled
from tests.support.pipeline import Pipeline, Services
from tests.support.waiting import wait_until

NAMES = ("stingy", "standard", "spendthrift")


class Labelling(NamedTuple):
    """A pipeline of several partitions and its page; `later` is the part of the input that is not written yet."""

    pipeline: Pipeline
    page: Served
    later: list[Placed]


@pytest.fixture(scope="module")
def labelling(services: Services, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Labelling]:
    """A pipeline with labels, and a dashboard that serves them."""
    directory = tmp_path_factory.mktemp("page")
    pipeline = Pipeline(services, directory, "page", partitions=3)
    first, later = cut(place_by_hash(aggregation(seed=7, n_users=40, n_transactions=600), 3), [500])
    pipeline.write(first)
    inside.run_to_end(pipeline.arguments())
    arguments = [str(pipeline.file), "-o", pipeline.output, "--label-names", ",".join(NAMES)]
    with Served(arguments, directory / "page.log") as page:
        yield Labelling(pipeline, page, later)


def expected(rows: list[Labelled]) -> dict[str, list[str]]:
    """The expected table of labels of some rows, without the last column."""
    revenue = sum(row.total_amount for row in rows)
    table = {}
    for name, of in [*((f"{label} {NAMES[label]}", label) for label in range(3)), ("all", None)]:
        chosen = [row for row in rows if of in (None, row.label)]
        n = len(chosen)
        amount = sum(row.total_amount for row in chosen)
        mean = sum(row.num_transactions for row in chosen) / n
        shares = f"{n / len(rows):.1%}", f"{amount / revenue:.1%}"
        table[name] = [f"{n:,}", *shares, f"{amount / n:,.2f}", f"{mean:,.1f}"]
    return table


def shown(seen: Seen) -> dict[str, list[str]]:
    """The table of labels on the page, without the last column."""
    return {name: cells[:-1] for name, cells in seen.table("Each label").items()}


def test_a_list_is_the_file_of_an_export(labelling: Labelling, seen: Seen, tmp_path: Path) -> None:
    pipeline = labelling.pipeline
    seen.page.goto(labelling.page.url)
    seen.wait_for_users(len(pipeline.labelling()))
    for name, label in (("all labels", None), ("2 spendthrift", 2)):
        seen.choose_list(name)
        file, chosen = tmp_path / "labels.csv", [] if label is None else ["--export-label", str(label)]
        names = ("--label-names", ",".join(NAMES))
        assert inside.run(pipeline.arguments("--export", str(file), *chosen, *names)).code == 0
        wait_until(lambda: seen.saved() == file.read_bytes(), f"the list of {name}")  # noqa: B023
        topic = {each.user_id for each in pipeline.labelling().values() if label in (None, each.label)}
        assert {row[0] for row in csv_rows(file.read_bytes())} == topic


def test_a_user_is_found(labelling: Labelling, seen: Seen) -> None:
    user_id, row = sorted(labelling.pipeline.labelling().items())[3]
    seen.page.goto(labelling.page.url)
    search = seen.page.get_by_label("user_id, or part of it")
    search.fill(user_id)
    search.press("Enter")
    wait_until(lambda: seen.table("Found"), "the user")
    ((found, cells),) = seen.table("Found").items()
    texts = [f"{row.label} {NAMES[row.label]}", f"{row.total_amount:,.2f}", f"{row.num_transactions:,}"]
    assert (found, cells[:3]) == (user_id, texts)
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\s+(\d+ (s|min|h) )+ago", cells[3])
    search.fill("<b>nobody</b>")
    search.press("Enter")
    seen.page.get_by_text("There is no user <b>nobody</b>.", exact=True).wait_for()


def test_the_plot_by_mouse_and_by_keyboard(labelling: Labelling, seen: Seen) -> None:
    rows = labelling.pipeline.labelling()
    seen.page.goto(labelling.page.url)
    points = seen.page.locator(".scatterlayer .points path.point")
    wait_until(lambda: points.count() == len(rows) + 3, "a point for each user, and the means")
    show_all = seen.page.get_by_role("button", name="Show all users")
    assert show_all.is_disabled()
    points.first.hover(force=True)
    seen.page.locator(".hoverlayer .hovertext", has_text="num_transactions").wait_for()
    box = seen.page.locator(".js-plotly-plot .nsewdrag").first.bounding_box()
    assert box
    seen.page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 0.02 * box["height"])
    seen.page.mouse.down()
    for share in (0.8, 0.99):
        seen.page.mouse.move(box["x"] + share * box["width"], box["y"] + 0.5 * box["height"])
    seen.page.mouse.up()
    wait_until(lambda: 3 <= points.count() < len(rows), "fewer users after zooming in")
    show_all.press("Enter")
    wait_until(lambda: points.count() == len(rows) + 3, "all users again")
    seen.page.get_by_text("linear", exact=True).click()
    seen.page.locator(".xtitle", has_text=re.compile("^total_amount$")).wait_for()
    seen.page.get_by_role("radio", name="linear").press("ArrowRight")
    seen.page.locator(".xtitle", has_text="total_amount (logarithmic)").wait_for()


def test_zooming_by_numbers(labelling: Labelling, seen: Seen) -> None:
    """By keyboard only; a number being typed stays while a user with larger totals arrives."""
    pipeline = labelling.pipeline
    seen.page.goto(labelling.page.url)
    points = seen.page.locator(".scatterlayer .points path.point")
    wait_until(lambda: points.count() == len(pipeline.labelling()) + 3, "a point for each user, and the means")
    seen.page.locator("summary", has_text="Zoom by numbers").press("Enter")
    most = seen.page.get_by_label("num_transactions to")
    most.fill("8")
    pipeline.write([Placed(0, Change(Op.INSERT, Row("far out", 8000.0, 20)))])
    inside.run_to_end(pipeline.arguments())
    rows = pipeline.labelling().values()
    wait_until(lambda: points.count() == len(rows) + 3, "one more user")
    seen.page.wait_for_timeout(1000 * REDRAW_SECONDS)
    assert most.input_value() == "8"
    most.press("Enter")
    some = [row for row in rows if row.num_transactions <= 8]
    assert 3 < len(some) < len(rows)
    wait_until(lambda: points.count() == len(some) + 3, "fewer users after zooming in")


def first_entries(seen: Seen, table: str, n_entries: int) -> dict[str, list[str]]:
    """The first entries of each row of a table on the page, after the row's name."""
    return {name: entries[:n_entries] for name, entries in seen.table(table).items()}


def test_numbers_follow_the_topic(labelling: Labelling, seen: Seen) -> None:
    pipeline = labelling.pipeline
    before = pipeline.labelling()
    commits = pipeline.topics.commit_history(pipeline.group)
    seen.page.goto(labelling.page.url)
    seen.wait_for_users(len(before))
    wait_until(lambda: len(shown(seen)) == 4, "the table of labels")
    assert shown(seen) == expected(list(before.values()))
    assert seen.number("Moved since opened") == "0"
    assert pipeline.topics.commit_history(pipeline.group) == commits, "no offsets are committed"
    pipeline.write(labelling.later)
    inside.run_to_end(pipeline.arguments())
    after = pipeline.labelling()
    assert after != before
    wait_until(lambda: shown(seen) == expected(list(after.values())), f"the new numbers, {shown(seen)}")
    assert seen.problem == ""
    flows = Counter((before[each].label, after[each].label) for each in before.keys() & after.keys())
    moved = sum(count for (old, new), count in flows.items() if old != new)
    assert moved
    wait_until(lambda: seen.number("Moved since opened") == str(moved), "the number of moves")
    wanted = {
        f"from {old} {NAMES[old]}": ["" if new == old else str(flows[old, new]) for new in range(3)] for old in range(3)
    }
    # The table is drawn a moment after the number, and until then may show a snapshot with half of the changes.
    wait_until(lambda: wanted.items() <= first_entries(seen, "Moves between labels", 3).items(), "the table of moves")
    changed = {each for each in after if each not in before or before[each].label != after[each].label}
    touched = changed | (before.keys() - after.keys())
    wait_until(lambda: seen.table("Users who moved").keys() == touched, "the list of users who moved")
    named = {
        user_id: [f"{each[user_id].label} {NAMES[each[user_id].label]}" for each in (before, after)]
        for user_id in changed & before.keys() & after.keys()
    }
    wait_until(lambda: named.items() <= first_entries(seen, "Users who moved", 2).items(), "their labels")
    other = Seen(seen.page.context.new_page())
    other.page.goto(labelling.page.url)
    other.wait_for_users(len(after))
    assert other.number("Moved since opened") == "0", "since that page was opened"
    assert other.table("Moves between labels") == {}
    other.page.close()

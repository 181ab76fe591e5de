"""The page with three features, one of them a time: it takes them from the output, also after another --rebuild."""

import re
from datetime import UTC, datetime
from pathlib import Path

from tests.browser.served import Seen, Served, csv_rows
from tests.integration.test_features import Row, output, rows, write
from tests.support import inside
from tests.support.pipeline import Pipeline, Services
from tests.support.waiting import wait_until

NAMES = "total_amount,num_transactions,last_purchase"
N_USERS = 60
DAY_MS = 86_400_000


def headings(seen: Seen) -> list[str]:
    """The headings of the table of labels; empty while it does not exist."""
    script = """() => [...document.querySelectorAll('table.labels')].slice(0, 1)
        .flatMap(table => [...table.tHead.rows[0].cells]).map(cell => cell.innerText.trim())"""
    found: list[str] = seen.page.evaluate(script)
    return found


def choose(seen: Seen, axis: str, name: str) -> None:
    """Choose the feature of an axis, by keyboard."""
    box = seen.page.get_by_role("combobox", name=f"{axis} axis")
    box.fill(name)
    box.press("Enter")


def titles(seen: Seen) -> list[str]:
    """The titles of both axes of the clusters; fewer while it is drawn."""
    plot = seen.page.locator(".js-plotly-plot").first
    return [text for kind in ("xtitle", "ytitle") for text in plot.locator(f".{kind}").all_text_contents()]


def wait_for_titles(seen: Seen, *expected: str) -> None:
    """Wait until the axes have these titles."""
    wait_until(lambda: titles(seen) == list(expected), f"the axes {expected}, the page shows {titles(seen)}", 180)


def time_text(milliseconds: float) -> str:
    """A time as the page shows it."""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M}"


def expected_means(table: list[Row], label: int) -> list[str]:
    """The expected means of a label."""
    found = [row for row in table if row["label"] == label]
    amount, count, time = (sum(row[name] for row in found) / len(found) for name in NAMES.split(","))
    age = (max(row["last_purchase"] for row in table) - time) / DAY_MS
    return [f"{amount:,.2f}", f"{count:,.1f}", f"{time_text(time)} (age {age:,.1f} days)"]


def test_three_features(services: Services, seen: Seen, tmp_path: Path) -> None:
    pipeline = Pipeline(services, tmp_path, "page_features")
    write(pipeline, [(0, row) for row in rows(N_USERS)])
    inside.run_to_end(pipeline.arguments("--features", NAMES))
    table = list(output(pipeline).values())
    with Served([str(pipeline.file), "-o", pipeline.output], tmp_path / "page.log") as page:
        seen.page.goto(page.url)
        seen.wait_for_users(N_USERS)
        see_labels_and_a_user(seen, table)
        see_axes(seen, table)
        see_list(seen, pipeline, NAMES, tmp_path / "labels.csv")
        inside.run_to_end(pipeline.arguments("--features", "visits", "--rebuild"))
        wait_until(lambda: "mean visits" in headings(seen), f"the new feature, not {headings(seen)}", 180)
        seen.wait_for_no_problem()
        wait_until(lambda: seen.table("Each label")["all"][0] == str(N_USERS), "all users")
        assert headings(seen) == ["label", "users", "share", "mean visits", "since opened"]
        wait_for_titles(seen, "visits", "label")
        see_list(seen, pipeline, "visits", tmp_path / "labels.csv")
    assert "Traceback" not in page.output


def see_labels_and_a_user(seen: Seen, table: list[Row]) -> None:
    """The means of each label, and a user that is searched for."""
    wait_until(lambda: seen.table("Each label"), "the table of labels")
    means = [f"mean {name}" for name in (*NAMES.split(",")[:2], "last_purchase (UTC)")]
    assert headings(seen) == ["label", "users", "share", "share of revenue", *means, "since opened"]
    for label in range(3):
        assert seen.table("Each label")[str(label)][3:-1] == expected_means(table, label)
    search = seen.page.get_by_label("user_id, or part of it")
    search.fill("user 0007")
    search.press("Enter")
    wait_until(lambda: seen.table("Found"), "the user")
    (user,) = (row for row in table if row["user_id"] == "user 0007")
    cells = seen.table("Found")["user 0007"]
    assert cells[:3] == [str(user["label"]), f"{user['total_amount']:,.2f}", f"{user['num_transactions']:,}"]
    assert cells[3].startswith(time_text(user["last_purchase"]))


def see_axes(seen: Seen, table: list[Row]) -> None:
    """The axes are chosen; one of points in time has dates, and takes dates as limits."""
    wait_for_titles(seen, "total_amount", "num_transactions")
    choose(seen, "Horizontal", "last_purchase")
    wait_for_titles(seen, "last_purchase (UTC)", "num_transactions")
    ticks = seen.page.locator(".js-plotly-plot").first.locator(".xtick text")
    assert all(re.match(r"\d{4}-\d\d", text) for text in ticks.all_text_contents())
    points = seen.page.locator(".scatterlayer .points path.point")
    wait_until(lambda: points.count() == N_USERS + 3, "a point for each user, and the means")
    points.first.hover(force=True)
    seen.page.locator(
        ".hoverlayer .hovertext", has_text=re.compile(r"last_purchase \(UTC\) 20\d\d-\d\d-\d\d")
    ).wait_for()
    choose(seen, "Vertical", "last_purchase")
    wait_for_titles(seen, "last_purchase (UTC)", "label")
    choose(seen, "Horizontal", "num_transactions")
    wait_for_titles(seen, "num_transactions", "last_purchase (UTC)")
    choose(seen, "Vertical", "label")
    wait_for_titles(seen, "num_transactions", "label")
    choose(seen, "Horizontal", "last_purchase")
    wait_for_titles(seen, "last_purchase (UTC)", "label")
    seen.page.locator("summary", has_text="Zoom by numbers").press("Enter")
    least = seen.page.get_by_label("last_purchase (UTC) from")
    day = "2023-11-10"
    least.fill(day)
    least.press("Enter")
    some = [row for row in table if time_text(row["last_purchase"]) >= day]
    assert 3 < len(some) < len(table)
    wait_until(lambda: points.count() == len(some) + 3, "fewer users after zooming in")


def see_list(seen: Seen, pipeline: Pipeline, names: str, file: Path) -> None:
    """The list is the file of an export, with points in time as texts."""
    assert inside.run(pipeline.arguments("--features", names, "--export", str(file))).code == 0
    wait_until(lambda: seen.saved() == file.read_bytes(), "the list of all users")
    fields = len(names.split(","))
    assert {len(row) for row in csv_rows(file.read_bytes())} == {fields + 2}
    if fields > 1:
        assert all(re.match(r"2023-\d\d-\d\d \d\d:\d\d", row[3]) for row in csv_rows(file.read_bytes()))

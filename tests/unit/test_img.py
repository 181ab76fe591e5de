"""The pictures in img/: each is shown in a page, their sources are complete, and a screen is drawn as it is."""

import html
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from rich.text import Text

from img import architecture, screenshot
from img.__main__ import RUNS, main
from img.paths import IMG
from img.screenshot import Window, save_picture, screen_text
from img.terminal import Terminal, TerminalError
from tests.support.client import ROOT
from tests.support.pages import PAGES

TEXT = "\n".join(page.text for page in PAGES)
PICTURES = sorted(path.name for path in IMG.iterdir() if path.suffix in (".svg", ".png", ".jpg"))
SOURCE = architecture.SOURCE.read_text(encoding="utf-8")

MARKDOWN_PICTURE = re.compile(r"!\[([^]]*)\]\(([^)]+)\)")
HTML_PICTURE = re.compile(r'<img alt="([^"]*)" src="([^"]+)">')
DARK_PICTURE = re.compile(r'<source media="\(prefers-color-scheme: dark\)" srcset="([^"]+)">')

MOST_BYTES = 300_000
LEAST_ALT = 20
LEAST_CONTRAST = 4.5
"""Of text of normal size and its background: Web Content Accessibility Guidelines, 1.4.3."""


def test_the_pages_show_each_picture_and_no_other() -> None:
    found = [(page.path.parent / target, alternative) for page in PAGES for target, alternative in pictures(page.text)]
    shown = {path.resolve(): alternative for path, alternative in found}
    assert {path for path in shown if path.is_relative_to(IMG)} == {IMG / name for name in PICTURES}
    assert all(path.is_file() for path in shown)
    assert {path: alternative for path, alternative in shown.items() if len(alternative) < LEAST_ALT} == {}


def pictures(text: str) -> Iterator[tuple[str, str]]:
    """The targets and the alternative texts of a page's pictures."""
    for alternative, target in MARKDOWN_PICTURE.findall(text) + HTML_PICTURE.findall(text):
        yield target, alternative
    for target in DARK_PICTURE.findall(text):
        yield target, f"the dark version of a picture: {target}"


def test_each_dark_picture_is_paired_with_a_light_one() -> None:
    pairs = re.findall(r"<picture>\s*<source[^>]*-dark.svg\">\s*<img[^>]*-light.svg\">\s*</picture>", TEXT)
    assert len(pairs) == len(DARK_PICTURE.findall(TEXT)) == sum(name.endswith("-dark.svg") for name in PICTURES)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_small_and_names_no_machine(name: str) -> None:
    content = (IMG / name).read_bytes()
    assert len(content) < MOST_BYTES
    machine = r"/(?:root|home|work|opt|tmp|usr|Users|var|mnt)/|localhost|127\.0\.0\.1"
    assert re.findall(machine, content.decode("latin-1")) == []


@pytest.mark.parametrize("name", [name for name in PICTURES if name.endswith(".svg")])
def test_a_picture_loads_no_other_file(name: str) -> None:
    svg = (IMG / name).read_text(encoding="utf-8")
    assert re.findall(r"@import|@font-face|<image|url\((?!#)|href=\"(?!#)", svg) == []


def test_the_architecture_names_all_ten_steps() -> None:
    diagram, legend = SOURCE.split("legend [", 1)
    steps = [f"step_{number}" for number in range(1, 11)]
    assert sorted(re.findall(r"\$(step_\d+)", diagram)) == sorted(steps)
    explained = re.findall(r"\$(step_\d+)</TD><TD ALIGN=\"LEFT\">[^<]{10,}\.</TD>", legend)
    assert sorted(explained) == sorted(steps)


def test_the_architecture_names_all_five_topics() -> None:
    topics = ["transactions", "transactions_enriched", "transactions_aggregate", "user_labeling", "user_labeling_final"]
    assert [topic for topic in topics if not re.search(rf"^  {topic} +\[label", SOURCE, re.MULTILINE)] == []


@pytest.mark.parametrize("name", architecture.PICTURES)
def test_the_architecture_is_drawn_from_its_source(name: str) -> None:
    dot = architecture.filled_in(SOURCE, architecture.PICTURES[name])
    assert "$" not in dot
    labels = re.findall(r">([^<>]+)</(?:TD|FONT)>", dot)
    assert len(labels) > 30
    drawn = texts((IMG / name).read_text(encoding="utf-8")).split("\n")
    assert [label for label in labels if label not in drawn] == []


@pytest.mark.parametrize("colours", architecture.PICTURES.values(), ids=architecture.PICTURES)
def test_the_architecture_has_enough_contrast(colours: dict[str, str]) -> None:
    backgrounds = {colours[name] for name in ("paper", "outside", "topic", "flink", "client")}
    weak = {background for background in backgrounds if contrast(colours["ink"], background) < LEAST_CONTRAST}
    assert weak == set()
    assert contrast(colours["number"], colours["badge"]) >= LEAST_CONTRAST


def test_a_terminal_has_enough_contrast() -> None:
    _, *colours = screenshot.COLOURS
    foregrounds = {screenshot.INK, *colours}
    assert {colour for colour in foregrounds if contrast(colour, screenshot.BACKGROUND) < LEAST_CONTRAST} == set()


def test_a_picture_shows_what_the_screen_shows(tmp_path: Path) -> None:
    path = tmp_path / "screen.svg"
    with terminal(r"print('| first |\n\x1b[1A\x1b[J| <now> |\n\x1b[31mred\x1b[0m and \x1b[7m back ')") as screen:
        screen.wait(lambda lines: lines[1].startswith("red"), 10)
        save_picture([Window("a title", screen_text(screen.screen))], path)
    svg = path.read_text(encoding="utf-8")
    assert texts(svg).split("\n") == ["a title", "| <now> |", "red", " and ", " back "]
    assert style(svg, "red") == f"fill: {screenshot.COLOURS[1]}"
    assert style(svg, " back ") == f"fill: {screenshot.BACKGROUND}"


def test_windows_are_drawn_below_each_other(tmp_path: Path) -> None:
    path = tmp_path / "windows.svg"
    windows = [Window("before", [Text("short"), Text(""), Text("end")]), Window("after", [Text("a longer line")])]
    save_picture(windows, path)
    svg = path.read_text(encoding="utf-8")
    sizes = re.findall(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', svg)
    (whole_width, whole), (first_width, first), (second_width, second) = [(float(w), float(h)) for w, h in sizes]
    first_top, second_top = (float(top) for top in re.findall(r'<svg y="([\d.]+)"', svg))
    assert first_width == second_width == whole_width
    assert first_top + first < second_top
    assert second_top + second == pytest.approx(whole)
    assert style(svg, "short") == style(svg, "a longer line")


def test_typed_text_reaches_the_program() -> None:
    with terminal("print(input('name? '), 'it is'); input()") as screen:
        screen.wait(lambda lines: lines[0].startswith("name?"), 10)
        screen.type("User_1")
        screen.wait(lambda lines: lines[1] == "User_1 it is", 10)
        screen.press("^D")
        screen.wait(lambda lines: any("EOFError" in line for line in lines), 10)


def test_a_screen_settles() -> None:
    program = "import time\nfor n in range(6): print(n, flush=True); time.sleep(0.2)\ntime.sleep(9)"
    with terminal(program) as screen:
        screen.settle(0.6, 10)
        assert screen.lines[:7] == ["0", "1", "2", "3", "4", "5", ""]


def test_a_program_that_ends_too_early_is_an_error_with_its_screen() -> None:
    with terminal("print('something else')") as screen, pytest.raises(TerminalError) as error:
        screen.wait(lambda lines: "expected" in lines, 10)
    assert str(error.value) == f"{sys.executable}: the program has ended:\nsomething else"


def test_a_program_that_takes_too_long_is_an_error_with_its_screen() -> None:
    with terminal("print('busy'); input()") as screen:
        screen.wait(lambda lines: "busy" in lines, 10)
        with pytest.raises(TerminalError) as error:
            screen.wait(lambda lines: "expected" in lines, 0)
    assert str(error.value) == f"{sys.executable}: after 0 s the screen is not as expected:\nbusy"


def test_an_unknown_picture_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["demo", "photograph"])
    expected = f"argument NAME: no picture 'photograph'; choose from {', '.join(RUNS)}\n"
    assert expected in capsys.readouterr().err


def test_a_failure_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def fail() -> list[Path]:
        raise TerminalError("sh: the program has ended:")

    monkeypatch.setitem(RUNS, "demo", fail)
    assert main(["demo"]) == 1
    assert capsys.readouterr().err == "python -m img: sh: the program has ended:\n"


def terminal(program: str) -> Terminal:
    """A small terminal that runs a Python program."""
    return Terminal([sys.executable, "-c", program], ROOT, 40, 8)


def texts(svg: str) -> str:
    """The texts of an SVG, one a line."""
    found = [plain(text) for text in re.findall(r"<text[^>]*>([^<]*)</text>", svg)]
    return "\n".join(text for text in found if text.strip())


def plain(text: str) -> str:
    """A text of an SVG without entities and non-breaking spaces."""
    return html.unescape(text).replace("\xa0", " ")


def style(svg: str, text: str) -> str:
    """The style of one text of a screen."""
    classes = re.findall(r'<text class="([^"]+)"[^>]*>([^<]*)</text>', svg)
    (name,) = (name for name, found in classes if plain(found) == text)
    (style,) = re.findall(rf"^\.{name} {{ (.*) }}$", svg, re.MULTILINE)
    return str(style)


def contrast(one: str, other: str) -> float:
    """The contrast ratio of two colours as WCAG defines it, from 1 to 21."""
    darker, lighter = sorted(
        luminance([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]) for colour in (one, other)
    )
    return (lighter + 0.05) / (darker + 0.05)


def luminance(channels: Sequence[float]) -> float:
    """The relative luminance of red, green and blue from 0 to 1."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return sum(weight * channel for weight, channel in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

"""The figures on the pages are those of benchmarks/results: generated, and up to date."""

import re

import pytest

from benchmarks.pages import BLOCK, FIGURES, with_figures
from tests.support.pages import PAGES, Page

MEASURED = re.compile(r"\d[\d,.]* (?:records per second|labels per second|ms\b|MiB\b)|\d+\.\d+ s\b")
"""Rates, milliseconds, memory and fractions of a second: nobody writes these by hand."""


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_figures_are_up_to_date(page: Page) -> None:
    assert with_figures(page.text) == page.text, "type: python -m benchmarks.pages"


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_figures_are_not_written_by_hand(page: Page) -> None:
    assert MEASURED.findall(BLOCK.sub("", page.prose)) == []


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_markdown_does_not_take_a_line_for_html(page: Page) -> None:
    assert re.findall(r"^<!-- figures: .*-->.+$", page.text, re.MULTILINE) == []


def test_each_text_of_figures_is_on_a_page() -> None:
    assert {found["name"] for page in PAGES for found in BLOCK.finditer(page.text)} == set(FIGURES)


def test_figures_inside_a_line_and_as_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FIGURES, "speed", lambda: "9 ms")
    page = "It takes <!-- figures: speed -->7 ms<!-- end -->.\n\n<!-- figures: speed -->\n8 ms\n\n<!-- end -->\n"
    assert with_figures(page) == (
        "It takes <!-- figures: speed -->9 ms<!-- end -->.\n\n<!-- figures: speed -->\n\n9 ms\n\n<!-- end -->\n"
    )

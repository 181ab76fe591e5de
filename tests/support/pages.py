"""README.md and docs/: their commands, tables and links."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from tests.support.client import ROOT

BLOCK = re.compile(r"^(?P<indent> *)```(?P<language>\w*)\n(?P<text>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
LINK = re.compile(r"\]\(([^)]+)\)")


@dataclass(frozen=True)
class Page:
    """One page of Markdown."""

    path: Path

    def __str__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @cached_property
    def text(self) -> str:
        """The Markdown."""
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def prose(self) -> str:
        """The page without its code blocks."""
        return BLOCK.sub("", self.text)

    def blocks(self, *languages: str) -> Iterator[str]:
        """The code blocks in one of these languages."""
        for match in BLOCK.finditer(self.text):
            if match["language"] in languages:
                yield textwrap.dedent(match["text"])

    @cached_property
    def shell_lines(self) -> list[str]:
        """The lines of the shell blocks."""
        lines = [line.strip() for text in self.blocks("bash") for line in text.splitlines()]
        return [line for line in lines if line]

    @cached_property
    def inline_code(self) -> list[str]:
        """All inline code."""
        return [text.replace("\\|", "|") for text in CODE.findall(self.prose)]

    @cached_property
    def headings(self) -> list[str]:
        """All headings, in order."""
        return HEADING.findall(self.prose)

    @cached_property
    def anchors(self) -> list[str]:
        """The anchor of each heading."""
        return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in self.headings]

    @cached_property
    def links(self) -> list[str]:
        """The targets of links and pictures."""
        return LINK.findall(self.prose)

    def section(self, heading: str) -> str:
        """The text below a heading, up to the next of the same or a higher rank."""
        match = re.search(rf"^(#+) {re.escape(heading)}$", self.text, re.MULTILINE)
        assert match, f"{self}: there is no heading {heading}"
        below = self.text[match.end() :]
        end = re.search(rf"^#{{1,{len(match[1])}}} ", below, re.MULTILINE)
        return below[: end.start()] if end else below


README = Page(ROOT / "README.md")
CHANGELOG = Page(ROOT / "CHANGELOG.md")
CONFLUENT_CLOUD, CONFIGURATION, DASHBOARD, DEVELOPING, FEATURES, HOW_IT_WORKS = (
    Page(ROOT / "docs" / f"{name}.md")
    for name in ("confluent-cloud", "configuration", "dashboard", "developing", "features", "how-it-works")
)
LOCAL_STACK, OPERATING, OWN_DATA, RUNNING, SEGMENTS, SPEED = (
    Page(ROOT / "docs" / f"{name}.md")
    for name in ("local-stack", "operating", "own-data", "running", "segments", "speed")
)
DOCS = [Page(path) for path in sorted((ROOT / "docs").glob("**/*.md"))]
PAGES = [README, *DOCS]


def shell_lines() -> list[str]:
    """The lines of all shell blocks."""
    return [line for page in PAGES for line in page.shell_lines]


def inline_code() -> list[str]:
    """The inline code of all pages."""
    return [text for page in PAGES for text in page.inline_code]


def commands(beginning: str) -> list[str]:
    """The commands that begin so, in blocks and inline, without duplicates."""
    whole = re.compile(rf"{re.escape(beginning)}(?: |$)")
    found = [text for text in [*shell_lines(), *inline_code()] if whole.match(text)]
    return list(dict.fromkeys(found))


def rows(text: str) -> list[list[str]]:
    """The cells of the tables' rows."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]

"""README.md and docs/ against the code: commands, options, files, links, tables, messages and metrics."""

import argparse
import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from typing import cast

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from classifier import __version__
from classifier.config.certificates import Certificate
from classifier.config.ini_file import FIXED
from classifier.config.settings import OPTIONS
from classifier.errors import ClassifierError, ConfigError
from classifier.outage import Outage
from classifier.reports.metrics import Metrics
from classifier.reports.step import Step
from classifier.users.output_codec import label_schema
from dashboard.options import parser as dashboard_parser
from img.steps import STEPS
from local.__main__ import _parser as local_parser
from tests.support.client import ROOT
from tests.support.pages import (
    CHANGELOG,
    CODE,
    CONFIGURATION,
    DEVELOPING,
    DOCS,
    HOW_IT_WORKS,
    LOCAL_STACK,
    OPERATING,
    OWN_DATA,
    PAGES,
    README,
    Page,
    commands,
    inline_code,
    rows,
    shell_lines,
)
from user_classifier import argument_parser

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
SOURCES = [ROOT / "user_classifier.py", *sorted(ROOT.glob("classifier/**/*.py")), *sorted(ROOT.glob("local/**/*.py"))]
"""Where the messages are that the pages explain."""

OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
MADE_WHEN_RUN = (".local", ".venv", "__pycache__", "clustering.png", "labels.csv", "sbom.cdx.json")


def options(parser: argparse.ArgumentParser) -> set[str]:
    """What a parser takes."""
    return {name for action in parser._actions for name in action.option_strings}


@cache
def local_commands() -> dict[str, argparse.ArgumentParser]:
    """The parsers of `python -m local`."""
    (commands,) = (action for action in local_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return cast(dict[str, argparse.ArgumentParser], commands.choices)


# Structure


def test_readme_begins_with_the_demo() -> None:
    assert next(README.blocks("bash", "text")) == "make demo\n"


def test_readme_links_to_every_page() -> None:
    assert {str(page) for page in DOCS} <= {row_link(row) for row in rows(README.section("Where to go from here"))}


def row_link(row: list[str]) -> str:
    """The target of the link in the first cell of a row."""
    found = re.search(r"\]\(([^)]+)\)", row[0])
    return found[1] if found else ""


@pytest.mark.parametrize("page", DOCS, ids=str)
def test_a_page_opens_with_a_paragraph_on_what_it_covers(page: Page) -> None:
    title, opening, *_ = page.text.split("\n\n")
    assert re.fullmatch(r"# [^\n]+", title)
    assert re.fullmatch(r"[A-Z`][^\n]+\.", opening)


@pytest.mark.parametrize("page", [*PAGES, CHANGELOG], ids=str)
def test_no_page_names_a_machine_or_a_package_registry(page: Page) -> None:
    paths = r"(?<![\w.>])/(?:root|home|work|opt|tmp|usr|Users|var|mnt)/"
    hosts = r"pypi\.org|pythonhosted|maven\.org|repo1\.|crates\.io|npmjs|proxy\.golang|localhost"
    for line in page.text.splitlines():
        assert not re.search(f"{paths}|{hosts}", line), f"{page}: {line}"


# Links and files


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_targets_of_links_exist(page: Page) -> None:
    assert len(page.anchors) == len(set(page.anchors))
    assert [link for link in page.links if not target_exists(page, link)] == []


def target_exists(page: Page, link: str) -> bool:
    """Whether the file of a link exists, and the heading in it."""
    target, _, anchor = link.partition("#")
    path = (page.path.parent / target).resolve() if target else page.path
    return path.exists() and (not anchor or anchor in Page(path).anchors)


def test_there_are_links() -> None:
    assert len(README.links) > 20
    assert sum(len(page.links) for page in DOCS) > 40


@pytest.mark.parametrize("page", [page for page in PAGES if "**Contents**" in page.text], ids=str)
def test_contents_are_the_headings(page: Page) -> None:
    contents = page.text.split("**Contents**")[1].split("\n## ")[0]
    headings = re.findall(r"^## (.*)$", page.prose, re.MULTILINE)
    assert re.findall(r"^- \[(.*)\]\(", contents, re.MULTILINE) == headings


def test_readme_has_contents() -> None:
    assert "**Contents**" in README.text


def test_files_that_are_named_exist() -> None:
    words = {word for text in [*inline_code(), *shell_lines()] for word in re.split(r"[\s\"'()=;]+", text)}
    file_name = re.compile(r"(?:\./)?[\w.*/[\]-]+(?:/|\.(?:py|md|ini|json|sql|toml|txt|png))")
    paths = {word.removeprefix("./") for word in words if file_name.fullmatch(word)}
    assert {"sql/*.sql", "sql/[1-7]_*.sql", "configurations/local.ini", "user_classifier.py"} < paths
    inside = {"configuration.ini": "configurations/", "local.ini": "configurations/"}
    inside["datagen-transactions.json"] = "configurations/"
    wanted = [inside.get(path, "") + path for path in sorted(paths) if not path.startswith(MADE_WHEN_RUN)]
    assert [path for path in wanted if not any(ROOT.glob(path.rstrip("/")))] == []


def test_the_layout_names_everything_at_the_top() -> None:
    named = {row[0].strip("`/") for row in rows(DEVELOPING.section("Layout of the repository"))}
    folders = {path.relative_to(ROOT).parts[0] for path in ROOT.glob("[!.]*/**/*.*")}
    files = {path.name for path in ROOT.glob("[!.]*") if path.is_file()}
    assert (folders | files) - {README.path.name, *MADE_WHEN_RUN} <= named


# Commands and options


def test_make_targets_of_the_pages_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+(?: [a-z-]+)*):", MAKEFILE, re.MULTILINE))
    known = {name for names in targets for name in names.split()}
    used = [(command, word) for command in commands("make") for word in command.split()[1:] if "=" not in word]
    assert len(used) > 10
    assert [command for command, word in used if word not in known] == []


def test_make_targets_are_on_a_page() -> None:
    named = {word for command in commands("make") for word in command.split()}
    described = re.findall(r"^# make ([a-z-]+) ", MAKEFILE, re.MULTILINE)
    assert described
    assert set(described) - named == set()


def test_make_settings_are_on_a_page() -> None:
    settings = re.findall(r"^# Settings[^:]*: (.*)$", MAKEFILE, re.MULTILINE)
    assert len(settings) == 2
    names = {part.split("=")[0] for line in settings for part in line.split()}
    used = {word.split("=")[0] for command in commands("make") for word in command.split() if "=" in word}
    table = [row[0] for row in rows(OWN_DATA.section("A file, one command")) if row[0].startswith("`")]
    in_a_table = {cell.strip("`").split("=")[0] for cell in table}
    assert names == used | in_a_table


@pytest.mark.parametrize("command", commands("python -m local"))
def test_local_commands_can_be_parsed(command: str) -> None:
    parse(local_parser(), shlex.split(command)[3:])


@pytest.mark.parametrize("command", commands("python user_classifier.py"))
def test_client_commands_can_be_parsed(command: str) -> None:
    arguments = parse(argument_parser(), shlex.split(command)[2:])
    assert (ROOT / arguments.config).is_file()


def test_there_are_commands_to_be_parsed() -> None:
    assert len(commands("python -m local")) >= len(local_commands())
    assert len(commands("python user_classifier.py")) >= 4


def parse(parser: argparse.ArgumentParser, arguments: list[str]) -> argparse.Namespace:
    """Parse a command, or fail the test."""
    try:
        return parser.parse_args(arguments)
    except SystemExit:
        raise AssertionError(f"cannot be parsed: {shlex.join(arguments)}") from None


def test_options_of_the_client_are_those_of_the_table() -> None:
    table = {cells[0]: cells for cells in rows(README.section("Options"))}
    named = {name for cell in table for name in OPTION.findall(cell)}
    assert named == options(argument_parser())


@pytest.mark.parametrize(
    "action", [a for a in argument_parser()._actions if a.option_strings], ids=lambda action: action.option_strings[-1]
)
def test_an_option_is_listed_with_its_values_and_default(action: argparse.Action) -> None:
    (cells,) = (row for row in rows(README.section("Options")) if action.option_strings[-1] in OPTION.findall(row[0]))
    assert [choice for choice in action.choices or () if f"`{choice}`" not in cells[2]] == []
    if action.metavar and action.option_strings != ["--n-init"]:
        assert f" {action.metavar}`" in cells[0]
    default = next((each.default for each in OPTIONS if each.name == action.dest), action.default)
    if default not in (None, False, argparse.SUPPRESS):
        assert cells[3] == f"`{default}`"


def test_options_of_the_local_commands_are_those_of_the_table() -> None:
    table = [row for row in rows(LOCAL_STACK.section("Commands")) if row[0].startswith("`python -m local")]
    listed = {row[0].strip("`").split()[3]: set(OPTION.findall(row[2])) for row in table}
    assert listed == {name: options(parser) - {"-h", "--help"} for name, parser in local_commands().items()}


def test_no_other_options_are_named() -> None:
    ours = options(argument_parser()).union(*(options(parser) for parser in local_commands().values()))
    ours |= options(dashboard_parser())
    named = {
        name
        for text in inline_code()
        if not text.startswith(("confluent ", "make ", "python -m "))
        for name in OPTION.findall(text)
        if name.startswith("--")
    }
    assert named - ours - {"--service-account"} == set()


def test_exit_codes() -> None:
    codes = {row[0] for row in rows(README.section("Options")) if row[0].isdigit()}
    assert codes == {"0", str(ClassifierError.exit_code), str(ConfigError.exit_code)}


# Tables of the pipeline and the configuration


def test_every_statement_is_listed() -> None:
    names = [row[0].strip("`") for row in rows(README.section("The pipeline")) if row[0].startswith("`sql/")]
    assert names == [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("sql/*.sql"))]


def test_columns_are_those_of_the_schema() -> None:
    names = [field["name"] for field in label_schema("user_labeling")["fields"]]
    columns = {row[0].strip("`"): re.findall(r"(\w+) \*", row[1]) for row in rows(README.section("The pipeline"))}
    assert columns["user_labeling"] == columns["user_labeling_final"] == names
    assert columns["transactions_aggregate"] == names[:-1]


def test_the_configuration_file_is_the_template() -> None:
    shown, *_ = CONFIGURATION.blocks("ini")
    template = (ROOT / "configurations" / "configuration.ini").read_text(encoding="utf-8")
    assert shown == "".join(f"{line}\n" for line in template.splitlines() if not line.startswith("#")).lstrip()


def test_fixed_properties_are_listed() -> None:
    text = CONFIGURATION.section("Configuration file")
    for properties in FIXED.values():
        for name, value in properties.items():
            assert f"`{name}` {value}" in text


# Messages and metrics


def test_messages_are_those_of_the_code() -> None:
    """The parts between `…` are in one message of the code, in this order."""
    known = [*messages(), *(line.strip() for line in MAKEFILE.splitlines())]
    quoted = [message for row in rows(OPERATING.section("Troubleshooting")) for message in CODE.findall(row[0])]
    assert len(quoted) > 25
    wrong = [message for message in quoted if not any(holds(text, message) for text in known)]
    assert wrong == []


def holds(text: str, message: str) -> bool:
    """Whether the parts of a message are in a text, in this order."""
    at = 0
    for piece in message.split("…"):
        found = text.find(piece.strip(), at)
        if found < 0:
            return False
        at = found + len(piece.strip())
    return True


def messages() -> Iterator[str]:
    """The texts of the client and the local stack, with `…` for what is filled in."""
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"%(?:\.\d)?[sdf]|\{\w+\}", "…", node.value)


def test_metrics_are_those_that_are_served() -> None:
    listed = {
        row[0].strip("`"): (row[1], CODE.findall(row[2])) for row in rows(OPERATING.section("Metrics and health"))[2:]
    }
    assert listed == dict(metrics_served())
    for row in rows(OPERATING.section("Metrics and health"))[2:]:
        assert row[0].strip("`") in row[4]


def metrics_served() -> Iterator[tuple[str, tuple[str, list[str]]]]:
    """Name, type and labels of each metric at /metrics, once the client has done everything once."""
    metrics = Metrics(0, outages={"kafka": Outage("Kafka")})
    metrics.certificates = [Certificate("consumer", "ssl.certificate.location", 0.0, 1.0)]
    try:
        metrics.read(1, 1)
        metrics.step(Step(["ann"], np.ones((1, 2)), np.zeros(1, np.int32), np.ones((1, 2)), 1, 1, 0.1, 0.1, {0: 1}))
        page = metrics.page("/metrics", "")[2].decode()
    finally:
        metrics.close()
    for family in text_string_to_metric_families(page):
        if not family.name.startswith("user_classifier_"):
            continue
        samples = [each for each in family.samples if not each.name.endswith("_created")]
        if samples:
            name = f"{family.name}_total" if family.type == "counter" else family.name
            yield name, (family.type, sorted({label for sample in samples for label in sample.labels}))


def test_the_changelog_has_the_version() -> None:
    newest = re.search(r"^## (\S+)$", CHANGELOG.text, re.MULTILINE)
    assert newest
    assert newest[1] == __version__
    assert {row[0] for row in rows(CHANGELOG.text)} > {"What"}
    assert all(len(row) == 3 for row in rows(CHANGELOG.text))


def test_the_map_names_every_package_and_modules_that_exist() -> None:
    table = [row for row in rows(DEVELOPING.section("Packages of the client")) if row[0].startswith("`")]
    packages = {path.parent.name for path in ROOT.glob("classifier/*/__init__.py")}
    assert {row[0].strip("`") for row in table} == packages | {"classifier"}
    for package, _, modules in table:
        folder = ROOT / "classifier" / package.strip("`").removeprefix("classifier")
        names = [name for name in CODE.findall(modules) if not name.startswith("-")]
        assert [name for name in names if not (folder / f"{name}.py").is_file()] == []


def test_the_steps_of_a_record_are_those_of_the_picture() -> None:
    table = [row for row in rows(HOW_IT_WORKS.section("The path of a record")) if row[0][0].isdigit()]
    found = [(name.partition(". ")[2], module.strip("`")) for name, _, module in table]
    assert found == [(step.name, step.module.removeprefix("classifier.")) for step in STEPS]

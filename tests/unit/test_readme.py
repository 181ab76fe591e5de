"""README.md says what is so: its commands can be run, its files are there, its tables are those of the code."""

import argparse
import ast
import json
import re
import shlex
from collections.abc import Iterator
from functools import cache
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

import user_classifier
from classifier.configuration import FIXED
from classifier.errors import ClassifierError, ConfigError
from classifier.labels import label_schema
from classifier.reports.metrics import Metrics
from classifier.settings import DEFAULT_GROUP
from classifier.step import Step
from local.__main__ import _parser as local_parser
from tests.secure.rights import needed
from tests.support.client import ROOT
from user_classifier import argument_parser

README = (ROOT / "README.md").read_text(encoding="utf-8")
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

PROMISE = (
    "every change of `transactions_aggregate` is reflected exactly once in `user_labeling` for a read_committed reader,"
    " whatever is killed and whenever; after it, the topic equals what one undisturbed run writes."
)
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"`([^`\n]+)`")
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
MADE_WHEN_RUN = (".local", ".venv", "clustering.png")

WHERE = "--cloud --region"
CONFLUENT = {
    "login": "",
    "environment create": "--governance-package",
    "environment use": "",
    "kafka cluster create": f"{WHERE} --type --availability",
    "kafka cluster use": "",
    "kafka cluster describe": "",
    "kafka topic create": "--partitions --config",
    "kafka topic update": "--config",
    "kafka topic list": "",
    "kafka acl create": "--allow --service-account --operations --topic --consumer-group --transactional-id",
    "kafka acl list": "--service-account",
    "connect cluster create": "--config-file",
    "connect cluster list": "",
    "connect cluster pause": "",
    "flink compute-pool create": f"{WHERE} --max-cfu",
    "flink statement create": "--sql --compute-pool --database --wait",
    "flink statement list": f"{WHERE} --compute-pool",
    "flink statement stop": WHERE,
    "flink shell": "--compute-pool --environment --database",
    "iam service-account create": "--description",
    "iam rbac role-binding create": "--principal --role --environment --schema-registry-cluster --resource --prefix",
    "api-key create": f"{WHERE} --resource --service-account --description",
    "schema-registry cluster describe": "",
    "schema-registry subject list": "",
}
"""The flags of `confluent`, version 4, that a command may be given here."""

CONFLUENT_MUST = [
    "confluent kafka cluster create Streaming-UEBA-Marketing-Analytics-cluster"
    " --cloud aws --region eu-central-1 --type basic --availability single-zone",
    "confluent kafka topic create transactions --partitions 1",
    "confluent kafka topic create user_labeling --partitions 1 --config cleanup.policy=compact",
    "confluent connect cluster create --config-file .local/datagen-transactions.json",
    "confluent flink compute-pool create cc_flink_compute_pool --cloud aws --region eu-central-1 --max-cfu 10",
    'confluent flink statement create "$name" --sql "$(cat "$file")" --compute-pool "$POOL" --database "$CLUSTER"',
    'confluent api-key create --resource "$CLUSTER"',
    'confluent api-key create --resource "$REGISTRY"',
    "confluent api-key create --resource flink",
]


def blocks(*languages: str) -> Iterator[str]:
    """The code blocks in one of these languages."""
    yield from (text for language, text in BLOCK.findall(README) if language in languages)


@cache
def prose() -> str:
    """The page without its code blocks."""
    return BLOCK.sub("", README)


@cache
def shell_lines() -> list[str]:
    """The command lines of the shell blocks, without a loop's words around them."""
    lines = [line.strip() for text in blocks("bash") for line in text.splitlines()]
    return [line.removesuffix(" || break") for line in lines if line not in ("", "done") and line[:4] != "for "]


@cache
def inline_code() -> list[str]:
    """What stands in backticks."""
    return [text.replace("\\|", "|") for text in CODE.findall(prose())]


def commands(beginning: str) -> list[str]:
    """The commands that begin so, in blocks and in backticks."""
    whole = re.compile(rf"{re.escape(beginning)}(?: |$)")
    return [text for text in [*shell_lines(), *inline_code()] if whole.match(text)]


def section(heading: str) -> str:
    """The text below a heading, up to the next of the same or a higher rank."""
    match = re.search(rf"^(#+) {re.escape(heading)}$", README, re.MULTILINE)
    assert match, f"there is no heading {heading}"
    below = README[match.end() :]
    end = re.search(rf"^#{{1,{len(match[1])}}} ", below, re.MULTILINE)
    return below[: end.start()] if end else below


def rows(text: str) -> list[list[str]]:
    """The cells of the tables' rows."""
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def options(parser: argparse.ArgumentParser) -> set[str]:
    """What a parser takes."""
    return {name for action in parser._actions for name in action.option_strings}


@cache
def local_commands() -> dict[str, argparse.ArgumentParser]:
    """The parsers of `python -m local`."""
    (commands,) = (action for action in local_parser()._actions if isinstance(action, argparse._SubParsersAction))
    return cast(dict[str, argparse.ArgumentParser], commands.choices)


def test_it_begins_with_one_sentence_the_demo_and_what_it_prints() -> None:
    title, sentence, *_ = README.split("\n\n")
    assert title.startswith("# ")
    assert "\n" not in sentence
    assert re.fullmatch(r"[^.]+\.", sentence), "one sentence"
    first, second = BLOCK.findall(README)[:2]
    assert first == ("bash", "make demo\n")
    assert second[0] == "text"
    assert second[1].count("| user_id | total_amount | num_transactions | label |") == 2


def test_the_promise_stands_word_for_word() -> None:
    assert README.count(PROMISE) == 1


def test_make_targets_are_there() -> None:
    targets = set(re.findall(r"^([a-z-]+(?: [a-z-]+)*):", MAKEFILE, re.MULTILINE))
    known = {name for names in targets for name in names.split()}
    used = [(command, word) for command in commands("make") for word in command.split()[1:] if "=" not in word]
    assert len(used) > 10
    assert [command for command, word in used if word not in known] == []


def test_make_targets_are_told() -> None:
    told = {word for command in commands("make") for word in command.split()}
    described = re.findall(r"^# make ([a-z-]+) ", MAKEFILE, re.MULTILINE)
    assert described
    assert set(described) - told == set()


def test_make_settings_are_told() -> None:
    settings = re.search(r"^# Settings: (.*)$", MAKEFILE, re.MULTILINE)
    assert settings
    names = {part.split("=")[0] for part in settings[1].split()} - {"PYTHON"}
    used = {word.split("=")[0] for command in commands("make") for word in command.split() if "=" in word}
    assert names == used


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
    table = {cells[0]: cells for cells in rows(section("Options"))}
    told = {name for cell in table for name in OPTION.findall(cell)}
    assert told == options(argument_parser())


@pytest.mark.parametrize(
    "action", [a for a in argument_parser()._actions if a.option_strings], ids=lambda action: action.option_strings[-1]
)
def test_an_option_is_told_with_its_values_and_default(action: argparse.Action) -> None:
    (cells,) = (row for row in rows(section("Options")) if action.option_strings[-1] in OPTION.findall(row[0]))
    assert [choice for choice in action.choices or () if f"`{choice}`" not in cells[2]] == []
    if action.metavar and action.option_strings != ["--n-init"]:
        assert f" {action.metavar}`" in cells[0]
    default = DEFAULT_GROUP if action.dest == "group" else action.default
    if default not in (None, False, argparse.SUPPRESS):
        assert cells[3] == f"`{default}`"


def test_options_of_the_local_commands_are_those_of_the_table() -> None:
    table = [row for row in rows(section("On this machine, step by step")) if row[0].startswith("`python -m local")]
    told = {row[0].strip("`").split()[3]: set(OPTION.findall(row[2])) for row in table}
    assert told == {name: options(parser) - {"-h", "--help"} for name, parser in local_commands().items()}


def test_no_other_options_are_told() -> None:
    ours = options(argument_parser()).union(*(options(parser) for parser in local_commands().values()))
    told = {
        name
        for text in inline_code()
        if not text.startswith(("confluent ", "make ", "python -m "))
        for name in OPTION.findall(text)
        if name.startswith("--")
    }
    assert told - ours - {"--service-account"} == set()


def test_exit_codes() -> None:
    codes = {row[0]: row[1] for row in rows(section("Options")) if row[0].isdigit()}
    assert set(codes) == {"0", str(ClassifierError.exit_code), str(ConfigError.exit_code)}
    assert "configuration file is wrong" in codes[str(ConfigError.exit_code)]


@pytest.mark.parametrize("command", [command for command in commands("confluent") if command != "confluent"])
def test_confluent_commands_have_the_flags_of_version_4(command: str) -> None:
    words = shlex.split(command)[1:]
    name = " ".join(words).split(" --")[0].split()
    known = [" ".join(name[:length]) for length in range(len(name), 0, -1) if " ".join(name[:length]) in CONFLUENT]
    assert known, "an unknown command"
    flags = {word for word in words if re.fullmatch(r"--[a-z-]+", word)}
    assert flags - set(CONFLUENT[known[0]].split()) == set()


@pytest.mark.parametrize("beginning", CONFLUENT_MUST, ids=range(len(CONFLUENT_MUST)))
def test_confluent_commands_that_must_be_there(beginning: str) -> None:
    assert any(command.startswith(beginning) for command in [*shell_lines(), *inline_code()])


def test_statements_are_made_from_the_files_with_names_that_confluent_takes() -> None:
    (loop,) = (line for text in blocks("bash") for line in text.splitlines() if line.startswith("for file in "))
    files = sorted(ROOT.glob(loop.split()[3].rstrip(";")))
    assert [path.name[0] for path in files] == list("1234567")
    assert 'name=$(basename "$file" .sql | tr _ -)' in README
    names = [path.stem.replace("_", "-") for path in sorted(ROOT.glob("sql/*.sql"))]
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) for name in names)
    stopped = {command.split()[4] for command in commands("confluent flink statement stop")}
    assert stopped == {name for name in names if "-insert-" in name}


def test_the_rights_are_those_that_the_tests_grant() -> None:
    """The commands grant what tests/secure finds to be needed; Describe comes with it, DescribeConfigs is optional."""
    resources = {"--topic": "TOPIC", "--consumer-group": "GROUP", "--transactional-id": "TRANSACTIONAL_ID"}
    granted = set()
    for command in commands("confluent kafka acl create"):
        words = shlex.split(command)
        (flag,) = (word for word in words if word in resources)
        for operation in words[words.index("--operations") + 1].upper().split(","):
            granted.add((operation, resources[flag], words[words.index(flag) + 1]))
    names: Any = SimpleNamespace(source="transactions_aggregate", output="user_labeling", group="user_classifier")
    asked = {tuple(right) for right in needed(names, "error_log")}
    assert {right for right in granted if not right[0].startswith("DESCRIBE")} == asked
    table = {(row[0], name) for row in rows(section("Rights")) for name in CODE.findall(row[1])[:1]}
    assert {(kind.lower().replace("_", " "), name) for _, kind, name in asked if kind != "TRANSACTIONAL_ID"} < table


def test_files_are_there() -> None:
    words = {word for text in [*inline_code(), *shell_lines()] for word in re.split(r"[\s\"'()=]+", text)}
    looks_like_one = re.compile(r"(?:\./)?[\w.*/[\]-]+(?:/|\.(?:py|md|ini|json|sql|toml|txt|png))")
    paths = {word.removeprefix("./") for word in words if looks_like_one.fullmatch(word)}
    assert {"sql/*.sql", "configurations/local.ini", "user_classifier.py"} < paths
    inside = {"configuration.ini": "configurations/", "local.ini": "configurations/"}
    inside["datagen-transactions.json"] = "configurations/"
    wanted = [inside.get(path, "") + path for path in sorted(paths) if not path.startswith(MADE_WHEN_RUN)]
    assert [path for path in wanted if not any(ROOT.glob(path.rstrip("/")))] == []


def test_all_statements_are_told() -> None:
    names = [row[0].strip("`") for row in rows(section("The pipeline")) if row[0].startswith("`sql/")]
    assert names == [str(path.relative_to(ROOT)) for path in sorted(ROOT.glob("sql/*.sql"))]


def test_links_lead_somewhere() -> None:
    headings = re.findall(r"^#+ (.*)$", prose(), re.MULTILINE)
    anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
    assert len(anchors) == len(set(anchors))
    links = re.findall(r"\]\(([^)]+)\)", prose())
    assert len(links) > 20
    assert [link for link in links if link.removeprefix("#") not in anchors and not (ROOT / link).exists()] == []
    contents = re.findall(r"^- \[(.*)\]\(", README, re.MULTILINE)
    assert contents == re.findall(r"^## (.*)$", prose(), re.MULTILINE)


def test_the_configuration_file_is_the_template() -> None:
    shown, *_ = blocks("ini")
    template = (ROOT / "configurations" / "configuration.ini").read_text(encoding="utf-8")
    assert shown == "".join(f"{line}\n" for line in template.splitlines() if not line.startswith("#")).lstrip()


def test_properties_that_are_fixed_are_told() -> None:
    text = section("Configuration file")
    for properties in FIXED.values():
        for name, value in properties.items():
            assert f"`{name}` {value}" in text


def test_the_connector_is_told_as_it_is() -> None:
    connector = json.loads((ROOT / "configurations" / "datagen-transactions.json").read_text(encoding="utf-8"))
    assert connector == {
        "name": "DSoC_transactions",
        "connector.class": "DatagenSource",
        "kafka.auth.mode": "KAFKA_API_KEY",
        "kafka.api.key": "<cluster-api-key>",
        "kafka.api.secret": "<cluster-api-secret>",
        "kafka.topic": "transactions",
        "output.data.format": "AVRO",
        "quickstart": "TRANSACTIONS",
        "tasks.max": "1",
    }
    (command,) = (line for line in shell_lines() if line.startswith("sed "))
    assert [value for value in connector.values() if value[0] == "<" and f"|{value}|" not in command] == []
    assert connector["name"] in section("4. Datagen, the stream of transactions")


def test_columns_are_those_of_the_schema() -> None:
    names = [field["name"] for field in label_schema("user_labeling")["fields"]]
    columns = {row[0].strip("`"): re.findall(r"(\w+) \*", row[1]) for row in rows(section("The pipeline"))}
    assert columns["user_labeling"] == columns["user_labeling_final"] == names
    assert columns["transactions_aggregate"] == names[:-1]


def test_messages_are_those_of_the_code() -> None:
    """Each piece between two `…` stands in a message of the code, in the order of the pieces."""
    known = [*messages(), *(line.strip() for line in MAKEFILE.splitlines())]
    told = [message for row in rows(section("Troubleshooting")) for message in CODE.findall(row[0])]
    assert len(told) > 25
    wrong = [message for message in told if not any(holds(text, message) for text in known)]
    assert wrong == []


def holds(text: str, told: str) -> bool:
    """Whether the pieces of a message stand in a text, one behind the other."""
    at = 0
    for piece in told.split("…"):
        found = text.find(piece.strip(), at)
        if found < 0:
            return False
        at = found + len(piece.strip())
    return True


def messages() -> Iterator[str]:
    """The texts of the client and the local stack, with `…` for what is filled in."""
    for path in [ROOT / "user_classifier.py", *sorted(ROOT.glob("classifier/*.py")), *sorted(ROOT.glob("local/*.py"))]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield re.sub(r"%(?:\.\d)?[sdf]|\{\w+\}", "…", node.value)


@pytest.mark.parametrize(("name", "text"), [("README.md", README), ("CHANGELOG.md", CHANGELOG)])
def test_no_machine_and_no_registry_is_named(name: str, text: str) -> None:
    places = r"(?<![\w.>])/(?:root|home|work|opt|tmp|usr|Users|var|mnt)/"
    hosts = r"pypi\.org|pythonhosted|maven\.org|repo1\.|crates\.io|npmjs|proxy\.golang|localhost"
    for line in text.splitlines():
        assert not re.search(f"{places}|{hosts}", line), f"{name}: {line}"


def test_metrics_are_those_that_are_served() -> None:
    told = {row[0].strip("`"): (row[1], CODE.findall(row[2])) for row in rows(section("Metrics and health"))[2:]}
    assert told == dict(metrics_served())
    for row in rows(section("Metrics and health"))[2:]:
        assert row[0].strip("`") in row[4]


def metrics_served() -> Iterator[tuple[str, tuple[str, list[str]]]]:
    """Name, type and labels of each metric at /metrics, once the client has done everything once."""
    metrics = Metrics(0)
    try:
        metrics.read(1, 1)
        metrics.step(Step(["ann"], np.ones((1, 2)), np.zeros(1, np.int32), np.ones((1, 2)), 1, 1, 0.1, 0.1, {0: 1}))
        page = metrics.page("/metrics", "")[2].decode()
    finally:
        metrics.close()
    for family in text_string_to_metric_families(page):
        samples = [each for each in family.samples if not each.name.endswith("_created")]
        if samples:
            name = f"{family.name}_total" if family.type == "counter" else family.name
            yield name, (family.type, sorted({label for sample in samples for label in sample.labels}))


def test_the_changelog_has_the_version() -> None:
    newest = re.search(r"^## (\S+)$", CHANGELOG, re.MULTILINE)
    assert newest
    assert newest[1] == user_classifier.VERSION
    assert {row[0] for row in rows(CHANGELOG)} > {"What"}
    assert all(len(row) == 3 for row in rows(CHANGELOG))

"""docs/confluent-cloud.md: commands of `confluent`, all permissions, and its loop of statements, run by bash."""

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from tests.secure.permissions import needed
from tests.support.client import ROOT
from tests.support.pages import CODE, CONFIGURATION, CONFLUENT_CLOUD, README, commands, inline_code, rows, shell_lines

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
    "connect cluster resume": "",
    "connect cluster delete": "",
    "flink compute-pool create": f"{WHERE} --max-cfu",
    "flink statement create": "--sql --compute-pool --database --wait --service-account",
    "flink statement describe": WHERE,
    "flink statement list": f"{WHERE} --compute-pool",
    "flink statement stop": WHERE,
    "flink statement resume": WHERE,
    "flink statement delete": WHERE,
    "flink shell": "--compute-pool --environment --database",
    "iam service-account create": "--description",
    "iam rbac role-binding create": "--principal --role --environment --schema-registry-cluster --resource --prefix",
    "api-key create": f"{WHERE} --resource --service-account --description",
    "schema-registry cluster describe": "",
    "schema-registry subject list": "",
}
"""Command of `confluent`, version 4 -> its flags that the page may use."""

CONFLUENT_MUST = [
    "confluent kafka cluster create Streaming-UEBA-Marketing-Analytics-cluster"
    " --cloud aws --region eu-central-1 --type basic --availability single-zone",
    "confluent kafka topic create transactions --partitions 1",
    "confluent kafka topic create user_labeling --partitions 1 --config cleanup.policy=compact",
    "confluent connect cluster create --config-file .local/datagen-transactions.json",
    "confluent flink compute-pool create cc_flink_compute_pool --cloud aws --region eu-central-1 --max-cfu 10",
    'confluent flink statement create "$name" --sql "$(cat "$file")" --compute-pool "$POOL" --database "$CLUSTER"',
    "confluent flink statement delete",
    'confluent api-key create --resource "$CLUSTER"',
    'confluent api-key create --resource "$REGISTRY"',
    "confluent api-key create --resource flink",
]
MOST_LETTERS = 72
"""In the name of a statement."""

STATEMENTS = [path.stem.replace("_", "-") for path in sorted(ROOT.glob("sql/*.sql"))]
TOPICS = ["transactions", "transactions_enriched", "transactions_aggregate", "user_labeling", "user_labeling_final"]


# Commands


def known_flags(words: Sequence[str]) -> set[str]:
    """The flags of a command of `confluent`."""
    name = " ".join(words).split(" --")[0].split()
    known = [" ".join(name[:length]) for length in range(len(name), 0, -1) if " ".join(name[:length]) in CONFLUENT]
    assert known, f"an unknown command: {shlex.join(words)}"
    return set(CONFLUENT[known[0]].split())


def flags(words: Sequence[str]) -> set[str]:
    """The flags among the words of a command."""
    return {word for word in words if re.fullmatch(r"--[a-z-]+", word)}


@pytest.mark.parametrize("command", [command for command in commands("confluent") if command != "confluent"])
def test_confluent_commands_have_the_flags_of_version_4(command: str) -> None:
    words = shlex.split(command)[1:]
    assert flags(words) - known_flags(words) == set()


@pytest.mark.parametrize("beginning", CONFLUENT_MUST, ids=range(len(CONFLUENT_MUST)))
def test_commands_that_the_page_must_have(beginning: str) -> None:
    assert any(command.startswith(beginning) for command in [*shell_lines(), *inline_code()])


def test_statements_are_created_from_the_files_under_valid_names() -> None:
    loop, *_ = loops()
    files = sorted(ROOT.glob(loop.split()[3].rstrip(";")))
    assert [path.name[0] for path in files] == list("1234567")
    assert 'name=$(basename "$file" .sql | tr _ -)' in CONFLUENT_CLOUD.text
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9-]*", name) and len(name) <= MOST_LETTERS for name in STATEMENTS)
    running = {name for name in STATEMENTS if "-insert-" in name}
    for verb in ("stop", "resume"):
        assert {command.split()[4] for command in commands(f"confluent flink statement {verb}")} == running


def test_statements_that_are_named_exist() -> None:
    for verb in ("describe", "delete"):
        for command in commands(f"confluent flink statement {verb}"):
            names = shlex.split(command)[4 : shlex.split(command).index("--cloud")]
            assert names == ["$1"] or set(names) <= set(STATEMENTS)


def loops() -> list[str]:
    """The lines that run several files."""
    return [line for line in CONFLUENT_CLOUD.shell_lines if line.startswith("for file in ")]


# Permissions


def granted(beginning: str) -> Iterator[list[str]]:
    """The words of the commands that grant something."""
    yield from (shlex.split(command) for command in commands(beginning))


def test_the_permissions_are_those_that_the_tests_grant() -> None:
    """tests/secure shows what is needed. Describe is implied by these permissions, DescribeConfigs is optional."""
    resources = {"--topic": "TOPIC", "--consumer-group": "GROUP", "--transactional-id": "TRANSACTIONAL_ID"}
    given = set()
    for words in granted("confluent kafka acl create"):
        (flag,) = (word for word in words if word in resources)
        for operation in words[words.index("--operations") + 1].upper().split(","):
            given.add((operation, resources[flag], words[words.index(flag) + 1]))
    names: Any = SimpleNamespace(source="transactions_aggregate", output="user_labeling", group="user_classifier")
    asked = {tuple(right) for right in needed(names, "error_log")}
    assert {right for right in given if not right[0].startswith("DESCRIBE")} == asked
    table = {(row[0], name) for row in rows(CONFIGURATION.section("Permissions")) for name in CODE.findall(row[1])[:1]}
    assert {(kind.lower().replace("_", " "), name) for _, kind, name in asked if kind != "TRANSACTIONAL_ID"} < table


def test_the_client_may_read_each_subject_it_asks_for_and_write_those_of_its_output() -> None:
    given = {
        (words[words.index("--role") + 1], words[words.index("--resource") + 1], "--prefix" in words)
        for words in granted("confluent iam rbac role-binding create")
        if "--schema-registry-cluster" in words
    }
    assert given == {
        ("DeveloperRead", "Subject:transactions_aggregate-value", False),
        ("DeveloperRead", "Subject:user_labeling-", True),
        ("DeveloperWrite", "Subject:user_labeling-", True),
    }


# The connector, the checklist, the steps


def test_the_connector_is_the_one_of_the_original() -> None:
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
    assert connector["name"] in CONFLUENT_CLOUD.section("4. Datagen, the stream of transactions")


def test_the_checklist_has_all_topics_and_their_subjects() -> None:
    checklist = CONFLUENT_CLOUD.section("Checklist")
    subjects = {row[0].strip("`"): CODE.findall(row[2])[0] for row in rows(checklist) if row[0].startswith("`")}
    assert list(subjects) == TOPICS
    assert all(subject == f"{topic}-value" for topic, subject in subjects.items())


def test_readme_links_to_each_step_by_its_number() -> None:
    steps = [heading for heading in CONFLUENT_CLOUD.headings if re.match(r"\d+\. ", heading)]
    listed = re.findall(r"^(\d+)\. \[.*?\]\(docs/confluent-cloud\.md#(\d+)-", README.text, re.MULTILINE)
    assert [(number, number) for number in (step.split(".")[0] for step in steps)] == listed


# The statements, run by bash from the page

SLOW = ["PENDING"] * 13
"""More than a minute, asked every five seconds."""

POOL, CLUSTER, ACCOUNT = "lfcp-abc123", "lkc-abc123", "sa-def456"

FAKE = r"""#!/bin/sh
here=${0%/*} verb=$3 name=$4
{ printf '%s\0' "$@"; printf '\n\0'; } >> "$here/calls"
read -r phase later < "$here/$name" || { echo "Error: statement $name: no answer" >&2; exit 1; }
[ "$verb" = describe ] || exit 0
[ -z "$later" ] || echo "$later" > "$here/$name"
cat << END
{
  "name": "$name",
  "statement": "SELECT '\"status\": \"RUNNING\"'",
  "status": "$phase",
  "status_detail": "OK"
}
END
"""
"""`confluent` as far as the page uses it: records its calls; each describe returns the next phase of the statement."""


class Ran(NamedTuple):
    """The result of a script."""

    code: int
    output: str
    calls: list[list[str]]

    @property
    def created(self) -> str:
        """The numbers of the statements created, in order."""
        return "".join(words[3][0] for words in self.calls if words[2] == "create")


@pytest.fixture
def confluent(tmp_path: Path) -> Path:
    """A folder with the fake `confluent`, and with a `sleep` that does not wait."""
    for name, text in {"confluent": FAKE, "sleep": "#!/bin/sh\n"}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        (tmp_path / name).chmod(0o755)
    return tmp_path


def run(folder: Path, script: str, phases: Mapping[str, Sequence[str]] | None = None) -> Ran:
    """Run a script of the page; `phases` has the phases of statements by number, by default the usual ones."""
    for name in STATEMENTS:
        usual = ["PENDING", "RUNNING", *["COMPLETED"] * ("-create-" in name)]
        wanted = (phases or {}).get(name[0], usual)
        (folder / name).write_text(" ".join(wanted) + "\n" * bool(wanted), encoding="utf-8")
    path = f"{folder}{os.pathsep}{os.environ['PATH']}"
    environment = {"PATH": path, "POOL": POOL, "CLUSTER": CLUSTER, "FLINK_ACCOUNT": ACCOUNT}
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    calls = (folder / "calls").read_text(encoding="utf-8").split("\0\n\0")[:-1]
    return Ran(done.returncode, done.stdout + done.stderr, [call.split("\0") for call in calls])


def the_loop() -> str:
    """The block of the page that runs the statements."""
    (block,) = (text for text in CONFLUENT_CLOUD.blocks("bash") if "run_file() {" in text)
    return block


def functions() -> str:
    """The block without its last line, which runs the files."""
    return the_loop().rsplit("\n\n", 1)[0] + "\n"


def test_the_loop_runs_all_files_in_order(confluent: Path) -> None:
    ran = run(confluent, the_loop())
    assert ran.code == 0, ran.output
    assert ran.created == "1234567"
    assert ran.output.splitlines()[-2:] == [f"{STATEMENTS[6]}: PENDING", f"{STATEMENTS[6]}: RUNNING"]
    assert all(flags(words) <= known_flags(words) for words in ran.calls)


def test_the_loop_passes_the_text_of_each_file(confluent: Path) -> None:
    made = [words for words in run(confluent, the_loop()).calls if words[2] == "create"]
    for path, words in zip(sorted(ROOT.glob("sql/[1-7]_*.sql")), made, strict=True):
        text = path.read_text(encoding="utf-8").rstrip("\n")
        name = path.stem.replace("_", "-")
        assert words[3:] == [name, "--sql", text, "--compute-pool", POOL, "--database", CLUSTER]


def test_the_loop_waits_for_a_slow_statement(confluent: Path) -> None:
    ran = run(confluent, the_loop(), {"2": [*SLOW, "RUNNING"], "3": [*SLOW, "RUNNING", "COMPLETED"]})
    assert ran.created == "1234567"
    at = [words[2:4] for words in ran.calls].index(["create", STATEMENTS[3]])
    assert [words[2:4] for words in ran.calls[:at]].count(["describe", STATEMENTS[2]]) == len(SLOW) + 2


@pytest.mark.parametrize("phase", ["FAILED", "FAILING", "STOPPED"])
def test_the_loop_stops_at_a_statement_that_fails(phase: str, confluent: Path) -> None:
    ran = run(confluent, the_loop(), {"4": ["PENDING", phase]})
    assert ran.created == "1234"
    assert ran.output.splitlines()[-1] == f"{STATEMENTS[3]}: {phase}"


@pytest.mark.parametrize("wrong", ["COMPLETED", "?"])
def test_an_insert_that_does_not_run_stops_the_loop(wrong: str, confluent: Path) -> None:
    assert run(confluent, the_loop(), {"2": [wrong]}).created == "12"


def test_the_loop_stops_when_confluent_fails(confluent: Path) -> None:
    ran = run(confluent, the_loop(), {"3": []})
    assert ran.created == "123"
    assert ran.output.splitlines()[-1] == f"Error: statement {STATEMENTS[2]}: no answer"
    assert [words[2] for words in ran.calls][-1] == "create"


def test_the_loop_can_be_continued_from_a_file(confluent: Path) -> None:
    (line,) = (line for line in loops() if "[4-7]" in line)
    assert run(confluent, functions() + line).created == "4567"


def test_the_statements_run_as_the_account_that_was_named(confluent: Path) -> None:
    nobody, account = (line for line in CONFLUENT_CLOUD.shell_lines if line.startswith("run_as="))
    for run_as, more in ((nobody, []), (account, ["--service-account", ACCOUNT])):
        (confluent / "calls").write_text("", encoding="utf-8")
        made = [words for words in run(confluent, f"{run_as}\n{the_loop()}").calls if words[2] == "create"]
        assert [words[10:] for words in made] == [more] * 7


def test_with_a_topic_made_by_hand_statement_7_runs_after_the_client(confluent: Path) -> None:
    first, last = (
        line for line in CONFLUENT_CLOUD.shell_lines if "[12346]" in line or line.startswith("run_file sql/")
    )
    assert run(confluent, f"{functions()}{first}").created == "12346"
    assert run(confluent, f"{functions()}{last}").created == "123467"


def test_each_loop_runs_files_that_exist() -> None:
    assert len(loops()) > 3
    for line in loops():
        pattern = line.split()[3].rstrip(";")
        assert [path.name[0] for path in sorted(ROOT.glob(pattern))] == list(expanded(pattern))


def expanded(pattern: str) -> str:
    """The numbers of the files that a pattern names: `[4-7]` or `[123]`."""
    numbers = pattern.split("[")[1].split("]")[0]
    if "-" not in numbers:
        return numbers
    first, last = numbers.split("-")
    return "".join(map(str, range(int(first), int(last) + 1)))

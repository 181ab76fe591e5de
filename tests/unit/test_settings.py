"""The command line and the configuration files that are shipped."""

import shlex
from pathlib import Path

import pytest

from classifier.errors import ConfigError
from classifier.settings import Settings, settings_from
from tests.support import configuration, inside
from tests.support.client import ROOT
from user_classifier import argument_parser

SHIPPED = "configurations/configuration.ini"
PASSWORD = "p%s=%(x)s;#'\" =ä"


def settings(file: Path, *more: str) -> Settings:
    """What the client takes from a file and a command line."""
    return settings_from(argument_parser().parse_args([str(file), *more]))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A complete configuration."""
    return configuration.write(tmp_path / "x.ini", configuration.sections("127.0.0.1:1", "http://127.0.0.1:1"))


def test_the_template_names_what_is_to_be_filled_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert inside.run([f"./{SHIPPED}"]) == (
        2,
        "",
        f"user_classifier.py: error: ./{SHIPPED}: placeholders still to be filled in:"
        " [schema_registry] url, [schema_registry] basic.auth.user.info,"
        " [consumer] bootstrap.servers, [consumer] sasl.username, [consumer] sasl.password,"
        " [producer] bootstrap.servers, [producer] sasl.username, [producer] sasl.password\n",
    )


def test_the_template_filled_in_is_complete(tmp_path: Path) -> None:
    content = (ROOT / SHIPPED).read_text(encoding="utf-8")
    filled = {
        "<schema-registry-URL>": "host",
        "<token>": "key:secret",
        "<hostname>:<hostname-port>": "host:9092",
        "<user>": "user",
        "<password>": PASSWORD,
    }
    for placeholder, value in filled.items():
        content = content.replace(placeholder, value)
    path = tmp_path / "filled.ini"
    path.write_text(content, encoding="utf-8")
    found = settings(path)
    assert found.schema_registry == {"url": "https://host", "basic.auth.user.info": "key:secret"}
    secured = {
        "bootstrap.servers": "host:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "PLAIN",
        "sasl.username": "user",
        "sasl.password": PASSWORD,
    }
    assert found.consumer == {**secured, "auto.offset.reset": "earliest"}
    assert found.producer == secured
    assert found.group == "user_classifier"


def test_the_local_configuration_is_complete() -> None:
    found = settings(ROOT / "configurations" / "local.ini")
    assert found.consumer["bootstrap.servers"] == "127.0.0.1:9092"
    assert found.schema_registry["url"].startswith("http://127.0.0.1:8081")


def test_defaults(file: Path) -> None:
    found = settings(file)
    assert (found.topic, found.output, found.group) == ("transactions_aggregate", "user_labeling", "user_classifier")
    assert (found.n_clusters, found.n_init, found.changelog_mode) == (3, "auto", "retract")
    assert (found.batch_interval, found.batch_size) == (1.0, None)
    assert (found.until_end, found.rebuild, found.plot) == (False, False, None)
    assert (found.error_handling_mode, found.error_handling_log_target) == ("fail", "error_log")
    assert found.transactional_id == "user_classifier-user_classifier-user_labeling"


def test_every_option(file: Path) -> None:
    line = (
        "-t in -g team -k 5 -o out --changelog-mode upsert --batch-interval 0.5 --batch-size 7 --until-end --rebuild"
        " --n-init 10 --error-handling-mode log --error-handling-log-target dead --plot clusters.svg --log-level DEBUG"
    )
    found = settings(file, *shlex.split(line))
    assert (found.topic, found.group, found.n_clusters, found.output) == ("in", "team", 5, "out")
    assert (found.changelog_mode, found.batch_interval, found.batch_size) == ("upsert", 0.5, 7)
    assert (found.until_end, found.rebuild, found.n_init, found.plot) == (True, True, 10, Path("clusters.svg"))
    assert (found.error_handling_mode, found.error_handling_log_target) == ("log", "dead")
    assert found.transactional_id == "user_classifier-team-out"


@pytest.mark.parametrize(
    ("in_file", "on_command_line", "group"),
    [
        (None, [], "user_classifier"),
        ("args.group", [], "user_classifier"),
        ("args.group", ["-g", "mine"], "mine"),
        ("ours", [], "ours"),
        ("ours", ["-g", "mine"], "mine"),
    ],
)
def test_group(tmp_path: Path, in_file: str | None, on_command_line: list[str], group: str) -> None:
    content = configuration.sections("127.0.0.1:1", "http://127.0.0.1:1")
    del content["consumer"]["group.id"]
    if in_file is not None:
        content["consumer"]["group.id"] = in_file
    found = settings(configuration.write(tmp_path / "x.ini", content), *on_command_line)
    assert found.group == group
    assert "group.id" not in found.consumer


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "the following arguments are required: CONFIG_FILE"),
        (
            ["x", "-t", "no topic"],
            "argument -t: a topic is named with letters, digits, '.', '_' and '-', got 'no topic'",
        ),
        (["x", "-o", ""], "argument -o: a topic is named with letters, digits, '.', '_' and '-', got ''"),
        (["x", "-g", ""], "argument -g: a group needs a name of printable characters, got ''"),
        (["x", "-g", "\udcff"], "argument -g: a group needs a name of printable characters, got '\\udcff'"),
        (["x", "-k", "three"], "argument -k: n_clusters (or 'auto') must be a whole number >= 1, got 'three'"),
        (["x", "-k", "0"], "argument -k: n_clusters (or 'auto') must be a whole number >= 1, got '0'"),
        (["x", "-k", "-1"], "argument -k: n_clusters (or 'auto') must be a whole number >= 1, got '-1'"),
        (["x", "-k", "2.0"], "argument -k: n_clusters (or 'auto') must be a whole number >= 1, got '2.0'"),
        (["x", "-k", "²"], "argument -k: n_clusters (or 'auto') must be a whole number >= 1, got '²'"),
        (["x", "--batch-size", "0"], "argument --batch-size: batch size must be a whole number >= 1, got '0'"),
        (["x", "--batch-interval", "x"], "argument --batch-interval: must be a number of seconds >= 0, got 'x'"),
        (["x", "--batch-interval", "-1"], "argument --batch-interval: must be a number of seconds >= 0, got '-1'"),
        (["x", "--batch-interval", "nan"], "argument --batch-interval: must be a number of seconds >= 0, got 'nan'"),
        (["x", "--batch-interval", "inf"], "argument --batch-interval: must be a number of seconds >= 0, got 'inf'"),
        (["x", "--n-init", "0"], "argument --n-init: n_init (or 'auto') must be a whole number >= 1, got '0'"),
        (["x", "y"], "unrecognized arguments: y"),
    ],
)
def test_mistake_on_the_command_line(arguments: list[str], message: str) -> None:
    finished = inside.run(arguments)
    assert finished.code == 2
    assert finished.stdout == ""
    assert finished.stderr.splitlines()[-1] == f"user_classifier.py: error: {message}"


@pytest.mark.parametrize("option", ["--changelog-mode", "--error-handling-mode", "--log-level"])
def test_a_word_that_is_not_among_the_choices(option: str) -> None:
    finished = inside.run(["x", option, "sometimes"])
    assert finished.code == 2
    assert f"argument {option}: invalid choice: 'sometimes'" in finished.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["-t", "a", "-o", "a"], "-o and -t are both a; each needs a topic of its own"),
        (
            ["--error-handling-mode", "log", "--error-handling-log-target", "user_labeling"],
            "--error-handling-log-target and -o are both user_labeling; each needs a topic of its own",
        ),
    ],
)
def test_one_topic_for_two_purposes(file: Path, options: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(file, *options)
    assert str(caught.value) == message


def test_help_has_every_option_with_its_default_and_runs_without_kafka() -> None:
    finished = inside.run(["--help"])
    assert finished.code == 0
    options = [name for action in argument_parser()._actions for name in action.option_strings]
    assert {"-k", "--rebuild", "--plot"} < set(options)
    for name in options:
        assert name in finished.stdout
    for default in ("transactions_aggregate", "user_labeling", "default: 3", "default: 1.0", "error_log"):
        assert default in finished.stdout


def test_the_examples_in_the_help_can_be_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    examples = [line.strip() for line in inside.run(["--help"]).stdout.splitlines() if line.startswith("  python ")]
    assert len(examples) >= 3
    for example in examples:
        program, script, *arguments = shlex.split(example)
        assert (program, script) == ("python", "user_classifier.py")
        settings_from(argument_parser().parse_args(arguments))


def test_version() -> None:
    finished = inside.run(["--version"])
    assert finished.code == 0
    assert finished.stdout.startswith("user_classifier ")


@pytest.mark.parametrize(
    ("given", "answer_ms"),
    [
        ({}, "30000"),
        ({"transaction.timeout.ms": "5000"}, "2500"),
        ({"transaction.timeout.ms": "soon"}, "30000"),  # librdkafka says what is wrong with it
        ({"transaction.timeout.ms": "5000", "socket.timeout.ms": "4000"}, "4000"),
    ],
)
def test_a_lost_answer_is_noticed_within_the_transaction(given: dict[str, str], answer_ms: str) -> None:
    settings = Settings(schema_registry={}, consumer={}, producer=given)
    assert settings.producer_properties["socket.timeout.ms"] == answer_ms


@pytest.mark.parametrize(("given", "found"), [(None, 300.0), ("600000", 600.0), ("soon", 300.0)])
def test_how_long_a_client_may_go_without_polling(given: str | None, found: float) -> None:
    consumer = {} if given is None else {"max.poll.interval.ms": given}
    assert Settings(schema_registry={}, consumer=consumer, producer={}).max_poll_seconds == found

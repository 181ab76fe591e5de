"""Settings: options, defaults, and values of the file and the environment."""

import shlex
from pathlib import Path

import pytest

from classifier.config.settings import Settings, settings_from
from classifier.errors import ConfigError
from tests.support import configuration, inside
from tests.support.configuration import taken
from user_classifier import argument_parser


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a complete configuration file."""
    return configuration.write(tmp_path / "x.ini", configuration.sections("127.0.0.1:1", "http://127.0.0.1:1"))


def test_defaults(file: Path) -> None:
    found = taken(file)
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
    found = taken(file, *shlex.split(line))
    assert (found.topic, found.group, found.n_clusters, found.output) == ("in", "team", 5, "out")
    assert (found.changelog_mode, found.batch_interval, found.batch_size) == ("upsert", 0.5, 7)
    assert (found.until_end, found.rebuild, found.n_init, found.plot) == (True, True, 10, Path("clusters.svg"))
    assert (found.error_handling_mode, found.error_handling_log_target) == ("log", "dead")
    assert found.transactional_id == "user_classifier-team-out"


def test_defaults_with_cells(file: Path) -> None:
    found = taken(file, "--cells")
    assert (found.topic, found.output, found.batch_interval) == ("user_cells", "user_cell_labels", 60.0)
    assert found.transactional_id == "user_classifier-user_classifier-user_cell_labels"
    assert not found.one_hot
    given = taken(file, *shlex.split("--cells -t in -o out --batch-interval 1"))
    assert (given.topic, given.output, given.batch_interval) == ("in", "out", 1.0)


def test_the_features_of_the_plot(file: Path) -> None:
    assert taken(file).plotted == ("total_amount", "num_transactions")
    assert taken(file, "--features", "visits").plotted == ("visits",)
    assert taken(file, "--features", "a,b,c", "--plot", "c.svg").plotted == ("a", "b")
    assert taken(file, "--features", "a,b,c", "--plot", "c.svg", "--plot-features", "c, a").plotted == ("c", "a")
    assert taken(file, "--cells", "--plot", "c.svg", "--plot-features", "num_transactions").plotted == (
        "num_transactions",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--plot-features total_amount", "--plot-features needs --plot FILE; add it, or leave --plot-features out"),
        (
            "--plot c.svg --explore-k --plot-features total_amount",
            "--plot-features and --explore-k cannot be combined; leave one out",
        ),
        (
            "--plot c.svg --features visits,last_visit --plot-features visits,city",
            "--plot-features: city is not in --features visits,last_visit; add it there",
        ),
    ],
)
def test_features_that_cannot_be_plotted(file: Path, options: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        taken(file, *shlex.split(options))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ("--changelog-mode upsert", "each record holds the number of users of a cell; leave it out"),
        ("--changelog-mode append", "each record holds the number of users of a cell; leave it out"),
        ("--fit cells", "the fit always uses cells; leave it out"),
        ("--export x.csv", "users and their labels are in user_labeling; leave --cells out"),
        ("--rebuild", "both topics are read from the beginning at every start; leave it out"),
        (
            "--error-handling-mode log",
            "every start reads all records, and would copy them again; use ignore",
        ),
    ],
)
def test_options_that_cannot_be_combined_with_cells(file: Path, options: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        taken(file, "--cells", *shlex.split(options))
    assert str(caught.value) == f"{options} cannot be combined with --cells: {reason}"
    taken(file, *shlex.split(options))


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
    found = taken(configuration.write(tmp_path / "x.ini", content), *on_command_line)
    assert found.group == group
    assert "group.id" not in found.consumer


def test_the_command_line_overrides_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM", "ours")
    content = configuration.sections("127.0.0.1:1", "http://127.0.0.1:1")
    content["consumer"]["group.id"] = "${TEAM}"
    file = configuration.write(tmp_path / "x.ini", content)
    parse = argument_parser().parse_args
    assert settings_from(parse([str(file)])).group == "ours"
    assert settings_from(parse([str(file), "-g", "mine"])).group == "mine"


@pytest.mark.parametrize("option", ["--changelog-mode", "--error-handling-mode", "--log-level"])
def test_invalid_choice(option: str) -> None:
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
def test_topics_must_differ(file: Path, options: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        taken(file, *options)
    assert str(caught.value) == message


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "fe80::1%eth0", "localhost", "pod-1.metrics"])
def test_metrics_host(file: Path, host: str) -> None:
    assert taken(file, "--metrics-port", "9400").metrics_host == "127.0.0.1"
    assert taken(file, "--metrics-port", "9400", "--metrics-host", host).metrics_host == host


def test_metrics_host_without_metrics_port(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        taken(file, "--metrics-host", "0.0.0.0")
    assert str(caught.value) == "--metrics-host needs --metrics-port PORT; add it, or leave --metrics-host out"


@pytest.mark.parametrize(
    ("given", "socket_timeout_ms"),
    [
        ({}, "30000"),
        ({"transaction.timeout.ms": "5000"}, "2500"),
        ({"transaction.timeout.ms": "soon"}, "30000"),  # librdkafka reports the wrong value
        ({"transaction.timeout.ms": "5000", "socket.timeout.ms": "4000"}, "4000"),
    ],
)
def test_socket_timeout_is_shorter_than_the_transaction(given: dict[str, str], socket_timeout_ms: str) -> None:
    settings = Settings(schema_registry={}, consumer={}, producer=given)
    assert settings.producer_properties["socket.timeout.ms"] == socket_timeout_ms


@pytest.mark.parametrize(("given", "found"), [({}, "180000"), ({"connections.max.idle.ms": "0"}, "0")])
def test_idle_connections_are_closed_before_a_nat_forgets_them(given: dict[str, str], found: str) -> None:
    settings = Settings(schema_registry={}, consumer=given, producer=given)
    for properties in (settings.consumer_properties, settings.producer_properties):
        assert properties["connections.max.idle.ms"] == found


@pytest.mark.parametrize(("given", "found"), [(None, 300.0), ("600000", 600.0), ("soon", 300.0)])
def test_max_poll_seconds(given: str | None, found: float) -> None:
    consumer = {} if given is None else {"max.poll.interval.ms": given}
    assert Settings(schema_registry={}, consumer=consumer, producer={}).max_poll_seconds == found

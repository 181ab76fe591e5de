"""Values from the environment, and --print-config: everything that takes effect, and no secret."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from classifier.configuration import read_configuration
from classifier.errors import ConfigError
from classifier.reports.effective import settings_lines
from classifier.settings import settings_from
from tests.support import configuration, inside
from tests.support.client import SCRIPT, TIMEOUT_S
from user_classifier import argument_parser

SECRETS = {
    "REGISTRY_SECRET": "cflt7Qm/JX2+0vbYkXw==",
    "KAFKA_SECRET": "Zp8$u{x}%s=#'\"qL",
    "PEM": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----",
}


def one_value(directory: Path, value: str) -> str:
    """What the client makes of one value in a file."""
    file = configuration.write(directory / "x.ini", {"consumer": {"sasl.password": value}})
    return read_configuration(str(file))["consumer"]["sasl.password"]


@pytest.mark.parametrize(
    ("written", "taken"),
    [
        ("${A}", "one"),
        ("${A}:${_b2}", "one:two"),
        ("x${A}y", "xoney"),
        ("${_b2}", "two"),
        ("${NESTED}", "${A}"),
        ("${EMPTY}.", "."),
        ("$${A}", "$one"),
        *((text, text) for text in ("$", "$A", "${", "${}", "${A", "${1A}", "${A-B}", "${ A}", "${Ä}", "pa$$w${ord")),
    ],
)
def test_values(written: str, taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"A": "one", "_b2": "two", "NESTED": "${A}", "EMPTY": ""}.items():
        monkeypatch.setenv(name, value)
    assert one_value(tmp_path, written) == taken


def test_a_variable_that_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET", SECRETS["KAFKA_SECRET"])
    monkeypatch.delenv("UNSET", raising=False)
    with pytest.raises(ConfigError) as caught:
        one_value(tmp_path, "s3cr3t${SET}${UNSET}")
    assert str(caught.value) == (
        f"{tmp_path}/x.ini: [consumer] sasl.password: ${{UNSET}} is not set in the environment;"
        " type first: export UNSET=..."
    )


def test_the_command_line_counts_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM", "ours")
    content = configuration.sections("127.0.0.1:1", "http://127.0.0.1:1")
    content["consumer"]["group.id"] = "${TEAM}"
    file = configuration.write(tmp_path / "x.ini", content)
    parse = argument_parser().parse_args
    assert settings_from(parse([str(file)])).group == "ours"
    assert settings_from(parse([str(file), "-g", "mine"])).group == "mine"


SECTIONS_IN_FULL = """\
[schema_registry]
basic.auth.user.info = ****
max.retries = 0
timeout = 10.0
url = https://host:8081/x

[consumer]
auto.offset.reset = earliest
bootstrap.servers = host:9092
enable.auto.commit = false
enable.partition.eof = true
fetch.queue.backoff.ms = 10
fetch.wait.max.ms = 100
group.id = user_classifier
isolation.level = read_committed
sasl.password = ****

[producer]
bootstrap.servers = host:9092
enable.idempotence = true
partitioner = murmur2_random
retry.backoff.ms = 2
sasl.username = someone
socket.timeout.ms = 30000
ssl.key.pem = ****
transactional.id = user_classifier-user_classifier-user_labeling
"""


def test_print_config_in_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    content = {
        "schema_registry": {
            "url": "https://host:8081/x",
            "basic.auth.user.info": "key:${REGISTRY_SECRET}",
        },
        "consumer": {"bootstrap.servers": "host:9092", "sasl.password": "${KAFKA_SECRET}", "group.id": "args.group"},
        "producer": {"bootstrap.servers": "host:9092", "ssl.key.pem": "${PEM}", "sasl.username": "someone"},
    }
    file = configuration.write(tmp_path / "x.ini", content)
    finished = inside.run([str(file), "-k", "4", "--summary", "--batch-size", "7", "--print-config"])
    assert (finished.code, finished.stderr) == (0, "")
    options, _, sections = finished.stdout.partition("\n\n")
    lines = options.splitlines()
    assert lines[:2] == ["[options]", f"CONFIG_FILE = {file}"]
    assert {"-k = 4", "-g = user_classifier", "--summary = on", "--batch-size = 7", "--plot = off"} <= set(lines)
    known = {action.dest for action in argument_parser()._actions} - {"help", "version", "print_config"}
    assert len(lines) == 1 + len(known)
    assert sections == SECTIONS_IN_FULL


def test_a_reader_of_the_output_who_has_gone_is_no_mistake(tmp_path: Path) -> None:
    """As in `user_classifier.py ... --print-config | true`."""
    file = configuration.write(tmp_path / "x.ini", configuration.sections("127.0.0.1:1", "http://127.0.0.1:1"))
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as gone:
        command: list[str | Path] = [sys.executable, SCRIPT, file, "--print-config"]
        done = subprocess.run(command, stdout=gone, stderr=subprocess.PIPE, timeout=TIMEOUT_S, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


SECRET_KEYS = [
    *("sasl.password", "ssl.key.password", "ssl.keystore.password", "ssl.key.pem", "ssl.certificate.pem", "ssl.ca.pem"),
    *("basic.auth.user.info", "bearer.auth.token", "bearer.auth.client.secret", "sasl.oauthbearer.client.secret"),
    *(
        "sasl.jaas.config",
        "SASL.Password",
        "sasl.oauthbearer.config",
        "sasl.oauthbearer.assertion.private.key.passphrase",
    ),
]


@pytest.mark.parametrize("key", SECRET_KEYS)
def test_a_secret_is_not_shown(key: str) -> None:
    for secret in SECRETS.values():
        shown = "\n".join(settings_lines({}, {"consumer": {key: secret}}))
        assert shown.endswith(f"{key} = ****")
        assert not any(part in shown for part in secret.splitlines())


@pytest.mark.parametrize("url", ["https://{0}@host:8081/x", "http://a,https://k:{0}@host:8081/x"])
@pytest.mark.parametrize("userinfo", ["key:secret", "key:se/cr@et", "secret"])
def test_userinfo_of_a_url_is_not_shown(url: str, userinfo: str) -> None:
    (*_, shown) = settings_lines({}, {"schema_registry": {"url": url.format(userinfo)}})
    assert shown.endswith("//****@host:8081/x")
    assert "cr" not in shown

"""Configuration files: the shipped ones, values from the environment, and checks of values."""

from pathlib import Path

import pytest

from classifier.commands.print_config import without_secrets
from classifier.config.ini_file import read_configuration, value_problem
from classifier.errors import ConfigError
from tests.support import configuration, inside
from tests.support.client import ROOT

SHIPPED = "configurations/configuration.ini"
PASSWORD = "p%s=%(x)s;#'\" =ä"


def test_the_template_lists_its_placeholders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert inside.run([f"./{SHIPPED}"]) == (
        2,
        "",
        f"user_classifier.py: error: ./{SHIPPED}: placeholders still to be filled in:"
        " [schema_registry] url, [schema_registry] basic.auth.user.info,"
        " [consumer] bootstrap.servers, [consumer] sasl.username, [consumer] sasl.password,"
        " [producer] bootstrap.servers, [producer] sasl.username, [producer] sasl.password\n",
    )


def test_the_filled_in_template_is_complete(tmp_path: Path) -> None:
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
    found = configuration.taken(path)
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
    found = configuration.taken(ROOT / "configurations" / "local.ini")
    assert found.consumer["bootstrap.servers"] == "127.0.0.1:9092"
    assert found.schema_registry["url"].startswith("http://127.0.0.1:8081")


def one_value(directory: Path, value: str) -> str:
    """Return one value of a file after substitution."""
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
        *((text, text) for text in ("$", "$$", "$1", "x$A", "${", "${A", "x${1A}", "x${ A}", "pa$$w${ord")),
    ],
)
def test_variables(written: str, taken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"A": "one", "_b2": "two", "NESTED": "${A}", "EMPTY": ""}.items():
        monkeypatch.setenv(name, value)
    assert one_value(tmp_path, written) == taken


def test_unset_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SET", PASSWORD)
    monkeypatch.delenv("UNSET", raising=False)
    with pytest.raises(ConfigError) as caught:
        one_value(tmp_path, "s3cr3t${SET}${UNSET}")
    assert str(caught.value) == (
        f"{tmp_path}/x.ini: [consumer] sasl.password: ${{UNSET}} is not set in the environment;"
        " type first: export UNSET=..."
    )


def test_a_key_instead_of_its_path_is_accepted() -> None:
    """Python raises an error with the path in it if that is too long for a file name."""
    assert value_problem("consumer", "ssl.key.location", "M" * 5000) == ""


def test_a_secret_may_contain_a_comment_character() -> None:
    assert value_problem("consumer", "sasl.password", "p # ;") == ""


def test_paths_are_not_secret() -> None:
    assert without_secrets("ssl.key.location", "/etc/client.key") == "/etc/client.key"
    assert without_secrets("SSL.Key.Pem", "MIIEv") == "****"
    assert without_secrets("sasl.oauthbearer.assertion.private.key.file", "/etc/key.pem") == "/etc/key.pem"


def test_addresses_are_not_secret() -> None:
    """The word token is in the name of the property only."""
    shown = without_secrets("sasl.oauthbearer.token.endpoint.url", "https://id:s3cr3t@host/token?code=s3cr3t")
    assert shown == "https://****@host/token?****"

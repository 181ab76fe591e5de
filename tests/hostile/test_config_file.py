"""Configuration files with mistakes: a complete message, exit code 2, and no secret in it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import client, configuration, inside

SECRET = "s3cr%t=;#\"'"  # characters of generated passwords
NOWHERE = "127.0.0.1:1"
PREFIX = "user_classifier.py: error: "
FILE = "broken.ini"

Sections = dict[str, dict[str, str]]


def sections() -> Sections:
    """A complete configuration with secrets, of services that do not exist."""
    found = configuration.sections(NOWHERE, f"http://{NOWHERE}")
    found["schema_registry"]["basic.auth.user.info"] = f"key:{SECRET}"
    for name in ("consumer", "producer"):
        found[name] |= {
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanisms": "PLAIN",
            "sasl.username": "user",
            "sasl.password": SECRET,
        }
    return found


def text(content: Sections) -> str:
    """The file's text."""
    return "".join(
        f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
        for name, values in content.items()
    )


def complaint(directory: Path, content: bytes, monkeypatch: pytest.MonkeyPatch, *more: str) -> str:
    """The message about a file; the exit code must be 2, without the secret in the output."""
    monkeypatch.chdir(directory)
    Path(FILE).write_bytes(content)
    finished = inside.run([FILE, *more])
    assert finished.code == 2, finished.output
    assert SECRET not in finished.output
    assert "Traceback" not in finished.output
    assert finished.stderr.startswith(PREFIX)
    return finished.stderr.removeprefix(PREFIX).rstrip("\n")


def without(section: str, key: str | None = None) -> str:
    """The file without a section or without a property."""
    content = sections()
    if key is None:
        del content[section]
    else:
        del content[section][key]
    return text(content)


def having(section: str, key: str, value: str) -> str:
    """The file with another property."""
    content = sections()
    content[section][key] = value
    return text(content)


CANNOT = "missing, unknown, or without a valid value"
UNKNOWN = f"{CANNOT}; check the spelling"

URL = "it must begin with http:// or https://, with a valid host and port"

NO_PROPERTY = (
    "broken.ini: the line after sasl.password: not of the form 'property = value', with the property in lower case"
)

SECTION_NEEDED = "broken.ini: no section [{}]; add it as in configurations/configuration.ini"

NO_SECTION_YET = "broken.ini: line 1: is before the first section; start with [schema_registry]"

TEXTS: dict[str, tuple[str, str]] = {
    "empty": ("", SECTION_NEEDED.format("schema_registry")),
    "blank": ("\n \n# nothing\n", SECTION_NEEDED.format("schema_registry")),
    "control characters": ("\0\1\2", NO_SECTION_YET),
    "no sections": (f"sasl.password = {SECRET}\n", NO_SECTION_YET),
    "no [schema_registry]": (without("schema_registry"), SECTION_NEEDED.format("schema_registry")),
    "no [consumer]": (without("consumer"), SECTION_NEEDED.format("consumer")),
    "no [producer]": (without("producer"), SECTION_NEEDED.format("producer")),
    "a section twice": (
        text(sections()) + "[consumer]\n",
        "broken.ini: line 19: section [consumer] appears twice; merge the two",
    ),
    "a property twice": (
        text(sections()) + f"sasl.password = {SECRET}\n",
        "broken.ini: line 19: [producer] has 'sasl.password' twice; remove one",
    ),
    "a line without =": (
        text(sections()) + f"sasl.password {SECRET[:2]}\n",
        "broken.ini: line 19: not of the form 'property = value'",
    ),
    "a value without a name": (
        text(sections()) + f"= {SECRET}\n",
        "broken.ini: line 19: not of the form 'property = value'",
    ),
    "an indented line": (
        text(sections()).replace("security.protocol", "  security.protocol"),
        "broken.ini: [consumer] fetch.wait.max.ms is followed by an indented line; remove the indentation",
    ),
    "no servers": (
        without("producer", "bootstrap.servers"),
        "broken.ini: [producer] has no 'bootstrap.servers'; add e.g. bootstrap.servers = host:9092",
    ),
    "no url": (
        without("schema_registry", "url"),
        "broken.ini: [schema_registry] has no 'url'; add e.g. url = https://host:8081",
    ),
    "empty servers": (
        having("consumer", "bootstrap.servers", ""),
        "broken.ini: [consumer] has no 'bootstrap.servers'; add e.g. bootstrap.servers = host:9092",
    ),
    "empty group": (
        having("consumer", "group.id", ""),
        "broken.ini: [consumer] group.id is empty; remove the line, or name a group with -g",
    ),
    "auto commit": (
        having("consumer", "enable.auto.commit", "true"),
        "broken.ini: [consumer] enable.auto.commit must be false; remove the line",
    ),
    "read_uncommitted": (
        having("consumer", "isolation.level", "read_uncommitted"),
        "broken.ini: [consumer] isolation.level must be read_committed; remove the line",
    ),
    "own transactional.id": (
        having("producer", "transactional.id", "x"),
        "broken.ini: [producer] transactional.id is derived from -g and -o; remove the line",
    ),
    "no offset to begin at": (
        having("consumer", "auto.offset.reset", "none"),
        "broken.ini: [consumer] auto.offset.reset must be earliest or latest",
    ),
    "unknown to librdkafka": (
        having("consumer", "sasl.passwort", SECRET),
        f"{FILE}: [consumer] sasl.passwort: {UNKNOWN}",
    ),
    "a callback": (having("consumer", "stats_cb", SECRET), f"{FILE}: [consumer] stats_cb: {UNKNOWN}"),
    "a value out of range": (
        having("consumer", "fetch.wait.max.ms", "-1"),
        f"{FILE}: [consumer] fetch.wait.max.ms must be in 0..300000; correct or remove the line",
    ),
    "no such protocol": (
        having("consumer", "security.protocol", SECRET),
        f"{FILE}: [consumer] security.protocol: {UNKNOWN}",
    ),
    "no such mechanism": (
        having("consumer", "sasl.mechanisms", SECRET),
        f"{FILE}: [consumer] sasl.mechanisms: {CANNOT};"
        " it selects how sasl.username and sasl.password are sent, e.g. PLAIN",
    ),
    "unknown to the registry": (
        having("schema_registry", "basic.auth", SECRET),
        f"{FILE}: [schema_registry] basic.auth: {UNKNOWN}",
    ),
    "token without a colon": (
        having("schema_registry", "basic.auth.user.info", SECRET),
        f"{FILE}: [schema_registry] basic.auth.user.info: {CANNOT}; it must be key:secret, and not in url as well",
    ),
    **{
        f"url {url}": (having("schema_registry", "url", url), f"{FILE}: [schema_registry] url: {CANNOT}; {URL}")
        for url in ("host:8081", "http://host:port", f"http://key:{SECRET}/@host")
    },
    "a colon in the place of =": (
        having("consumer", "sasl.password:", SECRET).replace("sasl.password: =", "sasl.password:"),
        NO_PROPERTY,
    ),
    "a secret by itself": (
        text(sections()) + f"{SECRET}\n",
        NO_PROPERTY,
    ),
    "a secret by itself, twice": (
        text(sections()) + f"{SECRET}\n{SECRET}\n",
        "broken.ini: line 20: [producer] has the same twice; remove one",
    ),
    "quotes": (
        having("consumer", "security.protocol", '"SASL_SSL"'),
        "broken.ini: [consumer] security.protocol is in quotes; remove them",
    ),
}


@pytest.mark.parametrize(("content", "message"), TEXTS.values(), ids=TEXTS)
def test_mistake(content: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert complaint(tmp_path, content.encode(), monkeypatch) == message


@pytest.mark.parametrize("content", [bytes(range(256)), b"\x89PNG\r\n\x1a\n", text(sections()).encode("utf-16")])
def test_not_text(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert complaint(tmp_path, content, monkeypatch) == "broken.ini: not a text file in UTF-8; save it as one"


def test_missing_file_and_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("folder.ini").mkdir()
    missing = inside.run(["missing.ini"])
    folder = inside.run(["folder.ini"])
    advice = "no such file; copy configurations/configuration.ini and fill it in"
    assert missing == (2, "", f"{PREFIX}missing.ini: {advice}\n")
    assert folder == (2, "", f"{PREFIX}folder.ini: cannot be read (Is a directory); choose a readable file\n")


def test_a_mistake_as_json() -> None:
    logged = json.loads(client.run(["missing.ini", "--log-format", "json"]).stderr)
    assert (logged["level"], logged["message"].partition(":")[0]) == ("ERROR", "missing.ini")


@pytest.mark.parametrize("section", ["consumer", "producer"])
@pytest.mark.parametrize("key", ["sasl.mechanisms", "sasl.username", "sasl.password"])
def test_half_of_the_credentials(section: str, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = complaint(tmp_path, without(section, key).encode(), monkeypatch)
    assert message.startswith(f"{FILE}: [{section}] ")
    assert key in message


@pytest.mark.parametrize("section", ["schema_registry", "consumer", "producer"])
@pytest.mark.parametrize("content", [None, "no certificate"])
def test_ca_file(content: str | None, section: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if content is not None:
        (tmp_path / "ca.pem").write_text(content)
    changed = sections()
    changed[section]["ssl.ca.location"] = "ca.pem"
    if section != "schema_registry":
        changed[section]["security.protocol"] = "SASL_SSL"
    message = complaint(tmp_path, text(changed).encode(), monkeypatch)
    assert message.startswith(f"{FILE}: [{section}] ssl.ca.location: ")


@pytest.mark.parametrize("key", ["timeout", "max.retries", "retries.wait.ms", "retries.max.wait.ms", "cache.capacity"])
@pytest.mark.parametrize("value", ["many", "nan", "-1"])
def test_registry_numbers(key: str, value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    message = complaint(tmp_path, having("schema_registry", key, value).encode(), monkeypatch)
    assert message.startswith(f"{FILE}: [schema_registry] {key}:")


Mangle = Callable[[str], bytes]
WINDOWS: dict[str, Mangle] = {
    "BOM": lambda content: content.encode("utf-8-sig"),
    "CRLF": lambda content: content.replace("\n", "\r\n").encode(),
    "both": lambda content: content.replace("\n", "\r\n").encode("utf-8-sig"),
}


@pytest.mark.parametrize("key", ["sasl.pasword", "basic.auth.credentials", "sasl.pwd"])
def test_a_misspelt_secret_is_not_printed(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = "schema_registry" if key.startswith("basic") else "consumer"
    message = complaint(tmp_path, having(section, key, SECRET).encode(), monkeypatch, "--print-config")
    assert message == f"{FILE}: [{section}] {key}: {UNKNOWN}"


@pytest.mark.parametrize("milliseconds", ["1000", "700000", "900000"])
def test_transaction_timeouts_of_any_length(milliseconds: str, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(having("producer", "transaction.timeout.ms", milliseconds))
    assert inside.run([str(tmp_path / FILE), "--print-config"]).code == 0


@pytest.mark.parametrize("mangle", WINDOWS.values(), ids=WINDOWS)
def test_files_from_windows(mangle: Mangle, tmp_path: Path) -> None:
    from classifier.config.ini_file import read_configuration

    file = tmp_path / FILE
    file.write_bytes(mangle(text(sections())))
    assert read_configuration(str(file)) == sections()

"""Secrets as other programs write them are refused by the name of their form; secrets in files are read.

Taken literally, they would be sent to the brokers as passwords.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from classifier.config.ini_file import check_configuration, read_configuration
from tests.support import configuration, inside
from tests.support.client import ROOT, TIMEOUT_S

PREFIX = "user_classifier.py: error: "
HIDDEN = "s3cr3t"  # no output may contain it
EXAMPLE = "${file:/run/secrets/kafka}"
PASSWORD = "consumer", "sasl.password"
PAIR = "schema_registry", "basic.auth.user.info"


def file_with(directory: Path, section: str, key: str, value: str) -> Path:
    """A complete file with one changed line."""
    content = configuration.sections("127.0.0.1:1", "http://127.0.0.1:1")
    content[section][key] = value
    return configuration.write(directory / "x.ini", content)


def value_read(directory: Path, section: str, key: str, value: str) -> str:
    """The value that the clients get."""
    file = str(file_with(directory, section, key, value))
    sections = read_configuration(file)
    check_configuration(file, sections)
    return sections[section][key]


def refusal(directory: Path, section: str, key: str, value: str) -> str:
    """The message after section and property; exit code 2, and no secret in the output."""
    file = file_with(directory, section, key, value)
    finished = inside.run([str(file)])
    assert (finished.code, finished.stdout) == (2, "")
    assert HIDDEN not in finished.stderr
    beginning = f"{PREFIX}{file}: [{section}] {key}"
    assert finished.stderr.startswith(beginning)
    return finished.stderr.removeprefix(beginning).rstrip("\n")


def of_form(form: str) -> str:
    """The message about a form."""
    written = f"write ${{NAME}} for an environment variable or {EXAMPLE} for a file"
    return f" has the form {form}, which is not replaced; {written}, also if it is the secret itself"


FORMS = {
    "${...}": [
        *(
            "${env:KAFKA_SECRET}",
            "${KAFKA_SECRET:-s3cr3t}",
            "${KAFKA_SECRET:?s3cr3t}",
            "${KAFKA_SECRET-s3cr3t}",
            "${A-B}",
        ),
        *(
            "${vault:secret/kafka:s3cr3t}",
            "${directory:/run/secrets:kafka}",
            "${secretsManager:kafka:s3cr3t}",
            "${a.b}",
        ),
        *("${file:${HOME}/kafka}", "${VAULT::kafka::s3cr3t}", "${}", "${ A}", "${1A}", "${Ä}", "a${env:B}c"),
    ],
    "$NAME": ["$KAFKA_SECRET", "$s3cr3t", '"$KAFKA_SECRET"'],
    "$env:NAME": ["$env:KAFKA_SECRET"],
    "$(...)": ["$(cat /run/secrets/s3cr3t)", "$(KAFKA_SECRET)"],
    "`...`": ["`cat /run/secrets/s3cr3t`", "`s3cr3t`"],
    "%NAME%": ["%KAFKA_SECRET%"],
    "%(NAME)s": ["%(kafka_secret)s"],
    "{{...}}": ["{{x}}", "{{ .Values.kafka.s3cr3t }}", '"{{ kafka_secret }}"', "{{ with secret `s3cr3t` }}x{{ end }}"],
    "#{...}": ["#{KafkaSecret}", "#{KafkaSecret}#"],
    "__NAME__": ["__KAFKA_SECRET__"],
    "<...>": ["<secret>", "<your API secret>", "<%= ENV['s3cr3t'] %>"],
    "!vault": ["!vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  6133", "!secret kafka", "!ENV KAFKA_SECRET"],
    "ENC(...)": ["ENC(s3cr3t)", "ENC[AES256_GCM,data:s3cr3t,type:str]", "ENC[PKCS7,s3cr3t]"],
    "{cipher}...": ["{cipher}s3cr3t", "{aes}s3cr3t"],
    "$ANSIBLE_VAULT": ["$ANSIBLE_VAULT;1.1;AES256"],
    "@Microsoft.KeyVault(...)": ["@Microsoft.KeyVault(SecretUri=https://v/secrets/s3cr3t)"],
    "env:NAME": ["env:KAFKA_SECRET"],
    "file:/...": ["file:/run/secrets/s3cr3t", "file:///run/s3cr3t"],
    "vault:...": ["vault:secret/data/kafka#s3cr3t"],
    "...://...": ["op://vault/kafka/s3cr3t", "ref+vault://s3cr3t"],
    "arn:aws:...": ["arn:aws:secretsmanager:eu-west-1:1:secret:s3cr3t", "arn:aws-cn:ssm:r:1:parameter/s3cr3t"],
    "projects/.../secrets/...": ["projects/p/secrets/s3cr3t/versions/latest"],
    "****": ["****", "[hidden]"],
}
ALL_FORMS = [(form, value) for form, values in FORMS.items() for value in values]
OF_USERS = ("env:NAME", "vault:...", "file:/...", "...://...", "arn:aws:...", "projects/.../secrets/...", "****")


@pytest.mark.parametrize(("form", "value"), ALL_FORMS)
def test_forms_of_other_programs(form: str, value: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, *PASSWORD, value) == of_form(form)


@pytest.mark.parametrize(("form", "value"), [each for each in ALL_FORMS if '"' not in each[1]])
def test_forms_after_the_user_name(form: str, value: str, tmp_path: Path) -> None:
    """basic.auth.user.info is user:secret."""
    assert refusal(tmp_path, *PAIR, f"key:{value}") == of_form(form)
    if form not in OF_USERS:  # of a pair, `vault:x` is the secret x of the user vault
        assert refusal(tmp_path, *PAIR, value) == of_form(form)


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("producer", "sasl.password"),
        ("producer", "ssl.key.password"),
        ("consumer", "ssl.key.pem"),
        ("consumer", "sasl.oauthbearer.client.secret"),
        ("schema_registry", "bearer.auth.client.secret"),
    ],
)
def test_in_every_property_of_a_secret(section: str, key: str, tmp_path: Path) -> None:
    assert refusal(tmp_path, section, key, "${env:KAFKA_SECRET}") == of_form("${...}")


@pytest.mark.parametrize(
    "value",
    [
        *(
            "$",
            "$$",
            "$1",
            "x$A",
            "$A-b",
            "${",
            "pa$$w${ord",
            "x${1}",
            "$ecret!",
            "%A",
            "100%",
            "%s",
            "a%A%",
            "{{x",
            "{x}",
        ),
        *(
            "<x",
            "a<x>",
            "<1>",
            "!secret",
            "!x y",
            "ENC",
            "ENC(",
            "ENC()x",
            "{cipher}",
            "__a__",
            "#{",
            "#x",
            "`",
            "``",
            "*",
        ),
        *(
            "Endpoint=sb://host/;SharedAccessKeyName=k;SharedAccessKey=a/b+c=",
            "abc://",
            "a://b c",
            "vault",
            "env",
            "/x",
        ),
        *("(a)", "@/", "@x", "arn:", "a" * 5000, "/" + "a" * 5000, "secret:x", '"x"', "[x]", "projects/x"),
    ],
)
def test_passwords_that_look_similar(value: str, tmp_path: Path) -> None:
    assert value_read(tmp_path, *PASSWORD, value) == value


@pytest.mark.parametrize("value", ["vault:x", "env:x", "file:x", "key:a:$b", "KEY:ab$c/d+e==", "key:{}", "$:$"])
def test_pairs_that_look_similar(value: str, tmp_path: Path) -> None:
    assert value_read(tmp_path, *PAIR, value) == value


@pytest.mark.parametrize("value", [value for _, value in ALL_FORMS if "\n" not in value])
def test_every_secret_can_come_from_a_variable_or_a_file(
    value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Literally: what is replaced is not searched for further references."""
    monkeypatch.setenv("GIVEN", value)
    (tmp_path / "secret").write_text(value, encoding="utf-8")
    assert value_read(tmp_path, *PASSWORD, "${GIVEN}") == value
    assert value_read(tmp_path, *PASSWORD, f"${{file:{tmp_path}/secret}}") == value


@pytest.mark.parametrize("quotes", ['""', "''", "“”"])
def test_a_reference_in_quotes(quotes: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", HIDDEN)
    assert refusal(tmp_path, *PASSWORD, f"{quotes[0]}${{GIVEN}}{quotes[1]}") == " is in quotes; remove them"


@pytest.mark.parametrize("prefix", ["", "@"])
def test_the_path_of_a_file(prefix: str, tmp_path: Path) -> None:
    path = tmp_path / "kafka"
    path.write_text(HIDDEN)
    assert refusal(tmp_path, *PASSWORD, f"{prefix}{path}") == f" is the path of a file; write it as in {EXAMPLE}"


# Files


@pytest.mark.parametrize(
    ("content", "value"),
    [
        *((b"s3cr3t", "s3cr3t"), (b"s3cr3t\n", "s3cr3t"), (b"s3cr3t\r\n", "s3cr3t"), (b" a b \n", " a b ")),
        *((b"\xef\xbb\xbfs3cr3t\n", "s3cr3t"), ("pä$${A}\n".encode(), "pä$${A}"), (b'"s3cr3t"', '"s3cr3t"')),
    ],
)
def test_the_whole_file_without_one_line_break_at_its_end(content: bytes, value: str, tmp_path: Path) -> None:
    path = tmp_path / "kafka"
    path.write_bytes(content)
    assert value_read(tmp_path, *PASSWORD, f"${{file:{path}}}") == value


def test_several_references(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder as Kubernetes mounts a Secret: each key is a link to a file in a folder with the date."""
    dated = tmp_path / "..2025"
    dated.mkdir()
    (tmp_path / "..data").symlink_to(dated)
    for name in ("key", "secret"):
        (dated / name).write_text(f"the {name}\n")
        (tmp_path / name).symlink_to(Path("..data", name))
    monkeypatch.setenv("KEY", "of a variable")
    assert value_read(tmp_path, *PAIR, f"${{file:{tmp_path}/key}}:${{file:{tmp_path}/secret}}") == "the key:the secret"
    assert value_read(tmp_path, *PAIR, f"${{KEY}}:${{file:{tmp_path}/secret}}") == "of a variable:the secret"


def test_a_certificate_keeps_its_lines(tmp_path: Path) -> None:
    path = tmp_path / "ca"
    path.write_text("-----BEGIN\nx\n-----END\n")
    assert value_read(tmp_path, "consumer", "ssl.ca.pem", f"${{file:{path}}}") == "-----BEGIN\nx\n-----END"


def test_the_secret_is_not_printed(tmp_path: Path) -> None:
    path = tmp_path / "kafka"
    path.write_text(HIDDEN)
    finished = inside.run([str(file_with(tmp_path, *PASSWORD, f"${{file:{path}}}")), "--print-config"])
    assert finished.code == 0
    assert "\nsasl.password = ****\n" in finished.stdout
    assert HIDDEN not in finished.output


SEVERAL_LINES = "begins or ends with a line break; set it with printf %s, not with echo"
CONTENTS: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "is empty; write the secret to it: printf %s ... > {path}"),
    "a line break": (b"\n", "is empty; write the secret to it: printf %s ... > {path}"),
    "a space": (b" \r\n", "is empty; write the secret to it: printf %s ... > {path}"),
    "two line breaks": (b"s3cr3t\n\n", SEVERAL_LINES),
    "a line break before": (b"\ns3cr3t", SEVERAL_LINES),
    "two lines": (b"s3cr3t\nuser\n", "has several lines; keep only the secret"),
    "carriage return": (b"s3cr3t\ruser", "has several lines; keep only the secret"),
    "Latin-1": ("s3cr3t ä".encode("latin-1"), "is not a text file in UTF-8; save it as one"),
    "UTF-16": ("s3cr3t\n".encode("utf-16"), "is not a text file in UTF-8; save it as one"),
    "UTF-16 without a mark": ("s3cr3t\n".encode("utf-16-le"), "is not a text file in UTF-8; save it as one"),
    "binary": (b"s3cr3t\0", "is not a text file in UTF-8; save it as one"),
    "large": (b"s3cr3t\n" * 200_000, "is larger than 1 MiB; name the file of the secret"),
}


@pytest.mark.parametrize(("content", "message"), CONTENTS.values(), ids=CONTENTS)
def test_contents_that_are_refused(content: bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "kafka"
    path.write_bytes(content)
    value = f"${{file:{path}}}"
    assert refusal(tmp_path, *PASSWORD, value) == f": {value} {message.format(path=path)}"


def to_itself(path: Path) -> None:
    """A link that leads nowhere."""
    path.symlink_to(path)


MADE: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: None, "does not exist; mount the secret there, or correct the path"),
    "a link to a missing file": (
        lambda path: path.symlink_to("nowhere"),
        "does not exist; mount the secret there, or correct the path",
    ),
    "a folder": (lambda path: path.mkdir(), "is a folder; name a file in it"),
    "a pipe": (os.mkfifo, "is a device or a pipe; write the secret to a file"),
    "a device": (lambda path: path.symlink_to("/dev/zero"), "is a device or a pipe; write the secret to a file"),
    "a link to itself": (
        to_itself,
        "cannot be read (Too many levels of symbolic links); choose a readable file",
    ),
}


@pytest.mark.parametrize(("make", "message"), MADE.values(), ids=MADE)
def test_files_that_cannot_be_read(make: Callable[[Path], object], message: str, tmp_path: Path) -> None:
    path = tmp_path / "kafka"
    make(path)
    assert refusal(tmp_path, *PASSWORD, f"${{file:{path}}}") == f": ${{file:{path}}} {message}"


def test_a_file_in_a_file(tmp_path: Path) -> None:
    value = f"${{file:{file_with(tmp_path, *PASSWORD, 'x')}/kafka}}"
    assert refusal(tmp_path, *PASSWORD, value).endswith(" does not exist; mount the secret there, or correct the path")


@pytest.mark.parametrize("name", ["a" * 5000, "a\0b"])
def test_names_that_no_file_can_have(name: str, tmp_path: Path) -> None:
    assert "cannot be read (" in refusal(tmp_path, *PASSWORD, f"${{file:/{name}}}")


@pytest.mark.parametrize("path", ["s3cr3t", "./s3cr3t", "~/s3cr3t", "", " /run/s3cr3t"])
def test_a_path_that_is_not_whole(path: str, tmp_path: Path) -> None:
    message = f": ${{file:...}} needs the whole path; write e.g. {EXAMPLE}"
    assert refusal(tmp_path, *PASSWORD, f"${{file:{path}}}") == message


@pytest.mark.parametrize("path", ["/run/kafka.properties:s3cr3t", "kafka.properties:s3cr3t", "C:/kafka", "//host:1/x"])
def test_the_form_of_java(path: str, tmp_path: Path) -> None:
    message = f": ${{file:path:key}} is a form of Java clients; write {EXAMPLE}, one secret a file"
    assert refusal(tmp_path, *PASSWORD, f"${{file:{path}}}") == message


@pytest.mark.parametrize("key", ["ssl.key.location", "ssl.ca.location", "sasl.oauthbearer.assertion.file"])
def test_a_property_that_is_a_path(key: str, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text(HIDDEN)
    message = " is a path itself; write the path without ${file:...}"
    assert refusal(tmp_path, "consumer", key, f"${{file:{path}}}") == message


AS_NOBODY = """
import encodings.utf_8_sig, os, sys  # imported before the folder of Python may be out of reach
from user_classifier import main
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_file_of_another_user() -> None:
    """As when a Secret is mounted with a mode for its owner only."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        path = directory / "kafka"
        path.write_text(HIDDEN)
        path.chmod(0o400)
        file = file_with(directory, *PASSWORD, f"${{file:{path}}}")
        command = [sys.executable, "-c", AS_NOBODY, str(file)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    message = f"${{file:{path}}} cannot be read by user 65534; let this user read it"
    assert (done.returncode, done.stderr) == (2, f"{PREFIX}{file}: [consumer] sasl.password: {message}\n")


def test_a_variable_with_several_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "s3cr3t\nuser")
    assert refusal(tmp_path, *PASSWORD, "${GIVEN}") == ": ${GIVEN} has several lines; keep only the secret"

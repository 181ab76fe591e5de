"""Values with a comment, quotes, a unit or an unknown variable are refused; secrets are taken literally.

Taken literally, such values would go unnoticed: another group, 60 milliseconds instead of a minute.
"""

from pathlib import Path

import pytest

from classifier.config.ini_file import read_configuration
from tests.support import configuration, inside

PREFIX = "user_classifier.py: error: "
COMMENT = "has a comment after its value; put the comment on a line of its own"
QUOTED = "is in quotes; remove them"
VARIABLE = "has a variable in an unknown form; write ${NAME}"
NUMBER = "must be a number of digits only, without a unit or separators"
SERVERS = "must be host:port, several separated by commas"


def file_with(directory: Path, section: str, key: str, value: str) -> Path:
    """A complete file with one changed line."""
    content = configuration.sections("127.0.0.1:1", "http://127.0.0.1:1")
    content[section][key] = value
    return configuration.write(directory / "x.ini", content)


def effective(file: Path) -> str:
    """The output of --print-config, which must succeed."""
    finished = inside.run([str(file), "--print-config"])
    assert finished.code == 0, finished.output
    return finished.stdout


REFUSED = [
    ("consumer", "group.id", "args.group # from -g", COMMENT),
    ("consumer", "group.id", "args.group\t; from -g", COMMENT),
    ("consumer", "group.id", "# from -g", COMMENT),
    ("consumer", "group.id", '"args.group"', QUOTED),
    ("consumer", "group.id", "'team'", QUOTED),
    ("consumer", "group.id", "“team”", QUOTED),
    ("consumer", "group.id", "$GROUP", VARIABLE),
    ("consumer", "group.id", "${GROUP:-team}", VARIABLE),
    ("consumer", "group.id", "%GROUP%", VARIABLE),
    ("consumer", "group.id", "{{ group }}", VARIABLE),
    ("consumer", "group.id", "$(GROUP)", VARIABLE),
    ("consumer", "sasl.username", "${env:KAFKA_KEY}", VARIABLE),
    ("consumer", "sasl.username", "$KAFKA_KEY", VARIABLE),
    ("consumer", "sasl.username", "ENC(c2VjcmV0)", VARIABLE),
    ("consumer", "client.id", '"x"', QUOTED),
    ("consumer", "auto.offset.reset", "earliest # all of it", COMMENT),
    ("consumer", "auto.offset.reset", '"earliest"', QUOTED),
    ("consumer", "enable.auto.commit", "false ; by us", COMMENT),
    ("consumer", "check.crcs", "true # slow", COMMENT),
    ("consumer", "check.crcs", '"true"', QUOTED),
    ("consumer", "session.timeout.ms", "60000 # a minute", COMMENT),
    ("consumer", "session.timeout.ms", '"60000"', QUOTED),
    *(
        ("consumer", "session.timeout.ms", value, NUMBER)
        for value in ("60,000", "60_000", "60s", "6e4", "60.000", "٦٠")
    ),
    ("consumer", "fetch.max.bytes", "50MB", NUMBER),
    ("producer", "transaction.timeout.ms", "0xEA60", NUMBER),
    ("producer", "transaction.timeout.ms", "1 min", NUMBER),
    ("producer", "linger.ms", "5ms", NUMBER),
    ("producer", "retries", "10x", NUMBER),
    *(("consumer", "bootstrap.servers", f"host:9092{end}", COMMENT) for end in (" # prod", " ; prod")),
    ("consumer", "bootstrap.servers", '"host:9092"', QUOTED),
    *(
        ("producer", "bootstrap.servers", value, SERVERS)
        for value in (
            *("host:9092;other:9092", "host:9092 other:9092", "host:nine", "host:99999", "host:0", "host/path:9092"),
            *("<host>:9092", "http://", "host:", ":9092", "PLAINTEXT://h:1,[::1", "user@host:9092"),
        )
    ),
    ("schema_registry", "url", "https://host:8081 # prod", COMMENT),
    ("schema_registry", "url", "'https://host:8081'", QUOTED),
    ("schema_registry", "timeout", "10 # seconds", COMMENT),
    ("schema_registry", "ssl.ca.location", "/etc/ca.pem # ours", COMMENT),
    ("consumer", "ssl.key.location", '"/etc/key.pem"', QUOTED),
    ("consumer", "sasl.username", "user # of the team", COMMENT),
]


@pytest.mark.parametrize(("section", "key", "value", "complaint"), REFUSED)
def test_values_that_are_refused(section: str, key: str, value: str, complaint: str, tmp_path: Path) -> None:
    file = file_with(tmp_path, section, key, value)
    assert inside.run([str(file)]) == (2, "", f"{PREFIX}{file}: [{section}] {key} {complaint}\n")


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        *(
            ("consumer", "group.id", value)
            for value in ("args.group", "team#1", "a;b", "it's", "ours $5", "größe", "100%")
        ),
        *(("consumer", "session.timeout.ms", value) for value in ("60000",)),
        *(("producer", "linger.ms", value) for value in ("0.5", "5", "0")),
        *(("producer", "acks", value) for value in ("-1", "all")),
        *(
            ("consumer", "bootstrap.servers", value)
            for value in (
                "host",
                "host:9092",
                "a:1,b:2",
                " a:1 , b:2 ,",
                "[::1]:9092",
                "10.0.0.1:9092",
                "PLAINTEXT://h:1",
            )
        ),
        ("consumer", "bootstrap.servers", "pkc-4ab12.eu-west-1.aws.confluent.cloud:9092"),
        ("schema_registry", "timeout", "2.5"),
        ("schema_registry", "cache.latest.ttl.sec", "60"),
        ("schema_registry", "url", "http://host:8081/a#b"),
    ],
)
def test_values_that_are_accepted(section: str, key: str, value: str, tmp_path: Path) -> None:
    shown = "user_classifier" if value == "args.group" else value.strip()
    assert f"\n{key} = {shown}" in effective(file_with(tmp_path, section, key, value))


def test_the_name_of_an_existing_folder(tmp_path: Path) -> None:
    authority = tmp_path / "team #1"
    authority.mkdir()
    assert f"ssl.ca.location = {authority}" in effective(
        file_with(tmp_path, "schema_registry", "ssl.ca.location", str(authority))
    )


PASSWORDS = ["pa ss # word", "a ;b", "# hash", '"quoted"', "'x'", "“y”", "${", "$1", "{{x", "%A", "60,000", "<x"]


@pytest.mark.parametrize("value", PASSWORDS)
@pytest.mark.parametrize(
    ("section", "key"),
    [
        ("consumer", "sasl.password"),
        ("producer", "sasl.password"),
        ("producer", "ssl.key.password"),
        ("schema_registry", "basic.auth.user.info"),
        ("schema_registry", "bearer.auth.token"),
    ],
)
def test_secrets_are_taken_literally(section: str, key: str, value: str, tmp_path: Path) -> None:
    from classifier.config.ini_file import check_configuration

    file = str(file_with(tmp_path, section, key, value))
    sections = read_configuration(file)
    check_configuration(file, sections)
    assert sections[section][key] == value


def test_a_user_name_of_azure(tmp_path: Path) -> None:
    file = file_with(tmp_path, "consumer", "sasl.username", "$ConnectionString")
    assert "sasl.username = $ConnectionString" in effective(file)


@pytest.mark.parametrize(
    ("key", "value", "complaint"),
    [
        ("group.id", '"team"', QUOTED),  # docker run --env-file keeps quotes
        ("group.id", "team # ours", COMMENT),
        ("session.timeout.ms", "60s", NUMBER),
        ("bootstrap.servers", "host:9092;other:9092", SERVERS),
    ],
)
def test_the_same_from_the_environment(
    key: str, value: str, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GIVEN", value)
    file = file_with(tmp_path, "consumer", key, "${GIVEN}")
    assert inside.run([str(file)]) == (2, "", f"{PREFIX}{file}: [consumer] {key} {complaint}\n")


@pytest.mark.parametrize("key", ["sasl.password", "group.id"])
def test_a_variable_with_a_line_break(key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Secret of Kubernetes keeps the line break that `echo` appends."""
    monkeypatch.setenv("GIVEN", "s3cr3t\n")
    file = file_with(tmp_path, "consumer", key, "${GIVEN}")
    message = "${GIVEN} begins or ends with a line break; set it with printf %s, not with echo"
    assert inside.run([str(file)]) == (2, "", f"{PREFIX}{file}: [consumer] {key}: {message}\n")


def test_a_certificate_from_the_environment_keeps_its_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIVEN", "-----BEGIN\nx\n-----END\n")
    file = file_with(tmp_path, "consumer", "ssl.ca.pem", "${GIVEN}")
    assert read_configuration(str(file))["consumer"]["ssl.ca.pem"] == "-----BEGIN\nx\n-----END\n"


def test_a_group_with_control_characters(tmp_path: Path) -> None:
    file = file_with(tmp_path, "consumer", "group.id", "te\am")
    message = "group.id has characters that cannot be printed; remove them"
    assert inside.run([str(file)]) == (2, "", f"{PREFIX}{file}: [consumer] {message}\n")

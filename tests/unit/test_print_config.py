"""--print-config: all settings in effect, without secrets."""

from pathlib import Path

import pytest

from classifier.commands.print_config import settings_lines
from tests.support import configuration, inside
from user_classifier import argument_parser

SECRETS = {
    "REGISTRY_SECRET": "cflt7Qm/JX2+0vbYkXw==",
    "KAFKA_SECRET": "Zp8$u{x}%s=#'\"qL",
    "PEM": "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBg\n-----END PRIVATE KEY-----",
}
SECTIONS_IN_FULL = """\
[schema_registry]
basic.auth.user.info = ****
max.retries = 0
timeout = 10.0
url = https://host:8081/x

[consumer]
auto.offset.reset = earliest
bootstrap.servers = host:9092
connections.max.idle.ms = 180000
enable.auto.commit = false
enable.partition.eof = true
fetch.queue.backoff.ms = 10
fetch.wait.max.ms = 100
group.id = user_classifier
isolation.level = read_committed
sasl.password = ****

[producer]
bootstrap.servers = host:9092
connections.max.idle.ms = 180000
enable.idempotence = true
metadata.max.age.ms = 2000
partitioner = murmur2_random
retry.backoff.ms = 2
sasl.username = someone
socket.timeout.ms = 30000
ssl.key.pem = ****
topic.metadata.refresh.interval.ms = 1000
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

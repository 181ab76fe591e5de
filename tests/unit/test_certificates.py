"""Certificates of the client that expire: read in every form, and warned of in time."""

import logging
import time
from pathlib import Path

import pytest

from classifier.config.certificates import DAY_SECONDS, Certificate, client_certificates
from classifier.reports.certificates import CertificateWatch, remaining_seconds, warnings
from tests.secure.client_keys import PASSWORD, ClientKey
from tests.support.tls import Authority

NAME = "ssl.certificate.location"
LONG = Certificate("consumer", NAME, 0.0, 365 * DAY_SECONDS)
SHORT = Certificate("consumer", NAME, 0.0, DAY_SECONDS)


def certificates(properties: dict[str, str]) -> list[Certificate]:
    """Those of a section."""
    return client_certificates({"schema_registry": {}, "consumer": properties, "producer": {}})


@pytest.mark.parametrize("fresh", [True, False])
def test_every_form_is_read(fresh: bool, tmp_path: Path) -> None:
    """The certificate of the authority is valid for longer."""
    key = ClientKey(Authority(tmp_path, "ours").server("client", fresh=fresh, days=1))
    day = DAY_SECONDS if fresh else -DAY_SECONDS
    forms = (
        key.plain(),
        key.inline(key.plain()),
        {NAME: key.plain()["ssl.key.location"]},  # key, certificate and that of the authority in one file
        {**key.keystore(), "ssl.keystore.password": PASSWORD},
    )
    for properties in forms:
        (found,) = certificates(properties)
        assert found.section == "consumer"
        assert found.name in properties
        assert found.expires - time.time() == pytest.approx(day, abs=600)
        assert found.is_due(time.time())
        (remaining,) = remaining_seconds([found]).values()
        assert remaining == pytest.approx(day, abs=600)


def test_what_cannot_be_read_is_left_to_others(tmp_path: Path) -> None:
    key = ClientKey(Authority(tmp_path, "ours").server("client"))
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n", encoding="utf-8")
    for properties in (
        {},
        {NAME: str(tmp_path / "missing.pem")},
        {NAME: str(tmp_path)},
        {NAME: str(garbage)},
        {"ssl.certificate.pem": ""},
        {**key.keystore(), "ssl.keystore.password": "wrong"},
        key.keystore(),
    ):
        assert certificates(properties) == []


@pytest.mark.parametrize(
    ("certificate", "left", "due"),
    [
        (LONG, 15 * DAY_SECONDS, False),
        (LONG, 13 * DAY_SECONDS, True),
        (LONG, -1.0, True),
        (SHORT, 0.5 * DAY_SECONDS, False),
        (SHORT, 0.3 * DAY_SECONDS, True),
    ],
)
def test_when_it_is_to_be_renewed(certificate: Certificate, left: float, due: bool) -> None:
    assert certificate.is_due(certificate.expires - left) == due


def test_the_warning() -> None:
    both = [LONG, LONG._replace(section="producer"), LONG._replace(section="schema_registry", expires=1e12)]
    (before,) = warnings(both, 362 * DAY_SECONDS)
    assert before == (
        f"[consumer] and [producer] {NAME}: the certificate of this client expires in 3.0 days (1971-01-01 00:00 UTC);"
        " renew it, then restart the client"
    )
    (after,) = warnings(both, 367 * DAY_SECONDS)
    assert "expired 2.0 days ago (1971-01-01 00:00 UTC)" in after
    assert list(warnings(both, 0.0)) == []


def test_it_is_repeated_each_day(caplog: pytest.LogCaptureFixture) -> None:
    now = [364 * DAY_SECONDS]
    watch = CertificateWatch([LONG], lambda: now[0])
    with caplog.at_level(logging.WARNING, "user_classifier"):
        for hours, n_warnings in ((0, 1), (1, 1), (22, 1), (1, 2), (23, 2), (1, 3)):
            now[0] += hours * 3600
            watch.read(0, 0)
            assert len(caplog.records) == n_warnings

"""When the certificates expire by which a client identifies itself (mTLS)."""

import contextlib
import datetime
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from classifier.config.ini_file import SECTIONS
from classifier.credentials import CLIENT_CERTIFICATE
from classifier.formatting import format_duration

DAY_SECONDS = 86_400.0
# A certificate is to be renewed this long before it expires; one of a shorter life in the last third of it.
WARNING_SECONDS = 14 * DAY_SECONDS
WARNING_PART = 1 / 3
KEYSTORE = "ssl.keystore.location"


class Certificate(NamedTuple):
    """The first to expire of the certificates that a property names; times in seconds since 1970."""

    section: str
    name: str  # of the property
    begins: float
    expires: float

    def is_due(self, now: float) -> bool:
        """Whether it is to be renewed."""
        return self.expires - now < min(WARNING_SECONDS, WARNING_PART * (self.expires - self.begins))

    def validity(self, now: float) -> str:
        """Return how long it is valid, and the time at which it expires."""
        at = datetime.datetime.fromtimestamp(self.expires, datetime.UTC)
        duration = format_duration(abs(self.expires - now))
        when = f"expires in {duration}" if now < self.expires else f"expired {duration} ago"
        return f"{when} ({at:%Y-%m-%d %H:%M} UTC)"


def client_certificates(sections: Mapping[str, Mapping[str, str]]) -> list[Certificate]:
    """Return the certificates in the sections of the file; without those that cannot be read, which others report."""
    found: list[Certificate] = []
    for section in SECTIONS:
        properties = sections[section]
        for name in CLIENT_CERTIFICATE:
            if name in properties:
                with contextlib.suppress(OSError, ValueError):
                    found += earliest(section, name, certificates_of(name, properties))
    return found


def certificates_of(name: str, properties: Mapping[str, str]) -> Iterable[Any]:
    """Return the certificates of a property; OSError or ValueError if they cannot be read."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import pkcs12

    value = properties[name]
    if name == KEYSTORE:
        password = properties.get("ssl.keystore.password", "").encode()
        store = pkcs12.load_pkcs12(Path(value).read_bytes(), password)
        return [each.certificate for each in (store.cert, *store.additional_certs) if each]
    return x509.load_pem_x509_certificates(Path(value).read_bytes() if name.endswith(".location") else value.encode())


def earliest(section: str, name: str, certificates: Iterable[Any]) -> Iterator[Certificate]:
    """Yield the certificate that expires first, if there is one."""
    for each in sorted(certificates, key=lambda certificate: certificate.not_valid_after_utc)[:1]:
        begins, expires = each.not_valid_before_utc.timestamp(), each.not_valid_after_utc.timestamp()
        yield Certificate(section, name, begins, expires)

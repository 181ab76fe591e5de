"""A certificate authority for tests: certificates that are valid, expired, or of another host."""

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
ELSEWHERE = x509.DNSName("elsewhere.example")
DAY = datetime.timedelta(days=1)


class Authority:
    """Signs certificates; `ca` is the file of its own, which clients trust."""

    def __init__(self, directory: Path, name: str) -> None:
        self._directory = directory
        self._name = name
        self._key = ec.generate_private_key(ec.SECP256R1())
        basics = x509.BasicConstraints(ca=True, path_length=0)
        self._certificate = (
            self._builder(self._subject(name), self._key.public_key(), fresh=True)
            .add_extension(basics, critical=True)
            .sign(self._key, hashes.SHA256())
        )
        self.ca = directory / f"{name}-ca.pem"
        self.ca.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def server(self, name: str, host: x509.GeneralName = LOOPBACK, fresh: bool = True, days: int = 10) -> Path:
        """A PEM file of key and certificate for a host, for so many days; one that is not fresh expired yesterday."""
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName([host])
        builder = self._builder(self._subject(name), key.public_key(), fresh, days).add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        path = self._directory / f"{self._name}-{name}.pem"
        secret = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        public = [each.public_bytes(serialization.Encoding.PEM) for each in (certificate, self._certificate)]
        path.write_bytes(secret + b"".join(public))
        return path

    def _builder(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, fresh: bool, days: int = 10
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject(self._name))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 10 * DAY)
            .not_valid_after(now + days * DAY if fresh else now - DAY)
        )

    @staticmethod
    def _subject(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

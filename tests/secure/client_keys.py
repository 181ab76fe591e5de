"""Certificates and keys of clients in every form that librdkafka reads, from the PEM file of an authority."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

PASSWORD = "the-password-of-the-key"
PEM = serialization.Encoding.PEM
FORMATS = {
    "PKCS#8": serialization.PrivateFormat.PKCS8,
    "traditional": serialization.PrivateFormat.TraditionalOpenSSL,
}


class ClientKey:
    """A certificate and its key; the files are in the folder of the one that they come from."""

    def __init__(self, pem: Path) -> None:
        self._pem = pem
        self._key = serialization.load_pem_private_key(pem.read_bytes(), None)
        self._certificates = x509.load_pem_x509_certificates(pem.read_bytes())
        self.certificate = pem.with_suffix(".crt")
        self.certificate.write_bytes(self._certificates[0].public_bytes(PEM))

    def plain(self) -> dict[str, str]:
        """Properties of a key that is not encrypted."""
        return {"ssl.certificate.location": str(self.certificate), "ssl.key.location": str(self._pem)}

    def encrypted(self, form: str = "PKCS#8") -> dict[str, str]:
        """Properties of an encrypted key, without its password."""
        cipher = serialization.BestAvailableEncryption(PASSWORD.encode())
        path = self._pem.with_suffix(".key")
        path.write_bytes(self._key.private_bytes(PEM, FORMATS[form], cipher))
        return {"ssl.certificate.location": str(self.certificate), "ssl.key.location": str(path)}

    def keystore(self) -> dict[str, str]:
        """Properties of a PKCS#12 file, without its password."""
        cipher = serialization.BestAvailableEncryption(PASSWORD.encode())
        path = self._pem.with_suffix(".p12")
        own, *others = self._certificates
        path.write_bytes(pkcs12.serialize_key_and_certificates(b"client", self._key, own, others, cipher))  # type: ignore[arg-type]
        return {"ssl.keystore.location": str(path)}

    def inline(self, properties: dict[str, str]) -> dict[str, str]:
        """The same properties with the content of the files; the lines after the first are indented in an INI file."""
        return {
            name.replace(".location", ".pem"): Path(path).read_text(encoding="utf-8").strip().replace("\n", "\n  ")
            for name, path in properties.items()
        }

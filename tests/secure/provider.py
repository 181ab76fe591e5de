"""An OpenID provider over https: a token endpoint for client credentials, and the keys that verify its tokens."""

import base64
import json
import ssl
import threading
import time
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from tests.support.http_handler import QuietHandler

AUDIENCE = "pipeline"
ISSUER = "https://provider.example"
CLIENT = "classifier"  # its id, and so the principal at the brokers
KEY_ID = "key-1"
SCOPE = "read_write"


def encoded(data: bytes) -> str:
    """Base64 as in a JSON Web Token."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decoded(text: str) -> bytes:
    """The bytes of a part of a JSON Web Token."""
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class OpenIdProvider:
    """Gives tokens to one client; `jwks` is the file of its public key.

    Attributes
    ----------
    secret : of the client; a test may change it.
    lifetime_s : seconds from the issue of a token to its end.
    clock_s : what its clock is ahead of this machine's, in seconds.
    token_given : the last token.
    answer : a status and a body to send instead of a token; None for a token.
    """

    def __init__(self, pem: Path, secret: str) -> None:
        self.secret = secret
        self.lifetime_s = 300
        self.clock_s = 0
        self.answer: tuple[int, bytes] | None = None
        self.requests = 0
        self.token_given = ""
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.jwks = pem.with_suffix(".jwks.json")
        self.jwks.write_text(json.dumps({"keys": [self._public_key()]}), encoding="utf-8")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._server: ThreadingHTTPServer | None = None
        self._serve(0)
        self.url = f"https://127.0.0.1:{self._port}/token"

    def __enter__(self) -> "OpenIdProvider":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> None:
        """Close the port."""
        if self._server:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def start(self) -> None:
        """Listen again at the same port."""
        self._serve(self._port)

    def accepts(self, token: str) -> bool:
        """Whether a token is one of this provider that has not expired."""
        try:
            signed, _, signature = token.rpartition(".")
            self._key.public_key().verify(decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            return False
        return bool(json.loads(decoded(signed.split(".")[1]))["exp"] > time.time())

    def token(self) -> str:
        """A new token."""
        issued = int(time.time()) + self.clock_s
        claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": CLIENT, "scope": SCOPE}
        claims |= {"iat": issued, "exp": issued + self.lifetime_s}  # type: ignore[dict-item]
        header = {"alg": "RS256", "typ": "JWT", "kid": KEY_ID}
        signed = ".".join(encoded(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{encoded(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def respond(self, authorization: str, form: dict[str, list[str]]) -> tuple[int, bytes]:
        """Status and body for a request of a token."""
        self.requests += 1
        if self.answer:
            return self.answer
        given = (form.get("client_id", [""])[0], form.get("client_secret", [""])[0])
        if authorization.startswith("Basic "):
            user, _, password = base64.b64decode(authorization[6:]).decode().partition(":")
            given = user, password
        if given != (CLIENT, self.secret):
            return 401, b'{"error": "invalid_client", "error_description": "Invalid client or client credentials"}'
        self.token_given = self.token()
        found = {"access_token": self.token_given, "token_type": "Bearer", "expires_in": self.lifetime_s}
        return 200, json.dumps(found).encode()

    @property
    def _port(self) -> int:
        return int(self._server.server_port) if self._server else self._last_port

    def _serve(self, port: int) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", port), self._handler())
        self._last_port = self._server.server_port
        self._server.daemon_threads = True
        self._server.socket = self._context.wrap_socket(
            self._server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def _public_key(self) -> dict[str, str]:
        numbers = self._key.public_key().public_numbers()
        n, e = (encoded(each.to_bytes((each.bit_length() + 7) // 8)) for each in (numbers.n, numbers.e))
        return {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID, "n": n, "e": e}

    def _handler(self) -> type[QuietHandler]:
        provider = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                form = self.body().decode()
                status, body = provider.respond(self.headers.get("Authorization", ""), parse_qs(form))
                self.reply(status, "application/json", body)

        return Handler

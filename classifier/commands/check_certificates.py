"""The lines of --check about the certificates of the client."""

import time
from collections.abc import Iterator

from classifier.commands.check_line import Line, ok, to_do
from classifier.config.certificates import client_certificates
from classifier.config.settings import Settings


def certificate_lines(settings: Settings) -> Iterator[Line]:
    """Check that each certificate is valid, and need not be renewed soon."""
    now = time.time()
    for each in client_certificates(settings.sections):
        subject = f"[{each.section}] {each.name}"
        if each.is_due(now):
            yield to_do(subject, f"the certificate {each.validity(now)}; renew it")
        else:
            yield ok(subject, each.validity(now))

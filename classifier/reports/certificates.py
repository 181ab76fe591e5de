"""Certificates of the client that expire: a warning in the log, at the start and once a day, and a metric."""

import logging
import math
import time
from collections.abc import Iterable, Iterator

from classifier.config.certificates import DAY_SECONDS, Certificate
from classifier.reports.periodic import Clock
from classifier.reports.step import Step

log = logging.getLogger("user_classifier")


class CertificateWatch:
    """Warns of certificates that are to be renewed; `clock` returns seconds since 1970.

    The libraries read them only at the start, and so does this.
    """

    def __init__(self, certificates: Iterable[Certificate], clock: Clock = time.time) -> None:
        self._certificates = tuple(certificates)
        self._clock = clock
        self._due = -math.inf

    def read(self, n_records: int, n_behind: int | None) -> None:
        """Log the warnings if they are due."""
        now = self._clock()
        if now < self._due:
            return
        self._due = now + DAY_SECONDS
        for warning in warnings(self._certificates, now):
            log.warning(warning)

    def restored(self, *, complete: bool) -> None:
        """Restores do not matter here."""

    def bad(self, n_records: int) -> None:
        """Bad records do not matter here."""

    def step(self, step: Step) -> None:
        """Steps do not matter here."""

    def close(self) -> None:
        """Nothing to release."""


def warnings(certificates: Iterable[Certificate], now: float) -> Iterator[str]:
    """Yield a warning for each certificate that is to be renewed; one for a certificate of several sections."""
    sections: dict[Certificate, list[str]] = {}
    for each in certificates:
        if each.is_due(now):
            sections.setdefault(each._replace(section=""), []).append(f"[{each.section}]")
    for each, names in sections.items():
        where = f"{' and '.join(names)} {each.name}"
        yield f"{where}: the certificate of this client {each.validity(now)}; renew it, then restart the client"


def remaining_seconds(certificates: Iterable[Certificate]) -> dict[tuple[str, ...], float]:
    """Return the time until each certificate expires, by section and property; negative once it has."""
    now = time.time()
    return {(each.section, each.name): each.expires - now for each in certificates}

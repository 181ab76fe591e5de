"""The page with the labels: runs ``python -m dashboard CONFIG_FILE``, which is a separate program."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from local.services.artifacts import ROOT
from local.services.process import LOOPBACK, Service, is_listening

PORT = 8501


def command(configuration: Path, port: int) -> list[str]:
    """Return the command that starts the page; the root of the repository must be the current folder or on the path."""
    return [sys.executable, "-m", "dashboard", str(configuration), "--port", str(port)]


class Dashboard(Service):
    """The page as a background process of the demo."""

    name = "dashboard"

    def __init__(self, directory: Path, configuration: Path, port: int, label_names: str = "") -> None:
        super().__init__(directory)
        self._configuration = configuration
        self._port = port
        self._label_names = label_names

    @property
    def url(self) -> str:
        """The URL of the page."""
        return f"http://{LOOPBACK}:{self._port}"

    def command(self) -> list[str]:
        """See Service."""
        names = ["--label-names", self._label_names] if self._label_names else []
        return [*command(self._configuration, self._port), *names]

    def environment(self) -> dict[str, str]:
        """See Service."""
        return {**os.environ, "PYTHONPATH": str(ROOT)}

    def is_ready(self) -> bool:
        """Return whether the page accepts connections."""
        return is_listening(self._port)

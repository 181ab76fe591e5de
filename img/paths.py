"""Paths of the pictures, of their sources and of what drawing them needs."""

from local.services.artifacts import ROOT, STATE

IMG = ROOT / "img"
SOURCES = IMG / "sources"

DIRECTORY = STATE / "img"
"""Data and logs of the services while pictures are taken; emptied first."""

NODE_MODULES = ROOT / ".venv" / "img-node" / "node_modules"
"""Installed by npm from package.json."""

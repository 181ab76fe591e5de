"""Where things lie."""

from local.services.artifacts import ROOT, STATE

IMG = ROOT / "img"
SOURCES = IMG / "sources"

DIRECTORY = STATE / "img"
"""Data and logs of the services while the pictures are taken; emptied first."""

NODE_MODULES = ROOT / ".venv" / "img-node" / "node_modules"
"""What npm installed by package.json."""

"""The image of the Dockerfile: build it, inspect it, and create a root file system from it."""

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.container.debian import STATE, base, run
from tests.support.client import ROOT

BASE = "localhost/base"
CLIENT = "localhost/user_classifier"
PAGE = "localhost/user_classifier_dashboard"
REVISION = "0123456789abcdef0123456789abcdef01234567"
BASE_FILE = "FROM scratch\nADD . /\n"
TRUST_POLICY = '{"default": [{"type": "insecureAcceptAnything"}]}'
"""Accept all images; there are only our own."""


@dataclass(frozen=True)
class Image:
    """An image, by its name in a separate store."""

    name: str

    @cached_property
    def config(self) -> dict[str, Any]:
        """Its configuration in Docker's format: user, command, environment, health check."""
        config: dict[str, Any] = json.loads(buildah("inspect", "--type", "image", self.name))["Docker"]["config"]
        return config

    @property
    def megabytes(self) -> float:
        """The size in MB."""
        (found,) = json.loads(buildah("images", "--json", self.name))
        number, unit = found["size"].split()
        return float(number) * {"MB": 1, "GB": 1000}[unit]

    def root(self) -> Path:
        """Create a root file system from the image; containers may use it one after the other."""
        container = buildah("from", "--signature-policy", policy(), self.name).strip()
        return Path(buildah("mount", container).strip())


def buildah(*arguments: str | Path) -> str:
    """Run buildah on the separate store."""
    store = ("--root", STATE / "store", "--runroot", STATE / "run", "--storage-driver", "vfs")
    return run("buildah", *store, *arguments)


def policy() -> Path:
    """Write the trust policy and return its path."""
    path = STATE / "policy.json"
    path.write_text(TRUST_POLICY, encoding="utf-8")
    return path


def build_images() -> tuple[Image, Image, Image]:
    """Build the base image, the client's image and that of the page."""
    base_root = base()
    base_file = STATE / "base.Dockerfile"
    base_file.write_text(BASE_FILE, encoding="utf-8")
    build(BASE, base_root, "--file", base_file)
    arguments = ("--build-arg", f"BASE={BASE}", "--build-arg", f"REVISION={REVISION}")
    clone = private_clone()
    build(CLIENT, clone, *arguments)
    build(PAGE, clone, "--target", "dashboard", *arguments)
    return Image(BASE), Image(CLIENT), Image(PAGE)


def private_clone() -> Path:
    """Copy what the image is built from as an account with umask 077 clones it: nobody else has a permission."""
    folder = STATE / "clone"
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("classifier", "dashboard", "deploy"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Dockerfile", ".dockerignore", "requirements.lock", "user_classifier.py"):
        shutil.copy(ROOT / name, folder)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return folder


def build(name: str, folder: Path, *arguments: str | Path) -> None:
    """Build an image from a folder, in Docker's format, which supports health checks."""
    options = ("--isolation", "chroot", "--format", "docker", "--signature-policy", policy())
    buildah("bud", *options, "--tag", name, *arguments, folder)


def remove_images() -> None:
    """Remove all images and root file systems; the folder of the base stays."""
    buildah("umount", "--all")
    buildah("rm", "--all")
    buildah("rmi", "--all", "--force")
    shutil.rmtree(STATE / "store")

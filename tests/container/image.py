"""The image that the Dockerfile makes: built, looked into, and a root file system to run processes in."""

import json
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.container.debian import STATE, base, run
from tests.support.client import ROOT

BASE, CLIENT = "localhost/base", "localhost/user_classifier"
BASE_FILE = "FROM scratch\nADD . /\n"
ANYTHING = '{"default": [{"type": "insecureAcceptAnything"}]}'
"""Whose images are taken: there are none but our own."""


@dataclass(frozen=True)
class Image:
    """An image by its name, in a store of its own."""

    name: str

    @cached_property
    def config(self) -> dict[str, Any]:
        """What it says of user, command, environment and health, as Docker knows it."""
        config: dict[str, Any] = json.loads(buildah("inspect", "--type", "image", self.name))["Docker"]["config"]
        return config

    @property
    def megabytes(self) -> float:
        """Its size."""
        (found,) = json.loads(buildah("images", "--json", self.name))
        number, unit = found["size"].split()
        return float(number) * {"MB": 1, "GB": 1000}[unit]

    def root(self) -> Path:
        """A file system made of it, for one run after the other."""
        container = buildah("from", "--signature-policy", policy(), self.name).strip()
        return Path(buildah("mount", container).strip())


def buildah(*arguments: str | Path) -> str:
    """Run buildah on our own store."""
    store = ("--root", STATE / "store", "--runroot", STATE / "run", "--storage-driver", "vfs")
    return run("buildah", *store, *arguments)


def policy() -> Path:
    """A file that says whose images are taken."""
    path = STATE / "policy.json"
    path.write_text(ANYTHING, encoding="utf-8")
    return path


def built() -> tuple[Image, Image]:
    """The base image and the client's, built anew."""
    base_root, base_file = base(), STATE / "base.Dockerfile"
    base_file.write_text(BASE_FILE, encoding="utf-8")
    build(BASE, base_root, "--file", base_file)
    build(CLIENT, ROOT, "--build-arg", f"BASE={BASE}")
    return Image(BASE), Image(CLIENT)


def build(name: str, folder: Path, *arguments: str | Path) -> None:
    """Build an image of what is in a folder, in Docker's format, which knows health checks."""
    how = ("--isolation", "chroot", "--format", "docker", "--signature-policy", policy())
    buildah("bud", *how, "--tag", name, *arguments, folder)


def forget() -> None:
    """Remove all images and file systems; the base stays as a folder."""
    buildah("umount", "--all")
    buildah("rm", "--all")
    buildah("rmi", "--all", "--force")
    shutil.rmtree(STATE / "store")

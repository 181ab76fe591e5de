"""Debian's buildah and debootstrap, and a base image from Debian's packages, without a daemon or an image registry.

Programs that are not installed are unpacked below .local and used from there; the machine itself is not changed.
"""

import ast
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.client import ROOT

STATE = ROOT / ".local" / "container"
PACKAGES = ("buildah", "debootstrap")
RELEASE = "bookworm"
# Arguments: the folder of the unpacked packages, then the command; only the command sees the packages in /usr.
OVERLAY = 'mount -t overlay -o "lowerdir=$0/usr:/usr" overlay /usr && exec "$@"'
BASE_PACKAGES = "python3,python3-venv,ca-certificates"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
PIP_SETTINGS = ("index-url", "proxy", "trusted-host")
"""The settings by which pip reaches its packages; a build needs the same ones."""


def run(*command: str | Path) -> str:
    """Run one of the programs and return its standard output; RuntimeError with its standard error if it fails."""
    # The build gets pip's settings from a file, see `pip_settings`.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    done = subprocess.run([*prefix(), *command], env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[:3]))} ...: exit code {done.returncode}\n{done.stderr[-3000:]}")
    return done.stdout


@cache
def prefix() -> list[str | Path]:
    """Return the prefix of a command with which both programs are found; empty where they are installed."""
    if all(map(shutil.which, PACKAGES)):
        return []
    tools = STATE / "tools"
    if not tools.exists():
        unpack(tools)
    return ["unshare", "--mount", "sh", "-c", OVERLAY, tools]


def unpack(tools: Path) -> None:
    """Unpack the packages and their missing dependencies into a folder."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RuntimeError("the tests of the image need root on Debian; make test-container skips them elsewhere")
    debs = STATE / "debs"
    (debs / "partial").mkdir(parents=True, exist_ok=True)
    subprocess.run(["apt-get", "update", "-qq"], check=True)
    fetch = ["apt-get", "install", "-qq", "--yes", "--download-only", "--no-install-recommends"]
    subprocess.run([*fetch, "-o", f"Dir::Cache::archives={debs}", *PACKAGES], check=True)
    partial = STATE / "tools.partial"
    for deb in sorted(debs.glob("*.deb")):
        subprocess.run(["dpkg-deb", "--extract", deb, partial], check=True)
    partial.rename(tools)


def base() -> Path:
    """Return the root folder of a small Debian with Python; it is created once, which takes a minute or two."""
    root = STATE / f"base-{RELEASE}"
    if not root.exists():
        partial = STATE / "base.partial"
        shutil.rmtree(partial, ignore_errors=True)
        run("debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", RELEASE, partial)
        for unneeded in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
            shutil.rmtree(partial / unneeded)
        (partial / "etc" / "pip.conf").write_text("\n".join(["[global]", *pip_settings(partial)]) + "\n")
        partial.rename(root)
    return root


def pip_settings(root: Path) -> Iterator[str]:
    """Yield the lines of a pip.conf with which pip reaches its packages as on this machine."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    found = dict(setting(line) for line in listed.stdout.splitlines())  # the last of several values counts
    if "cert" in found:
        shutil.copy(found["cert"], root / CERTIFICATES)
        yield f"cert = /{CERTIFICATES}"
    yield from (f"{name} = {found[name]}" for name in PIP_SETTINGS if name in found)


def setting(line: str) -> tuple[str, str]:
    """Return name and value of a line such as global.cert='ca.pem'."""
    name, _, value = line.partition("=")
    return name.rpartition(".")[2], str(ast.literal_eval(value))

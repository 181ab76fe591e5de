"""Debian's buildah and debootstrap, and a base image made of Debian's packages: no daemon, no registry of images.

What is not installed is unpacked below .local and used from there; nothing of the machine is changed.
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
# Arguments: the folder of what was unpacked, then the command, which alone sees it as part of /usr.
LAID_OVER = 'mount -t overlay -o "lowerdir=$0/usr:/usr" overlay /usr && exec "$@"'
BASE_PACKAGES = "python3,python3-venv,ca-certificates"
CERTIFICATES = "etc/ssl/certs/ca-certificates.crt"
PIP_SETTINGS = ("index-url", "proxy", "trusted-host")
"""How pip reaches its packages from this machine: the same from within a build."""


def run(*command: str | Path) -> str:
    """Run a program of Debian's; its standard output. What it complains of stands in the failure."""
    # pip's settings on this machine are handed on by a file, see `pip_settings`.
    told = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    done = subprocess.run([*prefix(), *command], env=told, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command[:3]))} ...: exit code {done.returncode}\n{done.stderr[-3000:]}")
    return done.stdout


@cache
def prefix() -> list[str | Path]:
    """What stands before a command so that both programs are found: nothing, where they are installed."""
    if all(map(shutil.which, PACKAGES)):
        return []
    tools = STATE / "tools"
    if not tools.exists():
        unpack(tools)
    return ["unshare", "--mount", "sh", "-c", LAID_OVER, tools]


def unpack(tools: Path) -> None:
    """Put the packages, and those that they need and this machine has not, into a folder."""
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise RuntimeError("the tests of the image need root on Debian; make test-container leaves them out elsewhere")
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
    """The root of a small Debian with Python; made once, as that takes a minute or two."""
    root = STATE / f"base-{RELEASE}"
    if not root.exists():
        partial = STATE / "base.partial"
        shutil.rmtree(partial, ignore_errors=True)
        run("debootstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", RELEASE, partial)
        for needless in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale"):
            shutil.rmtree(partial / needless)
        (partial / "etc" / "pip.conf").write_text("\n".join(["[global]", *pip_settings(partial)]) + "\n")
        partial.rename(root)
    return root


def pip_settings(root: Path) -> Iterator[str]:
    """The lines by which pip reaches its packages as it does here."""
    told = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    found = dict(setting(line) for line in told.stdout.splitlines())  # of several places the last one counts
    if "cert" in found:
        shutil.copy(found["cert"], root / CERTIFICATES)
        yield f"cert = /{CERTIFICATES}"
    yield from (f"{name} = {found[name]}" for name in PIP_SETTINGS if name in found)


def setting(line: str) -> tuple[str, str]:
    """Name and value of a line such as global.cert='ca.pem'."""
    name, _, value = line.partition("=")
    return name.rpartition(".")[2], str(ast.literal_eval(value))

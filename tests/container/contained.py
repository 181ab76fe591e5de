"""A process as a container runtime starts it: process 1, not root, the root file system read-only.

The loopback is this machine's, so the broker of the tests is at hand.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

from tests.container.image import Image
from tests.support.client import TIMEOUT_S
from tests.support.waiting import wait_until

MOUNTED = "mounted"
"""The folder of the container in which a folder of the test lies."""
# Arguments: the root, the folder of the test, then the command. What is mounted is gone with the last process.
START = f"""set -e
mount --bind "$1" "$1"
mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
mount --bind "$2" "$1/{MOUNTED}"
mount -o remount,bind,ro "$1"
cd "$1"
shift 2
exec "$@"
"""


class Contained:
    """`docker run --read-only --network host --volume FOLDER:/mounted IMAGE ARGUMENTS`; leaving the block kills it."""

    def __init__(
        self,
        image: Image,
        root: Path,
        folder: Path,
        arguments: Sequence[str],
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        self._image, self._root, self.log = image, root, folder / "log"
        (root / MOUNTED).mkdir(exist_ok=True)
        told = {**dict(each.split("=", 1) for each in image.config["Env"]), **(secrets or {})}
        place = f"--chdir={image.config['WorkingDir']}"
        self._inside = ["env", "--ignore-environment", place, *(f"{name}={value}" for name, value in told.items())]
        as_user: list[str | Path] = ["chroot", f"--userspec={self.user}", root]
        command = [*as_user, *self._inside, *image.config["Entrypoint"], *arguments]
        isolated: list[str | Path] = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", START, "sh", root, folder]
        with self.log.open("wb") as out:
            self._outer: subprocess.Popen[bytes] = subprocess.Popen(
                [*isolated, *command], stdout=out, stderr=subprocess.STDOUT
            )

    def __enter__(self) -> "Contained":
        return self

    def __exit__(self, *_: object) -> None:
        if self.running:  # with process 1 all others of the container end, too
            for each in psutil.Process(self._outer.pid).children(recursive=True):
                each.kill()
            self._outer.kill()
        self._outer.wait()

    @property
    def user(self) -> str:
        """The user and group of the image."""
        return str(self._image.config["User"])

    @property
    def output(self) -> str:
        """All that was written so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def pid(self) -> int:
        """Process 1, as this machine numbers it, once it is the client."""
        found: list[psutil.Process] = []

        def is_there() -> bool:
            if not self.running:
                raise RuntimeError(f"the container has ended: {self.output}")
            found[:] = psutil.Process(self._outer.pid).children()
            return bool(found) and "python" in Path(f"/proc/{found[0].pid}/exe").resolve().name

        wait_until(is_there, "the container to start", TIMEOUT_S)
        return int(found[0].pid)

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._outer.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to process 1; the kernel keeps from it what it does not listen to."""
        os.kill(self.pid, number)

    def stop(self) -> int:
        """`docker stop`: SIGTERM, wait, and return its exit code."""
        self.send(signal.SIGTERM)
        return self.wait()

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """Wait until it has ended by itself."""
        return self._outer.wait(timeout_s)

    def healthy(self) -> bool:
        """What the image's health check says."""
        uid, gid = self.user.split(":")
        inside = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--root", "--wd"]
        check = [
            *inside,
            "--setgid",
            gid,
            "--setuid",
            uid,
            *self._inside,
            *self._image.config["Healthcheck"]["Test"][1:],
        ]
        return subprocess.run(check, capture_output=True, timeout=TIMEOUT_S, check=False).returncode == 0

    def is_read_only(self) -> bool:
        """Whether nothing can be written to its root file system."""
        mounts = [line.split() for line in Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines()]
        return [each[5].split(",")[0] for each in mounts if each[4] == "/"] == ["ro"]

    def has_loaded(self, library: str) -> bool:
        """Whether it has come as far as to import a library."""
        return library in Path(f"/proc/{self.pid}/maps").read_text()

    def listens_to(self, number: signal.Signals) -> bool:
        """Whether process 1 has a handler for a signal."""
        caught = re.search(r"^SigCgt:\s+(\w+)$", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        return bool(caught and int(caught[1], 16) >> (number - 1) & 1)

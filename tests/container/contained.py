"""A process as a container runtime starts it: process 1, not root, with a read-only root file system.

It uses the network of this machine, and so reaches the broker of the tests.
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
"""The folder of the container at which the test's folder is mounted."""
# Arguments: root, folder of the test, command. The mounts disappear with the last process.
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
    """`docker run --read-only --network host --volume FOLDER:/mounted IMAGE ARGUMENTS`, killed at the block's end."""

    def __init__(
        self,
        image: Image,
        root: Path,
        folder: Path,
        arguments: Sequence[str],
        variables: Mapping[str, str] | None = None,
        user: str = "",
    ) -> None:
        self._image = image
        self.user = user or str(image.config["User"])
        self._root = root
        self.log = folder / "log"
        (root / MOUNTED).mkdir(exist_ok=True)
        environment = {**dict(each.split("=", 1) for each in image.config["Env"]), **(variables or {})}
        folder_option = f"--chdir={image.config['WorkingDir']}"
        settings = [f"{name}={value}" for name, value in environment.items()]
        self._inside = ["env", "--ignore-environment", folder_option, *settings]
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
        if self.running:  # the kernel kills the rest of the container with process 1
            for each in psutil.Process(self._outer.pid).children(recursive=True):
                each.kill()
            self._outer.kill()
        self._outer.wait()

    @property
    def output(self) -> str:
        """The output so far."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    @property
    def pid(self) -> int:
        """The pid on this machine of process 1, once that is the client."""
        found: list[psutil.Process] = []

        def has_started() -> bool:
            if not self.running:
                raise RuntimeError(f"the container has ended: {self.output}")
            found[:] = psutil.Process(self._outer.pid).children()
            return bool(found) and "python" in Path(f"/proc/{found[0].pid}/exe").resolve().name

        wait_until(has_started, "the container to start", TIMEOUT_S)
        return int(found[0].pid)

    @property
    def running(self) -> bool:
        """Whether the container runs."""
        return self._outer.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send a signal to process 1; the kernel drops signals for which process 1 has no handler."""
        os.kill(self.pid, number)

    def stop(self) -> int:
        """Send SIGTERM, as `docker stop` does, and return the exit code."""
        self.send(signal.SIGTERM)
        return self.wait()

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """Wait until the container exits and return the exit code."""
        return self._outer.wait(timeout_s)

    def healthy(self) -> bool:
        """Run the image's health check and return whether it succeeds."""
        uid, gid = self.user.split(":")
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--root", "--wd"]
        as_user = ["--setgid", gid, "--setuid", uid]
        check = [*enter, *as_user, *self._inside, *self._image.config["Healthcheck"]["Test"][1:]]
        return subprocess.run(check, capture_output=True, timeout=TIMEOUT_S, check=False).returncode == 0

    def is_read_only(self) -> bool:
        """Return whether the root file system is read-only."""
        mounts = [line.split() for line in Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines()]
        return [each[5].split(",")[0] for each in mounts if each[4] == "/"] == ["ro"]

    def has_loaded(self, library: str) -> bool:
        """Return whether process 1 has imported a library."""
        return library in Path(f"/proc/{self.pid}/maps").read_text()

    def handles(self, number: signal.Signals) -> bool:
        """Return whether process 1 has a handler for a signal."""
        caught = re.search(r"^SigCgt:\s+(\w+)$", Path(f"/proc/{self.pid}/status").read_text(), re.MULTILINE)
        return bool(caught and int(caught[1], 16) >> (number - 1) & 1)

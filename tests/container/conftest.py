"""The image, built once for all its tests."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.container.contained import Contained
from tests.container.image import Image, built, forget

Start = Callable[..., Contained]


@pytest.fixture(scope="session")
def images() -> Iterator[tuple[Image, Image]]:
    """The base image and the client's."""
    try:
        yield built()
    finally:
        forget()


@pytest.fixture(scope="session")
def image(images: tuple[Image, Image]) -> Image:
    """The client's image."""
    return images[1]


@pytest.fixture(scope="session")
def root(image: Image) -> Path:
    """A file system made of it; nothing can be written to it while something runs in it."""
    return image.root()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that anybody may write to, as a container's user has a number that this machine does not know."""
    path = tmp_path / "mounted"
    path.mkdir()
    path.chmod(0o777)
    return path


@pytest.fixture
def start(image: Image, root: Path, folder: Path) -> Start:
    """Start a container: `start(*arguments, **secrets)`; files are copied to where it reads them."""

    def begin(*arguments: str, **secrets: str) -> Contained:
        return Contained(image, root, folder, list(mounted(arguments, folder)), secrets)

    return begin


def mounted(arguments: Sequence[str], folder: Path) -> Iterator[str]:
    """The arguments as they read within the container; files named there lie in the mounted folder."""
    for each in arguments:
        if Path(each).is_file():
            shutil.copy(each, folder)
            each = f"/mounted/{Path(each).name}"
        yield each

"""The image of the client, built once for all its tests."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from tests.container.contained import Contained
from tests.container.image import Image, build_images, remove_images

Start = Callable[..., Contained]


@pytest.fixture(scope="session")
def images() -> Iterator[tuple[Image, Image, Image]]:
    """The base image, the client's and that of the page."""
    try:
        yield build_images()
    finally:
        remove_images()


@pytest.fixture(scope="session")
def image(images: tuple[Image, Image, Image]) -> Image:
    """The client's image."""
    return images[1]


@pytest.fixture(scope="session")
def page(images: tuple[Image, Image, Image]) -> Image:
    """The image of the page."""
    return images[2]


@pytest.fixture(scope="session")
def root(image: Image) -> Path:
    """A root file system from the image; it is read-only while a process runs in it."""
    return image.root()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that everybody may write to, because the container's user does not exist on this machine."""
    path = tmp_path / "mounted"
    path.mkdir()
    path.chmod(0o777)
    return path


@pytest.fixture
def start(image: Image, root: Path, folder: Path) -> Start:
    """A function that starts a container: `start(*arguments, **variables)`; it copies files to the mounted folder."""

    def start_container(*arguments: str, user: str = "", **variables: str) -> Contained:
        return Contained(image, root, folder, list(mounted(arguments, folder)), variables, user)

    return start_container


def mounted(arguments: Sequence[str], folder: Path) -> Iterator[str]:
    """Yield the arguments as paths in the container; files are copied to the mounted folder."""
    for each in arguments:
        if Path(each).is_file():
            shutil.copy(each, folder)
            each = f"/mounted/{Path(each).name}"
        yield each

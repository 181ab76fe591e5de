"""The lines of a text file, plain or gzip, each with its number.

Guarantee: no more than one line is held, whatever the file; a file that is no UTF-8, or damaged, is told with the line.
"""

from __future__ import annotations

import gzip
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

MOST_BYTES = 1 << 20
"""Of one line. A longer one is no line of a table; held whole, a file without line ends would fill the memory."""
GZIP_BEGINS = b"\x1f\x8b"
BYTE_ORDER_MARK = "\ufeff"
"""What some programs write before UTF-8."""


class FileError(Exception):
    """A file cannot be read as it was said to be; the message names file, line and column, and what was expected."""


class Lines:
    """Iterates over the lines of a file, from its beginning each time.

    Attributes
    ----------
    number : of the line that came last, from 1.
    n_bytes : how much of the file has been read; of a gzip file, as it lies there.
    """

    def __init__(self, path: Path) -> None:
        """FileError if there is no such file."""
        self.path = path
        self.number = 0
        self._file: BinaryIO | None = None
        try:
            status = path.stat()
        except OSError as error:
            raise self._unreadable(error) from None
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"{path} is no plain file; it is read twice, so save what it holds as one")
        self.size = status.st_size

    @property
    def n_bytes(self) -> int:
        """See the class."""
        return 0 if self._file is None else self._file.tell()

    def error(self, text: str, number: int | None = None) -> FileError:
        """What is wrong with a line, the last one unless another is named."""
        return FileError(f"{self.path} line {self.number if number is None else number}{text}")

    def __iter__(self) -> Iterator[str]:
        try:
            with self.path.open("rb") as self._file:
                yield from self._lines(self._unzipped(self._file))
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise FileError(
                f"{self.path} ends early or is damaged: its gzip data stop behind line {self.number}; "
                "copy or download it again"
            ) from None
        except OSError as error:
            raise self._unreadable(error) from None
        finally:
            self._file = None

    def _lines(self, file: BinaryIO) -> Iterator[str]:
        self.number = 0
        while raw := file.readline(MOST_BYTES + 1):
            self.number += 1
            if len(raw) > MOST_BYTES:
                raise self.error(f" is longer than {MOST_BYTES:,} bytes; expected a purchase on each line")
            try:
                line = raw.decode()
            except UnicodeDecodeError as error:
                raise self.error(
                    f": not UTF-8 (byte 0x{raw[error.start]:02x}); save it as UTF-8, e.g. with iconv -f latin1 -t utf8"
                ) from None
            yield line if self.number > 1 else line.removeprefix(BYTE_ORDER_MARK)

    def _unzipped(self, file: BinaryIO) -> BinaryIO:
        begins_as_gzip = file.read(len(GZIP_BEGINS)) == GZIP_BEGINS
        file.seek(0)
        return cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb")) if begins_as_gzip else file

    def _unreadable(self, error: OSError) -> FileError:
        if isinstance(error, FileNotFoundError):
            return FileError(f"{self.path}: there is no such file")
        return FileError(f"{self.path} cannot be read: {error.strerror or error}")

"""The lines of a text file, plain or gzip, with their numbers.

Guarantee: at most one line is in memory. If the file is not UTF-8 or is damaged, the error names the line.
"""

from __future__ import annotations

import gzip
import stat
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

MAX_LINE_BYTES = 1 << 20
"""The limit for one line. A longer one is not a row of a table; without a limit, a file without line ends would fill
the memory."""
GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = "\ufeff"
"""Some programs write it at the start of UTF-8 files."""


class FileError(Exception):
    """Raised when a file cannot be read as purchases; the message names file, line, column and what was expected."""


class Lines:
    """Iterates over the lines of a file; each iteration starts at its beginning.

    Attributes
    ----------
    number : number of the last line that was returned, from 1.
    n_bytes : bytes of the file that have been read; for gzip, compressed bytes.
    """

    def __init__(self, path: Path) -> None:
        """Raise FileError if the file does not exist or is not a regular file."""
        self.path = path
        self.number = 0
        self._file: BinaryIO | None = None
        try:
            status = path.stat()
        except OSError as error:
            raise self._unreadable(error) from None
        if not stat.S_ISREG(status.st_mode):
            raise FileError(f"{path} is not a regular file; it is read twice, so save the data to a file first")
        self.size = status.st_size

    @property
    def n_bytes(self) -> int:
        """See the class."""
        return 0 if self._file is None else self._file.tell()

    def error(self, text: str, number: int | None = None) -> FileError:
        """Return an error about a line, by default the last one."""
        return FileError(f"{self.path} line {self.number if number is None else number}{text}")

    def __iter__(self) -> Iterator[str]:
        try:
            with self.path.open("rb") as self._file:
                yield from self._lines(self._unzipped(self._file))
        except (EOFError, gzip.BadGzipFile, zlib.error):
            raise FileError(
                f"{self.path} is truncated or damaged: its gzip data end after line {self.number}; "
                "copy or download it again"
            ) from None
        except OSError as error:
            raise self._unreadable(error) from None
        finally:
            self._file = None

    def _lines(self, file: BinaryIO) -> Iterator[str]:
        self.number = 0
        # Each read is limited, so that a file without line ends cannot fill the memory.
        while raw := file.readline(MAX_LINE_BYTES + 1):
            self.number += 1
            if len(raw) > MAX_LINE_BYTES:
                raise self.error(f" is longer than {MAX_LINE_BYTES:,} bytes; expected a purchase on each line")
            try:
                line = raw.decode()
            except UnicodeDecodeError as error:
                raise self.error(
                    f": not UTF-8 (byte 0x{raw[error.start]:02x}); save it as UTF-8, e.g. with iconv -f latin1 -t utf8"
                ) from None
            yield line if self.number > 1 else line.removeprefix(BYTE_ORDER_MARK)

    def _unzipped(self, file: BinaryIO) -> BinaryIO:
        begins_as_gzip = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        file.seek(0)
        return cast(BinaryIO, gzip.GzipFile(fileobj=file, mode="rb")) if begins_as_gzip else file

    def _unreadable(self, error: OSError) -> FileError:
        if isinstance(error, FileNotFoundError):
            return FileError(f"{self.path}: no such file")
        return FileError(f"{self.path} cannot be read: {error.strerror or error}")

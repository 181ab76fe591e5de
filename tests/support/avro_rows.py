"""An Avro decoder for rows of the aggregate, written from the specification; it shares nothing with the client."""

import struct
from typing import NamedTuple

MAX_AMOUNT = 1e150
MAX_USER_ID = 100_000
MAX_VARINT = 10
"""Bytes of an encoded number of 64 bits, at most."""


class Misfit(Exception):
    """The bytes are not a row."""


class Lenient(Misfit):
    """The bytes are not a row, but fastavro decodes one from them; harmless, as no encoder writes such bytes.

    fastavro accepts a varint of more than 64 bits, and counts a negative branch of a union from the end.
    """


class Row(NamedTuple):
    """The three columns."""

    user_id: str
    total_amount: float
    num_transactions: int


class Bytes:
    """Bytes that are read from front to back."""

    def __init__(self, data: bytes, start: int) -> None:
        self._data = data
        self._at = start

    def take(self, size: int) -> bytes:
        """The next bytes."""
        end = self._at + size
        if size < 0 or end > len(self._data):
            raise Misfit(f"{size} bytes wanted at {self._at} of {len(self._data)}")
        taken = self._data[self._at : end]
        self._at = end
        return taken

    def long(self) -> int:
        """A zigzag varint."""
        number = shift = 0
        while True:
            byte = self.take(1)[0]
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if shift > 7 * MAX_VARINT or number >= 1 << 64:
            raise Lenient("a number of more than 64 bits")
        return (number >> 1) ^ -(number & 1)

    def string(self) -> str:
        """A length and that many bytes of UTF-8."""
        try:
            return self.take(self.long()).decode()
        except UnicodeDecodeError as error:
            raise Misfit(str(error)) from None

    def not_null(self) -> None:
        """The branch of a union of null and a type, which must be the second."""
        branch = self.long()
        if not -(1 << 31) <= branch < 1 << 31 or branch in (-1, -2):  # fastavro keeps 32 bits of it
            raise Lenient(f"branch {branch}")
        if branch != 1:
            raise Misfit(f"branch {branch}")

    def end(self) -> None:
        """Check that no bytes are left."""
        if self._at != len(self._data):
            raise Misfit(f"{len(self._data) - self._at} bytes left over")


def row_of(data: bytes, schema_id: int) -> Row:
    """The row in a framed value; Misfit if it is not a row or out of range."""
    if data[:5] != b"\0" + struct.pack(">I", schema_id):
        raise Misfit("another frame")
    rest = Bytes(data, 5)
    rest.not_null()
    user_id = rest.string()
    rest.not_null()
    (total_amount,) = struct.unpack("<d", rest.take(8))
    rest.not_null()
    num_transactions = rest.long()
    rest.end()
    if not abs(total_amount) <= MAX_AMOUNT or num_transactions < 0 or len(user_id) > MAX_USER_ID:
        raise Misfit("out of range")
    return Row(user_id, total_amount, num_transactions)

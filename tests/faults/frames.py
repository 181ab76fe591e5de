"""Frames of Kafka's protocol, which the relays forward: a length, then a request or a reply.

A request begins with api_key, api_version and correlation id, a reply with the correlation id.
"""

import socket
import struct

LOOPBACK = "127.0.0.1"
Frame = bytes
"""A length of four bytes and a request or a reply."""


class Closed(Exception):
    """One side has closed the connection, or the relay has."""


def read_frame(source: socket.socket) -> Frame:
    """Return one length and what follows it."""
    head = _read_exactly(source, 4)
    return head + _read_exactly(source, struct.unpack(">i", head)[0])


def _read_exactly(source: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = source.recv(size - len(data))
        if not part:
            raise Closed
        data += part
    return bytes(data)

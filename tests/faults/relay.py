"""A TCP relay between a client and the broker that loses, delays or cuts off chosen requests and replies.

It can also hide a topic, as a broker does whose metadata are old, and take records slowly.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from enum import Enum, IntEnum
from typing import NamedTuple

from tests.faults.frames import LOOPBACK, Closed, read_frame

METADATA = 3
"""The api_key of metadata requests."""


class Api(IntEnum):
    """Requests to disturb, by Kafka's api_key."""

    PRODUCE = 0
    INIT_PRODUCER_ID = 22
    ADD_PARTITIONS_TO_TXN = 24
    ADD_OFFSETS_TO_TXN = 25
    END_TXN = 26
    TXN_OFFSET_COMMIT = 28


class Harm(Enum):
    """What happens to a request or its reply."""

    CUT_REQUEST = "connection closed before the broker has it"
    DROP_REQUEST = "request lost"
    CUT_REPLY = "carried out, connection closed before the reply"
    DROP_REPLY = "carried out, reply lost"
    DELAY_REPLY = "carried out, reply late"


class Trap(NamedTuple):
    """Disturbs the next request of a kind."""

    api: Api
    harm: Harm
    delay_s: float


class Hidden:
    """A hidden topic: requests for it are changed to a name of the same length that no topic has."""

    def __init__(self, name: bytes) -> None:
        self._name = name
        self._other = name[:-1] + b"0"
        self.n_denied = 0
        """Number of answers that it does not exist."""

    def ask(self, frame: bytes) -> tuple[bytes, "Disguise"]:
        """The request to send instead, and the change to its reply."""
        if self._name not in frame:  # a request for all topics: rename this one in the reply
            return frame, lambda reply: reply.replace(self._name, self._other)
        return frame.replace(self._name, self._other), self._deny

    def _deny(self, reply: bytes) -> bytes:
        self.n_denied += 1
        return reply.replace(self._other, self._name)


Disguise = Callable[[bytes], bytes]


class Relay:
    """Listens on `port` and forwards each connection to `target`."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._lock = threading.Lock()
        self._trap: Trap | None = None
        self.sprung = threading.Event()
        self.hidden: Hidden | None = None
        self.bytes_per_s: float | None = None
        """Bytes of records per second; None without a limit."""
        self._listener = socket.create_server((LOOPBACK, port))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def bootstrap_servers(self) -> str:
        """The value of `bootstrap.servers` of a client behind the relay."""
        return f"{LOOPBACK}:{self.port}"

    def arm(self, api: Api, harm: Harm, delay_s: float = 1.0) -> None:
        """Disturb the next request of this kind; `sprung` is set when it has happened."""
        with self._lock:
            self.sprung.clear()
            self._trap = Trap(api, harm, delay_s)

    def disarm(self) -> None:
        """Disturb no request."""
        with self._lock:
            self._trap = None

    def hide(self, topic: str) -> None:
        """Make the broker answer that it does not know a topic."""
        self.hidden = Hidden(topic.encode())

    def show(self) -> None:
        """Hide nothing."""
        self.hidden = None

    def close(self) -> None:
        """Accept no more connections."""
        self._listener.close()

    def take(self, api_key: int) -> Trap | None:
        """The trap, if it is for this kind of request; each trap works once."""
        with self._lock:
            trap = self._trap
            if trap is None or trap.api != api_key:
                return None
            self._trap = None
            self.sprung.set()
            return trap

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    broker = socket.create_connection((LOOPBACK, self._target))
                except OSError:
                    client.close()
                    continue
                _Connection(self, client, broker).start()


class _Connection:
    """One connection: a thread for requests, and one for replies."""

    def __init__(self, relay: Relay, client: socket.socket, broker: socket.socket) -> None:
        self._relay = relay
        self._client = client
        self._broker = broker
        self._harmed: dict[int, Trap] = {}  # correlation id -> what happens to the reply
        self._disguised: dict[int, Disguise] = {}  # correlation id -> change to the reply
        for each in (client, broker):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        for way in (self._requests, self._replies):
            threading.Thread(target=self._until_cut, args=(way,), daemon=True).start()

    def _until_cut(self, way: Callable[[], None]) -> None:
        with suppress(OSError, Closed):
            while True:
                way()
        for each in (self._client, self._broker):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _requests(self) -> None:
        frame = read_frame(self._client)
        api_key, _, correlation = struct.unpack_from(">hhi", frame, 4)
        if api_key == METADATA and (hidden := self._relay.hidden) is not None:
            frame, self._disguised[correlation] = hidden.ask(frame)
        trap = self._relay.take(api_key)
        if trap is not None and trap.harm is Harm.CUT_REQUEST:
            raise Closed
        if trap is not None and trap.harm is Harm.DROP_REQUEST:
            return
        if trap is not None:
            self._harmed[correlation] = trap
        if api_key == Api.PRODUCE and (rate := self._relay.bytes_per_s) is not None:
            time.sleep(len(frame) / rate)
        self._broker.sendall(frame)

    def _replies(self) -> None:
        frame = read_frame(self._broker)
        (correlation,) = struct.unpack_from(">i", frame, 4)
        if (disguise := self._disguised.pop(correlation, None)) is not None:
            frame = disguise(frame)
        trap = self._harmed.pop(correlation, None)
        if trap is not None and trap.harm is Harm.CUT_REPLY:
            raise Closed
        if trap is not None and trap.harm is Harm.DROP_REPLY:
            return
        if trap is not None:
            time.sleep(trap.delay_s)
        self._client.sendall(frame)

"""A TCP relay in front of one broker that hangs, answers late, resets connections, or answers only some requests.

A fault lasts until it is lifted. What was held back then goes on its way, as with a broker that was suspended.
"""

import base64
import queue
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from tests.faults.frames import LOOPBACK, Closed, Frame, read_frame

PRODUCE = 0
"""The api_key of a request to write records."""
FETCH = 1
"""The api_key of a request for records."""
LIST_OFFSETS = 2
"""The api_key of a request for the first or the last offset of partitions."""
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER: close() sends RST."""

PAUSE_S = 0.2
"""How often a late reply checks whether its connection is still open."""


def nothing(_: Frame) -> bool:
    """Match no request."""
    return False


def everything(_: Frame) -> bool:
    """Match every request."""
    return True


@dataclass(frozen=True)
class BrokerFault:
    """What a broker does to its clients."""

    name: str
    holds: Callable[[Frame], bool] = nothing
    """Whether a request, or the reply to it, is held until the fault is lifted."""
    reply_delay_s: float = 0.0
    resets: Callable[[Frame], bool] = nothing
    """Whether a request resets its connection, as does one that is not answered when the fault begins."""

    def __str__(self) -> str:
        return self.name


def only(*api_keys: int) -> Callable[[Frame], bool]:
    """Match the requests of some kinds."""
    return lambda frame: api_key_of(frame) in api_keys


def fetches_of(topic: str, topic_id: str) -> Callable[[Frame], bool]:
    """Match the requests for records of one topic, which they name by its name or by its id."""
    known = topic.encode(), base64.urlsafe_b64decode(topic_id + "==")
    return lambda frame: api_key_of(frame) == FETCH and any(each in frame for each in known)


def api_key_of(frame: Frame) -> int:
    """Return the kind of a request."""
    return int(struct.unpack_from(">h", frame, 4)[0])


HANGS = BrokerFault("hangs", holds=everything)
ANSWERS_AFTER_3_S = BrokerFault("answers after 3 s", reply_delay_s=3.0)
ANSWERS_AFTER_10_S = BrokerFault("answers after 10 s", reply_delay_s=10.0)
RESETS = BrokerFault("resets connections", resets=everything)
RESETS_FETCH = BrokerFault("resets connections that ask for records", resets=only(FETCH))
DISK_HANGS = BrokerFault("answers neither Fetch nor ListOffsets nor Produce", holds=only(FETCH, LIST_OFFSETS, PRODUCE))
"""What a broker knows by heart it answers: Metadata, for example, which another client call asks any broker for."""
NO_FETCH = BrokerFault("answers all but Fetch", holds=only(FETCH))
NO_PRODUCE = BrokerFault("answers all but Produce", holds=only(PRODUCE))
NO_LIST_OFFSETS = BrokerFault("answers all but ListOffsets", holds=only(LIST_OFFSETS))


class FaultyRelay:
    """Listens on `port`; each connection is forwarded to `target`, as the fault of the moment allows."""

    def __init__(self, port: int, target: int) -> None:
        self.port, self._target = port, target
        self.fault: BrokerFault | None = None
        self.lifted = threading.Event()
        self.lifted.set()
        self.n_fetches_answered = 0
        self._lock = threading.Lock()
        self._connections: list[_Connection] = []
        self._listener = socket.create_server((LOOPBACK, port))
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def bootstrap_servers(self) -> str:
        """The value of `bootstrap.servers` of a client behind the relay."""
        return f"{LOOPBACK}:{self.port}"

    @contextmanager
    def with_fault(self, fault: BrokerFault) -> Iterator[None]:
        """Have the fault for the length of a block."""
        self.begin(fault)
        try:
            yield
        finally:
            self.lift()

    def begin(self, fault: BrokerFault) -> None:
        """Begin a fault."""
        self.lifted.clear()
        self.fault = fault
        for connection in self._open_connections():
            connection.reset_if(fault.resets)

    def lift(self) -> None:
        """End the fault; requests and replies that were held are sent now."""
        self.fault = None
        self.lifted.set()
        for connection in self._open_connections():
            connection.send_what_is_held()

    def close(self) -> None:
        """Accept no more connections."""
        self._listener.close()

    def count_fetch(self) -> None:
        """Count an answer to a Fetch that has reached the client."""
        with self._lock:
            self.n_fetches_answered += 1

    def _open_connections(self) -> list["_Connection"]:
        with self._lock:
            self._connections = [each for each in self._connections if each.is_open]
            return list(self._connections)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                try:
                    broker = socket.create_connection((LOOPBACK, self._target))
                except OSError:
                    client.close()
                    continue
                connection = _Connection(self, client, broker)
                with self._lock:
                    self._connections.append(connection)
                connection.start()


class _Connection:
    """One connection: one thread forwards requests, one receives replies, one sends them when they are due."""

    def __init__(self, relay: FaultyRelay, client: socket.socket, broker: socket.socket) -> None:
        self._relay, self._client, self._broker = relay, client, broker
        self._requests: dict[int, Frame] = {}  # correlation id -> request that is not answered yet
        self._held_requests: list[Frame] = []
        self._held_replies: list[tuple[Frame, Frame]] = []  # request and reply
        self._holding = threading.Lock()
        self._due: queue.SimpleQueue[tuple[float, Frame, Frame] | None] = queue.SimpleQueue()
        self.is_open = True
        for each in (client, broker):
            each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self) -> None:
        """Begin to forward."""
        for forward in (self._forward_request, self._receive_reply, self._send_reply):
            threading.Thread(target=self._until_closed, args=(forward,), daemon=True).start()

    def reset_if(self, resets: Callable[[Frame], bool]) -> None:
        """Reset the connection where a request that is not answered calls for it."""
        with self._holding:
            resets_now = any(resets(request) for request in self._requests.values())
        if resets_now:
            self._reset()

    def _reset(self) -> None:
        """Send RST to the client."""
        with suppress(OSError):
            self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._close()

    def send_what_is_held(self) -> None:
        """Send held requests to the broker and held replies to the client, in order."""
        with self._holding, suppress(OSError):
            for request, reply in self._held_replies:
                self._due.put((0.0, request, reply))
            self._held_replies = []
            for request in self._held_requests:
                self._broker.sendall(request)
            self._held_requests = []

    def _until_closed(self, forward: Callable[[], None]) -> None:
        with suppress(OSError, Closed):
            while True:
                forward()
        self._close()

    def _close(self) -> None:
        self.is_open = False
        self._due.put(None)
        for each in (self._client, self._broker):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RD)  # wakes the thread that reads; sends nothing
            each.close()

    def _forward_request(self) -> None:
        request = read_frame(self._client)
        (correlation,) = struct.unpack_from(">i", request, 8)
        fault = self._relay.fault
        if fault is not None and fault.resets(request):
            self._reset()
            raise Closed
        with self._holding:
            self._requests[correlation] = request
            fault = self._relay.fault
            if fault is not None and fault.holds(request):
                self._held_requests.append(request)
            else:
                self._broker.sendall(request)

    def _receive_reply(self) -> None:
        reply = read_frame(self._broker)
        (correlation,) = struct.unpack_from(">i", reply, 4)
        with self._holding:
            request = self._requests.pop(correlation)
            fault = self._relay.fault
            if fault is not None and fault.holds(request):
                self._held_replies.append((request, reply))
            else:
                delay_s = 0.0 if fault is None else fault.reply_delay_s
                self._due.put((time.monotonic() + delay_s, request, reply))

    def _send_reply(self) -> None:
        item = self._due.get()
        if item is None:
            raise Closed
        due, request, reply = item
        while self.is_open and (left := due - time.monotonic()) > 0 and not self._relay.lifted.wait(min(left, PAUSE_S)):
            pass
        self._client.sendall(reply)
        if api_key_of(request) == FETCH:
            self._relay.count_fetch()

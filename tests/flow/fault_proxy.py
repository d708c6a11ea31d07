"""A proxy between an install and a real license server that does to each exchange what networks do."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

_PATIENCE: Final = 10.0
_PIECE: Final = 65_536

Fault = Callable[["FaultProxy", socket.socket, bytes], None]
"""Deals with one connection: the client's socket and its whole request."""


class FaultProxy:
    """Listens on a port of its own; ``fault`` decides about the next connections, ``dealt`` counts them by its name."""

    def __init__(self, server: str) -> None:
        where = urlsplit(server)
        self._server = (where.hostname, where.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.fault: Fault = passes
        self.dealt: dict[str, int] = {}
        self.late: list[bytes] = []
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(_PATIENCE)

    def forward(self, request: bytes) -> bytes:
        """Bring a request to the server, and return its answer."""
        with socket.create_connection(self._server, timeout=_PATIENCE) as upstream:
            upstream.sendall(request)
            return read_message(upstream)

    def forward_half(self, request: bytes) -> bytes:
        """Bring half a request to the server, close that direction, and return what it says to that."""
        with socket.create_connection(self._server, timeout=_PATIENCE) as upstream:
            upstream.sendall(request[: len(request) * 2 // 3])
            upstream.shutdown(socket.SHUT_WR)
            return read_message(upstream)

    def deliver_late(self) -> None:
        """Bring the requests that were held back to the server; nobody waits for their answers any more."""
        while self.late:
            self.forward(self.late.pop())

    def _serve(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                with client, suppress(OSError):
                    client.settimeout(_PATIENCE)
                    request = read_message(client)
                    self.dealt[self.fault.__name__] = self.dealt.get(self.fault.__name__, 0) + 1
                    self.fault(self, client, request)


def read_message(connection: socket.socket) -> bytes:
    """Read one HTTP message, by its Content-Length; less when the other side ends early."""
    message = b""
    while piece := connection.recv(_PIECE):
        message += piece
        head, blank, body = message.partition(b"\r\n\r\n")
        if blank and len(body) >= _length(head):
            break
    return message


def _length(head: bytes) -> int:
    lines = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:])
    return int(lines.get(b"content-length", b"0"))


def passes(proxy: FaultProxy, client: socket.socket, request: bytes) -> None:
    """Do nothing to it."""
    client.sendall(proxy.forward(request))


def drops_the_request(_proxy: FaultProxy, _client: socket.socket, _request: bytes) -> None:
    """Let nothing through."""


def drops_the_answer(proxy: FaultProxy, _client: socket.socket, request: bytes) -> None:
    """Let the server take it in, and say nothing to the install."""
    proxy.forward(request)


def doubles(proxy: FaultProxy, client: socket.socket, request: bytes) -> None:
    """Deliver it twice, and answer with what the server said first."""
    answer = proxy.forward(request)
    proxy.forward(request)
    client.sendall(answer)


def doubles_and_answers_with_the_second(proxy: FaultProxy, client: socket.socket, request: bytes) -> None:
    """Deliver it twice, and answer with what the server said to the repeat."""
    proxy.forward(request)
    client.sendall(proxy.forward(request))


def delays(proxy: FaultProxy, _client: socket.socket, request: bytes) -> None:
    """Hold it back for longer than the install waits: it arrives behind newer ones."""
    proxy.late.append(request)


def reorders(proxy: FaultProxy, client: socket.socket, request: bytes) -> None:
    """Deliver this one first, and then what was held back, the newest before the oldest."""
    answer = proxy.forward(request)
    proxy.deliver_late()
    client.sendall(answer)


def half_closes_before_the_server(proxy: FaultProxy, client: socket.socket, request: bytes) -> None:
    """End the request half way through; the server's answer to that comes back."""
    client.sendall(proxy.forward_half(request))


def half_closes_before_the_install(proxy: FaultProxy, client: socket.socket, request: bytes) -> None:
    """End the answer half way through."""
    answer = proxy.forward(request)
    client.sendall(answer[: len(answer) * 2 // 3])
    client.shutdown(socket.SHUT_WR)


FAULTS: tuple[Fault, ...] = (
    passes,
    drops_the_request,
    drops_the_answer,
    doubles,
    doubles_and_answers_with_the_second,
    delays,
    reorders,
    half_closes_before_the_server,
    half_closes_before_the_install,
)

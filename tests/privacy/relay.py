"""A relay between the install and the license server that keeps every byte."""

from __future__ import annotations

import socket
import threading
import zlib
from contextlib import suppress
from pathlib import Path


class Relay:
    """Listens on loopback and passes everything on, both ways."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._sent = bytearray()
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def everything(self) -> bytes:
        """Return all bytes as they went over the wire, and what the compressed bodies in them hold."""
        raw = bytes(self._sent)
        return raw + b"".join(inflated(raw))

    def close(self) -> None:
        """Stop listening."""
        self._listening.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, reading: socket.socket, writing: socket.socket) -> None:
        with suppress(OSError):
            while piece := reading.recv(65_536):
                self._sent += piece
                writing.sendall(piece)
        with suppress(OSError):
            writing.shutdown(socket.SHUT_WR)


def inflated(raw: bytes) -> list[bytes]:
    """Return what every gzip member in ``raw`` holds."""
    return [inner for at in _starts(raw) if (inner := _member(raw[at:]))]


def _starts(raw: bytes) -> list[int]:
    starts, at = [], raw.find(b"\x1f\x8b\x08")
    while at >= 0:
        starts.append(at)
        at = raw.find(b"\x1f\x8b\x08", at + 1)
    return starts


def _member(raw: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=31).decompress(raw)
    except zlib.error:
        return b""


def files_of(*homes: Path) -> dict[str, bytes]:
    """Return the content of every file under the homes, with what compressed parts of it hold."""
    contents = {}
    for home in homes:
        for path in sorted(home.rglob("*")):
            if path.is_file():
                raw = path.read_bytes()
                contents[str(path)] = raw + b"".join(inflated(raw))
    return contents

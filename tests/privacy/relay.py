"""A relay between the install and the license server that keeps every byte."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from calos_telemetry.testing.canaries import inflated


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

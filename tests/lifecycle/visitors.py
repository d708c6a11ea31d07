"""Visitors who keep a server busy and remember, request by request, what they saw come back whole."""

import http.client
import itertools
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

PATIENCE = 30.0


@dataclass(frozen=True)
class Seen:
    """One answer that arrived whole: the request's number, who answered, over which connection."""

    number: int
    pid: int
    connection: int


class Visitors:
    """A few threads that ask without pause until told to stop; a connection that breaks is opened anew."""

    def __init__(self, port: int, threads: int = 4) -> None:
        self.answered: list[Seen] = []
        self._port = port
        self._numbers = itertools.count(1)
        self._connections = itertools.count(1)
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._visit) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, answers: int) -> None:
        """Return once that many more answers have arrived."""
        wanted, deadline = len(self.answered) + answers, time.monotonic() + PATIENCE
        while len(self.answered) < wanted:
            assert time.monotonic() < deadline, f"{len(self.answered)} answers, {wanted} wanted"
            time.sleep(0.002)

    def pids(self, latest: int = 200) -> list[int]:
        """Return who answered lately."""
        return sorted({seen.pid for seen in self.answered[-latest:]})

    def _visit(self) -> None:
        while not self._stop.is_set():
            number = next(self._connections)
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
            with suppress(OSError, http.client.HTTPException):
                while not self._stop.is_set() and self._ask(connection, number):
                    pass
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection, over: int) -> bool:
        """Ask once; false when the server will not answer another one on this connection."""
        number = next(self._numbers)
        connection.request("GET", f"/work?n={number}", headers={"Host": "shop.example.com"})
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == http.client.OK, answer.status
        self.answered.append(Seen(number, int(body), over))
        return not answer.will_close

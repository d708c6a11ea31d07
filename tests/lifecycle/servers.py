"""Real servers as processes on the loopback interface, and what the database says when they have gone."""

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
from tests.lifecycle.visitors import PATIENCE, Seen

from calos_telemetry import Settings
from calos_telemetry.contract.report import Books
from calos_telemetry.sdk.install import Install
from calos_telemetry.sdk.obfuscate.identifiers import Identifiers, load_secret

HERE = Path(__file__).parent
HOST = "shop.example.com"


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return the environment of an install that drains twice a second and talks to nobody."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("CALOS_", "TELEMETRY_"))}
    ours = {
        "CALOS_HOME": str(home),
        "CALOS_PUBLIC_HOST": HOST,
        "CALOS_LICENSE_SERVER": "http://127.0.0.1:9",
        "CALOS_DRAIN_SECONDS": "0.5",
        "PYTHONPATH": str(HERE),
    }
    return clean | ours | more


@dataclass
class Server:
    """A running server: its main process and its port."""

    process: "subprocess.Popen[bytes]"
    port: int
    log: Path

    def workers(self) -> list[int]:
        """Return the processes below the main one, or the main one where it answers itself."""
        return children(self.process.pid) or [self.process.pid]

    def end(self, how: signal.Signals = signal.SIGTERM) -> float:
        """Send the signal to the main process; return how many seconds it took to go, its workers included."""
        began = time.monotonic()
        family = [self.process.pid, *children(self.process.pid)]
        self.process.send_signal(how)
        self.process.wait(PATIENCE)
        for pid in family:
            wait_until_gone(pid)
        return time.monotonic() - began


def children(pid: int) -> list[int]:
    """Return the child processes of ``pid``."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def wait_until_gone(pid: int) -> None:
    """Return once the process has ended, reaped or not."""
    deadline = time.monotonic() + PATIENCE
    while alive(pid):
        assert time.monotonic() < deadline, f"process {pid} does not end"
        time.sleep(0.002)


def alive(pid: int) -> bool:
    """Tell whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def serving(command: list[str], env: dict[str, str], log: Path) -> Iterator[Server]:
    """Run ``command`` (``PORT`` in it is replaced) until the block ends; it answers when the block begins."""
    port = free_port()
    words = [word.replace("PORT", str(port)) for word in command]
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", *words], env=env, stdout=out, stderr=out)
    server = Server(process, port, log)
    try:
        _wait_for_port(server)
        yield server
    finally:
        left = [process.pid, *children(process.pid)]
        for pid in left:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)
        process.wait(PATIENCE)


def _wait_for_port(server: Server) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.log.read_text()
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    raise AssertionError(server.log.read_text())


@dataclass(frozen=True)
class Account:
    """What a drain by another process finds, compared with what the visitors saw."""

    answered: int
    stored: int
    lost: frozenset[int]
    duplicated: int
    books: Books


@contextmanager
def installed(home: Path) -> Iterator[Install]:
    """Open the install from this process, beside the server's."""
    install = Install(Settings(home=home, public_host=HOST, server="http://127.0.0.1:9"))
    try:
        yield install
    finally:
        install.close()


def drained(home: Path) -> tuple[Counter[str], Books]:
    """Drain what is left, in this process; return how often each session was stored, and the books."""
    with installed(home) as install:
        assert install.drain(patience=PATIENCE).elected
        books = install.books()
    with sqlite3.connect(home / "telemetry.db") as database:
        query = "SELECT event_data FROM telemetry_events WHERE event_type = 'api_request'"
        found = Counter(msgspec.json.decode(data)["session"] for (data,) in database.execute(query))
    database.close()
    return found, books


def account(home: Path, answered: list[Seen]) -> Account:
    """Compare what was answered with what was stored, request by request."""
    found, books = drained(home)
    identifiers = Identifiers(load_secret(home / "secret"))
    lost = frozenset(seen.number for seen in answered if not found[identifiers.session(seen.number) or ""])
    doubled = sum(times - 1 for times in found.values())
    return Account(len(answered), found.total(), lost, doubled, books)


def excusable(answered: list[Seen], killed: set[int]) -> set[int]:
    """Return the requests a kill may cost: the last one that a killed process answered on each connection.

    Its record is made after the answer has gone out, so the kill may come between the two.
    """
    latest = {(seen.pid, seen.connection): seen.number for seen in answered if seen.pid in killed}
    return set(latest.values())

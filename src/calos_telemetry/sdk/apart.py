"""Background work in a process of its own, which takes neither the application's lock on the interpreter nor its memory.

What waits is usually a few thousand events: the background thread has drained them before another Python has started.  A
backlog (a busy application, a restart after an outage) goes to a short-lived process that is nicer to the machine than
the application is.  It can be killed at any moment, like every drain.  Where threads are greenlets (gevent), any drain would
hold up every request, so all background work goes there.  Where there is no Python to start (uWSGI, a frozen program, no
processes left) the thread works as before (``docs/decisions/0017-a-drain-apart.md``).
"""

from __future__ import annotations

import atexit
import dataclasses
import fcntl
import gc
import json
import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from calos_telemetry.errors import StoreError
from calos_telemetry.forks import gate
from calos_telemetry.sdk.record.directory import above_standard
from calos_telemetry.settings import Settings

if TYPE_CHECKING:
    import subprocess

LARGE_BYTES = 1_000_000
"""So much of the spool (about 5,000 events) is worth a process."""

_DEADLINE_SECONDS = 600.0
_NICER = 10
_LOCK = "apart.lock"
_PYTHON = re.compile(r"(python|pypy)[0-9.]*(\.exe)?")
_BEGIN = (
    "import json, sys; asked = json.loads(sys.stdin.readline()); sys.path[:] = asked['path'];"
    " from calos_telemetry.sdk.apart import work; work(asked)"
)


class DrainApart:
    """The drain of an install in another process; at most one at a time, whichever of its processes started it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._begin_process()
        _living.add(self)

    @property
    def takes_everything(self) -> bool:
        """Whether all background work is done there, because this process has no thread for it."""
        return self._possible and _threads_are_greenlets()

    def _begin_process(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._deadline = 0.0
        self._possible = _python() is not None

    @property
    def running(self) -> bool:
        """Whether a process was started whose end :meth:`collect` has not told yet."""
        return self._child is not None

    def start(self) -> bool:
        """Start a drain; false where no process can be started.

        Where another process of the install has started one already, that one is enough.
        """
        python = _python()
        if not self._possible or python is None:
            return False
        import subprocess  # noqa: PLC0415 - 3 ms that most applications never need

        try:
            lock = _elected(self._settings.home)
        except OSError:
            return False
        if lock is None:
            return True
        try:
            asked = _asked(self._settings, lock, everything=self.takes_everything)
            with gate.inside():  # a worker forked in the midst of it would keep the pipe of the answer open
                child = subprocess.Popen(  # noqa: S603 - ourselves
                    [python, "-I", "-S", "-c", _BEGIN],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    pass_fds=(lock,),
                    start_new_session=True,  # a Ctrl-C in the terminal is for the application
                )
        except OSError:  # no memory, too many processes, a sandbox
            self._possible = False
            return False
        finally:
            os.close(lock)
        self._child, self._deadline = child, time.monotonic() + _DEADLINE_SECONDS
        asking, child.stdin = child.stdin, None
        assert asking is not None  # noqa: S101 - it is a pipe
        with suppress(OSError), asking:  # where it has ended already, collect() tells
            asking.write(json.dumps(asked).encode() + b"\n")
        return True

    def collect(self) -> bool | None:
        """Return whether the process that ended was the elected drain; ``None`` while it runs, or where there is none.

        Raises :class:`StoreError` when it failed.  One that could not even begin is not tried again.
        """
        child = self._child
        if child is None:
            return None
        if child.poll() is None:
            if time.monotonic() < self._deadline:
                return None
            child.kill()
        self._child = None
        with gate.inside():
            said, _ = child.communicate()
        try:
            told = json.loads(said)
        except ValueError:
            self._possible = False
            raise StoreError(f"a drain in a process of its own ended without a word ({child.returncode})") from None
        if told["problem"] is not None:
            raise StoreError(told["problem"])
        return bool(told["elected"])

    def end(self) -> None:
        """End the process: what it has not committed waits for the next drain."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.communicate()

    def forget(self) -> None:
        """Leave the child to itself: when this process ends, and in a forked process, whose child it is not."""
        child = self._child
        if child is not None:
            child.returncode = 0  # its end is not ours to wait for
            if child.stdout is not None:
                child.stdout.close()
        self._begin_process()


_living: WeakSet[DrainApart] = WeakSet()


@atexit.register
def _leave_at_exit() -> None:
    for drain in tuple(_living):
        drain.forget()


def _python() -> str | None:
    """Return the interpreter, if what runs here is one that can run another module."""
    if getattr(sys, "frozen", False) or not sys.executable:
        return None
    return sys.executable if _PYTHON.fullmatch(Path(sys.executable).name) else None


def _threads_are_greenlets() -> bool:
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("threading"))


def _elected(home: Path) -> int | None:
    """Return the descriptor of the lock that the process is to hold; ``None`` while another one does.

    Raises ``OSError`` when the lock cannot be used.
    """
    lock = above_standard(os.open(home / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(lock)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return lock


def _asked(settings: Settings, lock: int, *, everything: bool) -> dict[str, Any]:
    path = [entry for entry in sys.path if isinstance(entry, str) and entry]  # "": a directory that may be gone
    told = dataclasses.asdict(settings)
    files = {name: str(value) for name, value in told.items() if isinstance(value, Path)}
    plain = {name: value for name, value in told.items() if name not in files}
    return {"path": path, "settings": plain, "files": files, "lock": lock, "everything": everything}


def _settings(asked: dict[str, Any]) -> Settings:
    files = {name: Path(file) for name, file in asked["files"].items()}
    return Settings(**{**asked["settings"], **files})


def work(asked: dict[str, Any]) -> None:
    """Drain, and say on standard output how it went: the whole life of the process."""
    os.nice(_NICER)
    gc.disable()  # a drain makes millions of objects and no cycles worth looking for
    answer: dict[str, object] = {"elected": False, "problem": None}
    try:
        from calos_telemetry.sdk.install import Install  # noqa: PLC0415 - whatever fails in it is to be told

        install = Install(_settings(asked))
        answer["elected"] = install.drain().elected
        if asked["everything"]:
            install.verify_if_due()
            install.upkeep.run_if_due()
        install.close()
    except Exception as error:  # noqa: BLE001 - the boundary: told to the application's background thread
        answer["problem"] = f"{type(error).__name__}: {error}"
    fcntl.flock(
        asked["lock"], fcntl.LOCK_UN
    )  # closing would not do: a process that was forked meanwhile may hold a copy
    sys.stdout.write(json.dumps(answer))

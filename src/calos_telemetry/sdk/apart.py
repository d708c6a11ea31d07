"""A large drain in a process of its own, which takes neither the application's lock on the interpreter nor its memory.

What waits is usually a few thousand events: the background thread has drained them before another Python has started.  A
backlog (a busy application, a restart after an outage) goes to a short-lived process that is nicer to the machine than
the application is.  It can be killed at any moment, like every drain.  Where there is no Python to start (uWSGI, a frozen
program, no processes left) the thread drains as before (``docs/decisions/0017-a-drain-apart.md``).
"""

from __future__ import annotations

import dataclasses
import gc
import json
import os
import re
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from calos_telemetry.errors import StoreError
from calos_telemetry.settings import Settings

if TYPE_CHECKING:
    import subprocess

LARGE_BYTES = 1_000_000
"""So much of the spool (about 5,000 events) is worth a process."""

_DEADLINE_SECONDS = 600.0
_NICER = 10
_PYTHON = re.compile(r"(python|pypy)[0-9.]*(\.exe)?")
_BEGIN = (
    "import json, sys; asked = json.loads(sys.stdin.readline()); sys.path[:] = asked['path'];"
    " from calos_telemetry.sdk.apart import work; work(asked['settings'])"
)


class DrainApart:
    """The drain of one application in another process; at most one at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._begin_process()

    def _begin_process(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._deadline = 0.0
        self._possible = _python() is not None

    @property
    def running(self) -> bool:
        """Whether a process was started whose end :meth:`collect` has not told yet."""
        return self._child is not None

    def start(self) -> bool:
        """Start a drain; false where no process can be started."""
        python = _python()
        if not self._possible or python is None:
            return False
        import subprocess  # noqa: PLC0415 - 3 ms that most applications never need

        asked = {"path": [entry or str(Path.cwd()) for entry in sys.path], "settings": _told(self._settings)}
        try:
            child = subprocess.Popen(  # noqa: S603 - ourselves
                [python, "-I", "-S", "-c", _BEGIN],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,  # a Ctrl-C in the terminal is for the application
            )
        except OSError:  # no memory, too many processes, a sandbox
            self._possible = False
            return False
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
        """Begin anew in a forked process: the child is that of the process it was forked from."""
        child = self._child
        if child is not None:
            child.returncode = 0  # its end is not ours to wait for
        self._begin_process()


def _python() -> str | None:
    """Return the interpreter, if what runs here is one that can run another module."""
    if getattr(sys, "frozen", False) or not sys.executable:
        return None
    return sys.executable if _PYTHON.fullmatch(Path(sys.executable).name) else None


def _told(settings: Settings) -> dict[str, Any]:
    told = dataclasses.asdict(settings)
    return {name: str(value) if isinstance(value, Path) else value for name, value in told.items()}


def _settings(told: dict[str, Any]) -> Settings:
    paths = {name: Path(told[name]) for name in ("home", "declarations", "geo_database") if told[name] is not None}
    return Settings(**{**told, **paths})


def work(told: dict[str, Any]) -> None:
    """Drain, and say on standard output how it went: the whole life of the process."""
    os.nice(_NICER)
    gc.disable()  # a drain makes millions of objects and no cycles worth looking for
    answer: dict[str, object] = {"elected": False, "problem": None}
    try:
        from calos_telemetry.sdk.install import Install  # noqa: PLC0415 - whatever fails in it is to be told

        install = Install(_settings(told))
        answer["elected"] = install.drain().elected
        install.close()
    except Exception as error:  # noqa: BLE001 - the boundary: told to the application's background thread
        answer["problem"] = f"{type(error).__name__}: {error}"
    sys.stdout.write(json.dumps(answer))

"""The grace of an expired license key, counted in time that was lived through, not in what a clock says.

A clock may jump years ahead in one step; grace that is read off it would be over at once, although the key is good.
So once a key was seen valid here, each later look at it takes at most five minutes off its grace: a jump costs five
minutes, and a key that has really ended cannot be used longer than its grace, whether or not the vendor can be reached.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec

from calos_telemetry import private_files
from calos_telemetry.errors import StateError

_MOST_PER_LOOK_MS = 5 * 60_000


class _Lived(msgspec.Struct, frozen=True):
    """How long (ms) the key of the proof ``about`` has been in use since it was last seen valid."""

    about: str
    lived_ms: int
    looked_at: int


class Grace:
    """The file that remembers the key that was seen valid, and how long it has been used since it ended."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def seen_valid(self, about: str, now: int) -> None:
        """Note that the key holds: its whole grace is before it."""
        before = self._read()
        if before is None or before.about != about or before.lived_ms:
            self._write(_Lived(about, 0, now))

    def used(self, about: str, now: int) -> int | None:
        """Return how many ms of its grace an expired key has used; this look counts.

        ``None`` when the key was never seen valid here: then there is nothing but the clock to go by.
        """
        before = self._read()
        if before is None or before.about != about:
            return None
        passed = min(max(0, now - before.looked_at), _MOST_PER_LOOK_MS)
        lived = _Lived(about, before.lived_ms + passed, now)
        self._write(lived)
        return lived.lived_ms

    def _read(self) -> _Lived | None:
        try:
            return msgspec.json.decode(private_files.read(self._path), type=_Lived)
        except (FileNotFoundError, StateError, ValueError):
            return None

    def _write(self, lived: _Lived) -> None:
        with suppress(StateError):  # a full disk takes nothing away
            private_files.write(self._path, msgspec.json.encode(lived))

"""The crash-safe files between the request and the database: one append-only file per process, no lock between them.

Writing (`Spool`): a file is created as `<id>.new`, locked with `flock`, given its header and only then renamed to
`<id>.spl`, so whoever sees it can ask the kernel whether its owner lives: the lock goes when the process does, however
it dies. A record in the page cache outlives a SIGKILL; `sync` once a second bounds what a power cut can take.

Reading (for the drain, see `directory`): under a `DrainLock`, for each of `spool_files`, ask `is_owned` *before*
reading (`frames.read_records`), and `remove` a file only if it was not owned then: only such a file cannot grow.

Known limits. The directory must be on a local disk: over NFS, `flock` and `O_APPEND` promise less. A fork that runs no
Python hook (C code; asking `os.getpid` at every record would cost more than the lock) leaves two processes appending to
one file: every record stays whole and readable, except those that follow a write torn by a full disk.
"""

import errno
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal
from zlib import crc32

from calos_telemetry.sdk.record import directory as spool_directory
from calos_telemetry.sdk.record import frames
from calos_telemetry.sdk.record.directory import DrainLock, adopt_leftovers, is_owned, remove, spool_files
from calos_telemetry.sdk.record.frames import EVENT, FRAME, FRAME_SIZE, HEADER_SIZE, LOSSES, MAGIC, TORN

__all__ = ["Books", "DrainLock", "Reason", "Spool", "adopt_leftovers", "is_owned", "remove", "spool_files"]

Reason = Literal["spool_full", "disk_full", "unwritable", "oversize", "failed"]
"""Why there is no record: our own quota, the disk's (or the user's) limit, any other error, its size; or it `failed`
before it came here, by a mistake of ours or for want of memory."""

RETRY_SECONDS: Final = 1.0  # after a failure, so that a full disk costs one comparison per event

_FORK_PATIENCE: Final = 0.1
_TROUBLE: Final = (OSError, ValueError, MemoryError)  # ValueError: a path no system call takes
_DISK_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_pack = FRAME.pack


@dataclass(slots=True)
class Books:
    """What this process handed to its spool since it started (or was forked): offered = recorded + all of dropped.

    `sync_failures` counts the times the disk refused to confirm what the page cache holds; no record was refused.
    """

    recorded: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    sync_failures: int = 0


class Spool:
    """This process's end of the spool directory. Safe from threads, signal handlers and finalizers; nothing raises.

    `max_file` and `max_total` are bytes: of one file, and of all `.spl` files in the directory. The total is measured
    when a file is begun, so all processes together may exceed it by one `max_file` each. Files are opened at the
    first record, not before. A caller with a background thread calls `sync` each second, and `seal` every few minutes
    so that the drain can free what an idle process has written.
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_file: int = 1 << 20,
        max_total: int = 64 << 20,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not HEADER_SIZE + FRAME_SIZE < max_file < 1 << 32 or max_total < 2 * max(max_file, spool_directory.SMALLEST):
            raise ValueError("max_file must hold a record and stay under 4 GiB; max_total must hold two files")
        self.directory = directory
        self.books = Books()
        self._max_file = max_file
        self._max_payload = min(frames.MAX_PAYLOAD, max_file - HEADER_SIZE - FRAME_SIZE)
        self._max_total = max_total
        self._clock = clock
        self._start_anew()
        _follow_forks(self)

    def _start_anew(self) -> None:
        self._lock = threading.RLock()  # re-entrant: a signal handler or a finalizer may record in the midst of us
        self._fd = -1
        self._path = ""
        self._seed = 0
        self._size = 0  # of the open file, as far as this process knows
        self._limit = -1  # events may fill the file up to here: -1 without a file, 0 while over the quota
        self._retry_at = float("-inf")
        self._why: Reason = "unwritable"
        self._unwritten: dict[str, int] = {}  # losses that no file tells of yet
        self._unsynced: deque[str] = deque(maxlen=64)  # files sealed since the last sync
        self._synced_size = 0
        self._listed = ""  # the last file whose name is known to be on the disk

    def append(self, payload: bytes) -> bool:
        """Take one event. True: it is in the page cache, no SIGKILL can lose it. False: dropped, and counted."""
        length = len(payload)
        size = length + FRAME_SIZE
        with self._lock:
            try:
                if length > self._max_payload:
                    return self._refuse_oversize()
                if self._size + size > self._limit and not self._make_room(size):
                    return self._refuse(self._why)
                # What `_write` does, spelled out for speed. Nothing can run between the second look at the seed and
                # the system call, so the frame, the descriptor and the file belong together.
                seed = self._seed
                frame = _pack(MAGIC, length, crc32(payload, seed ^ length), EVENT) + payload
                if seed == self._seed and os.write(self._fd, frame) == size:
                    self._size += size
                    self.books.recorded += 1
                    return True
            except OSError:
                pass
            except MemoryError:
                return self._refuse("unwritable")
            return self._append_elsewhere(payload)

    def sync(self) -> bool:
        """Have the disk confirm all that was taken so far; slow, so for a background thread. False: it did not.

        Nothing waits for the disk meanwhile: the lock is not held, and the files are opened anew, so that neither a
        rotation nor a fork can get in the way. Losses not written yet are written first.
        """
        with self._lock:
            self._settle_losses()
            paths = list(self._unsynced)
            self._unsynced.clear()
            if self._fd >= 0 and self._size != self._synced_size:
                paths.append(self._path)
                self._synced_size = self._size
        confirmed = [self._sync_file(path) for path in paths]
        return all(confirmed)

    def seal(self) -> None:
        """Let go of the current file: the drain may then remove it. The next record begins another.

        Over the quota the file is kept, or each call would leave one more file of losses in the full directory.
        """
        with self._lock:
            self._retry_at = float("-inf")
            self._settle_losses()
            if self._limit:
                self._let_go()

    def close(self) -> None:
        """Let go for good, at the end of the process. A record that comes later still is taken all the same."""
        with self._lock:
            self.seal()
            self._let_go()

    def give_up(self, reason: Reason = "failed") -> None:
        """Count an event that could not even be made into a record; the drain will hear of it."""
        with self._lock:
            self._refuse(reason)

    def _refuse(self, reason: Reason) -> Literal[False]:
        self.books.dropped[reason] = self.books.dropped.get(reason, 0) + 1
        self._unwritten[reason] = self._unwritten.get(reason, 0) + 1
        return False

    def _refuse_oversize(self) -> Literal[False]:
        self._refuse("oversize")
        self._settle_losses()  # at once: nothing is wrong with the disk
        return False

    def _append_elsewhere(self, payload: bytes) -> bool:
        """After a failed or short write: never append to that file again, and try just once in another."""
        self._let_go()
        if not self._make_room(len(payload) + FRAME_SIZE):
            return self._refuse(self._why)
        try:
            self._write(payload, EVENT)
        except _TROUBLE as error:
            self._fail(error)
            return self._refuse(self._why)
        self.books.recorded += 1
        return True

    def _write(self, payload: bytes, kind: int) -> None:
        """Write one record, whole, or raise OSError: then the file must not be appended to any more."""
        seed, frame = -1, b""
        while seed != self._seed:  # again, if a signal handler's or finalizer's record began another file meanwhile
            seed = self._seed
            frame = frames.encode_record(payload, seed, kind)
        if os.write(self._fd, frame) != len(frame):
            raise OSError(errno.ENOSPC, "short write")
        self._size += len(frame)

    def _make_room(self, size: int) -> bool:
        """Begin a file if need be, and look at the quota. Not more than once a second after a failure."""
        if self._clock() < self._retry_at:
            return False
        try:
            has_room = spool_directory.bytes_in(self.directory) + self._max_file <= self._max_total
            is_full = self._size + size > self._max_file
            if self._fd < 0 or (is_full and (has_room or self._limit > 0)):
                self._begin_file()
        except _TROUBLE as error:
            self._fail(error)
            return False
        if not has_room:  # the full file is sealed, for the drain to make room; the new one is for losses only
            self._limit, self._why, self._retry_at = 0, "spool_full", self._clock() + RETRY_SECONDS
            return False
        self._limit = self._max_file
        return True

    def _begin_file(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file_id = os.urandom(16)
        fd, path = spool_directory.create(self.directory, file_id)
        # Whoever records in the midst of this finds either the old file or the new one, whole.
        old_fd, old_path = self._fd, self._path
        self._fd, self._path, self._seed, self._size = fd, path, frames.seed_of(file_id), HEADER_SIZE
        self._retire(old_fd, old_path)
        self._synced_size = 0
        self._write_losses()

    def _fail(self, error: Exception) -> None:
        self._let_go()
        self._why = "disk_full" if isinstance(error, OSError) and error.errno in _DISK_FULL else "unwritable"
        self._retry_at = self._clock() + RETRY_SECONDS

    def _let_go(self) -> None:
        if self._fd >= 0:
            self._excuse_torn_tail()
        fd, self._fd, self._size, self._limit = self._fd, -1, 0, -1
        self._retire(fd, self._path)

    def _excuse_torn_tail(self) -> None:
        """Tell the drain not to count a write cut short as an event lost: whatever became of that event, we live to say."""
        with suppress(OSError):
            if os.fstat(self._fd).st_size > self._size:
                self._unwritten[TORN] = self._unwritten.get(TORN, 0) - 1

    def _retire(self, fd: int, path: str) -> None:
        if fd >= 0:
            self._unsynced.append(path)
            with suppress(OSError):
                os.close(fd)

    def _settle_losses(self) -> None:
        if not self._unwritten:
            return
        try:
            if self._fd < 0:
                self._make_room(0)
            else:
                self._write_losses()
                if self._unwritten and self._limit > 0:  # no room for them in this file
                    self._begin_file()
        except _TROUBLE as error:
            self._fail(error)

    def _write_losses(self) -> None:
        """Tell the drain what was dropped, as a record of its own; what cannot be told now waits for the next file."""
        losses, self._unwritten = self._unwritten, {}
        if not losses:
            return
        try:
            payload = frames.encode_losses(losses)
            if self._size + FRAME_SIZE + len(payload) <= self._max_file:
                self._write(payload, LOSSES)
                losses = {}
        finally:
            for reason, count in losses.items():
                self._unwritten[reason] = self._unwritten.get(reason, 0) + count

    def _sync_file(self, path: str) -> bool:
        try:
            fd = os.open(path, spool_directory.OPEN_TO_READ)
        except FileNotFoundError:  # drained meanwhile; or removed under us by somebody, then do not go on in it
            self._leave(path)
            return True
        except _TROUBLE:
            self.books.sync_failures += 1
            return False
        try:
            os.fdatasync(fd)
            if self._listed != path:
                spool_directory.sync(self.directory)
                self._listed = path
        except _TROUBLE:  # the kernel may have let go of the pages: trust that file no further
            self.books.sync_failures += 1
            self._leave(path)
            return False
        finally:
            os.close(fd)
        return True

    def _leave(self, path: str) -> None:
        with self._lock:
            if self._path == path:
                self._let_go()

    def before_fork(self) -> None:
        """Keep other threads out, lest the child inherit a half-begun file. Bounded: forking must not hang on us."""
        self._lock.acquire(timeout=_FORK_PATIENCE)

    def after_fork_in_parent(self) -> None:
        """Let them in again."""
        with suppress(RuntimeError):  # not ours: the wait was in vain
            self._lock.release()

    def after_fork_in_child(self) -> None:
        """Close the inherited descriptor, or the parent's file would look owned for as long as the child lives."""
        if self._fd >= 0:
            with suppress(OSError):
                os.close(self._fd)
        self.books.recorded = self.books.sync_failures = 0
        self.books.dropped.clear()
        self._start_anew()


_living: list[weakref.ref[Spool]] = []  # a list, because copying one is a single step: other threads may be adding


def _follow_forks(spool: Spool) -> None:
    _living.append(weakref.ref(spool, _living.remove))


def _before_fork() -> None:
    for spool in _spools():
        spool.before_fork()


def _after_fork_in_parent() -> None:
    for spool in _spools():
        spool.after_fork_in_parent()


def _after_fork_in_child() -> None:
    for spool in _spools():
        spool.after_fork_in_child()


def _spools() -> list[Spool]:
    return [spool for ref in tuple(_living) if (spool := ref()) is not None]


os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)

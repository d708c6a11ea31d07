"""The spool directory as all processes share it: how a file comes into sight, whose it is, who may drain it.

Nothing here keeps state beyond a call; the kernel's locks are the only truth, because they end with the process.
"""

import errno
import fcntl
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from calos_telemetry.sdk.record import frames
from calos_telemetry.sdk.record.frames import HEADER_SIZE, SUFFIX

PARTIAL_SUFFIX: Final = ".new"
PARTIAL_SECONDS: Final = 60.0  # how old a `.new` file must be before anybody asks whether its owner is dead
SMALLEST: Final = 4096  # bytes: a tiny file takes a block of the disk all the same
OPEN_TO_READ: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK  # a planted pipe must not hold us up
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
_LOCK_FILE: Final = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_ABOVE_STANDARD: Final = 3


def create(directory: Path, file_id: bytes) -> tuple[int, str]:
    """Begin a spool file and return its descriptor, which holds its lock, and its path. Raises OSError.

    The order is the point: locked first, then a header, and only then the name by which a drain finds it. In any other
    order a drain could take a file that is just being born for a dead process's, and remove it.
    """
    path = directory / (file_id.hex() + SUFFIX)
    partial = path.with_suffix(PARTIAL_SUFFIX)
    fd = os.open(partial, _CREATE, 0o600)
    try:
        fd = above_standard(fd)
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        header = frames.encode_header(file_id, time.time_ns(), os.getpid())
        if os.write(fd, header) != HEADER_SIZE:
            raise OSError(errno.ENOSPC, "short header")  # noqa: TRY301 - one way out for all that can go wrong here
        partial.rename(path)
    except BaseException:
        with suppress(OSError):
            partial.unlink()
        os.close(fd)
        raise
    return fd, str(path)


def spool_files(directory: Path) -> list[Path]:
    """List the spool files, the longest untouched first. Symlinks, pipes and strangers' names are passed over.

    Empty when the directory does not exist yet; raises OSError when it cannot be read.
    """
    found = []
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if frames.file_id_of(entry.name) is None or not entry.is_file(follow_symlinks=False):
                continue
            with suppress(FileNotFoundError):
                found.append((entry.stat(follow_symlinks=False).st_mtime_ns, entry.name))
    return [directory / name for _, name in sorted(found)]


def is_owned(path: Path) -> bool:
    """Tell whether a living process may still append to the file. In doubt it is owned: better late than lost.

    Ask before reading. The other way round, the owner may write and die between the reading and the question.
    """
    try:
        fd = os.open(path, OPEN_TO_READ)
    except OSError:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two who ask must not take each other for the owner
    except OSError:
        return True
    finally:
        os.close(fd)
    return False


def remove(path: Path) -> bool:
    """Remove a drained file. False when it is still there; the next drain will find nothing new in it."""
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def adopt_leftovers(directory: Path, *, now: float | None = None) -> int:
    """Settle the `.new` files of processes that died while beginning one; return how many there were.

    One that holds records (its rename was lost in a power cut) gets its name after all; any other is removed. `now`:
    seconds since 1970. Age only spares those just being born; the lock decides, and whoever is born meanwhile loses
    nothing but that file: its rename fails, and it begins another. Raises OSError when the directory cannot be read.
    """
    oldest = (time.time() if now is None else now) - PARTIAL_SECONDS
    settled = 0
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            is_partial = frames.file_id_of(entry.name.removesuffix(PARTIAL_SUFFIX) + SUFFIX) is not None
            if is_partial and entry.name.endswith(PARTIAL_SUFFIX) and entry.is_file(follow_symlinks=False):
                with suppress(OSError):
                    settled += entry.stat(follow_symlinks=False).st_mtime < oldest and _settle(Path(entry.path))
    return settled


def _settle(partial: Path) -> bool:
    """Rename or remove one leftover while holding its lock; False when a living process has it."""
    fd = os.open(partial, OPEN_TO_READ)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if next(frames.read_records(fd), None) is None:
            partial.unlink()
        else:
            partial.rename(partial.with_suffix(SUFFIX))
    finally:
        os.close(fd)
    return True


def bytes_in(directory: Path) -> int:
    """Return the bytes that all spool files take on the disk, roughly: each at least one block. Raises OSError."""
    total = 0
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if entry.name.endswith(SUFFIX):
                with suppress(FileNotFoundError):
                    total += max(entry.stat(follow_symlinks=False).st_size, SMALLEST)
    return total


def sync(directory: Path) -> None:
    """Have the disk confirm the names in the directory. Raises OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_CLOEXEC | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def above_standard(fd: int) -> int:
    """Move a descriptor out of the way of stdin, stdout and stderr: where those were closed, prints would end in it."""
    if fd >= _ABOVE_STANDARD:
        return fd
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _ABOVE_STANDARD)
    os.close(fd)
    return moved


_elected: set[int] = set()  # the descriptors of the drain locks this process holds


class DrainLock:
    """Elects the one drain of a directory, among all processes and threads: `with DrainLock(path) as elected:`.

    Without a timeout it never waits. With one (seconds) it asks again at growing intervals, up to 50 ms, until then.
    `error` says why the lock file could not be used at all; nobody is elected then.
    """

    def __init__(
        self,
        directory: Path,
        *,
        timeout: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.error: OSError | None = None
        self._path = directory / ".drain"
        self._timeout = timeout
        self._clock = clock
        self._sleep = sleep
        self._fd = -1

    def __enter__(self) -> bool:
        deadline = self._clock() + self._timeout
        pause = 0.001
        while not (elected := self._try()) and self.error is None and (left := deadline - self._clock()) > 0:
            self._sleep(min(pause, left))
            pause = min(pause * 2, 0.05)
        return elected

    def __exit__(self, *_: object) -> None:
        fd, self._fd = self._fd, -1
        if fd not in _elected:  # not elected; or forked since, then the election was the parent's
            return
        _elected.discard(fd)
        try:
            fcntl.flock(fd, fcntl.LOCK_UN)  # closing would not do: a child forked meanwhile may hold a copy
        except (OSError, MemoryError):
            pass
        finally:
            _close(fd)

    def _try(self) -> bool:
        try:
            fd = os.open(self._path, _LOCK_FILE, 0o600)
        except OSError as error:
            self.error = error
            return False
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(fd), self._path.stat()):  # not one that somebody removed meanwhile
                _elected.add(fd)
                self._fd = fd
        except (BlockingIOError, FileNotFoundError):
            pass
        except OSError as error:
            self.error = error
        finally:
            if self._fd != fd:
                _close(fd)
        return self._fd == fd


def _close(fd: int) -> None:
    with suppress(OSError):
        os.close(fd)


def _forget_elections() -> None:
    """Close a forked child's copies, and nothing more: the locks are the parent's."""
    for fd in _elected:
        with suppress(OSError):
            os.close(fd)
    _elected.clear()


os.register_at_fork(after_in_child=_forget_elections)

"""Files that only their owner may read: keys, secrets, tokens, leases.

Written whole or not at all (temporary file, then link or rename), mode 0600, never through a symbolic link.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from calos_telemetry.errors import StateError

_MODE = 0o600
_DIRECTORY_MODE = 0o700
_GROUP_OR_OTHERS = 0o077


def ensure_directory(path: Path) -> Path:
    """Create ``path`` (0700) where it is missing and return it.  Raises :class:`StateError`."""
    try:
        path.mkdir(mode=_DIRECTORY_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise StateError(f"{path} cannot be created ({error.strerror}): give a directory this user may write") from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise StateError(f"{path} is not writable: give a directory this user may write, or fix its permissions")
    return path


def read(path: Path) -> bytes:
    """Return the content of a private file.

    Raises :class:`StateError` when others may read it, when it is a symbolic link, or when it cannot be read, and
    ``FileNotFoundError`` when there is none.
    """
    try:
        descriptor = os.open(
            path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        )  # a pipe must not hang us
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StateError(f"{path} cannot be read ({error.strerror}): it must be a plain file of this user") from None
    try:
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise StateError(f"{path} is not a plain file: move it aside")
        if stat.S_IMODE(mode) & _GROUP_OR_OTHERS:
            raise StateError(f"{path} can be read by others: run `chmod 600 {path}`")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            return file.read()
    except OSError as error:
        raise StateError(f"{path} cannot be read ({error.strerror}): check the disk it is on") from None
    finally:
        os.close(descriptor)


def write(path: Path, content: bytes) -> None:
    """Replace ``path`` by ``content``, whole or not at all.  Raises :class:`StateError`."""
    temporary = _write_temporary(path, content)
    try:
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StateError(
            f"{path} cannot be replaced ({error.strerror}): it must be a plain file of this user"
        ) from None


def delete(path: Path) -> None:
    """Delete ``path`` if it is there.  Raises :class:`StateError`."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StateError(f"{path} cannot be deleted ({error.strerror}): check the owner of its directory") from None


def create_once(path: Path, make: Callable[[], bytes]) -> bytes:
    """Return the content of ``path``; where there is none, store ``make()`` first.

    Any number of processes may race: all of them return the content of the one that came first.
    """
    try:
        return read(path)
    except FileNotFoundError:
        temporary = _write_temporary(path, make())
    try:
        os.link(temporary, path)
    except FileExistsError:
        pass  # another process was first: its content holds
    except OSError as error:
        raise StateError(f"{path} cannot be created ({error.strerror}): give a directory on a local disk") from None
    finally:
        temporary.unlink(missing_ok=True)
    return read(path)


def _write_temporary(path: Path, content: bytes) -> Path:
    ensure_directory(path.parent)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(temporary, flags, _MODE), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise StateError(f"{path} cannot be written ({error.strerror}): check free space and permissions") from None
    return temporary

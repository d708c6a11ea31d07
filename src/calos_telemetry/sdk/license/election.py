"""One process of an install at a time talks to the vendor."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from calos_telemetry.errors import StateError


@contextmanager
def elected(home: Path) -> Iterator[bool]:
    """Elect one process: the kernel's lock on a file, which ends with the process that holds it."""
    path = home / ".verify"
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateError(f"{path} cannot be opened ({error.strerror}): check its owner and permissions") from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)

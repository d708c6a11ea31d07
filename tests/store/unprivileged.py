"""How root comes to obey the permissions of files, as the user of an application does."""

from __future__ import annotations

import ctypes
import struct

_VERSION_3 = 0x20080522  # of the kernel's interface for capabilities


def give_up_privileges() -> None:
    """Give up every capability of this process; for good, so for a child that ends soon.  Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.capset(struct.pack("Ii", _VERSION_3, 0), bytes(24)):
        raise OSError(ctypes.get_errno(), "capset")

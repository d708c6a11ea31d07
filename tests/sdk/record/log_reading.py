"""Sample lines of an access log, and how the tests read one."""

from __future__ import annotations

import io
from typing import Final

from calos_telemetry.sdk.record.access_log import Line, Malformed, read_log

COMMON: Final = b'1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /a/7?q=1 HTTP/1.1" 200 512'
COMBINED: Final = COMMON + b' "http://from.example/" "Mozilla/5.0 (X11)"'
AT: Final = 1_431_857_103_000
"""When both happened, unix ms."""


def lines_of(log: bytes) -> list[Line | Malformed]:
    """Read a whole log."""
    return list(read_log(io.BytesIO(log)))


def only(log: bytes) -> Line:
    """Read a log of one line."""
    (line,) = lines_of(log + b"\n")
    assert isinstance(line, Line), line
    return line

"""Whether the telemetry itself is at work: what its own database is asked then is nobody's business."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

THREAD = "calos-telemetry"
"""Name of the background thread: whatever it does is our own work."""

_at_work: ContextVar[bool] = ContextVar("calos_telemetry_own_work", default=False)


@contextmanager
def own_work() -> Iterator[None]:
    """Say of what happens inside that it is our own work."""
    token = _at_work.set(True)
    try:
        yield
    finally:
        _at_work.reset(token)


def is_own_work() -> bool:
    """Say whether we are inside :func:`own_work`, or on our own thread."""
    return _at_work.get() or threading.current_thread().name == THREAD

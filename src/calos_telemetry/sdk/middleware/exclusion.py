"""Which paths are not recorded at all: what machines ask to see whether the application lives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

HEALTH: Final = ("/health", "/healthz", "/ready", "/readyz", "/live", "/livez", "/metrics", "/favicon.ico")
"""Left out unless the middleware is told otherwise: a probe every ten seconds is 8,640 requests a day, and no use."""


def excluding(paths: Iterable[str]) -> Callable[[str], bool]:
    """Return what says of a path whether it is left out: ``/static/`` all below it, ``/health`` itself only."""
    listed = tuple(paths)
    whole = frozenset(listed)
    below = tuple(path for path in listed if path.endswith("/") and path != "/")
    return (lambda path: path in whole or path.startswith(below)) if below else whole.__contains__

"""Which paths are not recorded at all: what machines ask to see whether the application lives."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

HEALTH: Final = (
    "/health", "/health/live", "/health/ready", "/healthz", "/livez", "/readyz", "/metrics", "/favicon.ico",
)  # fmt: skip
"""Left out unless the middleware is told otherwise: a probe every ten seconds is 8,640 requests a day, and no use.

Nothing is here that may as well be a page of the product, such as ``/live``.
"""


def excluding(paths: Iterable[str]) -> Callable[[str], bool]:
    """Return what says of a path whether it is left out: ``/static/`` all below it, ``/health`` itself only.

    ``/health/`` is ``/health``: many frameworks redirect from one to the other.
    """
    listed = tuple(paths)
    whole = frozenset((*listed, *(path + "/" for path in listed if not path.endswith("/"))))
    below = tuple(path for path in listed if path.endswith("/") and path != "/")
    return (lambda path: path in whole or path.startswith(below)) if below else whole.__contains__

"""Where the license state of the request that is being answered is found, by whoever answers it."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

LICENSE = "calos.license"

attached: ContextVar[Mapping[str, Any] | None] = ContextVar("calos_license", default=None)
"""What holds the state under ``calos.license``, and in ASGI and Django who answers under ``app``: the ASGI scope, the WSGI
environ, in Django a dictionary of our own; ``None`` outside any request."""

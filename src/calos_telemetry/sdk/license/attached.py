"""Where the license state of the request that is being answered is found, by whoever answers it."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import Any

LICENSE = "calos.license"

attached: ContextVar[Mapping[str, Any] | None] = ContextVar("calos_license", default=None)
"""The ASGI scope or WSGI environ that holds the state under ``calos.license``; ``None`` outside any request."""

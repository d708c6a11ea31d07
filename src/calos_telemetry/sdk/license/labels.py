"""What a request is told about the license: the state that holds for its host, and the headers that say it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from calos_telemetry.sdk.license.state import DEVELOPMENT, LicenseState
from calos_telemetry.sdk.policy.hosts import MAX_HOST, is_development_host

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry

_UNPRINTABLE = re.compile(r"[^\x20-\x7e]+")
_LONGEST = 300  # some proxies refuse a response whose headers are long
_MAX_REMEMBERED = 1_000  # hosts: a visitor may send any, and must not fill the memory


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The headers that say a state, ready to send in either form."""

    state: LicenseState
    asgi: tuple[tuple[bytes, bytes], ...]
    wsgi: tuple[tuple[str, str], ...]


class Labeller:
    """Finds the labels of each request; headers are computed when the state changes, not with the request.

    ``by_host`` says whether the request's host matters: with a configured public host it does not.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        public = telemetry.settings.public_host
        self.by_host = public is None
        self._development = public is not None and _is_development(public)
        self._telemetry = telemetry
        self._labels = _DEVELOPMENT_LABELS

    def labels(self, host: str | bytes) -> Labels:
        """Return the labels of a request to ``host`` (its Host header)."""
        if _is_development(host) if self.by_host else self._development:
            return _DEVELOPMENT_LABELS
        state = self._telemetry.license
        labels = self._labels
        if labels.state is not state:
            labels = self._labels = labels_of(state)
        return labels

    def swallow(self, error: Exception) -> None:
        """Count a failure of ours; the response goes on without the headers."""
        self._telemetry.swallow(error)


def labels_of(state: LicenseState) -> Labels:
    """Return the headers that say ``state`` in both forms."""
    headers = headers_of(state)
    return Labels(state, tuple((name.lower().encode(), value.encode()) for name, value in headers), headers)


def headers_of(state: LicenseState) -> tuple[tuple[str, str], ...]:
    """Return the headers that say ``state``, in printable ASCII."""
    headers = [
        ("X-License-Tier", state.tier.value),
        ("X-License-Valid", _flag(state.valid)),
        ("X-License-Allow-White-Label", _flag(state.allow_white_label)),
    ]
    if state.warning is not None:
        # A sentence may quote a file name or a server: whatever could end a header or is not ASCII becomes "?".
        headers.append(("X-License-Warning", _UNPRINTABLE.sub("?", state.warning)[:_LONGEST]))
    return tuple(headers)


def _flag(value: bool) -> str:
    return "true" if value else "false"


@lru_cache(maxsize=_MAX_REMEMBERED)
def _is_development(host: str | bytes) -> bool:
    host = host if isinstance(host, str) else str(host, "latin-1")
    return len(host) > MAX_HOST or is_development_host(host)


_DEVELOPMENT_LABELS = labels_of(DEVELOPMENT)

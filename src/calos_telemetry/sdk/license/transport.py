"""The wire to the license server: two calls, bounded in time and size, through the host's proxy and CA settings."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from calos_telemetry.errors import TransportError

_TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)
_MAX_ANSWER = 256 * 1024


@dataclass(frozen=True, slots=True)
class Response:
    """What came back; header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Transport(Protocol):
    """How the verifier reaches the license server; tests bring their own."""

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """``POST /verify``.  Raises :class:`TransportError`."""

    def keys(self) -> bytes:
        """``GET /keys``.  Raises :class:`TransportError`."""


class HttpTransport:
    """Over HTTP(S), honouring ``HTTPS_PROXY``, ``NO_PROXY``, ``SSL_CERT_FILE`` and ``REQUESTS_CA_BUNDLE``."""

    def __init__(self, server: str) -> None:
        self._server = server.rstrip("/")
        self._pool = _pool_for(server)

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """Send one exchange."""
        return self._call("POST", "/verify", body, headers)

    def keys(self) -> bytes:
        """Fetch the vendor's keyring."""
        answer = self._call("GET", "/keys", None, {})
        if answer.status != 200:  # noqa: PLR2004 - HTTP
            raise TransportError(f"{self._server}/keys answered {answer.status}: it is tried again")
        return answer.body

    def _call(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Response:
        try:
            answer = self._pool.request(
                method,
                self._server + path,
                body=body,
                headers=dict(headers),
                timeout=_TIMEOUT,
                retries=False,
                redirect=False,
                preload_content=False,
            )
            with answer:
                content = answer.read(_MAX_ANSWER + 1, decode_content=False)
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise TransportError(f"{self._server} could not be reached ({_kind(error)}): it is tried again") from None
        if len(content) > _MAX_ANSWER:
            raise TransportError(
                f"{self._server} answered with more than {_MAX_ANSWER} bytes: check CALOS_LICENSE_SERVER"
            )
        return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, content)


def _pool_for(server: str) -> urllib3.PoolManager:
    parts = urlsplit(server)
    bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE")
    proxy = getproxies().get(parts.scheme)
    if proxy and not proxy_bypass(parts.hostname or ""):
        return urllib3.ProxyManager(proxy, ca_certs=bundle)
    return urllib3.PoolManager(ca_certs=bundle)


def _kind(error: BaseException) -> str:
    return type(error).__name__.removesuffix("Error")

"""The wire to the license server: three calls, bounded in time and size, through the host's proxy and CA settings."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3

from calos_telemetry.errors import TransportError

AIR_GAPPED = (
    "this install is air-gapped (TELEMETRY_DISABLED=true, and the license key allows it): nothing is sent;"
    " use `calos-telemetry export`, or `erase --export` for an erasure, and `import`"
)
_TIMEOUT = urllib3.Timeout(connect=5.0, read=10.0)
_WHOLE_ANSWER = 30.0
"""Seconds for the whole body: a server that drips bytes would pass each single read's time-out for ever."""
_MAX_ANSWER = 256 * 1024
_PIECE = 64 * 1024
_OK = 200


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

    def erase(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """``POST /erase``.  Raises :class:`TransportError`."""

    def keys(self) -> bytes:
        """``GET /keys``.  Raises :class:`TransportError`."""


class NoTransport:
    """The wire of an air-gapped install: there is none, and no socket is opened to find out."""

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """Refuse."""
        del body, headers
        raise TransportError(AIR_GAPPED)

    def erase(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """Refuse."""
        return self.verify(body, headers)

    def keys(self) -> bytes:
        """Refuse."""
        raise TransportError(AIR_GAPPED)


class HttpTransport:
    """Over HTTP(S), honouring ``HTTPS_PROXY``, ``NO_PROXY``, ``SSL_CERT_FILE`` and ``REQUESTS_CA_BUNDLE``.

    Making one opens no connection and never fails: a proxy setting that cannot be used is said with the first call, so
    that it never stands between an install and what its license key proves.
    """

    def __init__(self, server: str) -> None:
        self._server = server.rstrip("/")
        self._pool: urllib3.PoolManager | None = None

    def verify(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """Send one exchange."""
        return self._call("POST", "/verify", body, headers)

    def erase(self, body: bytes, headers: Mapping[str, str]) -> Response:
        """Ask for erasure."""
        return self._call("POST", "/erase", body, headers)

    def keys(self) -> bytes:
        """Fetch the vendor's keyring."""
        answer = self._call("GET", "/keys", None, {})
        if answer.status != _OK:
            raise TransportError(f"{self._server}/keys answered {answer.status}: it is tried again")
        return answer.body

    def _call(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> Response:
        try:
            if self._pool is None:
                self._pool = _pool_for(self._server)
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
            try:
                content = self._read(answer)
            finally:
                answer.close()  # never back into the pool: the next call is hours away
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise TransportError(f"{self._server} could not be reached ({_why(error)}): it is tried again") from None
        return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, content)

    def _read(self, answer: urllib3.BaseHTTPResponse) -> bytes:
        content = bytearray()
        deadline = time.monotonic() + _WHOLE_ANSWER
        while piece := answer.read1(_PIECE, decode_content=False):
            content += piece
            if len(content) > _MAX_ANSWER:
                raise TransportError(
                    f"{self._server} answered with more than {_MAX_ANSWER} bytes: check CALOS_LICENSE_SERVER"
                )
            if time.monotonic() > deadline:
                raise TransportError(f"{self._server} took too long to answer: it is tried again")
        return bytes(content)


def _pool_for(server: str) -> urllib3.PoolManager:
    parts = urlsplit(server)
    options = _trust(os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("SSL_CERT_FILE"))
    proxy = getproxies().get(parts.scheme) or getproxies().get("all")
    if not proxy or proxy_bypass(parts.hostname or ""):
        return urllib3.PoolManager(**options)
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    user = urlsplit(proxy)
    if user.username is not None:
        secret = f"{unquote(user.username)}:{unquote(user.password or '')}"
        options["proxy_headers"] = urllib3.make_headers(proxy_basic_auth=secret)
    return urllib3.ProxyManager(proxy, **options)


def _trust(bundle: str | None) -> dict[str, Any]:
    if not bundle:
        return {}
    return {"ca_cert_dir" if Path(bundle).is_dir() else "ca_certs": bundle}


def _why(error: BaseException) -> str:
    """Return the kind of failure; the error's own text may quote a proxy's password."""
    reason = getattr(error, "reason", None)
    return type(reason if isinstance(reason, BaseException) else error).__name__.removesuffix("Error")

"""Who may open the operator's and the vendor's pages: a token from anywhere, or loopback and nothing in between.

Pure, so that both sides and every framework ask the same question.  Header names are given in lower case.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Mapping
from enum import Enum
from ipaddress import IPv6Address, ip_address
from urllib.parse import urlsplit

OLD_HTTP = "1.0"
"""A peer that speaks HTTP/1.0 counts as none: it is how nginx, unless told otherwise, hands on what visitors ask."""

_FORWARDED = frozenset({"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"})
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_OWN_SITE = frozenset({"same-origin", "none"})


class Verdict(Enum):
    """The answer, as the HTTP status that says it."""

    ALLOWED = 200
    UNAUTHORIZED = 401
    FORBIDDEN = 403


def decide(peer: str | None, headers: Mapping[str, str], token: str | None, method: str = "GET") -> Verdict:
    """Say whether a request from the address ``peer`` may pass.

    With a ``token`` configured it is always required.  Without one, only a direct loopback peer passes: no header of a
    reverse proxy (behind one on the same host every visitor is loopback) and a loopback Host (against DNS rebinding).
    Whatever changes something must also come from our own pages or from no page at all.
    """
    if token is not None:
        if not _holds(headers.get("authorization", ""), token):
            return Verdict.UNAUTHORIZED
    elif not _direct_loopback(peer, headers):
        return Verdict.FORBIDDEN
    if method.upper() not in _READING and _from_another_site(headers):
        return Verdict.FORBIDDEN
    return Verdict.ALLOWED


def is_loopback(host: str | None) -> bool:
    """Whether ``host``, without a port, names this machine only: ``localhost``, 127.0.0.0/8 or ::1."""
    if host is None:
        return False
    if host.lower() == "localhost":
        return True
    try:
        address = ip_address(host)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped.is_loopback
    return address.is_loopback


def _direct_loopback(peer: str | None, headers: Mapping[str, str]) -> bool:
    if any(name in _FORWARDED or name.startswith("x-forwarded") for name in headers):
        return False
    return is_loopback(peer) and is_loopback(_host_name("//" + headers.get("host", "")))


def _holds(authorization: str, token: str) -> bool:
    scheme, _, value = authorization.strip().partition(" ")
    presented = value.strip()
    if scheme.lower() == "basic":
        presented = _password(presented)
    elif scheme.lower() != "bearer":
        return False
    return bool(token) and hmac.compare_digest(presented.encode(), token.encode())


def _password(value: str) -> str:
    try:
        decoded = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return decoded.partition(":")[2]


def _from_another_site(headers: Mapping[str, str]) -> bool:
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site not in _OWN_SITE
    origin = headers.get("origin")
    return origin is not None and _authority(origin) != headers.get("host", "").lower()


def _authority(url: str) -> str | None:
    try:
        return urlsplit(url).netloc.lower() or None
    except ValueError:
        return None


def _host_name(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None

"""What arrives at ``POST /verify``: headers and bounded body, or a refusal that says why.

Only transport matters are refused with an HTTP error; whatever can be decided is answered with 200.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import anyio
from starlette.requests import ClientDisconnect, Request

from calos_telemetry.clock import from_iso
from calos_telemetry.contract.fields import INSTALL_ID
from calos_telemetry.contract.report import (
    HEADER_CREATED,
    HEADER_INSTALL,
    HEADER_NONCE,
    HEADER_SIGNATURE,
    MAX_WIRE,
)

BODY_SECONDS = 30.0
_INSTALL = re.compile(INSTALL_ID)
_NONCE = re.compile(r"[A-Za-z0-9_-]{16,80}$")
_SIGNATURE = re.compile(r"(?P<kid>[A-Za-z0-9_-]{12})\.(?P<signature>[A-Za-z0-9_-]{86})$")


class Refusal(Exception):  # noqa: N818 - it is an answer, not a fault
    """An HTTP answer other than 200: a short word for programs, a sentence for people."""

    def __init__(self, status: int, error: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.error = error
        self.sentence = sentence


@dataclass(frozen=True, slots=True)
class Envelope:
    """What travels beside the frozen body, so that a retry can renew it.  ``created_at`` is unix ms."""

    install_id: str
    created: str
    created_at: int
    nonce: str
    kid: str
    signature: str


async def read_body(request: Request) -> bytes:
    """Return the body, of at most ``MAX_WIRE`` bytes and within ``BODY_SECONDS``.  Raises :class:`Refusal`."""
    _check_kind(request.headers)
    announced = request.headers.get("content-length", "0")
    if not announced.isascii() or not announced.isdigit() or int(announced[:12]) > MAX_WIRE:
        raise _too_long()
    try:
        with anyio.fail_after(BODY_SECONDS):
            return await _collect(request)
    except TimeoutError:
        raise Refusal(408, "TIMEOUT", f"the body took longer than {BODY_SECONDS:.0f} seconds: send it again") from None
    except ClientDisconnect:
        raise Refusal(400, "CUT_OFF", "the body ended too early: send it again") from None


def envelope(headers: Mapping[str, str]) -> Envelope:
    """Read the ``Calos-*`` headers.  Raises :class:`Refusal`."""
    signature = _SIGNATURE.match(headers.get(HEADER_SIGNATURE, ""))
    if signature is None:
        raise Refusal(401, "UNSIGNED", f"{HEADER_SIGNATURE} must be <key id>.<signature>, both base64url")
    created = headers.get(HEADER_CREATED, "")
    try:
        created_at = from_iso(created)
    except ValueError:
        raise _malformed(HEADER_CREATED, "a UTC time such as 2026-11-25T12:00:00Z") from None
    install_id, nonce = headers.get(HEADER_INSTALL, ""), headers.get(HEADER_NONCE, "")
    if not _INSTALL.match(install_id):
        raise _malformed(HEADER_INSTALL, "32 hex digits")
    if not _NONCE.match(nonce):
        raise _malformed(HEADER_NONCE, "16 to 80 characters of base64url")
    return Envelope(install_id, created, created_at, nonce, signature["kid"], signature["signature"])


async def _collect(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_WIRE:
            raise _too_long()
    return bytes(body)


def _check_kind(headers: Mapping[str, str]) -> None:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    coding = headers.get("content-encoding", "").strip().lower()
    if kind != "application/json" or coding != "gzip":
        raise Refusal(415, "KIND", "send Content-Type: application/json with Content-Encoding: gzip")


def _too_long() -> Refusal:
    return Refusal(413, "TOO_LONG", f"a request may have at most {MAX_WIRE} bytes: send fewer rows at a time")


def _malformed(header: str, wanted: str) -> Refusal:
    return Refusal(400, "MALFORMED", f"{header} must be {wanted}")

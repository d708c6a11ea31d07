"""Who asks: the install's signature over the exact bytes, checked before anything in them is believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Engine, select

from calos_telemetry.contract.report import VERSION, Purpose, RawVerifyRequest, inflate, request_base
from calos_telemetry.contract.signing import check, decode_public, key_id
from calos_telemetry.errors import ProtocolError, SignatureError
from calos_telemetry.server.verify.wire import Envelope, Refusal
from calos_telemetry.store.vendor_tables import installs

_decode = msgspec.json.Decoder(RawVerifyRequest).decode
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


@dataclass(frozen=True, slots=True)
class Asked:
    """A request whose signature holds."""

    envelope: Envelope
    wire: bytes
    request: RawVerifyRequest


def authenticate(
    engine: Engine, vendor_kids: Sequence[str], envelope: Envelope, wire: bytes, purpose: Purpose
) -> Asked:
    """Return what the install asks, once it is known to come from the holder of the key it shows.

    Of an enrolled install the signature is checked before the body is inflated.  A key that is not enrolled is read
    from the body, because the first verification enrols it.  ``vendor_kids`` are the names under which the vendor may be
    pinned, today's first.  Raises :class:`Refusal`.
    """
    bases = [
        request_base(kid, envelope.install_id, wire, envelope.created, envelope.nonce, purpose) for kid in vendor_kids
    ]
    enrolled = _enrolled_key(engine, envelope.install_id)
    known = enrolled is not None and _kid(enrolled) == envelope.kid
    if enrolled is not None and known:
        _check(enrolled, bases, envelope)
    request = _read(wire)
    if request.license.install_id != envelope.install_id:
        raise Refusal(401, "OTHER_INSTALL", "the body speaks of another install than Calos-Install")
    if _kid(request.license.install_key) != envelope.kid:
        raise Refusal(401, "OTHER_KEY", "the request is signed by another key than the one it shows")
    if not known:
        _check(request.license.install_key, bases, envelope)
    return Asked(envelope=envelope, wire=wire, request=request)


def _enrolled_key(engine: Engine, install_id: str) -> str | None:
    with engine.connect() as connection:
        return connection.scalar(select(installs.c.install_key).where(installs.c.install_id == install_id))


def _read(wire: bytes) -> RawVerifyRequest:
    try:
        body = inflate(wire)
    except ProtocolError as error:
        raise Refusal(400, "MALFORMED", str(error)) from None
    try:
        request = _decode(body)
    except _UNREADABLE as error:
        request = _decode_license(body, error)
    if request.v != VERSION:
        raise Refusal(400, "VERSION", f"this server speaks version {VERSION}, not {request.v}")
    return request


def _decode_license(body: bytes, error: Exception) -> RawVerifyRequest:
    """Read what stands before the telemetry, when the whole is not JSON: the license is answered all the same.

    A client writes the telemetry last, and inside of a JSON text its name cannot stand between bare quotes.
    """
    head, found, _ = body.partition(b',"telemetry":')
    try:
        request = _decode(head + b"}")
    except _UNREADABLE:
        found = b""
    if not found:
        # msgspec names the place and the rule that is broken, never the value.
        raise Refusal(400, "MALFORMED", f"the body is not a verification of version {VERSION}: {error}") from None
    return msgspec.structs.replace(request, telemetry=msgspec.Raw(b"unreadable"))


def _kid(public: str) -> str:
    try:
        return key_id(decode_public(public))
    except SignatureError as error:
        raise Refusal(400, "MALFORMED", f"install_key: {error}") from None


def _check(public: str, bases: Sequence[bytes], envelope: Envelope) -> None:
    if not any(_signed(public, base, envelope) for base in bases):
        raise Refusal(
            401, "BAD_SIGNATURE", "the signature does not match: check CALOS_VENDOR_KEY, and send the bytes unchanged"
        )


def _signed(public: str, base: bytes, envelope: Envelope) -> bool:
    try:
        check(decode_public(public), base, envelope.signature)
    except SignatureError:
        return False
    return True

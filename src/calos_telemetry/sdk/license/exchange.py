"""One exchange on the wire: sign the frozen bytes, send them, believe only an answer that proves itself."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import msgspec

from calos_telemetry.clock import now_ms, to_iso
from calos_telemetry.contract.courier import Asking, ExportFile
from calos_telemetry.contract.erasure import ErasureReceipt, parse_erasure
from calos_telemetry.contract.keys import Use
from calos_telemetry.contract.receipt import Receipt, SignedReceipt, parse_receipt
from calos_telemetry.contract.report import (
    HEADER_CREATED,
    HEADER_INSTALL,
    HEADER_NONCE,
    HEADER_SIGNATURE,
    Purpose,
    VerifyAnswer,
    answer_base,
    request_base,
)
from calos_telemetry.contract.signing import b64encode, check, digest, key_id, sign, signing_base
from calos_telemetry.errors import CalosTelemetryError, ProtocolError, SignatureError, TransportError
from calos_telemetry.sdk.identity import Identity
from calos_telemetry.sdk.license.keyring import KnownKeys
from calos_telemetry.sdk.license.lease import SignedAnswer
from calos_telemetry.sdk.license.transport import Response, Transport

_OK = 200
_UNAUTHORIZED = 401
_OTHER_SERVER = frozenset({301, 302, 303, 307, 308, 404, 405})
_LASTING = frozenset({400, 413, 415, 422})
"""The refusals that speak of the bytes: sent again, they would be refused again.  All others may pass."""
_NONCE_BYTES = 16
_EXPORT_NONCE = 32
"""Hex digits."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """What came of sending a body: the answer that proved itself, and everything its signature covers."""

    answer: VerifyAnswer
    signed: SignedAnswer


class _Told(msgspec.Struct, frozen=True):
    error: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The license server says, signed, that it does not take these very bytes, and why."""

    sentence: str


def exchange(
    body: bytes, identity: Identity, root_kid: str, transport: Transport, keys: KnownKeys
) -> Exchange | Refused:
    """Send the frozen ``body`` once.

    Raises :class:`TransportError` when the server could not be asked, :class:`ProtocolError` or :class:`SignatureError`
    when what came back proves nothing; then nothing is known, and nothing changes.
    """
    nonce = b64encode(secrets.token_bytes(_NONCE_BYTES))
    response = transport.verify(body, _headers(body, identity, root_kid, nonce, Purpose.VERIFY))
    if response.status != _OK:
        return _refused(response, digest(body), nonce, keys)
    signed = _signed(response, digest(body), nonce)
    return Exchange(signed.opened(keys.public_key), signed)


def as_export(asks: Asking, body: bytes, identity: Identity, root_kid: str) -> ExportFile:
    """Return the frozen ``body`` as a file to be carried to the vendor."""
    nonce = export_nonce(body, identity)
    headers = _headers(body, identity, root_kid, nonce, asks.purpose)
    kid, _, signature = headers[HEADER_SIGNATURE].partition(".")
    return ExportFile(
        asks=asks,
        install_id=identity.install_id,
        created=headers[HEADER_CREATED],
        nonce=nonce,
        kid=kid,
        signature=signature,
        body=b64encode(body),
    )


def export_nonce(body: bytes, identity: Identity) -> str:
    """Return the nonce of an export: nobody else can make it, and nothing needs to be remembered until the answer comes."""
    secret = sign(identity.key, signing_base("calos-nonce-v1", digest(body)))
    return digest(secret.encode())[:_EXPORT_NONCE]


def ask_erasure(body: bytes, identity: Identity, root_kid: str, transport: Transport, keys: KnownKeys) -> SignedReceipt:
    """Send the frozen request for erasure once, and return the receipt that proves itself.

    Raises :class:`TransportError`, :class:`ProtocolError` or :class:`SignatureError`; then nothing is known.
    """
    nonce = b64encode(secrets.token_bytes(_NONCE_BYTES))
    response = transport.erase(body, _headers(body, identity, root_kid, nonce, Purpose.ERASE))
    if response.status != _OK:
        raise TransportError(_refused(response, digest(body), nonce, keys).sentence)
    return read_erasure(response.body, identity, keys)


def read_erasure(answer: bytes, identity: Identity, keys: KnownKeys) -> SignedReceipt:
    """Return the erasure receipt in ``answer``, once it is known to be the vendor's, of this install.

    Raises :class:`SignatureError` or :class:`ProtocolError`.
    """
    try:
        signed = msgspec.json.decode(answer, type=SignedReceipt)
    except (ValueError, RecursionError):
        raise ProtocolError("the license server's erasure receipt is not in a form this version knows") from None
    check_erasure(signed, identity, keys)
    return signed


def check_erasure(signed: SignedReceipt, identity: Identity, keys: KnownKeys) -> ErasureReceipt:
    """Return what an erasure receipt says, once it is known to be the vendor's, of this install.

    Raises :class:`SignatureError` or :class:`ProtocolError`.
    """
    receipt = parse_erasure(signed.text)
    check(keys.public_key(signed.kid, Use.RECEIPT, receipt.erased_at), signed.text.encode(), signed.signature)
    if receipt.install_id != identity.install_id:
        raise SignatureError("the erasure receipt is for another install")
    return receipt


def check_receipt(signed: SignedReceipt, body: bytes, identity: Identity, number: int, keys: KnownKeys) -> Receipt:
    """Return what a receipt says, once it is known to be the vendor's, for exactly ``body``, of this install.

    Raises :class:`SignatureError` or :class:`ProtocolError`.
    """
    receipt = parse_receipt(signed.text)
    check(keys.public_key(signed.kid, Use.RECEIPT, receipt.received_at), signed.text.encode(), signed.signature)
    if (receipt.digest, receipt.length) != (digest(body), len(body)):
        raise SignatureError("the receipt is for other bytes than were sent")
    if (receipt.install_id, receipt.number) != (identity.install_id, number):
        raise SignatureError("the receipt is for another install or another report")
    return receipt


def _headers(body: bytes, identity: Identity, root_kid: str, nonce: str, purpose: Purpose) -> dict[str, str]:
    created = to_iso(now_ms())
    base = request_base(root_kid, identity.install_id, body, created, nonce, purpose)
    return {
        "Content-Type": "application/json",
        "Content-Encoding": "gzip",
        HEADER_INSTALL: identity.install_id,
        HEADER_CREATED: created,
        HEADER_NONCE: nonce,
        HEADER_SIGNATURE: f"{key_id(identity.key.public_key())}.{sign(identity.key, base)}",
    }


def _refused(response: Response, request_digest: str, nonce: str, keys: KnownKeys) -> Refused:
    """Return a lasting refusal; everything else is a :class:`TransportError`, with the server's sentence if it is signed."""
    sentence = f"the license server answered {response.status}"
    try:
        signed = _signed(response, request_digest, nonce)
        key = keys.public_key(signed.kid, Use.ANSWER, now_ms())
        check(key, answer_base(response.status, request_digest, nonce, response.body), signed.signature)
        sentence = f"{sentence}: {msgspec.json.decode(response.body, type=_Told).sentence[:300]}"
    except (CalosTelemetryError, ValueError, RecursionError):
        if response.status == _UNAUTHORIZED:
            sentence += ", which proves nothing: check that CALOS_VENDOR_KEY is this server's"
        elif response.status in _OTHER_SERVER:
            sentence += ": check that CALOS_LICENSE_SERVER is a license server"
        raise TransportError(f"{sentence}: it is tried again") from None  # anybody on the way may have said it
    if response.status not in _LASTING:
        raise TransportError(f"{sentence} (it is tried again)")
    return Refused(sentence)


def _signed(response: Response, request_digest: str, nonce: str) -> SignedAnswer:
    kid, dot, signature = response.headers.get(HEADER_SIGNATURE.lower(), "").partition(".")
    if not dot:
        raise SignatureError("the license server's answer is not signed")
    try:
        body = response.body.decode()
    except UnicodeDecodeError:
        raise ProtocolError("the license server's answer is not text") from None
    return SignedAnswer(
        status=response.status, request_digest=request_digest, nonce=nonce, body=body, kid=kid, signature=signature
    )

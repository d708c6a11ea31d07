"""``POST /verify`` and ``POST /erase``: the order of work is the defence (SECURITY §2.4).

length → signature over the wire bytes → clock → nonce → decision → signed answer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeAlias

import msgspec
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from calos_telemetry.clock import now_ms
from calos_telemetry.contract.receipt import SignedReceipt
from calos_telemetry.contract.report import (
    CLOCK_TOLERANCE_MS,
    HEADER_NONCE,
    HEADER_SIGNATURE,
    VERSION,
    LicenseAnswer,
    Purpose,
    TelemetryAnswer,
    VerifyAnswer,
)
from calos_telemetry.contract.signing import digest
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import StoreError
from calos_telemetry.server.vendor import Vendor
from calos_telemetry.server.verify import erasing, nonces
from calos_telemetry.server.verify.authenticate import Asked, authenticate
from calos_telemetry.server.verify.deciding import decide_license, take_in
from calos_telemetry.server.verify.lease import soon
from calos_telemetry.server.verify.wire import Envelope, Refusal, envelope, read_body
from calos_telemetry.store.database import writing

_log = logging.getLogger(__name__)

Decide: TypeAlias = Callable[[Vendor, Asked, int], msgspec.Struct]


async def verify(request: Request) -> Response:
    """Answer one verification."""
    return await _exchange(request, Purpose.VERIFY, _verified)


async def erase(request: Request) -> Response:
    """Answer one request for erasure with its receipt."""
    return await _exchange(request, Purpose.ERASE, _erased)


async def _exchange(request: Request, purpose: Purpose, decide: Decide) -> Response:
    """Read, authenticate, decide, sign; a refusal is signed as well, once there are bytes that it can be about."""
    vendor: Vendor = request.app.state.vendor
    nonce = request.headers.get(HEADER_NONCE, "")[:80]
    try:
        wire = await read_body(request)
    except Refusal as refusal:
        return _refused(refusal)
    try:
        answer = await run_in_threadpool(_answer, vendor, envelope(request.headers), wire, purpose, decide)
    except Refusal as refusal:
        return _signed(vendor, _refused(refusal), wire, nonce)
    except (SQLAlchemyError, StoreError) as error:
        # Only the kind of the error is logged: its text may hold values.
        _log.error("the vendor's database failed: %s", type(error).__name__)
        unavailable = Refusal(503, "UNAVAILABLE", "the license server cannot read its books: try again later")
        return _signed(vendor, _refused(unavailable), wire, nonce)
    body = msgspec.json.encode(answer)
    return _signed(vendor, Response(body, media_type="application/json"), wire, nonce)


def _answer(vendor: Vendor, told: Envelope, wire: bytes, purpose: Purpose, decide: Decide) -> msgspec.Struct:
    asked = authenticate(vendor.store.licenses, vendor.keys.root_kids, told, wire, purpose)
    return decide(vendor, asked, now_ms())


def _verified(vendor: Vendor, asked: Asked, now: int) -> VerifyAnswer:
    if abs(asked.envelope.created_at - now) > CLOCK_TOLERANCE_MS:
        return _wrong_clock(asked.envelope, now)
    with writing(vendor.store.licenses) as connection:
        if not nonces.claim(connection, asked.envelope.nonce, now):
            raise Refusal(425, "REPLAYED", "this very request was answered already: send it again with a new nonce")
        if vendor.cleaning_is_due(now):
            nonces.forget_old(connection, now)
        answer, taken = decide_license(vendor, connection, asked, now)
    return take_in(vendor, asked, answer, taken=taken)


def _erased(vendor: Vendor, asked: Asked, now: int) -> SignedReceipt:
    """Erase: neither the moment nor a repeat matters, because what is gone stays gone."""
    return erasing.erase(vendor, asked, now)


def _wrong_clock(told: Envelope, now: int) -> VerifyAnswer:
    minutes = abs(told.created_at - now) // 60_000
    side = "behind" if told.created_at < now else "ahead"
    message = f"The clock of this machine is {minutes} minutes {side} of the vendor's: set it right, then verify again."
    return VerifyAnswer(
        v=VERSION,
        now=now,
        nonce=told.nonce,
        license=LicenseAnswer(code="CLOCK", tier=Tier.COMMUNITY, message=message, lease=None),
        telemetry=TelemetryAnswer(code="RETRY"),
        next_check=soon(now),
    )


def _refused(refusal: Refusal) -> Response:
    content = msgspec.json.encode({"error": refusal.error, "sentence": refusal.sentence})
    return Response(content, status_code=refusal.status, media_type="application/json")


def _signed(vendor: Vendor, response: Response, wire: bytes, nonce: str) -> Response:
    """Sign status, request and body together, so that nobody in between can turn one answer into another."""
    signature = vendor.keys.answer(response.status_code, digest(wire), nonce, bytes(response.body))
    response.headers[HEADER_SIGNATURE] = signature
    response.headers["Cache-Control"] = "no-store"
    return response

"""``POST /verify``: the order of work is the defence (SECURITY §2.4).

length → signature over the wire bytes → clock → nonce → license decision → telemetry → signed answer.
The decision is taken and written down before anybody looks at the telemetry, and no trouble there can change it.
"""

from __future__ import annotations

import logging

import msgspec
from sqlalchemy.exc import SQLAlchemyError
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from calos_telemetry.clock import now_ms
from calos_telemetry.contract.report import (
    CLOCK_TOLERANCE_MS,
    HEADER_NONCE,
    HEADER_SIGNATURE,
    VERSION,
    LicenseAnswer,
    TelemetryAnswer,
    VerifyAnswer,
)
from calos_telemetry.contract.signing import digest
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.server.intake.accept import Arrival, accept
from calos_telemetry.server.vendor import Vendor
from calos_telemetry.server.verify import enrol, nonces
from calos_telemetry.server.verify.authenticate import Asked, authenticate
from calos_telemetry.server.verify.checks import decide
from calos_telemetry.server.verify.lease import lease_for, next_check, soon
from calos_telemetry.server.verify.wire import Envelope, Refusal, envelope, read_body
from calos_telemetry.store.database import writing

_log = logging.getLogger(__name__)
_NOTHING = (b"", b"null")


async def verify(request: Request) -> Response:
    """Answer one verification."""
    vendor: Vendor = request.app.state.vendor
    nonce = request.headers.get(HEADER_NONCE, "")[:80]
    try:
        wire = await read_body(request)
    except Refusal as refusal:
        return _refused(refusal)
    try:
        answer = await run_in_threadpool(_answer, vendor, envelope(request.headers), wire)
    except Refusal as refusal:
        return _signed(vendor, _refused(refusal), wire, nonce)
    except SQLAlchemyError as error:
        # Only the kind of the error is logged: its text may hold values.
        _log.error("the license database failed: %s", type(error).__name__)
        unavailable = Refusal(503, "UNAVAILABLE", "the license server cannot read its books: try again later")
        return _signed(vendor, _refused(unavailable), wire, nonce)
    body = msgspec.json.encode(answer)
    return _signed(vendor, Response(body, media_type="application/json"), wire, nonce)


def _answer(vendor: Vendor, told: Envelope, wire: bytes) -> VerifyAnswer:
    asked = authenticate(vendor.store.licenses, vendor.keys.root_kids, told, wire)
    now = now_ms()
    if abs(told.created_at - now) > CLOCK_TOLERANCE_MS:
        return _wrong_clock(told, now)
    answer, telemetry_taken = _decide(vendor, asked, now)
    telemetry = _take_in(vendor, asked, now) if telemetry_taken else TelemetryAnswer(code="REFUSED")
    return msgspec.structs.replace(answer, telemetry=telemetry)


def _decide(vendor: Vendor, asked: Asked, now: int) -> tuple[VerifyAnswer, bool]:
    """Decide about the license and write it down; also say whether the install's telemetry may be taken."""
    part = asked.request.license
    with writing(vendor.store.licenses) as connection:
        if not nonces.claim(connection, asked.envelope.nonce, now):
            raise Refusal(425, "REPLAYED", "this very request was answered already: send it again with a new nonce")
        if vendor.cleaning_is_due(now):
            nonces.forget_old(connection, now)
        enrolled = enrol.look_up(connection, part, now)
        decision = decide(enrolled.facts)
        number = enrol.write_down(connection, enrolled, part, decision)
    lease = lease_for(decision.tier, enrolled.facts.license_, number, now) if decision.lease else None
    license_answer = LicenseAnswer(code=decision.code, tier=decision.tier, message=decision.sentence, lease=lease)
    answer = VerifyAnswer(
        v=VERSION,
        now=now,
        nonce=asked.envelope.nonce,
        license=license_answer,
        telemetry=TelemetryAnswer(code="NONE"),
        next_check=next_check(decision.tier, part.install_id, vendor.keys.root_kids[-1].encode(), now),
    )
    return answer, not enrolled.facts.other_key


def _take_in(vendor: Vendor, asked: Asked, now: int) -> TelemetryAnswer:
    """Take the report in.  The boundary of "telemetry trouble never changes the license answer"."""
    raw = bytes(asked.request.telemetry)
    if raw.strip() in _NOTHING:
        return TelemetryAnswer(code="NONE")
    try:
        arrival = Arrival(install_id=asked.envelope.install_id, wire=asked.wire, report=raw, at=now)
        return accept(vendor.store.telemetry, vendor.keys, arrival)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong here, the license answer stands
        _log.error("a report could not be taken in: %s", type(error).__name__)
        return TelemetryAnswer(code="RETRY")


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

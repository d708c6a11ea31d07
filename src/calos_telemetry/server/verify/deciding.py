"""The order of work once a request is authentic, whichever way it came: license decision → telemetry.

The decision is taken and written down before anybody looks at the telemetry, and no trouble there can change it.
"""

from __future__ import annotations

import logging

import msgspec
from sqlalchemy import Connection

from calos_telemetry.contract.report import VERSION, LicenseAnswer, TelemetryAnswer, VerifyAnswer
from calos_telemetry.server.intake.accept import Arrival, accept
from calos_telemetry.server.vendor import Vendor
from calos_telemetry.server.verify import enrol
from calos_telemetry.server.verify.authenticate import Asked
from calos_telemetry.server.verify.checks import decide
from calos_telemetry.server.verify.lease import lease_for, next_check

_log = logging.getLogger(__name__)
_NOTHING = (b"", b"null")


def decide_license(vendor: Vendor, connection: Connection, asked: Asked, now: int) -> tuple[VerifyAnswer, bool]:
    """Decide about the license and write it down; also say whether the install's telemetry may be taken.

    Call it inside a write transaction on the licenses.
    """
    part = asked.request.license
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


def take_in(vendor: Vendor, asked: Asked, answer: VerifyAnswer, *, taken: bool) -> VerifyAnswer:
    """Take the report in and add to ``answer`` what became of it; ``taken`` false: it is refused unread."""
    telemetry = _taken_in(vendor, asked, answer.now) if taken else TelemetryAnswer(code="REFUSED")
    return msgspec.structs.replace(answer, telemetry=telemetry)


def _taken_in(vendor: Vendor, asked: Asked, now: int) -> TelemetryAnswer:
    """Take the report in.  The boundary of "telemetry trouble never changes the license answer"."""
    raw = bytes(asked.request.telemetry)
    if raw.strip() in _NOTHING:
        return TelemetryAnswer(code="NONE")
    try:
        arrival = Arrival(install_id=asked.envelope.install_id, wire=asked.wire, report=raw, at=now)
        return accept(vendor.store.telemetry, vendor.keys, arrival, vendor.store.keep)
    except Exception as error:  # noqa: BLE001 - whatever goes wrong here, the license answer stands
        _log.error("a report could not be taken in: %s", type(error).__name__)
        return TelemetryAnswer(code="RETRY")

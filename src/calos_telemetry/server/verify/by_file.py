"""What a person carries in from an air-gapped install: the same decisions, answered with a file.

The moment of the request does not matter here, and neither does a repeat: each answer has a lease number of its own, and
the install takes a newer one only.
"""

from __future__ import annotations

import msgspec

from calos_telemetry.contract.courier import AnswerFile, Asking, ExportFile, read_export, write_courier
from calos_telemetry.contract.report import HEADER_CREATED, HEADER_INSTALL, HEADER_NONCE, HEADER_SIGNATURE, MAX_WIRE
from calos_telemetry.contract.signing import b64decode, digest
from calos_telemetry.errors import ProtocolError
from calos_telemetry.server.vendor import Vendor
from calos_telemetry.server.verify.authenticate import Asked, authenticate
from calos_telemetry.server.verify.deciding import decide_license, take_in
from calos_telemetry.server.verify.erasing import erase
from calos_telemetry.server.verify.wire import Envelope, Refusal, envelope
from calos_telemetry.store.database import writing

_OK = 200


def answer_file(vendor: Vendor, content: bytes, now: int) -> bytes:
    """Answer the export in ``content``.  Raises :class:`ProtocolError` or :class:`SignatureError` in words."""
    export = read_export(content)
    wire = b64decode(export.body)
    try:
        asked = _authentic(vendor, export, wire)
        body = msgspec.json.encode(_decided(vendor, asked, export.asks, now))
    except Refusal as refusal:
        raise ProtocolError(f"the file cannot be answered: {refusal.sentence}") from None
    kid, _, signature = vendor.keys.answer(_OK, digest(wire), export.nonce, body).partition(".")
    return write_courier(
        AnswerFile(
            asks=export.asks,
            install_id=export.install_id,
            request_digest=digest(wire),
            nonce=export.nonce,
            body=body.decode(),
            kid=kid,
            signature=signature,
            keyring=vendor.keys.keyring,
        )
    )


def _authentic(vendor: Vendor, export: ExportFile, wire: bytes) -> Asked:
    if len(wire) > MAX_WIRE:
        raise ProtocolError(f"the file holds more than {MAX_WIRE} bytes of a request: export it again")
    return authenticate(vendor.store.licenses, vendor.keys.root_kids, _envelope(export), wire, export.asks.purpose)


def _envelope(export: ExportFile) -> Envelope:
    """Read the fields as strictly as the headers whose place they take."""
    return envelope(
        {
            HEADER_INSTALL: export.install_id,
            HEADER_CREATED: export.created,
            HEADER_NONCE: export.nonce,
            HEADER_SIGNATURE: f"{export.kid}.{export.signature}",
        }
    )


def _decided(vendor: Vendor, asked: Asked, asks: Asking, now: int) -> msgspec.Struct:
    if asks is Asking.ERASE:
        return erase(vendor, asked, now)
    with writing(vendor.store.licenses) as connection:
        answer, taken = decide_license(vendor, connection, asked, now)
    return take_in(vendor, asked, answer, taken=taken)

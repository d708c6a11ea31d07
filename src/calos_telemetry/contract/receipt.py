"""The receipt: the vendor's signature over the digest of exactly the bytes received, chained to the one before.

The text is plain lines, so that ``openssl pkeyutl -verify -rawin`` and ``sha256sum`` check it without our code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

from calos_telemetry.clock import from_iso, to_iso
from calos_telemetry.contract.fields import declared
from calos_telemetry.contract.signing import b64decode, digest, signing_base
from calos_telemetry.errors import ProtocolError

RECEIPT_CONTEXT = "calos-receipt-v1"
NO_CHAIN = "0" * 64
_LINES = 10


class SignedReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """A receipt as it travels and as it is kept: the signed text, the key's name, the signature (base64url)."""

    text: Annotated[str, declared("the lines that are signed", "proves what arrived")]
    kid: Annotated[str, declared("name of the key that signed", "finds the key to check with")]
    signature: Annotated[str, declared("Ed25519 signature of the text, base64url", "proves who received it")]

    def chain(self) -> str:
        """Return the link that the next receipt carries: SHA-256 of text and raw signature, hex."""
        return digest(self.text.encode() + b64decode(self.signature))


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a receipt says.  ``digest`` is the SHA-256 of the bytes on the wire; ``received_at`` unix ms."""

    install_id: str
    number: int
    digest: str
    length: int
    previous: str
    accepted: int
    rejected: int
    received_at: int
    log_index: int

    def text(self) -> str:
        """Return the lines that are signed."""
        return signing_base(
            RECEIPT_CONTEXT,
            self.install_id,
            str(self.number),
            self.digest,
            str(self.length),
            self.previous,
            f"accepted={self.accepted}",
            f"rejected={self.rejected}",
            to_iso(self.received_at),
            str(self.log_index),
        ).decode()


def parse_receipt(text: str) -> Receipt:
    """Read the text of a receipt.  Raises :class:`ProtocolError` on any other form."""
    lines = text.split("\n")
    if len(lines) != _LINES + 1:
        raise ProtocolError("a receipt has another number of lines than calos-receipt-v1")
    try:
        receipt = Receipt(
            install_id=lines[1],
            number=int(lines[2]),
            digest=lines[3],
            length=int(lines[4]),
            previous=lines[5],
            accepted=int(lines[6].removeprefix("accepted=")),
            rejected=int(lines[7].removeprefix("rejected=")),
            received_at=from_iso(lines[8]),
            log_index=int(lines[9]),
        )
    except ValueError:
        raise ProtocolError("a receipt is not in the form of calos-receipt-v1") from None
    if receipt.text() != text:
        raise ProtocolError("a receipt holds a line that is not written the way calos-receipt-v1 writes it")
    return receipt

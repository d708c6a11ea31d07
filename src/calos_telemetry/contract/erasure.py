"""The erasure receipt: the vendor's signature that the telemetry of an install is gone, and stays away.

Plain lines like those of a receipt, under a context line of their own: ``openssl`` checks it without our code.
"""

from __future__ import annotations

from dataclasses import dataclass

from calos_telemetry.clock import from_iso, to_iso
from calos_telemetry.contract.signing import signing_base
from calos_telemetry.errors import ProtocolError

ERASURE_CONTEXT = "calos-erasure-v1"
_LINES = 6


@dataclass(frozen=True, slots=True)
class ErasureReceipt:
    """What it says.  ``digest`` is the SHA-256 of the first request; ``erased_at`` unix ms.

    ``rows`` were deleted; ``log_index`` is the newest receipt of the vendor's log at that time.
    """

    install_id: str
    digest: str
    rows: int
    erased_at: int
    log_index: int

    def text(self) -> str:
        """Return the lines that are signed."""
        moment, rows = to_iso(self.erased_at), f"rows={self.rows}"
        return signing_base(ERASURE_CONTEXT, self.install_id, self.digest, rows, moment, str(self.log_index)).decode()


def parse_erasure(text: str) -> ErasureReceipt:
    """Read the text of an erasure receipt.  Raises :class:`ProtocolError` on any other form."""
    lines = text.split("\n")
    if len(lines) != _LINES + 1:
        raise ProtocolError("an erasure receipt has another number of lines than calos-erasure-v1")
    try:
        receipt = ErasureReceipt(
            install_id=lines[1],
            digest=lines[2],
            rows=int(lines[3].removeprefix("rows=")),
            erased_at=from_iso(lines[4]),
            log_index=int(lines[5]),
        )
    except ValueError:
        raise ProtocolError("an erasure receipt is not in the form of calos-erasure-v1") from None
    if receipt.text() != text:
        raise ProtocolError("an erasure receipt holds a line that is not written the way calos-erasure-v1 writes it")
    return receipt

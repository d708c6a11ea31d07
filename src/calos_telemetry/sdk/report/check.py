"""Checking the ledger: every digest, every receipt, every link of the chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from calos_telemetry.contract.receipt import NO_CHAIN, parse_receipt
from calos_telemetry.contract.signing import digest
from calos_telemetry.errors import CalosTelemetryError
from calos_telemetry.sdk.report.ledger import Entry

CheckReceipt = Callable[[Entry], object]
"""Raises a :class:`CalosTelemetryError` unless the entry's receipt is the vendor's for exactly its bytes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked, and whether it holds."""

    ok: bool
    sentence: str


def check_ledger(entries: Iterable[Entry], check_receipt: CheckReceipt) -> Iterator[Finding]:
    """Yield a finding for each digest, receipt and link of the chain, oldest entry first."""
    chain, unanswered = NO_CHAIN, False
    for entry in entries:
        intact = digest(entry.body) == entry.digest
        yield Finding(intact, f"report {entry.number}: the bytes {'have' if intact else 'do not have'} their digest")
        if entry.receipt is None:
            unanswered |= entry.rows > 0 and entry.attempts > 0
            continue
        yield _receipt(entry, check_receipt)
        yield _link(entry, chain, unanswered=unanswered)
        chain, unanswered = entry.chain() or NO_CHAIN, False


def _receipt(entry: Entry, check_receipt: CheckReceipt) -> Finding:
    try:
        check_receipt(entry)
    except CalosTelemetryError as error:
        return Finding(ok=False, sentence=f"report {entry.number}: {error}")
    return Finding(ok=True, sentence=f"report {entry.number}: the receipt is the vendor's, for exactly these bytes")


def _link(entry: Entry, chain: str, *, unanswered: bool) -> Finding:
    """Check that the receipt names the one before.

    A report that was sent and never answered may have a receipt at the vendor that did not arrive: then the next one
    follows a receipt that is not here, and that is no fault.
    """
    try:
        linked = entry.receipt is not None and parse_receipt(entry.receipt.text).previous == chain
    except CalosTelemetryError as error:
        return Finding(ok=False, sentence=f"report {entry.number}: {error}")
    if not linked and unanswered:
        sentence = "the receipt follows one that never arrived, of a report sent before without an answer"
        return Finding(ok=True, sentence=f"report {entry.number}: {sentence}")
    return Finding(
        linked, f"report {entry.number}: the receipt {'follows' if linked else 'does not follow'} the one before"
    )

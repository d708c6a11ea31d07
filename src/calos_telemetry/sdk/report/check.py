"""Checking the ledger: every number, every digest, every receipt, every link of the chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial

from calos_telemetry.contract.receipt import NO_CHAIN, parse_receipt
from calos_telemetry.contract.signing import digest
from calos_telemetry.errors import CalosTelemetryError
from calos_telemetry.sdk.report.ledger import Entry
from calos_telemetry.store.old_reports import REPORTS_KEPT_DAYS, is_kept

CheckReceipt = Callable[[Entry], object]
"""Raises a :class:`CalosTelemetryError` unless the entry's receipt is the vendor's for exactly its bytes."""

_NEVER_ARRIVED = "that never arrived, of a report sent before without an answer"
_DROPPED = f"that was dropped: the ledger goes back {REPORTS_KEPT_DAYS} days"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked, and whether it holds."""

    ok: bool
    sentence: str


def check_ledger(entries: Iterable[Entry], check_receipt: CheckReceipt, now: int) -> Iterator[Finding]:
    """Yield a finding for each digest, receipt and link of the chain, and for each gap, oldest entry first.

    A gap before an entry that is not kept any more at ``now`` (unix ms) is where old entries were dropped.
    """
    chain, elsewhere, number = NO_CHAIN, None, 1
    for entry in entries:
        if entry.number > number and is_kept(entry.sealed_at, now):
            yield Finding(ok=False, sentence=f"reports {number} to {entry.number - 1} are missing")
        elif entry.number > number:
            elsewhere = _DROPPED
        number = entry.number + 1
        intact = digest(entry.body) == entry.digest
        yield Finding(intact, f"report {entry.number}: the bytes {'have' if intact else 'do not have'} their digest")
        if entry.receipt is not None:
            yield check_one(f"report {entry.number}", partial(check_receipt, entry))
            yield _link(entry, chain, elsewhere)
            chain, elsewhere = entry.chain() or NO_CHAIN, None
        elif entry.rows > 0 and entry.attempts > 0:
            elsewhere = elsewhere or _NEVER_ARRIVED


def check_one(what: str, receipt: Callable[[], object]) -> Finding:
    """Return whether a receipt holds; ``receipt`` raises a :class:`CalosTelemetryError` where it does not."""
    try:
        receipt()
    except CalosTelemetryError as error:
        return Finding(ok=False, sentence=f"{what}: {error}")
    return Finding(ok=True, sentence=f"{what}: the receipt is the vendor's, for exactly these bytes")


def _link(entry: Entry, chain: str, elsewhere: str | None) -> Finding:
    """Check that the receipt names the one before.

    ``elsewhere`` says why that one may be none of those here, which then is no fault.
    """
    try:
        linked = entry.receipt is not None and parse_receipt(entry.receipt.text).previous == chain
    except CalosTelemetryError as error:
        return Finding(ok=False, sentence=f"report {entry.number}: {error}")
    if not linked and elsewhere is not None:
        return Finding(ok=True, sentence=f"report {entry.number}: the receipt follows one {elsewhere}")
    return Finding(
        linked, f"report {entry.number}: the receipt {'follows' if linked else 'does not follow'} the one before"
    )

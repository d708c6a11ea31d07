"""What came of an exchange, entered in the ledger and the lease, and told in words.

The license answer is kept first; trouble with the report never touches it.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from calos_telemetry.contract.receipt import SignedReceipt
from calos_telemetry.contract.report import TelemetryAnswer, VerifyAnswer, VerifyRequest, inflate
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import CalosTelemetryError
from calos_telemetry.sdk.identity import Identity
from calos_telemetry.sdk.license.exchange import Exchange, Refused, check_receipt
from calos_telemetry.sdk.license.keyring import KnownKeys
from calos_telemetry.sdk.license.lease import Held, LeaseFile, refuse_older
from calos_telemetry.sdk.report.ledger import ACKNOWLEDGED, REFUSED, WITHDRAWN, Entry, Ledger

_TAKEN = frozenset({"ACCEPTED", "PARTIAL", "DUPLICATE"})
_CLOCK = "CLOCK"
_MOST_ATTEMPTS = 10
"""So often a report is sent while the license is answered and the report is not taken; then it makes room."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification came to, for programs and, in ``sentence``, for people.

    ``number``, ``rows``, ``bytes``, ``digest`` and ``receipt`` are those of the last report that was sent, or of the
    license check where none was.
    """

    ok: bool
    sentence: str
    code: str | None = None
    tier: Tier | None = None
    number: int | None = None
    rows: int = 0
    bytes: int = 0
    digest: str | None = None
    receipt: SignedReceipt | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One exchange of a verification.

    ``answer`` is the license answer that it brought, ``over`` says that nothing more can be asked now, ``trouble`` that the
    report was not taken, ``again`` that it is worth trying soon.
    """

    entry: Entry
    sentence: str
    code: str | None = None
    answer: VerifyAnswer | None = None
    receipt: SignedReceipt | None = None
    over: bool = False
    trouble: bool = False
    again: bool = False


class Settling:
    """Enters what came of an exchange."""

    def __init__(self, ledger: Ledger, lease: LeaseFile, identity: Identity) -> None:
        self._ledger = ledger
        self._lease = lease
        self._identity = identity

    def settle(self, entry: Entry, done: Exchange | Refused, held: Held | None, keys: KnownKeys, now: int) -> Step:
        """Enter an answer that proved itself.  Raises :class:`SignatureError` when its lease is older than ``held``."""
        if isinstance(done, Refused):
            return self._refused(entry, done, now)
        answer = done.answer
        if answer.license.code == _CLOCK:
            return self._wrong_clock(entry, answer, now)
        refuse_older(answer, held)
        if answer.license.lease is not None:
            self._lease.keep(done.signed, self._proof_sent(entry))
        if entry.rows == 0:
            self._ledger.close(entry, ACKNOWLEDGED, now, f"license verified: {answer.license.code}")
            return Step(entry, answer.license.message, answer.license.code, answer)
        return self._report(entry, answer, keys, now)

    def failed(self, entry: Entry, why: str, now: int, *, verified: bool) -> Step:
        """Note that nothing is known: the exchange stays sealed.  ``verified``: the license was answered a moment ago."""
        if not (verified and self._given_up(entry, why, now)):
            self._ledger.attempted(entry, now, why)
        return Step(entry, why, over=True, again=True)

    def _given_up(self, entry: Entry, why: str, now: int) -> bool:
        """Take back a report that fails for ever while the server answers; the next one carries the rows' current values."""
        if entry.attempts + 1 < _MOST_ATTEMPTS:
            return False
        self._ledger.close(entry, WITHDRAWN, now, f"given up after {_MOST_ATTEMPTS} attempts: {why}")
        return True

    def quarantined(self, entry: Entry) -> Step:
        """Note that the exit gate kept an exchange here; without telemetry in it, nothing is left to be sent."""
        return Step(entry, entry.outcome or "", over=entry.rows == 0, trouble=True)

    def _proof_sent(self, entry: Entry) -> str | None:
        """Return the license key (its proof) that the answer is about: a report may have waited for longer than it held."""
        return msgspec.json.decode(inflate(entry.body), type=VerifyRequest).license.proof

    def _refused(self, entry: Entry, refused: Refused, now: int) -> Step:
        self._ledger.close(entry, REFUSED, now, refused.sentence)
        return Step(entry, refused.sentence, over=entry.rows == 0, trouble=True, again=entry.rows == 0)

    def _wrong_clock(self, entry: Entry, answer: VerifyAnswer, now: int) -> Step:
        self._ledger.attempted(entry, now, answer.license.message)
        return Step(entry, answer.license.message, _CLOCK, over=True, again=True)

    def _report(self, entry: Entry, answer: VerifyAnswer, keys: KnownKeys, now: int) -> Step:
        told, license_ = answer.telemetry, answer.license
        state, outcome, receipt = self._taken(entry, told, keys)
        if state is not None:
            self._ledger.close(entry, state, now, outcome, receipt)
        elif not self._given_up(entry, outcome, now):
            self._ledger.attempted(entry, now, outcome)
        sentence = f"{license_.message.rstrip('.')}; report {entry.number}: {outcome}"
        taken = state == ACKNOWLEDGED
        return Step(entry, sentence, license_.code, answer, receipt, trouble=not taken, again=state is None)

    def _taken(
        self, entry: Entry, told: TelemetryAnswer, keys: KnownKeys
    ) -> tuple[str | None, str, SignedReceipt | None]:
        """Return the new state of a report (``None``: it stays sealed), what happened, and the receipt."""
        rejected = "".join(f", {number} rejected: {reason}" for reason, number in sorted(told.rejected.items()))
        outcome = told.code.lower() + rejected
        if told.code == "REFUSED":
            return REFUSED, outcome, None
        if told.code not in _TAKEN:
            return None, f"{outcome}: it is sent again", None
        if told.receipt is None:
            return None, f"{outcome}, but without a receipt: it is sent again", None
        try:
            receipt = check_receipt(told.receipt, entry.body, self._identity, entry.number, keys)
        except CalosTelemetryError as error:
            return None, f"{outcome}, but its receipt does not hold ({error}): it is sent again", None
        if receipt.previous != _previous_of(entry):
            outcome += ", after a report that is not in this ledger (restored from a backup, or a copied machine?)"
        return ACKNOWLEDGED, outcome, told.receipt


def told_in_one(steps: list[Step], *, kept: Entry | None = None) -> Outcome:
    """Return what a verification came to: the last license answer, the last report, what the exit gate ``kept``."""
    answered = [step for step in steps if step.answer is not None]
    told = answered[-1] if answered else steps[-1]
    reports = [step for step in steps if step.entry.rows]
    about = reports[-1] if reports else steps[-1]
    failed = steps[-1].sentence if steps[-1] is not told else ""
    if about is not told and about.sentence != failed and about.trouble:
        failed = about.sentence
    aside = f"report {kept.number} was {kept.outcome}" if kept else ""
    return Outcome(
        ok=bool(answered) and not any(step.over or step.again for step in steps),
        sentence="; ".join(dict.fromkeys(filter(None, (told.sentence, failed, aside)))),
        code=told.code,
        tier=told.answer.license.tier if told.answer else None,
        number=about.entry.number,
        rows=about.entry.rows,
        bytes=len(about.entry.body),
        digest=about.entry.digest,
        receipt=about.receipt,
    )


def _previous_of(entry: Entry) -> str | None:
    telemetry = msgspec.json.decode(inflate(entry.body), type=VerifyRequest).telemetry
    return telemetry.previous if telemetry else None

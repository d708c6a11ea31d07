"""Verification: the one choke point for sending.

claim (one elected process) → the exchanges that are due, one after the other → each is sent outside any transaction, its
answer and receipt are checked → ledger, lease, next time.  Whatever goes wrong changes neither the license nor the report:
the frozen bytes wait and are sent again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, Engine

from calos_telemetry import private_files
from calos_telemetry.clock import MS_PER_HOUR, now_ms
from calos_telemetry.contract.report import VERSION, Books, LicensePart, Report, VerifyRequest, inflate
from calos_telemetry.contract.signing import key_id
from calos_telemetry.errors import CalosTelemetryError, SettingsError, StateError
from calos_telemetry.sdk.identity import Identity
from calos_telemetry.sdk.license.asking import license_part
from calos_telemetry.sdk.license.cadence import PLAN, Plan, after_answer, after_failure, first
from calos_telemetry.sdk.license.election import elected
from calos_telemetry.sdk.license.exchange import Exchange, exchange
from calos_telemetry.sdk.license.keyring import KnownKeys
from calos_telemetry.sdk.license.settling import Outcome, Settling, Step, told_in_one
from calos_telemetry.sdk.license.standing import Standing
from calos_telemetry.sdk.license.state import LicenseState
from calos_telemetry.sdk.license.transport import AIR_GAPPED, Transport
from calos_telemetry.sdk.policy.watch import FilePolicy
from calos_telemetry.sdk.record.storing import last_revision
from calos_telemetry.sdk.report.build import build_report
from calos_telemetry.sdk.report.difference import note_catalogue
from calos_telemetry.sdk.report.exit_gate import without_suspects
from calos_telemetry.sdk.report.ledger import QUARANTINED, SEALED, Build, Entry, Ledger, Position
from calos_telemetry.sdk.report.withheld import without_withheld
from calos_telemetry.settings import Settings

__all__ = ["Outcome", "Verifier"]

_NO_VENDOR_KEY = "CALOS_VENDOR_KEY is {}: nothing is sent, because no answer could be checked"
_BUSY = "another process of this install is verifying at this moment"
_MOST_EXCHANGES = 16
"""In one go: enough for ten million changed rows of history, and an end where something keeps changing."""
_PATIENCE = 3
"""After so many attempts a report goes only once the license was verified alone: it may be the report that fails."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One verification: with what it began."""

    keys: KnownKeys
    root: Ed25519PublicKey
    books: Books
    with_telemetry: bool


class Verifier:
    """Verifies the license of one install and carries its reports."""

    def __init__(
        self, settings: Settings, identity: Identity, engine: Engine, transport: Transport, policy: FilePolicy
    ) -> None:
        """``policy`` says what of a report is withheld, and how long it waits to be read."""
        self._settings = settings
        self._policy = policy
        self._identity = identity
        self._engine = engine
        self._ledger = Ledger(engine)
        self._standing = Standing(settings, identity.install_id, transport)
        self._root = self._standing.root
        self._settling = Settling(self._ledger, self._standing.lease, identity)

    @property
    def root(self) -> Ed25519PublicKey:
        """Return the pinned key of the vendor.  Raises :class:`SettingsError` where there is none."""
        if self._root is None:
            raise SettingsError(_NO_VENDOR_KEY.format("not set or damaged"))
        return self._root

    @property
    def transport(self) -> Transport:
        """Return the wire to the vendor; an air-gapped install has none."""
        return self._standing.transport

    @property
    def keys(self) -> KnownKeys | None:
        """Return the vendor's keys as far as they are known; ``None`` without a pinned vendor key."""
        return self._standing.keys

    def known_keys(self) -> KnownKeys:
        """Return the vendor's keys as far as they are known.  Raises :class:`SettingsError` without a pinned vendor key."""
        keys = self.keys
        if keys is None:
            raise SettingsError(_NO_VENDOR_KEY.format("not set or damaged"))
        return keys

    def state(self, now: int) -> LicenseState:
        """Return what the license allows at ``now`` (unix ms); no network."""
        return self._standing.state(now)

    def due(self, now: int) -> bool:
        """Say whether it is time to verify."""
        if self._root is None or self._standing.silent:
            return False
        plan = self._plan()
        if plan is None:
            self._keep_plan(first(now, random.random()))  # noqa: S311 - spreads load, guards nothing
            return False
        return plan.is_due(now, self._standing.key().proof)

    def verify(self, *, with_telemetry: bool, books: Books) -> Outcome:
        """Verify now, whether it is due or not.  Never raises for what the network or the server did."""
        keys = self.keys
        if keys is None or self._root is None:
            what = "not set" if self._settings.vendor_key is None else "damaged"
            return Outcome(ok=False, sentence=_NO_VENDOR_KEY.format(what))
        if self._standing.silent:
            return Outcome(ok=False, sentence=AIR_GAPPED)
        with elected(self._settings.home) as mine:
            if not mine:
                return Outcome(ok=False, sentence=_BUSY)
            return self._verify(_Run(keys, self._root, books, with_telemetry))

    def upcoming(self, *, with_telemetry: bool, books: Books) -> Entry:
        """Return the exchange that a verification would begin with now; what is not sealed yet is not sealed by this."""
        if with_telemetry and (waiting := self._waiting_report()) is not None:
            return waiting
        if with_telemetry and self._has_news():
            return self._ledger.rehearse(self._builds(books), now_ms())
        return self._waiting_check() or self._ledger.rehearse([self._request(_nothing, self.license_part())], now_ms())

    def seal_next(self, *, with_telemetry: bool, books: Books) -> Entry:
        """Return the exchange that is due next, sealed, for a person to carry.  Raises :class:`StateError`."""
        run = _Run(self.known_keys(), self.root, books, with_telemetry)
        with elected(self._settings.home) as mine:
            if not mine:
                raise StateError(_BUSY)
            self._withdraw_what_may_not_go(run)
            due = self._due_report(run, []) if with_telemetry else None
            return due if due is not None and due.state == SEALED else self._alone()

    def veto(self, number: int) -> Entry:
        """Keep a report that waits from the vendor for good: later reports begin behind it; return it.

        Raises :class:`SettingsError` where there is none to veto or the tier does not allow it, :class:`StateError` while
        another process verifies.
        """
        if not self._policy.may_veto:
            raise SettingsError("a report can be vetoed only with a license key that proves the Enterprise tier")
        with elected(self._settings.home) as mine:
            if not mine:
                raise StateError(_BUSY)
            entry = self._ledger.entry(number)
            if entry is None or not entry.rows or entry.state != SEALED:
                what = "there is no such report" if entry is None else f"it is {entry.state}"
                raise SettingsError(
                    f"report {number} cannot be vetoed: {what}; `calos-telemetry report list` says which wait"
                )
            self._ledger.veto(entry)
            return entry

    def settle(self, entry: Entry, done: Exchange) -> Outcome:
        """Enter an answer that a person brought.  Raises :class:`StateError`, or :class:`SignatureError` for an old one."""
        with elected(self._settings.home) as mine:
            if not mine:
                raise StateError(_BUSY)
            step = self._settling.settle(entry, done, self._standing.held()[0], self.known_keys(), now_ms())
            self._plan_next([step])
        return told_in_one([step])

    def held_lease(self) -> int:
        """Return the number of the newest lease at hand, 0 without one."""
        held, _ = self._standing.held()
        return held.lease_number if held else 0

    def _withdraw_what_may_not_go(self, run: _Run) -> None:
        waiting = self._waiting_report()
        if waiting is None:
            return
        if not run.with_telemetry:
            self._ledger.withdraw(waiting, "kept here: telemetry was switched off before it was answered")
            return
        if self._policy.review_hours and waiting.sealed_at > now_ms():
            self._ledger.withdraw(waiting, "sealed by a clock that was ahead: it is sealed again, to be read in time")
            return
        report = _request_of(waiting).telemetry
        if report is not None and self._allowed(report) != report:
            self._ledger.withdraw(waiting, "kept here: the policy file takes away what it holds")

    def _verify(self, run: _Run) -> Outcome:
        self._withdraw_what_may_not_go(run)
        steps: list[Step] = []
        kept_before = self._ledger.newest_kept()
        while (entry := self._next(run, steps)) is not None:
            verified = any(step.answer is not None for step in steps)
            steps.append(self._do(entry, run, verified=verified))
        self._plan_next(steps)
        kept = self._ledger.newest_kept()
        return told_in_one(steps, kept=kept if kept != kept_before else None)

    def _next(self, run: _Run, steps: list[Step]) -> Entry | None:
        """Return what is to be sent after ``steps``; ``None`` when this verification is over."""
        verified = any(step.answer is not None for step in steps)
        if steps and (steps[-1].over or len(steps) >= _MOST_EXCHANGES):
            return None
        if not run.with_telemetry or any(step.trouble for step in steps):
            return None if verified else self._alone()
        entry = self._due_report(run, steps)
        if entry is not None and (verified or entry.attempts < _PATIENCE):
            return entry
        return None if verified else self._alone()

    def _due_report(self, run: _Run, steps: list[Step]) -> Entry | None:
        """Return the report that waits, or a new one of what is news; ``None`` without any, or while it is to be read."""
        entry = self._waiting_report()
        if entry is None:
            sent_all = bool(steps) and steps[-1].answer is not None and steps[-1].entry.rows == 0
            entry = self._report(run) if not sent_all and self._has_news() else None
        return entry if entry is None or self.waits_until(entry) <= now_ms() else None

    def waits_until(self, entry: Entry) -> int:
        """Return until when (unix ms) a sealed report waits to be read; 0 for everything else."""
        window = int(self._policy.review_hours * MS_PER_HOUR)
        return entry.sealed_at + window if window and entry.rows and entry.state == SEALED else 0

    def _do(self, entry: Entry, run: _Run, *, verified: bool) -> Step:
        """Send one exchange and settle it."""
        now = now_ms()
        if entry.state != SEALED:
            return self._settling.quarantined(entry)
        try:
            done = exchange(entry.body, self._identity, key_id(run.root), self._standing.transport, run.keys)
            return self._settling.settle(entry, done, self._standing.held()[0], run.keys, now)
        except CalosTelemetryError as error:
            return self._settling.failed(entry, str(error), now, verified=verified)

    def _report(self, run: _Run) -> Entry:
        """Seal a report; where the exit gate keeps it here, seal another one of the rows nobody objects to."""
        for entry in self._ledger.pending():
            self._ledger.withdraw(entry, "a report takes its place")
        *whole, clean = self._builds(run.books)
        for build in whole:
            sealed = self._ledger.seal(build, now_ms())
            if sealed.state != QUARANTINED:
                return sealed
        return self._ledger.seal(clean, now_ms())

    def _builds(self, books: Books) -> list[Build]:
        """Return how the next report is built: whole, and then without the rows that the exit gate objects to."""

        def whole(connection: Connection, position: Position) -> Report | None:
            return self._build(connection, position, books)

        def clean(connection: Connection, position: Position) -> Report | None:
            report = whole(connection, position)
            cleaned = without_suspects(report) if report else None
            return cleaned if cleaned and cleaned.rows() else None

        part = self.license_part()
        if self._policy.review_hours:  # the lease will be an older one when it goes
            part = msgspec.structs.replace(part, lease_number=0)
        return [self._request(build, part) for build in ((clean,) if self._kept_already() else (whole, clean))]

    def _kept_already(self) -> bool:
        """Whether the exit gate has kept a report up to the last change: one and the same need not be kept twice."""
        kept = self._ledger.newest_kept()
        return kept is not None and kept.to_revision == self._last_revision()

    def _alone(self) -> Entry:
        """Return a license check without telemetry: the one that waits, while it still says what holds, or a new one."""
        waiting = self._waiting_check()
        if waiting is not None:
            return waiting
        for entry in self._ledger.pending():
            if entry.rows == 0:
                self._ledger.withdraw(entry, "the license or the product changed")
        return self._ledger.seal(self._request(_nothing, self.license_part()), now_ms())

    def _waiting_check(self) -> Entry | None:
        waiting = (entry for entry in self._ledger.pending() if entry.rows == 0)
        return next((entry for entry in waiting if _request_of(entry).license == self.license_part()), None)

    @staticmethod
    def _request(telemetry: Callable[[Connection, Position], Report | None], part: LicensePart) -> Build:
        def request(connection: Connection, position: Position) -> VerifyRequest:
            report = telemetry(connection, position)
            if report is not None:
                note_catalogue(connection, position.number)
            return VerifyRequest(v=VERSION, license=part, telemetry=report)

        return request

    def _build(self, connection: Connection, position: Position, books: Books) -> Report | None:
        report = build_report(
            connection,
            self._identity.install_id,
            number=position.number,
            previous=position.previous,
            from_revision=position.from_revision,
            books=books,
            sealed_at=now_ms(),
        )
        return report and self._allowed(report)

    def _allowed(self, report: Report) -> Report:
        """Return the report without what the policy file withholds."""
        restrictions = self._policy.restrictions
        return report if restrictions is None else without_withheld(report, restrictions)

    def _has_news(self) -> bool:
        return self._last_revision() > self._ledger.position().from_revision

    def _last_revision(self) -> int:
        with self._engine.connect() as connection:
            return last_revision(connection, self._identity.install_id)

    def _waiting_report(self) -> Entry | None:
        return next((entry for entry in self._ledger.pending() if entry.rows), None)

    def license_part(self) -> LicensePart:
        """Return who asks, as it stands in the next request."""
        return license_part(self._settings, self._identity, self._standing.key(), self.held_lease())

    def _plan_next(self, steps: list[Step]) -> None:
        now, chance = now_ms(), random.random()  # noqa: S311 - as above
        answer = next((step.answer for step in reversed(steps) if step.answer is not None), None)
        if answer is not None and not any(step.again for step in steps):
            self._keep_plan(after_answer(answer.next_check, answer.license.tier, now, chance))
        else:
            self._keep_plan(after_failure(self._plan() or first(now, 0.0), self.state(now).tier, now, chance))

    def _plan(self) -> Plan | None:
        try:
            return msgspec.json.decode(private_files.read(self._settings.home / PLAN), type=Plan)
        except (FileNotFoundError, StateError, ValueError, RecursionError):
            return None

    def _keep_plan(self, plan: Plan) -> None:
        plan = msgspec.structs.replace(plan, about=self._standing.key().proof)
        private_files.write(self._settings.home / PLAN, msgspec.json.encode(plan))


def _nothing(_connection: Connection, _position: Position) -> None:
    """Build no report."""


def _request_of(entry: Entry) -> VerifyRequest:
    return msgspec.json.decode(inflate(entry.body), type=VerifyRequest)

"""Verification: the one choke point for sending.

claim (one elected process) → the sealed exchange that waits, or a new one → send, outside any transaction → check the
answer and the receipt → ledger, lease, next time.  Whatever goes wrong changes neither the license nor the report: the
frozen bytes wait and are sent again.
"""

from __future__ import annotations

import fcntl
import os
import platform
import random
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Connection, Engine

from calos_telemetry import private_files
from calos_telemetry.clock import now_ms
from calos_telemetry.contract.keys import Use
from calos_telemetry.contract.license import License, possession
from calos_telemetry.contract.receipt import SignedReceipt
from calos_telemetry.contract.report import (
    VERSION,
    Books,
    LicensePart,
    Product,
    TelemetryAnswer,
    VerifyAnswer,
    VerifyRequest,
)
from calos_telemetry.contract.signing import decode_public, encode_public, key_id
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import CalosTelemetryError, SignatureError, StateError
from calos_telemetry.sdk.identity import Identity
from calos_telemetry.sdk.license.cadence import Plan, after_answer, after_failure, first
from calos_telemetry.sdk.license.exchange import Exchange, check_receipt, exchange
from calos_telemetry.sdk.license.keyring import KnownKeys
from calos_telemetry.sdk.license.lease import LeaseFile
from calos_telemetry.sdk.license.offline import license_text, read_license
from calos_telemetry.sdk.license.state import Known, LicenseState, resolve
from calos_telemetry.sdk.license.transport import Transport
from calos_telemetry.sdk.report.build import build_report
from calos_telemetry.sdk.report.ledger import ACKNOWLEDGED, QUARANTINED, REFUSED, Entry, Ledger, Position
from calos_telemetry.settings import Settings

_TAKEN = frozenset({"ACCEPTED", "PARTIAL", "DUPLICATE"})
_NO_VENDOR_KEY = "CALOS_VENDOR_KEY is not set: nothing is sent, because no answer could be checked"
_BUSY = "another process of this install is verifying at this moment"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a verification came to, for programs and, in ``sentence``, for people."""

    ok: bool
    sentence: str
    code: str | None = None
    tier: Tier | None = None
    number: int | None = None
    rows: int = 0
    bytes: int = 0
    digest: str | None = None
    receipt: SignedReceipt | None = None


class Verifier:
    """Verifies the license of one install and carries its reports."""

    def __init__(self, settings: Settings, identity: Identity, engine: Engine, transport: Transport) -> None:
        self._settings = settings
        self._identity = identity
        self._engine = engine
        self._transport = transport
        self._ledger = Ledger(engine)
        self._lease = LeaseFile(settings.home / "lease.json")
        self._root = _root_of(settings)
        self._license, self._problem = read_license(settings)

    @property
    def keys(self) -> KnownKeys | None:
        """Return the vendor's keys as far as they are known; ``None`` without a pinned vendor key."""
        if self._root is None:
            return None
        return KnownKeys(self._settings.home / "keys.json", self._root, self._transport)

    def state(self, now: int) -> LicenseState:
        """Return what the license allows at ``now`` (unix ms); no network."""
        last = self._last_answer()
        license_ = self._license
        return resolve(
            Known(
                tier=license_.tier if license_ else Tier.COMMUNITY,
                features=license_.brings() if license_ else frozenset(),
                expires_at=license_.expires_at if license_ else None,
                problem=self._problem,
                verdict=last.license.code if last else None,
                grace_until=last.license.lease.grace_until if last and last.license.lease else None,
            ),
            now,
        )

    def due(self, now: int) -> bool:
        """Say whether it is time to verify."""
        if self._root is None:
            return False
        plan = self._plan()
        if plan is None:
            self._keep_plan(first(now, random.random()))  # noqa: S311 - spreads load, guards nothing
            return False
        return now >= plan.due_at

    def verify(self, *, with_telemetry: bool, books: Books) -> Outcome:
        """Verify now, whether it is due or not.  Never raises for what the network or the server did."""
        keys = self.keys
        if keys is None or self._root is None:
            return Outcome(ok=False, sentence=_NO_VENDOR_KEY)
        with _elected(self._settings.home / ".verify") as elected:
            if not elected:
                return Outcome(ok=False, sentence=_BUSY)
            now = now_ms()
            entry = self._sealed(now, books, with_telemetry=with_telemetry)
            try:
                done = exchange(entry.body, self._identity, key_id(self._root), self._transport, keys)
                return self._answered(entry, done, keys, now)
            except CalosTelemetryError as error:
                return self._failed(entry, error, now)

    def _sealed(self, now: int, books: Books, *, with_telemetry: bool) -> Entry:
        """Return the exchange to send: the one that waits, or a new one; without telemetry where it may not travel."""
        waiting = self._ledger.pending()
        if waiting is not None and (with_telemetry or waiting.rows == 0):
            return waiting
        if waiting is not None:
            self._ledger.close(waiting, REFUSED, now, "kept here: telemetry was switched off before it was sent")
        sealed = self._seal(now, books, with_telemetry=with_telemetry)
        return self._seal(now, books, with_telemetry=False) if sealed.state == QUARANTINED else sealed

    def _seal(self, now: int, books: Books, *, with_telemetry: bool) -> Entry:
        def build(connection: Connection, position: Position) -> VerifyRequest:
            report = None
            if with_telemetry:
                report = build_report(
                    connection,
                    self._identity.install_id,
                    number=position.number,
                    previous=position.previous,
                    from_revision=position.from_revision,
                    books=books,
                    sealed_at=now,
                )
            return VerifyRequest(v=VERSION, license=self._license_part(), telemetry=report)

        return self._ledger.seal(build, now)

    def _answered(self, entry: Entry, done: Exchange, keys: KnownKeys, now: int) -> Outcome:
        answer = done.answer
        last = self._last_answer()
        self._refuse_older(answer, last)
        receipt = self._settle(entry, answer.telemetry, keys, now)
        if answer.license.lease is not None:
            self._lease.keep(done.signed)
        tier = answer.license.tier
        self._keep_plan(after_answer(answer.next_check, tier, now, random.random()))  # noqa: S311 - as above
        carried = f"; report {entry.number}: {answer.telemetry.code.lower()}" if entry.rows else ""
        return Outcome(
            ok=answer.license.code != "CLOCK",
            sentence=answer.license.message + carried,
            code=answer.license.code,
            tier=tier,
            number=entry.number,
            rows=entry.rows,
            bytes=len(entry.body),
            digest=entry.digest,
            receipt=receipt,
        )

    def _settle(self, entry: Entry, told: TelemetryAnswer, keys: KnownKeys, now: int) -> SignedReceipt | None:
        """Enter in the ledger what became of the report; trouble here never touches the license."""
        rejected = "".join(f", {number} rejected: {reason}" for reason, number in sorted(told.rejected.items()))
        outcome = told.code.lower() + rejected
        if entry.rows == 0:
            self._ledger.close(entry, ACKNOWLEDGED, now, "license verified, no telemetry")
        elif told.code in _TAKEN and told.receipt is not None:
            try:
                check_receipt(told.receipt, entry.body, self._identity, entry.number, keys)
            except CalosTelemetryError as error:
                self._ledger.attempted(entry, now, f"the receipt does not hold: {error}")
                return None
            self._ledger.close(entry, ACKNOWLEDGED, now, outcome, told.receipt)
            return told.receipt
        elif told.code == "REFUSED":
            self._ledger.close(entry, REFUSED, now, outcome)
        else:
            self._ledger.attempted(entry, now, outcome)
        return None

    def _refuse_older(self, answer: VerifyAnswer, last: VerifyAnswer | None) -> None:
        """Refuse an answer whose lease is older than the one we hold: somebody replays it."""
        held = last.license.lease if last else None
        offered = answer.license.lease
        if held is not None and offered is not None and offered.number <= held.number:
            raise SignatureError(f"the server offers lease {offered.number}, not newer than {held.number}: refused")

    def _failed(self, entry: Entry, error: CalosTelemetryError, now: int) -> Outcome:
        self._ledger.attempted(entry, now, str(error))
        plan = self._plan() or first(now, 0.0)
        self._keep_plan(after_failure(plan, self.state(now).tier, now, random.random()))  # noqa: S311 - as above
        return Outcome(ok=False, sentence=str(error), number=entry.number, rows=entry.rows, digest=entry.digest)

    def _license_part(self) -> LicensePart:
        license_ = self._license
        last = self._last_answer()
        return LicensePart(
            install_id=self._identity.install_id,
            install_key=encode_public(self._identity.key.public_key()),
            license_id=license_.id if license_ else None,
            proof=self._proof(license_),
            domain=self._settings.public_host,
            lease_number=last.license.lease.number if last and last.license.lease else 0,
            product=Product(
                app=self._settings.app_version[:80],
                sdk=version("calos-telemetry"),
                python=platform.python_version(),
                os=platform.system(),
            ),
        )

    def _proof(self, license_: License | None) -> str | None:
        text = license_text(self._settings) if license_ else None
        return possession(text, self._identity.install_id) if text else None

    def _last_answer(self) -> VerifyAnswer | None:
        keys = self.keys
        cached = keys.cached() if keys else None
        if cached is None:
            return None

        def key_of(kid: str, use: Use, at: int) -> Ed25519PublicKey:
            return cached.public_key(kid, use, at)

        return self._lease.load(key_of)

    def _plan(self) -> Plan | None:
        try:
            return msgspec.json.decode(private_files.read(self._settings.home / "plan.json"), type=Plan)
        except (FileNotFoundError, StateError, ValueError):
            return None

    def _keep_plan(self, plan: Plan) -> None:
        private_files.write(self._settings.home / "plan.json", msgspec.json.encode(plan))


def _root_of(settings: Settings) -> Ed25519PublicKey | None:
    try:
        return decode_public(settings.vendor_key) if settings.vendor_key else None
    except SignatureError:
        return None


@contextmanager
def _elected(path: Path) -> Iterator[bool]:
    """Elect one process: the kernel's lock on a file, which ends with the process that holds it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)

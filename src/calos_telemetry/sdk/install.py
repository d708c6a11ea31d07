"""One install as its state directory holds it: identity, database, drain, reports, license.

This is the heavy half (database, cryptography, network); the request path never touches it.  The background thread,
the operator's pages and the command line all work through it, beside a running application or without one.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import Engine, select
from sqlalchemy.exc import DatabaseError

from calos_telemetry.clock import now_ms
from calos_telemetry.contract.courier import ExportFile
from calos_telemetry.contract.keys import Use
from calos_telemetry.contract.receipt import SignedReceipt, parse_receipt
from calos_telemetry.contract.report import Books
from calos_telemetry.errors import SettingsError, StoreError
from calos_telemetry.private_files import ensure_directory
from calos_telemetry.sdk.identity import Identity, load_identity
from calos_telemetry.sdk.license.courier import Courier
from calos_telemetry.sdk.license.erasing import Erasing
from calos_telemetry.sdk.license.exchange import check_erasure, check_receipt
from calos_telemetry.sdk.license.keyring import KnownKeys
from calos_telemetry.sdk.license.offline import proven_tier, read_license
from calos_telemetry.sdk.license.state import LicenseState
from calos_telemetry.sdk.license.transport import HttpTransport
from calos_telemetry.sdk.license.verifier import Outcome, Verifier
from calos_telemetry.sdk.obfuscate.identifiers import load_secret
from calos_telemetry.sdk.policy.decision import Policy
from calos_telemetry.sdk.policy.explanation import Told, explain
from calos_telemetry.sdk.record.drain import Drain, Drained
from calos_telemetry.sdk.record.log_import import LogImport
from calos_telemetry.sdk.record.spool import DrainLock
from calos_telemetry.sdk.record.storing import DROPPED, STORED
from calos_telemetry.sdk.record.upkeep import Upkeep
from calos_telemetry.sdk.record.waiting import Waiting, pending, waiting, waiting_bytes
from calos_telemetry.sdk.report.check import Finding, check_ledger, check_one
from calos_telemetry.sdk.report.difference import Difference, difference
from calos_telemetry.sdk.report.erasures import Erasures
from calos_telemetry.sdk.report.ledger import Entry, Ledger
from calos_telemetry.settings import Settings
from calos_telemetry.store.database import open_database
from calos_telemetry.store.faults import problem
from calos_telemetry.store.install_tables import books
from calos_telemetry.store.migrate import INSTALL, TELEMETRY
from calos_telemetry.store.owner import claim
from calos_telemetry.store.salvage import corrupt_files, heal, open_or_begin
from calos_telemetry.store.summary import summarise

DATABASE = "telemetry.db"
SPOOL = "spool"


class Install:
    """Everything that happens behind the spool."""

    def __init__(self, settings: Settings) -> None:
        """Open (or begin) the install in ``settings.home``.

        Raises :class:`StateError`, :class:`StoreError` or :class:`SignatureError` when it cannot be used.
        """
        self.settings = settings
        ensure_directory(settings.home)
        self.identity: Identity = load_identity(settings.home)
        license_, self.license_problem = read_license(settings)
        self.policy = Policy(settings, proven_tier(license_))
        self.engine: Engine = self._open()
        self.ledger = Ledger(self.engine)
        self.erasures = Erasures(self.engine)

    def _open(self) -> Engine:
        url, schema = self.settings.database_url, self.settings.database_schema
        if url is None:
            return open_or_begin(self._file, TELEMETRY, INSTALL)
        engine = open_database(url, self._file, TELEMETRY, INSTALL, schema=schema)
        try:
            claim(engine, self.identity.install_id)
        except StoreError:
            engine.dispose()
            raise
        return engine

    @property
    def _file(self) -> Path:
        return self.settings.home / DATABASE

    @property
    def spool_directory(self) -> Path:
        """Return the directory of the spool files."""
        return self.settings.home / SPOOL

    @cached_property
    def verifier(self) -> Verifier:
        """Return what talks to the license server."""
        transport = HttpTransport(self.settings.server)
        return Verifier(self.settings, self.identity, self.engine, transport, self.policy.file)

    @cached_property
    def erasing(self) -> Erasing:
        """Return what asks the vendor for erasure."""
        return Erasing(self.identity, self.verifier, self.ledger, self.erasures)

    @cached_property
    def courier(self) -> Courier:
        """Return what writes and takes the files of an air-gapped install."""
        return Courier(self.identity, self.verifier, self.ledger, self.erasing, self.erasures)

    @property
    def upkeep(self) -> Upkeep:
        """Return what deletes old rows."""
        return Upkeep(ensure_directory(self.spool_directory), self.engine, self.identity.install_id)

    def drain(self, *, patience: float = 0.0) -> Drained:
        """Move what all processes have spooled into the database; a corrupt one is set aside and a new one begun."""
        ensure_directory(self.spool_directory)
        drain = Drain(
            self.spool_directory, self.engine, self.identity.install_id, self.policy, self.settings.events_per_day
        )
        try:
            return drain.run(patience=patience)
        except DatabaseError as error:
            with DrainLock(self.spool_directory, timeout=patience) as elected:
                if not elected or not heal(self.engine, self._file, error, TELEMETRY, INSTALL):
                    raise
        return drain.run(patience=patience)

    def waiting_bytes(self) -> int:
        """Return how much of the spool waits to be drained, in bytes."""
        return waiting_bytes(ensure_directory(self.spool_directory), self.engine)

    def database_problem(self) -> str | None:
        """Return what is wrong with the database, or which had to be set aside, in a sentence; ``None`` when all is well."""
        if wrong := problem(self.engine, TELEMETRY.metadata, INSTALL.metadata):
            return wrong
        aside = corrupt_files(self._file)
        names = ", ".join(file.name for file in aside)
        return f"{names} could not be read any more and was set aside: look at it, or delete it" if aside else None

    def log_import(self, *, shift_ms: int = 0) -> LogImport:
        """Return what brings an access log into the database, with every time moved by ``shift_ms``."""
        directory = ensure_directory(self.spool_directory)
        secret = load_secret(self.settings.home / "secret")
        return LogImport(
            directory,
            self.engine,
            self.identity.install_id,
            self.policy,
            secret,
            shift_ms=shift_ms,
            events_per_day=self.settings.events_per_day,
        )

    def verify(self) -> Outcome:
        """Verify the license now and send what is new, if the policy allows it."""
        return self.verifier.verify(with_telemetry=self.may_send(), books=self.books())

    def may_send(self) -> bool:
        """Whether a report may travel: the policy allows it, and no erasure was asked for."""
        return self.policy.send().allowed and self.erasures.asked() is None

    def export(self) -> tuple[ExportFile, Entry]:
        """Return what is due next as a file for the vendor, and its entry in the ledger."""
        return self.courier.export(with_telemetry=self.may_send(), books=self.books())

    def upcoming(self) -> Entry:
        """Return the exchange that :meth:`verify` would begin with now: the very bytes; nothing is sealed or sent."""
        return self.verifier.upcoming(with_telemetry=self.may_send(), books=self.books())

    def verify_if_due(self) -> Outcome | None:
        """Verify when the cadence says so; ``None`` when it is not time yet."""
        return self.verify() if self.verifier.due(now_ms()) else None

    def license_state(self) -> LicenseState:
        """Return what holds now, from the license key and the last signed answer; no network."""
        return self.verifier.state(now_ms())

    def check_ledger(self) -> list[Finding]:
        """Check every number, digest, receipt and link of the chain.  Raises :class:`SettingsError` without a vendor key."""
        keys = self._keys()

        def receipt_of(entry: Entry) -> object:
            assert entry.receipt is not None  # noqa: S101 - asked for entries with a receipt only
            return check_receipt(entry.receipt, entry.body, self.identity, entry.number, keys)

        findings = list(check_ledger(self.ledger.oldest_first(), receipt_of, now_ms()))
        asked = self.erasures.asked()
        receipt = asked.receipt if asked is not None else None
        if receipt is not None:
            findings.append(check_one("erasure", lambda: check_erasure(receipt, self.identity, keys)))
        return findings

    def receipt_key(self, receipt: SignedReceipt) -> Ed25519PublicKey:
        """Return the vendor's key that signed ``receipt``.  Raises :class:`SignatureError` or :class:`SettingsError`."""
        received_at = parse_receipt(receipt.text).received_at
        return self._keys().public_key(receipt.kid, Use.RECEIPT, received_at)

    def _keys(self) -> KnownKeys:
        if self.verifier.keys is None:
            raise SettingsError("CALOS_VENDOR_KEY is not set: without it no receipt can be checked")
        return self.verifier.keys

    def veto(self, number: int) -> Entry:
        """Keep a report that waits from the vendor for good.  Raises :class:`SettingsError` where that is not possible."""
        return self.verifier.veto(number)

    def difference(self) -> Difference:
        """Return what this version can send that the last acknowledged report could not."""
        return difference(self.engine)

    def explain(self) -> list[Told]:
        """Return in words what is collected and sent, and what the policy file takes away."""
        return explain(self.settings, self.policy, self.license_state().tier)

    def summary(self, hours: int) -> dict[str, Any]:
        """Return the summary of the last ``hours``."""
        with self.engine.connect() as connection:
            return summarise(connection, self.identity.install_id, now=now_ms(), hours=hours)

    def books(self) -> Books:
        """Return the balance: recorded = stored + dropped + pending, in events."""
        waiting = pending(self.spool_directory, self.engine)
        with self.engine.connect() as connection:
            entries = {row.entry: row.events for row in connection.execute(select(books))}
        dropped = {
            entry.removeprefix(DROPPED): n for entry, n in entries.items() if entry.startswith(DROPPED) and n > 0
        }
        stored = entries.get(STORED, 0)
        recorded = stored + sum(dropped.values()) + waiting
        return Books(recorded=recorded, stored=stored, dropped=dropped, pending=waiting)

    def waiting(self) -> list[Waiting]:
        """Return what waits of each process."""
        return waiting(self.spool_directory, self.engine)

    def close(self) -> None:
        """Let the database go."""
        self.engine.dispose()

    def abandon(self) -> None:
        """Leave the connections to the process this one was forked from: whoever closes them would end its work."""
        self.engine.dispose(close=False)

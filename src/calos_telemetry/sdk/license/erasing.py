"""Erasure as the install asks for it: from the first word on nothing leaves, and the vendor's receipt is kept."""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from calos_telemetry.clock import now_ms
from calos_telemetry.contract.courier import Asking, ExportFile
from calos_telemetry.contract.erasure import parse_erasure
from calos_telemetry.contract.keys import Use
from calos_telemetry.contract.receipt import SignedReceipt
from calos_telemetry.contract.report import VERSION, VerifyRequest, freeze
from calos_telemetry.contract.signing import key_id
from calos_telemetry.errors import StateError
from calos_telemetry.sdk.identity import Identity
from calos_telemetry.sdk.license.exchange import as_export, ask_erasure, read_erasure
from calos_telemetry.sdk.license.verifier import Verifier
from calos_telemetry.sdk.report.erasures import Erasure, Erasures
from calos_telemetry.sdk.report.ledger import Ledger


class Erasing:
    """Asks the vendor to erase the telemetry of this install; a repeat asks for the same, with the same bytes."""

    def __init__(self, identity: Identity, verifier: Verifier, ledger: Ledger, erasures: Erasures) -> None:
        self._identity = identity
        self._verifier = verifier
        self._ledger = ledger
        self._erasures = erasures

    def ask(self) -> SignedReceipt:
        """Ask now, and keep the receipt.

        Raises :class:`TransportError`, :class:`ProtocolError` or :class:`SignatureError` when there is none yet.
        """
        asked = self._begin()
        if asked.receipt is not None:
            return asked.receipt
        root_kid, keys = key_id(self._verifier.root), self._verifier.known_keys()
        receipt = ask_erasure(asked.body, self._identity, root_kid, self._verifier.transport, keys)
        self._erasures.keep(receipt)
        return receipt

    def export(self) -> ExportFile:
        """Return the request as a file to be carried to the vendor."""
        root_kid = key_id(self._verifier.root)
        return as_export(Asking.ERASE, self._begin().body, self._identity, root_kid)

    def take(self, answer: str) -> SignedReceipt:
        """Keep the receipt that a person brought.  Raises :class:`SignatureError` or :class:`ProtocolError`."""
        receipt = read_erasure(answer.encode(), self._identity, self._verifier.known_keys())
        self._erasures.keep(receipt)
        return receipt

    def evidence(self) -> tuple[bytes, SignedReceipt, Ed25519PublicKey]:
        """Return the request, the receipt for it and the key that signed.  Raises :class:`StateError` without one."""
        asked = self._erasures.asked()
        if asked is None or asked.receipt is None:
            raise StateError("there is no erasure receipt yet: `calos-telemetry erase` asks for one")
        said = parse_erasure(asked.receipt.text)
        key = self._verifier.known_keys().public_key(asked.receipt.kid, Use.RECEIPT, said.erased_at)
        return asked.body, asked.receipt, key

    def _begin(self) -> Erasure:
        body = freeze(VerifyRequest(v=VERSION, license=self._verifier.license_part(), telemetry=None))
        asked = self._erasures.ask(body, now_ms())
        for entry in self._ledger.pending():
            if entry.rows:
                self._ledger.withdraw(entry, "kept here: erasure was asked for before it was answered")
        return asked

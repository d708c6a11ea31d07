"""The air gap: what would travel is written to a file, and the vendor's answer is taken from one."""

from __future__ import annotations

import msgspec

from calos_telemetry.clock import now_ms
from calos_telemetry.contract.courier import AnswerFile, Asking, ExportFile
from calos_telemetry.contract.keys import Use
from calos_telemetry.contract.report import Books, answer_base
from calos_telemetry.contract.signing import check, digest, key_id
from calos_telemetry.errors import ProtocolError, SignatureError
from calos_telemetry.sdk.identity import Identity
from calos_telemetry.sdk.license.erasing import Erasing
from calos_telemetry.sdk.license.exchange import Exchange, as_export, export_nonce
from calos_telemetry.sdk.license.keyring import KnownKeys
from calos_telemetry.sdk.license.lease import SignedAnswer
from calos_telemetry.sdk.license.verifier import Verifier
from calos_telemetry.sdk.report.erasures import Erasures
from calos_telemetry.sdk.report.ledger import ACKNOWLEDGED, Entry, Ledger

_OK = 200


class Courier:
    """Writes exports and takes answers, each of them any number of times."""

    def __init__(
        self, identity: Identity, verifier: Verifier, ledger: Ledger, erasing: Erasing, erasures: Erasures
    ) -> None:
        self._identity = identity
        self._verifier = verifier
        self._ledger = ledger
        self._erasing = erasing
        self._erasures = erasures

    def export(self, *, with_telemetry: bool, books: Books) -> tuple[ExportFile, Entry]:
        """Return the exchange that is due next as a file, and its entry in the ledger."""
        entry = self._verifier.seal_next(with_telemetry=with_telemetry, books=books)
        self._ledger.attempted(entry, now_ms(), "exported to a file")
        return as_export(Asking.VERIFY, entry.body, self._identity, key_id(self._verifier.root)), entry

    def take(self, answer: AnswerFile) -> str:
        """Take the vendor's answer in and say what it came to.

        Raises :class:`ProtocolError` or :class:`SignatureError`, in words, for one that is of another install, of
        another export, changed on the way, or older than what is here; then nothing has changed.
        """
        if answer.install_id != self._identity.install_id:
            raise ProtocolError(
                f"this answer is for install {answer.install_id}, and this is {self._identity.install_id}:"
                " take it there, or export here"
            )
        keys = self._verifier.known_keys()
        keys.offer(msgspec.json.encode(answer.keyring))
        return self._erased(answer, keys) if answer.asks is Asking.ERASE else self._verified(answer, keys)

    def _erased(self, answer: AnswerFile, keys: KnownKeys) -> str:
        asked = self._erasures.asked()
        if asked is None or digest(asked.body) != answer.request_digest:
            raise ProtocolError("this install has not asked for this erasure: export it first, with `erase --export`")
        self._of_this_export(answer, asked.body)
        base = answer_base(_OK, answer.request_digest, answer.nonce, answer.body.encode())
        check(keys.public_key(answer.kid, Use.ANSWER, now_ms()), base, answer.signature)
        self._erasing.take(answer.body)
        return "the vendor has erased the telemetry of this install; the receipt is kept"

    def _verified(self, answer: AnswerFile, keys: KnownKeys) -> str:
        entry = self._ledger.find(answer.request_digest)
        if entry is None:
            raise ProtocolError("this answer is to an export that is not in this ledger: export again")
        self._of_this_export(answer, entry.body)
        signed = SignedAnswer(
            status=_OK,
            request_digest=answer.request_digest,
            nonce=answer.nonce,
            body=answer.body,
            kid=answer.kid,
            signature=answer.signature,
        )
        done = Exchange(signed.opened(keys.public_key), signed)
        lease = done.answer.license.lease
        if entry.state == ACKNOWLEDGED and lease is not None and lease.number == self._verifier.held_lease():
            return "this answer was imported before: nothing has changed"
        return self._verifier.settle(entry, done).sentence

    def _of_this_export(self, answer: AnswerFile, body: bytes) -> None:
        if answer.nonce != export_nonce(body, self._identity):
            raise SignatureError("this answer is to another request than the one that was exported here: export again")

"""The last signed answer, kept word for word: what it says is checked again each time it is read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from calos_telemetry import private_files
from calos_telemetry.contract.keys import Use
from calos_telemetry.contract.report import VerifyAnswer, answer_base
from calos_telemetry.contract.signing import check
from calos_telemetry.errors import ProtocolError, SignatureError, StateError

KeyOf = Callable[[str, Use, int], Ed25519PublicKey]


class SignedAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """An answer with everything its signature covers, so that it proves itself at any later time."""

    status: int
    request_digest: str
    nonce: str
    body: str
    kid: str
    signature: str

    def opened(self, key_of: KeyOf) -> VerifyAnswer:
        """Return what the answer says.  Raises :class:`SignatureError` or :class:`ProtocolError`."""
        body = self.body.encode()
        try:
            answer = msgspec.json.decode(body, type=VerifyAnswer)
        except ValueError:
            raise ProtocolError("the server's answer is not in a form this version knows") from None
        key = key_of(self.kid, Use.ANSWER, answer.now)
        check(key, answer_base(self.status, self.request_digest, self.nonce, body), self.signature)
        if answer.nonce != self.nonce:
            raise SignatureError("the answer belongs to another request: its nonce differs")
        return answer


class LeaseFile:
    """The file that holds the last answer with a lease, mode 0600."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def load(self, key_of: KeyOf) -> VerifyAnswer | None:
        """Return the last answer; ``None`` where there is none or where it does not prove itself any more."""
        try:
            return msgspec.json.decode(private_files.read(self._path), type=SignedAnswer).opened(key_of)
        except (FileNotFoundError, StateError, SignatureError, ProtocolError, ValueError):
            return None

    def keep(self, signed: SignedAnswer) -> None:
        """Replace the kept answer."""
        private_files.write(self._path, msgspec.json.encode(signed))

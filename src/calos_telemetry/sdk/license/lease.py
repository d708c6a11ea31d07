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
from calos_telemetry.errors import CalosTelemetryError, ProtocolError, SignatureError
from calos_telemetry.sdk.license.state import NO

_NOBODY = ""  # the proof of no license key
LEASE = "lease.json"
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
        except (ValueError, RecursionError):
            raise ProtocolError("the server's answer is not in a form this version knows") from None
        key = key_of(self.kid, Use.ANSWER, answer.now)
        check(key, answer_base(self.status, self.request_digest, self.nonce, body), self.signature)
        if answer.nonce != self.nonce:
            raise SignatureError("the answer belongs to another request: its nonce differs")
        return answer


class KeptAnswer(SignedAnswer, frozen=True, kw_only=True):
    """An answer as it lies on the disk.

    ``about`` is the proof of the license key that was asked about (``None``: none), because an answer about one key says
    nothing about another.  It is not signed: whoever changes it makes the answer count for no key at all.
    """

    about: str | None


class Held(msgspec.Struct, frozen=True):
    """The last answer that gave a lease, and the license key (its proof) it is about."""

    answer: VerifyAnswer
    about: str | None

    @property
    def lease_number(self) -> int:
        """Return the number of its lease."""
        lease = self.answer.license.lease
        return lease.number if lease else 0


class LeaseFile:
    """The file that holds the last answer with a lease, mode 0600."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def exists(self) -> bool:
        """Whether any answer has been kept."""
        return self._path.exists()

    def load(self, key_of: KeyOf) -> tuple[Held | None, str | None]:
        """Return the last answer, or in words why the kept one proves nothing and is passed over."""
        try:
            kept = msgspec.json.decode(private_files.read(self._path), type=KeptAnswer)
            return Held(kept.opened(key_of), kept.about), None
        except FileNotFoundError:
            return None, None
        except CalosTelemetryError as error:
            return None, _passed_over(self._path, str(error))
        except (ValueError, RecursionError):
            return None, _passed_over(self._path, "it is damaged")

    def keep(self, signed: SignedAnswer, about: str | None) -> None:
        """Replace the kept answer by a newer one, given for the license key that ``about`` proves."""
        kept = KeptAnswer(**msgspec.structs.asdict(signed), about=about)
        private_files.write(self._path, msgspec.json.encode(kept))

    def forget(self) -> None:
        """Let the kept answer count for nothing, but for its number and, where it is the vendor's "no", for that.

        The number stays, so that no older lease is taken afterwards and the vendor sees no copied machine; what is
        damaged has none and goes altogether.  Raises :class:`StateError` when the file cannot be read or written.
        """
        try:
            kept = msgspec.json.decode(private_files.read(self._path), type=KeptAnswer)
            answer = msgspec.json.decode(kept.body.encode(), type=VerifyAnswer)
        except FileNotFoundError:
            return
        except (ValueError, RecursionError):
            private_files.delete(self._path)
            return
        if answer.license.code not in NO:
            private_files.write(self._path, msgspec.json.encode(msgspec.structs.replace(kept, about=_NOBODY)))


def refuse_older(answer: VerifyAnswer, held: Held | None) -> None:
    """Raise :class:`SignatureError` when ``answer`` offers a lease that is not newer: lease numbers only ever rise."""
    offered = answer.license.lease
    if held is not None and offered is not None and offered.number <= held.lease_number:
        raise SignatureError(f"the server offers lease {offered.number}, not newer than {held.lease_number}: refused")


def _passed_over(path: Path, why: str) -> str:
    return f"{path.name} is passed over until the next verification: {why}"

"""The kept answer and the kept keyring: they prove themselves anew each time, and never go back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.contract.vendor import BEGIN, END, ONLINE, ROOT, keyring

from calos_telemetry import private_files
from calos_telemetry.contract.keys import Keyring, Signed, Use, open_keyring, seal_keyring
from calos_telemetry.contract.report import (
    Lease,
    LicenseAnswer,
    NextCheck,
    TelemetryAnswer,
    VerifyAnswer,
    answer_base,
)
from calos_telemetry.contract.signing import key_id, sign
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import CalosTelemetryError, ProtocolError, SignatureError, TransportError
from calos_telemetry.sdk.license.keyring import KnownKeys
from calos_telemetry.sdk.license.lease import Held, KeyOf, LeaseFile, SignedAnswer, refuse_older
from calos_telemetry.sdk.license.transport import Response

NOW = (BEGIN + END) // 2
NONCE = "n" * 22
KID = key_id(ONLINE[Use.ANSWER].public_key())


def answer(number: int | None = 7, **changes: Any) -> VerifyAnswer:
    lease = None
    if number is not None:
        lease = Lease(number=number, tier=Tier.PRO, features=[], issued_at=NOW, expires_at=NOW + 1, grace_until=NOW + 2)
    whole = VerifyAnswer(
        v=1,
        now=NOW,
        nonce=NONCE,
        license=LicenseAnswer(code="VALID", tier=Tier.PRO, message="The license is valid.", lease=lease),
        telemetry=TelemetryAnswer(code="NONE"),
        next_check=NextCheck(not_before=NOW, not_after=NOW),
    )
    return msgspec.structs.replace(whole, **changes)


def signed(it: VerifyAnswer, key: Ed25519PrivateKey = ONLINE[Use.ANSWER], nonce: str = NONCE) -> SignedAnswer:
    body = msgspec.json.encode(it)
    signature = sign(key, answer_base(200, "d" * 64, nonce, body))
    return SignedAnswer(
        status=200, request_digest="d" * 64, nonce=nonce, body=body.decode(), kid=KID, signature=signature
    )


class Offering:
    """A server that offers one keyring document, or none, and counts how often it is asked."""

    def __init__(self, document: bytes | None) -> None:
        self.document = document
        self.asked = 0

    def verify(self, body: bytes, headers: object) -> Response:
        raise NotImplementedError

    def erase(self, body: bytes, headers: object) -> Response:
        raise NotImplementedError

    def keys(self) -> bytes:
        self.asked += 1
        if self.document is None:
            raise TransportError("the server could not be reached")
        return self.document


def ring(version: int, uses: tuple[Use, ...] = tuple(Use), root: Ed25519PrivateKey = ROOT) -> bytes:
    """Return a keyring document of ``version`` that knows the keys for ``uses`` only."""
    whole = open_keyring(keyring(), ROOT.public_key())
    keys = [key for key in whole.keys if key.use in uses]
    document = Keyring(v=1, version=version, issued_at=BEGIN, keys=keys)
    return msgspec.json.encode(seal_keyring(document, root))


@pytest.fixture
def key_of() -> KeyOf:
    return open_keyring(keyring(), ROOT.public_key()).public_key


def known(tmp_path: Path, server: Offering) -> KnownKeys:
    return KnownKeys(tmp_path / "keys.json", ROOT.public_key(), server)


def test_a_kept_answer_comes_back(tmp_path: Path, key_of: KeyOf) -> None:
    """What was kept is what is read, with the key it is about, from a file of its owner."""
    file = LeaseFile(tmp_path / "lease.json")
    assert file.load(key_of) == (None, None)
    assert not file.exists()
    file.keep(signed(answer()), "proof")
    assert file.load(key_of) == (Held(answer(), "proof"), None)
    assert (tmp_path / "lease.json").stat().st_mode & 0o777 == 0o600


def test_every_changed_byte_is_noticed(tmp_path: Path, key_of: KeyOf) -> None:
    """Flip any one byte of the file: either it is passed over in words, or only what is not signed has changed."""
    path = tmp_path / "lease.json"
    file = LeaseFile(path)
    file.keep(signed(answer()), "proof")
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        held, doubt = file.load(key_of)
        if held is None:
            assert doubt is not None
            assert doubt.startswith("lease.json is passed over until the next verification: ")
        else:
            assert held.answer == answer()


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff", b'{"a":' + b"[" * 100_000],
    ids=["empty", "cut", "list", "null", "binary", "deep"],
)
def test_garbage_is_passed_over(tmp_path: Path, key_of: KeyOf, content: bytes) -> None:
    """A file of anything else is said to be damaged and never raises."""
    private_files.write(tmp_path / "lease.json", content)
    held, doubt = LeaseFile(tmp_path / "lease.json").load(key_of)
    assert held is None
    assert doubt is not None


def test_a_file_that_others_can_read_is_passed_over(tmp_path: Path, key_of: KeyOf) -> None:
    """The sentence says how to mend it."""
    file = LeaseFile(tmp_path / "lease.json")
    file.keep(signed(answer()), None)
    (tmp_path / "lease.json").chmod(0o644)
    _, doubt = file.load(key_of)
    assert doubt is not None
    assert "chmod 600" in doubt


def test_an_answer_signed_by_another_key_is_refused(key_of: KeyOf) -> None:
    """Neither a stranger's signature nor that of another key of the vendor passes for the answer key's."""
    for key in (Ed25519PrivateKey.generate(), ONLINE[Use.RECEIPT], ONLINE[Use.LICENSE], ROOT):
        with pytest.raises(SignatureError):
            signed(answer(), key).opened(key_of)


def test_an_answer_to_another_request_is_refused(key_of: KeyOf) -> None:
    """A genuine answer that names another nonce was given to somebody else."""
    with pytest.raises(SignatureError, match="another request"):
        signed(answer(nonce="o" * 22)).opened(key_of)


@pytest.mark.parametrize("body", ["", "nonsense", "{}", "[" * 100_000, '{"v":' * 50_000])
def test_an_answer_of_another_form_is_refused(key_of: KeyOf, body: str) -> None:
    """Garbage, however deep it nests, is a protocol error before anything else is looked at."""
    with pytest.raises(ProtocolError):
        msgspec.structs.replace(signed(answer()), body=body).opened(key_of)


def test_lease_numbers_only_rise() -> None:
    """The same lease or an older one is refused; a newer one, none at all, and the first pass."""
    held = Held(answer(7), None)
    for number in (0, 6, 7):
        with pytest.raises(SignatureError, match="not newer than 7"):
            refuse_older(answer(number), held)
    refuse_older(answer(8), held)
    refuse_older(answer(None), held)
    refuse_older(answer(1), None)


def test_a_known_key_needs_no_network(tmp_path: Path) -> None:
    """The keyring is fetched once, kept 0600, and later lookups ask nobody, also after a restart."""
    server = Offering(ring(1))
    assert key_id(known(tmp_path, server).public_key(KID, Use.ANSWER, NOW)) == KID
    assert key_id(known(tmp_path, server).public_key(KID, Use.ANSWER, NOW)) == KID
    assert key_id(known(tmp_path, Offering(None)).cached_key(KID, Use.ANSWER, NOW)) == KID
    assert server.asked == 1
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600


def test_an_unknown_key_is_asked_for(tmp_path: Path) -> None:
    """After a rotation the newer keyring is fetched by itself and replaces the older one."""
    server = Offering(ring(1, (Use.LICENSE,)))
    keys = known(tmp_path, server)
    with pytest.raises(SignatureError):
        keys.public_key(KID, Use.ANSWER, NOW)
    server.document = ring(2)
    keys.public_key(KID, Use.ANSWER, NOW)
    assert msgspec.json.decode((tmp_path / "keys.json").read_bytes(), type=Signed) == msgspec.json.decode(
        ring(2), type=Signed
    )


def test_the_keyring_never_goes_back(tmp_path: Path) -> None:
    """An older keyring, which may hold a key that was taken back since, is refused and not kept."""
    server = Offering(ring(5, (Use.LICENSE,)))
    keys = known(tmp_path, server)
    with pytest.raises(SignatureError):
        keys.public_key(KID, Use.ANSWER, NOW)
    server.document = ring(4)
    with pytest.raises(SignatureError, match="older than 5"):
        keys.public_key(KID, Use.ANSWER, NOW)
    with pytest.raises(SignatureError, match="older than 5"):
        known(tmp_path, server).public_key(KID, Use.ANSWER, NOW)


@pytest.mark.parametrize(
    "document",
    [b"", b"<html>", b'{"payload":"","kid":"","signature":""}', b"[" * 100_000, b'{"x":' + b"[" * 100_000, ring(9, root=ONLINE[Use.ANSWER])],
    ids=["empty", "page", "blank", "deep", "deep field", "other root"],
)  # fmt: skip
def test_a_keyring_that_the_root_did_not_sign_is_refused(tmp_path: Path, document: bytes) -> None:
    """Garbage and other people's keyrings raise our own errors, are not kept, and do not displace what is known."""
    with pytest.raises(CalosTelemetryError):
        known(tmp_path, Offering(document)).public_key(KID, Use.ANSWER, NOW)
    assert not (tmp_path / "keys.json").exists()
    known(tmp_path, Offering(ring(1))).public_key(KID, Use.ANSWER, NOW)
    with pytest.raises(CalosTelemetryError):
        known(tmp_path, Offering(document)).public_key("unknown", Use.ANSWER, NOW)
    known(tmp_path, Offering(None)).public_key(KID, Use.ANSWER, NOW)


def test_a_damaged_keyring_file_is_fetched_again(tmp_path: Path) -> None:
    """A keyring on the disk that the root did not sign counts as none: nothing is believed by it, and it heals itself."""
    private_files.write(tmp_path / "keys.json", ring(9, root=ONLINE[Use.ANSWER]))
    with pytest.raises(SignatureError, match="no keyring of the pinned vendor"):
        known(tmp_path, Offering(None)).cached_key(KID, Use.ANSWER, NOW)
    known(tmp_path, Offering(ring(1))).public_key(KID, Use.ANSWER, NOW)
    known(tmp_path, Offering(None)).cached_key(KID, Use.ANSWER, NOW)


def test_a_key_signs_only_its_own_use_and_in_its_own_time(tmp_path: Path) -> None:
    """The answer key may sign no receipt, and nothing before it began or after it ended."""
    keys = known(tmp_path, Offering(ring(1)))
    for use, at in ((Use.RECEIPT, NOW), (Use.ANSWER, BEGIN - 1), (Use.ANSWER, END + 1)):
        with pytest.raises(SignatureError):
            keys.public_key(KID, use, at)

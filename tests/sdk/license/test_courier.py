"""The air gap: what would travel goes by file, and proves exactly as much."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from tests.sdk.license.far_side import DAY, Clock, FarSide, NearSide, broken_findings

from calos_telemetry.contract.courier import AnswerFile, read_answer, read_export, write_courier
from calos_telemetry.contract.signing import b64decode
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import CalosTelemetryError, ProtocolError, SignatureError
from calos_telemetry.server.rotation import rotate


@pytest.fixture
def silent(make: Callable[..., NearSide], far: FarSide) -> NearSide:
    """Return an Enterprise install behind an air gap, with telemetry switched off."""
    key = far.issue(Tier.ENTERPRISE, air_gapped=True).key
    return make("silent", license_key=key, telemetry_disabled=True)


def test_a_report_and_its_receipt_cross_the_gap(near: NearSide, far: FarSide) -> None:
    """The vendor stores the very rows; lease and receipt come back and hold, without one call over the wire."""
    exported = near.export()
    assert b64decode(read_export(exported).body) == near.ledger.pending()[0].body
    assert "report 1: accepted" in near.take(far.answer(exported))
    assert far.features() == {"pos_transaction": 1}
    assert near.states() == ["acknowledged"]
    assert broken_findings(near) == []
    assert near.state().tier is Tier.PRO
    assert near.wire.sent == []


def test_a_file_may_travel_for_weeks_and_more_than_once(near: NearSide, far: FarSide, time: Clock) -> None:
    """Exported again it is the same request; answered twice, the newer lease holds; imported twice, nothing changes."""
    first = near.export()
    time.now += 40 * DAY
    assert read_export(near.export()).body == read_export(first).body
    one, two = far.answer(first), far.answer(first)
    near.take(two)
    before = (near.settings.home / "lease.json").read_bytes()
    assert "nothing has changed" in near.take(two)
    with pytest.raises(SignatureError, match="not newer than 2: refused"):
        near.take(one)
    assert (near.settings.home / "lease.json").read_bytes() == before
    assert near.states() == ["acknowledged"]
    assert far.features() == {"pos_transaction": 1}


def test_the_next_export_goes_on_where_the_last_one_ended(near: NearSide, far: FarSide, time: Clock) -> None:
    """Rows that changed later travel with the next file, chained to the receipt before."""
    near.take(far.answer(near.export()))
    time.now += DAY
    near.use("later")
    near.take(far.answer(near.export()))
    assert far.features() == {"later": 1, "pos_transaction": 1}
    assert broken_findings(near) == []


def test_a_silent_install_exports_its_license_request_alone(silent: NearSide, far: FarSide, time: Clock) -> None:
    """With telemetry off no row is in the file; the lease holds a year, and nothing is due over the wire, ever."""
    silent.use("pos_transaction")
    silent.take(far.answer(silent.export(with_telemetry=False)))
    assert far.features() == {}
    for _ in range(12):
        time.now += 30 * DAY
        assert not silent.verifier.due(time.now)
        assert silent.state().tier is Tier.ENTERPRISE
        assert silent.state().warning is None
    told = silent.verify()
    assert not told.ok
    assert "air-gapped" in told.sentence
    assert silent.wire.sent == []


def test_a_revocation_crosses_the_gap(silent: NearSide, far: FarSide) -> None:
    """The vendor's no is as good by file as over the wire."""
    issued = far.issue(Tier.ENTERPRISE, air_gapped=True)
    revoked = NearSide(silent.settings.home.parent / "revoked", far, issued.key, telemetry_disabled=True)
    far.revoke(issued)
    revoked.take(far.answer(revoked.export(with_telemetry=False)))
    assert revoked.state().tier is Tier.COMMUNITY


def test_new_roots_cross_the_gap(silent: NearSide, far: FarSide, time: Clock) -> None:
    """The answer brings the keyring: an install that never asks for keys follows three rotations by file."""
    silent.take(far.answer(silent.export(with_telemetry=False)))
    for _ in range(3):
        time.now += 60 * DAY
        rotate(far.home, time.now, new_root=True)
    silent.take(far.answer(silent.export(with_telemetry=False)))
    assert silent.state().warning is None
    assert silent.verifier.held_lease() == 2


def test_an_answer_for_somebody_else_is_refused_in_words(
    make: Callable[..., NearSide], near: NearSide, far: FarSide
) -> None:
    """Of another install, to an export that is not here, or to an online request: each has its sentence, and nothing changes."""
    other = make("other")
    with pytest.raises(ProtocolError, match="this answer is for install"):
        near.take(far.answer(other.export()))
    answer = far.answer(near.export())
    empty = make("empty")
    empty.identity = near.identity
    with pytest.raises(ProtocolError, match="not in this ledger"):
        empty.take(answer)
    forged = msgspec.structs.replace(read_answer(answer), nonce="a" * 32)
    with pytest.raises(SignatureError, match="another request"):
        near.take(write_courier(forged))
    assert not (empty.settings.home / "lease.json").exists()


def test_files_of_the_wrong_kind_say_where_they_belong(near: NearSide, far: FarSide) -> None:
    """An export that is imported, an answer that is answered, and something else altogether."""
    exported = near.export()
    with pytest.raises(ProtocolError, match="the vendor answers it"):
        near.take(exported)
    with pytest.raises(ProtocolError, match="goes back to the install"):
        far.answer(far.answer(exported))
    for content in (b"", b"{}", b"\xff", b"[" * 100_000, b'{"file":"calos-export-v2"}'):
        with pytest.raises(ProtocolError, match="copy it again"):
            far.answer(content)


def test_a_request_for_verification_is_none_for_erasure(near: NearSide, far: FarSide) -> None:
    """The same bytes and signature under the other heading are refused: nobody on the way turns one into the other."""
    changed = near.export().replace(b'"asks": "verify"', b'"asks": "erase"')
    with pytest.raises(ProtocolError, match="the signature does not match"):
        far.answer(changed)
    answer = far.answer(near.export())
    with pytest.raises(ProtocolError, match="has not asked"):
        near.take(answer.replace(b'"asks": "verify"', b'"asks": "erase"'))


def test_every_flipped_bit_of_an_export_is_refused(near: NearSide, far: FarSide) -> None:
    """Exhaustive over the file as carried: a changed file is refused in words and leaves no trace at the vendor."""
    content = near.export()
    for broken in flipped(content):
        with pytest.raises(CalosTelemetryError):
            far.answer(broken)
    assert far.features() == {}


def test_every_flipped_bit_of_an_answer_is_refused(silent: NearSide, far: FarSide) -> None:
    """Exhaustive over the file as carried: a changed answer is refused, and the install is as it was before."""
    content = far.answer(silent.export(with_telemetry=False))
    for broken in flipped(content):
        with pytest.raises(CalosTelemetryError):
            silent.take(broken)
    assert silent.states() == ["sealed"]
    assert "valid" in silent.take(content)


def flipped(content: bytes) -> list[bytes]:
    """Return ``content`` with each of its bits flipped; between the tokens and in the empty list of roots nothing is said."""
    silent = content.index(b'"roots"') if b'"roots"' in content else len(content)
    assert len(content) < 10_000
    found = []
    for place in range(min(silent, len(content))):
        for bit in range(8):
            broken = bytearray(content)
            broken[place] ^= 1 << bit
            found.append(bytes(broken))
    return found


def test_an_answer_file_says_the_same_after_reading(near: NearSide, far: FarSide) -> None:
    """What is written is what is read."""
    answer = read_answer(far.answer(near.export()))
    assert isinstance(answer, AnswerFile)
    assert read_answer(write_courier(answer)) == answer

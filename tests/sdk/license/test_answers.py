"""What the vendor says, what comes of it at the install, and when it is asked again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from tests.sdk.license.far_side import (
    BOOKS,
    DAY,
    START,
    Clock,
    FarSide,
    NearSide,
    Server,
    answer_of,
    broken_findings,
    counts,
    down,
)

from calos_telemetry.contract.receipt import parse_receipt
from calos_telemetry.contract.report import VerifyAnswer
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.sdk.license.cadence import Plan
from calos_telemetry.sdk.license.transport import Response
from calos_telemetry.store.tables import features

Make = Callable[..., NearSide]


@pytest.mark.parametrize("hours", [-30, 30])
def test_a_wrong_clock_is_told_and_changes_nothing(near: NearSide, time: Clock, hours: int) -> None:
    """The vendor's clock differs by hours: the sentence says so, the license and the report stay, it is tried again soon."""

    def elsewhen(serve: Server, body: bytes, headers: Mapping[str, str]) -> Response:
        with time.at(time.now + hours * 3_600_000):
            return serve(body, headers)

    time.now += 3 * DAY
    near.wire.faults = [elsewhen]
    outcome = near.verify()
    assert (outcome.ok, outcome.code) == (False, "CLOCK")
    assert "minutes" in outcome.sentence
    assert near.states() == ["sealed"]
    assert near.verifier.state(time.now).tier is Tier.PRO
    assert near.verifier.due(time.now + 7 * 60_000)
    assert near.verify().ok


def test_a_copied_machine(near: NearSide, make: Make, far: FarSide) -> None:
    """The same install number under another key: the license holds with a warning, the telemetry is not taken, in words."""
    near.verify()
    clone = make("clone", license_key=near.settings.license_key)
    clone.identity = replace(clone.identity, install_id=near.identity.install_id)
    clone.use("copied")
    outcome = clone.verify()
    assert (outcome.code, outcome.tier) == ("FORKED", Tier.PRO)
    assert clone.states() == ["refused"]
    state = clone.verifier.state(START)
    assert state.tier is Tier.PRO
    assert state.warning is not None
    assert "copied" in state.warning
    assert far.features() == {"pos_transaction": 1}


def test_a_state_restored_from_a_backup(near: NearSide, far: FarSide, time: Clock, tmp_path: Path) -> None:
    """An older database and lease come back: the next report heals the numbers, and says that a report is missing here."""
    near.verify()
    near.engine.dispose()
    shutil.copytree(near.settings.home, tmp_path / "backup")
    near.use("forum")
    assert near.verify().ok
    near.engine.dispose()
    shutil.rmtree(near.settings.home)
    shutil.copytree(tmp_path / "backup", near.settings.home)
    time.now += DAY
    near.use("forum", "forum", "pos_transaction")
    outcome = near.verify()
    assert outcome.ok
    assert "not in this ledger" in outcome.sentence
    assert far.features() == counts(near.engine) == {"pos_transaction": 2, "forum": 2}
    assert broken_findings(near) == ["report 2: the receipt does not follow the one before"]
    near.use("forum")
    assert "not in this ledger" not in near.verify().sentence


def test_revoked_and_renewed(near: NearSide, far: FarSide, time: Clock) -> None:
    """The signed no takes the tier; a new key brings it back at once, without a restart, and is verified at once."""
    issued = far.issue()
    path = near.settings.home / "acme.lic"
    path.write_text(issued.key)
    near.settings = replace(near.settings, license_key=str(path))
    running = near.verifier
    assert running.verify(with_telemetry=True, books=BOOKS).tier is Tier.PRO
    far.revoke(issued)
    assert running.verify(with_telemetry=True, books=BOOKS).code == "REVOKED"
    revoked = running.state(time.now)
    assert revoked.tier is Tier.COMMUNITY
    assert revoked.warning is not None
    assert "unpaid" in revoked.warning
    assert not running.due(time.now)
    path.write_text(far.issue().key)
    assert running.state(time.now).tier is Tier.PRO
    assert running.due(time.now)
    assert running.verify(with_telemetry=True, books=BOOKS).code == "VALID"
    assert running.state(time.now).warning is None


def test_an_answer_about_the_key_before_says_nothing_of_this_one(near: NearSide, far: FarSide, time: Clock) -> None:
    """A report sealed under the revoked key is answered after the new key is in: that no is not about the new key."""
    issued = far.issue()
    near.settings = replace(near.settings, license_key=issued.key)
    near.wire.faults = [down]
    near.verify()
    far.revoke(issued)
    near.settings = replace(near.settings, license_key=far.issue().key)
    near.wire.faults = [lambda serve, body, headers: serve(body, headers), down]
    near.use("forum")
    near.verify()
    assert near.verifier.state(time.now).tier is Tier.PRO
    assert near.verify().code == "VALID"


def test_a_license_that_is_not_in_the_books(near: NearSide, far: FarSide) -> None:
    """A vendor that lost its books takes nothing away: the key itself goes on proving the tier."""
    with far.vendor.store.licenses.begin() as connection:
        connection.exec_driver_sql("DELETE FROM licenses")
    outcome = near.verify()
    assert outcome.code == "NOT_FOUND"
    assert near.verifier.state(START).tier is Tier.PRO
    assert far.features() == {"pos_transaction": 1}


def retold(change: Callable[[VerifyAnswer], VerifyAnswer], far: FarSide) -> Callable[..., Response]:
    """Return a vendor that signs something else than its server says."""

    def fault(serve: Server, body: bytes, headers: Mapping[str, str]) -> Response:
        return far.signed(body, headers, 200, msgspec.json.encode(change(answer_of(serve(body, headers)))))

    return fault


def without_receipt(answer: VerifyAnswer) -> VerifyAnswer:
    return msgspec.structs.replace(answer, telemetry=msgspec.structs.replace(answer.telemetry, receipt=None))


def altered_receipt(answer: VerifyAnswer) -> VerifyAnswer:
    receipt = answer.telemetry.receipt
    if receipt is None:  # a license check alone
        return answer
    altered = msgspec.structs.replace(receipt, text=receipt.text.replace("rejected=0", "rejected=1"))
    return msgspec.structs.replace(answer, telemetry=msgspec.structs.replace(answer.telemetry, receipt=altered))


def other_code(answer: VerifyAnswer) -> VerifyAnswer:
    return msgspec.structs.replace(
        answer, telemetry=msgspec.structs.replace(answer.telemetry, code="RETRY", receipt=None)
    )


@pytest.mark.parametrize("change", [without_receipt, altered_receipt, other_code], ids=lambda it: it.__name__)
def test_trouble_with_the_receipt_never_touches_the_license(
    near: NearSide, far: FarSide, change: Callable[[VerifyAnswer], VerifyAnswer]
) -> None:
    """The license answer is kept; the report stays sealed and is sent again, and makes room after ten attempts."""
    near.wire.always = retold(change, far)
    outcome = near.verify()
    assert (outcome.code, outcome.tier, outcome.receipt, outcome.ok) == ("VALID", Tier.PRO, None, False)
    assert near.states() == ["sealed"]
    assert near.verifier.state(START).warning is None
    for _ in range(9):
        near.verify()
    first = near.ledger.entry(1)
    assert first is not None
    assert (first.state, first.attempts) == ("withdrawn", 10)
    near.wire.always = None
    assert near.verify().ok
    assert far.features() == {"pos_transaction": 1}


def test_a_receipt_for_other_bytes_is_refused(near: NearSide, far: FarSide) -> None:
    """The vendor signs a receipt that says less than it got: it is not taken for a receipt."""

    def less(answer: VerifyAnswer) -> VerifyAnswer:
        receipt = answer.telemetry.receipt
        assert receipt is not None
        said = replace(parse_receipt(receipt.text), length=1)
        lie = far.vendor.keys.receipt(said)
        return msgspec.structs.replace(answer, telemetry=msgspec.structs.replace(answer.telemetry, receipt=lie))

    near.wire.faults = [retold(less, far)]
    assert "other bytes than were sent" in near.verify().sentence
    assert near.states() == ["sealed"]


def test_an_older_lease_is_refused(near: NearSide, far: FarSide) -> None:
    """Even a freshly signed answer does not bring an older lease back."""
    near.verify()
    near.verify()

    def older(answer: VerifyAnswer) -> VerifyAnswer:
        lease = answer.license.lease
        assert lease is not None
        license_ = msgspec.structs.replace(answer.license, lease=msgspec.structs.replace(lease, number=1))
        return msgspec.structs.replace(answer, license=license_)

    near.wire.faults = [retold(older, far)]
    assert "lease 1, not newer than 2" in near.verify().sentence


def test_telemetry_switched_off(near: NearSide, far: FarSide) -> None:
    """A report that waits is taken back, no report is sealed, and the license is verified all the same."""
    near.wire.faults = [down]
    near.verify()
    outcome = near.verify(with_telemetry=False)
    assert (outcome.ok, outcome.rows) == (True, 0)
    assert near.states() == ["withdrawn", "acknowledged"]
    assert near.wire.requests()[-1].telemetry is None
    taken_back = near.ledger.entry(1)
    assert taken_back is not None
    assert taken_back.outcome is not None
    assert "it was sent 1 times without an answer" in taken_back.outcome
    assert far.features() == {}


def secret_row(uses: int = 1) -> dict[str, object]:
    return {
        "feature": "mail to maria@bakery.example", "usage_count": uses, "first_used_at": START, "last_used_at": START,
        "revision": START + 1,
    }  # fmt: skip


def test_what_the_exit_gate_keeps_is_never_sent(near: NearSide, far: FarSide) -> None:
    """A row that no obfuscator has seen keeps its report here, with the reason; the others travel without it."""
    near.plant(features, secret_row())
    outcome = near.verify()
    assert outcome.ok
    assert outcome.sentence.endswith(
        "; report 1 was kept here by the exit gate: telemetry.features.feature looks like an e-mail address"
    )
    assert near.states() == ["quarantined", "acknowledged"]
    kept = near.ledger.entry(1)
    assert kept is not None
    assert kept.outcome == "kept here by the exit gate: telemetry.features.feature looks like an e-mail address"
    assert all(b"maria" not in msgspec.json.encode(request) for request in near.wire.requests())
    assert far.features() == {"pos_transaction": 1}
    near.use("forum")
    assert near.verify().ok
    assert near.states() == ["quarantined", "acknowledged", "acknowledged"]


def test_nothing_but_what_the_gate_keeps(make: Make, far: FarSide) -> None:
    """When every row is objected to, the license is verified alone, and it ends."""
    side = make()
    side.plant(features, secret_row())
    outcome = side.verify()
    assert (outcome.ok, outcome.rows) == (True, 0)
    assert side.verify().ok
    assert [request.telemetry for request in side.wire.requests()] == [None, None]
    assert side.states() == ["quarantined", "acknowledged", "acknowledged"]
    assert far.features() == {}


def test_a_check_that_waits_is_sent_again_while_it_says_what_holds(make: Make, far: FarSide) -> None:
    """Without news the same bytes are tried again; after the license changed they are taken back for new ones."""
    side = make()
    side.wire.always = down
    side.verify()
    side.verify()
    assert side.wire.sent[0][0] == side.wire.sent[1][0]
    side.settings = replace(side.settings, license_key=far.issue(Tier.ENTERPRISE).key)
    side.wire.always = None
    assert side.verify().tier is Tier.ENTERPRISE
    assert side.states() == ["withdrawn", "acknowledged"]


def test_the_next_moment_is_in_the_servers_window(near: NearSide, time: Clock) -> None:
    """Due within seconds of the first start, then not before the server's window, then once it is over."""
    running = near.verifier
    assert not running.due(time.now)
    assert running.due(time.now + 10_000)
    running.verify(with_telemetry=True, books=BOOKS)
    assert not running.due(time.now + 2 * DAY)
    assert running.due(time.now + 10 * DAY)
    time.now -= 30 * DAY
    assert running.due(time.now)


def test_a_failure_is_tried_again_within_minutes(near: NearSide, time: Clock) -> None:
    """The first retry comes one to seven minutes later; later ones back off, and a damaged plan begins anew."""
    near.wire.always = down
    running = near.verifier
    running.verify(with_telemetry=True, books=BOOKS)
    assert not running.due(time.now + 59_000)
    assert running.due(time.now + 7 * 60_000)
    path = near.settings.home / "plan.json"
    assert msgspec.json.decode(path.read_bytes(), type=Plan).failures == 1
    path.write_bytes(b"\xff")
    assert not running.due(time.now)
    assert running.due(time.now + 10_000)


def test_a_tampered_lease_is_passed_over_in_words(near: NearSide, time: Clock) -> None:
    """Whoever edits lease.json gains nothing: what it says is not believed, and the warning says that it was passed over."""
    near.verify()
    path = near.settings.home / "lease.json"
    path.write_bytes(path.read_bytes().replace(b"grace_until", b"grace_untiI"))
    state = near.verifier.state(time.now)
    assert state.tier is Tier.PRO
    assert state.warning is not None
    assert state.warning.startswith("lease.json is passed over until the next verification")
    assert near.verify().ok
    assert near.verifier.state(time.now).warning is None


def test_another_install_is_another_identity(make: Make, far: FarSide) -> None:
    """Two installs of one vendor keep their rows apart."""
    for name in ("one", "two"):
        side = make(name)
        side.use("pos_transaction")
        assert side.verify().ok
    with far.vendor.store.telemetry.connect() as connection:
        assert len(connection.execute(features.select()).all()) == 2

"""Verification against the real license server, over a wire that fails in every way a wire can."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from tests.sdk.license.far_side import (
    DAY,
    START,
    Clock,
    FarSide,
    NearSide,
    Server,
    broken_findings,
    counts,
    down,
    lost,
    only_without_telemetry,
)

from calos_telemetry.contract.keys import Use
from calos_telemetry.contract.receipt import NO_CHAIN, parse_receipt
from calos_telemetry.contract.report import inflate
from calos_telemetry.contract.signing import digest
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.sdk.license import verifier
from calos_telemetry.sdk.license.transport import Response
from calos_telemetry.sdk.report.build import build_report

Make = Callable[..., NearSide]


def test_one_exchange(near: NearSide, far: FarSide) -> None:
    """A first verification brings lease, receipt and rows, and says all of it in the outcome."""
    outcome = near.verify()
    assert (outcome.ok, outcome.code, outcome.tier, outcome.number) == (True, "VALID", Tier.PRO, 1)
    assert outcome.sentence == "The license is valid (pro); report 1: accepted"
    ((body, headers),) = near.wire.sent
    assert (outcome.bytes, outcome.digest) == (len(body), digest(body))
    assert headers["Calos-Install"] == near.identity.install_id
    entry = near.ledger.entry(1)
    assert entry is not None
    assert (entry.state, entry.body, entry.receipt, entry.rows) == ("acknowledged", body, outcome.receipt, outcome.rows)
    assert outcome.receipt is not None
    assert parse_receipt(outcome.receipt.text).previous == NO_CHAIN
    assert far.features() == {"pos_transaction": 1}
    state = near.verifier.state(START)
    assert (state.tier, state.warning) == (Tier.PRO, None)
    assert (near.settings.home / "lease.json").stat().st_mode & 0o777 == 0o600
    assert near.settings.license_key is not None
    assert near.settings.license_key.encode()[40:80] not in body


def test_a_check_without_news_is_in_the_ledger_too(near: NearSide, far: FarSide) -> None:
    """Every byte that leaves is visible: a mere license check has its line, and the next report goes on where the last ended."""
    near.verify()
    outcome = near.verify()
    assert (outcome.ok, outcome.rows, outcome.receipt, outcome.number) == (True, 0, None, 2)
    assert near.wire.requests()[1].telemetry is None
    near.use("forum")
    assert near.verify().number == 3
    report = near.wire.requests()[2].telemetry
    assert report is not None
    assert [row.feature for row in report.features] == ["forum"]
    first = near.ledger.entry(1)
    assert first is not None
    assert report.previous == first.chain()
    assert far.features() == {"pos_transaction": 1, "forum": 1}
    assert broken_findings(near) == []


def test_a_retry_repeats_the_bytes(near: NearSide, time: Clock) -> None:
    """The same frozen bytes travel again, under a new moment, a new nonce and a new signature; news waits its turn."""
    near.wire.faults = [down, down]
    assert not near.verify().ok
    near.use("forum")
    time.now += 60_000
    assert near.verify().sentence == "the server could not be reached: it is tried again"
    time.now += 60_000
    outcome = near.verify()
    assert outcome.ok
    bodies, headers = zip(*near.wire.sent, strict=True)
    assert bodies[0] == bodies[1] == bodies[2] != bodies[3]
    for name in ("Calos-Created", "Calos-Nonce", "Calos-Signature"):
        assert len({it[name] for it in headers[:3]}) == 3
    assert near.states() == ["acknowledged", "acknowledged"]
    first = near.ledger.entry(1)
    assert first is not None
    assert first.attempts == 3


def test_a_lost_answer_heals_itself(near: NearSide, far: FarSide) -> None:
    """The server got the report and its answer was lost: the repeat brings the same receipt, and nothing counts twice."""
    near.wire.faults = [lost]
    assert not near.verify().ok
    outcome = near.verify()
    assert outcome.ok
    assert "duplicate" in outcome.sentence
    assert far.features() == {"pos_transaction": 1}
    assert broken_findings(near) == []


def test_every_exchange_lost_once_and_the_rows_end_equal(near: NearSide, far: FarSide) -> None:
    """Each answer is lost once while features go on being used: the vendor ends with the install's own numbers."""
    for number in range(6):
        near.use("pos_transaction", f"feature_{number}")
        near.wire.faults = [lost, down]
        assert not near.verify().ok
        near.use("forum")
        assert not near.verify().ok
    assert near.verify().ok
    assert far.features() == counts(near.engine)
    assert broken_findings(near) == []


def changed_body(serve: Server, body: bytes, headers: Mapping[str, str]) -> Response:
    answer = serve(body, headers)
    return replace(answer, body=answer.body.replace(b"VALID", b"VALIP"))


def unsigned(serve: Server, body: bytes, headers: Mapping[str, str]) -> Response:
    return replace(serve(body, headers), headers={})


def bad_gateway(serve: Server, body: bytes, headers: Mapping[str, str]) -> Response:
    return replace(serve(body, headers), status=502)


def page(_serve: Server, _body: bytes, _headers: Mapping[str, str]) -> Response:
    return Response(200, {"content-type": "text/html"}, b"<html>please log in to the hotel's network</html>")


def page_refused(_serve: Server, _body: bytes, _headers: Mapping[str, str]) -> Response:
    return Response(413, {}, b'{"error":"TOO_LONG","sentence":"by a proxy"}')


def binary(_serve: Server, _body: bytes, _headers: Mapping[str, str]) -> Response:
    return Response(200, {"calos-signature": "kid.sig"}, b"\xff\xfe" * 1_000)


def deep(_serve: Server, _body: bytes, _headers: Mapping[str, str]) -> Response:
    return Response(200, {"calos-signature": "kid.sig"}, b'{"x":' + b"[" * 200_000)


FAULTS = [down, lost, changed_body, unsigned, bad_gateway, page, page_refused, binary, deep]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_what_proves_nothing_changes_nothing(near: NearSide, far: FarSide, fault: Callable[..., Response]) -> None:
    """Whatever comes back that is not the vendor's signed word: the license stays, the report stays sealed, one sentence tells."""
    near.verify()
    near.use("forum")
    lease = (near.settings.home / "lease.json").read_bytes()
    before = near.verifier.state(START)
    near.wire.always = fault
    outcome = near.verify()
    assert not outcome.ok
    assert "\n" not in outcome.sentence
    assert (outcome.code, outcome.receipt) == (None, None)
    assert near.verifier.state(START) == before
    assert (near.settings.home / "lease.json").read_bytes() == lease
    assert near.states() == ["acknowledged", "sealed"]
    near.wire.always = None
    assert near.verify().ok
    assert far.features() == {"pos_transaction": 1, "forum": 1}


def test_an_old_answer_played_again_is_refused(near: NearSide) -> None:
    """A genuine answer, recorded and played to a later request, is not believed."""
    taped: list[Response] = []

    def tape(serve: Server, body: bytes, headers: Mapping[str, str]) -> Response:
        taped.append(serve(body, headers))
        return taped[0]

    near.wire.always = tape
    assert near.verify().ok
    assert not near.verify().ok


def test_every_flipped_bit_of_an_answer_is_noticed(near: NearSide) -> None:
    """Flip a bit in each byte of the body and of the signature in turn: no such answer is believed."""
    places = iter(range(0, 900, 13))

    def flip(serve: Server, body: bytes, headers: Mapping[str, str]) -> Response:
        answer = serve(body, headers)
        signature = answer.headers["calos-signature"].encode()
        whole, place = bytearray(signature + answer.body), next(places)
        whole[place % len(whole)] ^= 1 << (place % 7)
        told = dict(answer.headers) | {"calos-signature": bytes(whole[: len(signature)]).decode("latin-1")}
        return replace(answer, headers=told, body=bytes(whole[len(signature) :]))

    near.wire.always = flip
    for _ in range(70):
        assert not near.verify().ok
    assert next(places, None) is None
    assert not (near.settings.home / "lease.json").exists()


def test_a_report_that_always_fails_does_not_stop_the_license(near: NearSide, far: FarSide, time: Clock) -> None:
    """After three attempts the license is verified alone; the report goes on being tried, and arrives when it can."""
    near.wire.always = only_without_telemetry
    assert [near.verify().code for _ in range(3)] == [None] * 3
    outcome = near.verify()
    assert (outcome.code, outcome.tier, outcome.ok) == ("VALID", Tier.PRO, False)
    assert "The license is valid (pro)" in outcome.sentence
    assert "the connection broke" in outcome.sentence
    assert (near.settings.home / "lease.json").exists()
    time.now += DAY
    near.wire.always = None
    near.use("forum")
    assert near.verify().ok
    assert far.features() == {"pos_transaction": 1, "forum": 1}
    assert set(near.states()) == {"acknowledged"}


def test_a_report_that_fails_for_ever_makes_room(near: NearSide, far: FarSide) -> None:
    """A proxy refuses the report each time, unsigned: after ten attempts it is taken back, and a later one carries its rows."""

    def proxy(serve: Server, body: bytes, headers: Mapping[str, str]) -> Response:
        return serve(body, headers) if b'"telemetry":null' in inflate(body) else Response(413, {}, b"too large")

    near.wire.always = proxy
    for _ in range(10):
        near.verify()
    first = near.ledger.entry(1)
    assert first is not None
    assert (first.state, first.attempts) == ("withdrawn", 10)
    assert first.outcome == "given up after 10 attempts: the license server answered 413: it is tried again"
    near.wire.always = None
    near.use("forum")
    assert near.verify().ok
    assert far.features() == counts(near.engine)
    assert broken_findings(near) == []


def test_an_outage_leaves_a_tidy_ledger(near: NearSide, far: FarSide, time: Clock) -> None:
    """Two weeks without a server: one report and one check wait, whatever is tried, and nothing is lost but a warning's worth."""
    near.verify()
    near.use("forum")
    near.wire.always = down
    for _ in range(14):
        time.now += DAY
        assert not near.verify().ok
    assert near.states() == ["acknowledged", "sealed", "sealed"]
    state = near.verifier.state(time.now)
    assert state.tier is Tier.PRO
    assert state.warning is not None
    near.wire.always = None
    assert near.verify().ok
    assert near.verifier.state(time.now).warning is None
    assert far.features() == counts(near.engine)
    assert broken_findings(near) == []


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_signed_refusal_of_the_bytes_is_final(near: NearSide, far: FarSide, status: int) -> None:
    """The vendor says, signed, that it cannot take these bytes: they are not sent again, and the license is verified alone."""

    def refuse(_serve: Server, body: bytes, headers: Mapping[str, str]) -> Response:
        return far.signed(body, headers, status, b'{"error":"TOO_LONG","sentence":"send fewer rows at a time"}')

    near.wire.faults = [refuse]
    outcome = near.verify()
    assert (outcome.code, outcome.tier) == ("VALID", Tier.PRO)
    assert "send fewer rows at a time" in outcome.sentence
    assert near.states() == ["refused", "acknowledged"]
    assert near.verify().ok
    assert far.features() == {"pos_transaction": 1}


@pytest.mark.parametrize("status", [401, 425, 429, 503])
def test_a_signed_refusal_that_may_pass(near: NearSide, far: FarSide, status: int) -> None:
    """A refusal that does not speak of the bytes leaves the report sealed, and tells the vendor's sentence."""

    def refuse(_serve: Server, body: bytes, headers: Mapping[str, str]) -> Response:
        return far.signed(body, headers, status, b'{"error":"BUSY","sentence":"try again later"}')

    near.wire.faults = [refuse]
    outcome = near.verify()
    assert not outcome.ok
    assert f"{status}: try again later" in outcome.sentence
    assert near.states() == ["sealed"]
    assert near.verify().ok


def test_only_one_process_verifies(near: NearSide) -> None:
    """While another process holds the lock nothing is sealed and nothing is sent."""
    near.verifier.due(START)
    descriptor = os.open(near.settings.home / ".verify", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        assert near.verify().sentence == "another process of this install is verifying at this moment"
    finally:
        os.close(descriptor)
    assert near.states() == []
    assert near.verify().ok


@pytest.mark.parametrize(("given", "word"), [(None, "not set"), ("damaged", "damaged")])
def test_without_a_vendor_key_nothing_leaves(make: Make, given: str | None, word: str) -> None:
    """Nothing is sent when no answer could be checked; the sentence says which setting, and it is never due."""
    side = make(vendor_key=given)
    side.use("pos_transaction")
    assert f"CALOS_VENDOR_KEY is {word}" in side.verify().sentence
    assert side.wire.sent == []
    assert side.states() == []
    assert not side.verifier.due(START + 365 * DAY)
    state = side.verifier.state(START)
    assert state.tier is Tier.COMMUNITY
    assert state.warning is not None


def test_a_long_history_arrives_in_one_verification(
    near: NearSide, far: FarSide, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than a report holds goes in several, one after the other, each with its receipt in one chain."""

    def small(*arguments: object, **options: object) -> object:
        return build_report(*arguments, **options, max_rows=6)  # type: ignore[arg-type]  # handed through as they come

    monkeypatch.setattr(verifier, "build_report", small)
    for number in range(8):
        near.use(f"feature_{number}")
    assert near.verify().ok
    assert len(near.wire.sent) > 2
    assert set(near.states()) == {"acknowledged"}
    assert far.features() == counts(near.engine)
    assert broken_findings(near) == []


def test_keys_come_when_they_are_needed(near: NearSide) -> None:
    """Without the vendor's keyring an answer cannot be checked and changes nothing; with it the same bytes succeed."""
    near.wire.keys_down = True
    assert not near.verify().ok
    assert near.states() == ["sealed"]
    near.wire.keys_down = False
    assert near.verify().ok
    near.wire.keys_down = True
    assert near.verify().ok
    keys = near.verifier.keys
    assert keys is not None
    receipt = near.ledger.entries(5)[-1].receipt
    assert receipt is not None
    keys.public_key(receipt.kid, Use.RECEIPT, START)

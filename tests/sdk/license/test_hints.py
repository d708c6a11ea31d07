"""What the vendor answers may make an install send less or later; nothing in an answer makes it collect or send more."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.sdk.license.far_side import BOOKS, FarSide, NearSide, Server

from calos_telemetry.contract.report import VerifyRequest, inflate
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.sdk.license.transport import Response
from calos_telemetry.sdk.policy.decision import Policy

POLICY = 'review_hours = 24\n[drop]\nfeatures = ["okapi"]\nfields = ["country"]\n'
_numbers = itertools.count()

HINTS: st.SearchStrategy[dict[str, Any]] = st.dictionaries(
    st.sampled_from(["level", "collect", "policy", "review_hours", "drop", "send", "settings", "telemetry_disabled"]),
    st.sampled_from(["events", True, False, 0, None, [], {"drop": {}}, {"review_hours": 0, "level": "events"}]),
    max_size=4,
)
CODES = st.sampled_from(["VALID", "COMMUNITY", "REVOKED", "EXPIRED", "DISABLED", "SEND_EVENTS", ""])
TOLD = st.sampled_from(["ACCEPTED", "NONE", "RETRY", "PARTIAL", "SEND_MORE", "REFUSED"])
TIERS = st.sampled_from([tier.value for tier in Tier])


def saying(far: FarSide, code: str, told: str, tier: str, hints: dict[str, Any]) -> Any:
    """Answer as the vendor does, with its signature, and with these words in it."""

    def answer(serve: Server, body: bytes, headers: Mapping[str, str]) -> Response:
        content = msgspec.json.decode(serve(body, headers).body)
        content |= {name: value for name, value in hints.items() if name not in content}
        content["license"] |= {"code": code, "tier": tier, **hints}
        content["telemetry"] |= {"code": told, **hints}
        return far.signed(body, headers, 200, msgspec.json.encode(content))

    return answer


@given(answer=st.tuples(CODES, TOLD, TIERS, HINTS), off=st.booleans())
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_answer_widens_anything(
    near: NearSide, far: FarSide, answer: tuple[str, str, str, dict[str, Any]], off: bool
) -> None:
    """Whatever a genuine answer says: the settings, the policy and the window are what they were; nothing that is
    withheld leaves, no report goes before its window is over, and none at all where telemetry is off."""
    home = near.settings.home.parent / f"hinted{next(_numbers)}"
    install = NearSide(home, far)
    (home / "policy.toml").write_text(POLICY)
    install.use("okapi", "heron")
    before = Policy(install.settings, Tier.COMMUNITY)
    install.wire.faults = [saying(far, *answer)] * 3
    for _ in range(4):
        install.verifier.verify(with_telemetry=not off, books=BOOKS)
        install.use("okapi")
    after = Policy(install.settings, Tier.COMMUNITY)
    assert after.file.restrictions == before.file.restrictions
    assert (after.file.review_hours, after.send(), after.collect("a.com")) == (
        24,
        before.send(),
        before.collect("a.com"),
    )
    sent = [inflate(body) for body, *_ in install.wire.sent]
    assert sent
    assert all(msgspec.json.decode(body, type=VerifyRequest).telemetry is None for body in sent)
    assert all(b"okapi" not in inflate(entry.body) for entry in install.ledger.entries())
    assert {*install.states()} <= {"sealed", "acknowledged", "withdrawn"}
    install.engine.dispose()

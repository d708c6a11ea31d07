"""The license decision for every combination of facts: we never block, and a signed "no" needs a reason."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.contract.license import License
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.server.verify.checks import CHECKS, Decision, Facts, decide

NOW = 1_000


def license_(tier: Tier, expires_at: int | None, domains: list[str]) -> License:
    return License(
        v=1, id="a" * 32, tier=tier, features=[], domains=domains, issued_at=1, expires_at=expires_at
    )  # fmt: skip


LICENSES = st.builds(
    license_,
    st.sampled_from([Tier.PRO, Tier.ENTERPRISE]),
    st.sampled_from([None, NOW - 1, NOW, NOW + 1]),
    st.sampled_from([[], ["a.example"]]),
)
FACTS = st.builds(
    Facts,
    at=st.just(NOW),
    license_id=st.none() | st.just("a" * 32),
    license_=st.none() | LICENSES,
    revoked_why=st.none() | st.text(min_size=1, max_size=600),
    domain=st.none() | st.sampled_from(["a.example", "b.example"]),
    domains=st.frozensets(st.sampled_from([f"{letter}.example" for letter in "abcdefg"])),
    other_key=st.booleans(),
).filter(
    # The book gives a license only to whom named and proved one, and a reason only with a license.
    lambda facts: (
        (facts.license_ is None or facts.license_id is not None)
        and (facts.revoked_why is None or facts.license_ is not None)
    )
)


@given(FACTS)
def test_no_state_takes_away_what_a_valid_key_proves(facts: Facts) -> None:
    """Forked, too many domains, a foreign host name: with a valid, unexpired, unrevoked license its tier stays."""
    license_ = facts.license_
    decision = decide(facts)
    if license_ is not None and facts.revoked_why is None and license_.valid_at(NOW):
        assert decision.tier is license_.tier
        assert decision.lease
    else:
        assert decision.tier is Tier.COMMUNITY


@given(FACTS)
def test_a_no_is_said_only_for_its_reason(facts: Facts) -> None:
    """REVOKED, EXPIRED and NOT_FOUND follow from the book alone; only what we cannot know gets no lease."""
    decision = decide(facts)
    assert (decision.code == "NOT_FOUND") == (facts.license_id is not None and facts.license_ is None)
    assert (decision.code == "REVOKED") == (facts.revoked_why is not None)
    if decision.code == "EXPIRED":
        assert facts.license_ is not None
        assert not facts.license_.valid_at(NOW)
    assert decision.lease == (decision.code != "NOT_FOUND")
    assert 20 < len(decision.sentence) <= 500
    assert "\n" not in decision.sentence or "\n" in (facts.revoked_why or "")


@given(FACTS)
def test_the_first_check_that_speaks_decides(facts: Facts) -> None:
    """The list is the order: nothing that comes later can change what was said."""
    said: list[Decision] = [found for _, check in CHECKS if (found := check(facts)) is not None]
    assert decide(facts) == said[0]


def test_the_order_is_the_documented_one() -> None:
    """A new check has a place in this list and in the documentation."""
    names = [name for name, _ in CHECKS]
    assert names == ["not found", "revoked", "expired", "forked", "copied", "community", "too many domains", "valid"]

"""Months of a real install and a real vendor: outages, revocations, other keys, and clocks that disagree.

What a single exchange must withstand is in ``test_verification`` and ``test_answers``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from sqlalchemy import create_engine
from tests.sdk.license.world import (
    Send,
    Shop,
    World,
    answering,
    down,
    installs,
    request,
    vendor_world,
)

from calos_telemetry.clock import MS_PER_DAY, MS_PER_HOUR
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.sdk.license.transport import Response

Make = Callable[..., Shop]
world, shop = vendor_world, installs


def test_two_weeks_without_the_vendor_cost_nothing(world: World, shop: Make) -> None:
    """A paying install keeps its tier through an outage of two weeks and longer, is warned once lease and grace are over,
    and the warning goes with the first answer."""
    install = shop(world.issue().key)
    assert install.verify().ok
    for day in range(1, 22):
        world.now += MS_PER_DAY
        install.verify(down)
        state = install.state()
        assert state.tier is Tier.PRO
        assert (state.warning is not None) == (day >= 14)
    assert install.verify().ok
    assert install.state().warning is None


def test_a_revocation_holds_until_the_vendor_takes_it_back(world: World, shop: Make) -> None:
    """The signed no makes it community, outage or not, and the next yes brings the tier back."""
    issued = world.issue()
    install = shop(issued.key)
    assert install.verify().ok
    world.revoke(issued)
    assert install.verify().code == "REVOKED"
    assert install.state().tier is Tier.COMMUNITY
    assert "revoked" in install.state().reason
    install.restart()
    install.verify(down)
    assert install.state().tier is Tier.COMMUNITY
    world.reinstate(issued)
    assert install.verify().code == "VALID"
    assert install.state().tier is Tier.PRO


def test_a_report_that_waited_for_an_old_key_does_not_decide_about_the_new_one(world: World, shop: Make) -> None:
    """Sealed while the old key held and never answered, a report still gets its receipt after the operator installed
    another key, and the license answer that counts is about that one."""
    old = world.issue()
    install = shop(old.key)
    install.happen(request())
    install.verify(down)
    (sealed,) = install.reports()
    world.revoke(old)
    install.restart(license_key=world.issue(Tier.ENTERPRISE).key)
    for _ in range(2):
        install.verify()
        assert install.state().tier is Tier.ENTERPRISE
    assert install.state().warning is None
    (report,) = install.reports()
    assert (report.body, report.state) == (sealed.body, "acknowledged")
    assert install.arrived() == install.rows()


@pytest.mark.parametrize("days", [-400, -1, 1, 400])
def test_a_wrong_clock_takes_nothing_and_is_told(world: World, shop: Make, days: int) -> None:
    """With the clock a day or a year off, the vendor says so, the tier stays, nothing counts as verified, and once the
    clock is right the next verification is due within minutes, not within the tier's period."""
    install = shop(world.issue(days=None).key)
    assert install.verify().ok
    install.happen(request())
    world.skew = days * MS_PER_DAY
    outcome = install.verify()
    assert (outcome.ok, outcome.code) == (False, "CLOCK")
    assert "clock" in outcome.sentence
    assert install.state().tier is Tier.PRO
    assert [entry.state for entry in install.reports()] == ["sealed"]
    world.skew = 0
    world.now += 10 * 60_000
    assert install.verifier.due(install.now)
    assert install.verify().ok
    assert install.arrived() == install.rows()


def test_a_clock_that_was_ahead_does_not_silence_the_install(world: World, shop: Make) -> None:
    """Planned while the clock was years ahead, a verification is due at once when the clock is right again."""
    install = shop(world.issue().key)
    world.skew = 1_000 * MS_PER_DAY
    install.verifier.due(install.now)
    install.verify(down)
    world.skew = 0
    assert install.verifier.due(install.now)


def test_a_clock_that_is_set_back_does_not_silence_the_install(world: World, shop: Make) -> None:
    """After a jump of the clock to years ago, a verification is due at once or within a period, not in years."""
    install = shop(world.issue().key)
    assert install.verify().ok
    world.skew = -1_000 * MS_PER_DAY
    assert install.verifier.due(install.now)


def test_a_clock_set_back_does_not_revive_an_expired_key(world: World, shop: Make) -> None:
    """The vendor's last signed moment is a floor under the clock: an expired key stays expired."""
    old = world.issue(days=30)
    install = shop(old.key)
    world.now += 60 * MS_PER_DAY
    assert install.verify().code == "EXPIRED"
    world.skew = -50 * MS_PER_DAY
    assert install.state().tier is Tier.COMMUNITY


def test_a_server_that_refuses_everything_changes_nothing(world: World, shop: Make) -> None:
    """Refusals of the license check itself are no news about the license, and do not fill the ledger."""
    install = shop(world.issue().key)
    install.happen(request())
    for _ in range(30):
        install.verify(answering(400))
        world.now += MS_PER_HOUR
    assert install.state().tier is Tier.PRO
    assert sum(len(entry.body) for entry in install.entries()) < 64 * 1024
    world.now += 8 * MS_PER_DAY
    assert install.verify().code == "VALID"
    install.verify()
    assert install.arrived() == install.rows()


def test_a_report_the_vendor_cannot_store_waits_and_the_license_is_answered(world: World, shop: Make) -> None:
    """The vendor's telemetry database fails: the license is verified all the same, and the same bytes get their receipt
    later."""
    install = shop(world.issue().key)
    install.happen(request())

    def failing(send: Send, body: bytes, headers: Mapping[str, str]) -> Response:
        works = world.vendor.store
        world.vendor.store = replace(works, telemetry=create_engine("sqlite:////nowhere/telemetry.db"))
        try:
            return send(body, headers)
        finally:
            world.vendor.store = works

    assert install.verify(failing).code == "VALID"
    (report,) = install.reports()
    assert report.state == "sealed"
    install.verify()
    assert install.reports()[0].state == "acknowledged"
    assert install.reports()[0].body == report.body


def test_a_check_without_news_does_not_send_everything_again(world: World, shop: Make) -> None:
    """After a verification that had nothing to report, the next report holds only what changed since the last receipt."""
    install = shop(world.issue().key)
    install.happen(*(request(f"/route/{name}") for name in "abcdefgh"))
    install.verify()
    world.now += MS_PER_DAY
    install.verify()
    world.now += MS_PER_DAY
    install.happen(request("/route/new"))
    install.verify()
    first, second = install.reports()
    assert second.from_revision == first.to_revision
    assert install.arrived() == install.rows()


def test_a_long_version_or_a_version_of_four_numbers_is_no_secret(world: World, shop: Make) -> None:
    """Versions that look like addresses or phone numbers keep neither the report nor the license check here."""
    for app in ("10.20.30.40", "2026.11.25.123456789", "1.0.dev20261125103000 (bob@acme.example)", "x" * 500):
        install = shop(world.issue().key)
        install.restart(app_version=app)
        install.happen(request())
        assert install.verify().ok, app
        assert install.reports()[0].state == "acknowledged"

"""The review window: a sealed report waits to be read, the license never does; and a veto keeps a report here."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.sdk.license.world import NO_BOOKS, Shop, World, installs, lost, request, vendor_world

from calos_telemetry.clock import MS_PER_HOUR
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import SettingsError

Make = Callable[..., Shop]
world, shop = vendor_world, installs


def reviewed(shop: Make, hours: float, key: str | None = None) -> Shop:
    install = shop(key)
    install.restart(review_hours=hours)
    install.happen(request(), request("/open"))
    return install


def test_a_report_waits_while_the_license_is_verified(world: World, shop: Make) -> None:
    """The license is answered at once, by a check of its own; the report goes with the first exchange after its window,
    byte for byte as it could be read."""
    install = reviewed(shop, 24)
    assert install.verify().ok
    (sealed,) = install.reports()
    assert (sealed.state, sealed.attempts) == ("sealed", 0)
    assert install.arrived() == rows_of_nothing(install)
    world.now += 24 * MS_PER_HOUR - 1
    assert install.verify().ok
    assert install.reports() == [sealed]
    world.now += 1
    assert install.verify().ok
    (gone,) = install.reports()
    assert (gone.state, gone.body) == ("acknowledged", sealed.body)
    assert install.arrived() == install.rows()


def rows_of_nothing(install: Shop) -> dict[str, set[object]]:
    return {name: set() for name in install.rows()}


def test_what_happens_meanwhile_waits_for_a_window_of_its_own(world: World, shop: Make) -> None:
    """The next report is sealed when the first one has gone, and waits in turn; in the end everything arrives."""
    install = reviewed(shop, 24)
    assert install.verify().ok
    install.happen(request("/later"))
    world.now += 25 * MS_PER_HOUR
    assert install.verify().ok
    assert [entry.state for entry in install.reports()] == ["acknowledged", "sealed"]
    world.now += 25 * MS_PER_HOUR
    assert install.verify().ok
    assert install.arrived() == install.rows()


def test_a_window_longer_than_the_cadence_does_not_look_like_a_copied_machine(world: World, shop: Make) -> None:
    """The report is older than the leases that came while it waited, an answer is lost, and the vendor suspects nobody."""
    install = reviewed(shop, 72)
    codes = []
    for day in range(20):
        install.happen(request(f"/day/{day % 3}"))
        if day % 5 == 4:
            install.verify(lost)
        codes.append(install.verify().code)
        world.now += 24 * MS_PER_HOUR
    assert set(codes) == {"COMMUNITY"}


def test_a_report_sealed_by_a_clock_that_was_ahead_is_sealed_again(world: World, shop: Make) -> None:
    """It would wait for a year; sealed again it waits for its window and arrives."""
    install = reviewed(shop, 24)
    world.skew = 400 * 24 * MS_PER_HOUR
    install.verify()
    world.skew = 0
    for _ in range(2):
        install.verify()
        world.now += 25 * MS_PER_HOUR
    assert install.verify().ok
    assert [entry.state for entry in install.reports()] == ["withdrawn", "acknowledged"]
    assert install.arrived() == install.rows()


def test_without_a_window_nothing_waits(shop: Make) -> None:
    """Zero hours is today's behaviour: the first exchange carries the report."""
    install = reviewed(shop, 0)
    assert install.verify().ok
    assert len(install.entries()) == 1
    assert install.arrived() == install.rows()


def test_the_longer_of_setting_and_file_counts(world: World, shop: Make) -> None:
    """The policy file may lengthen the window, never shorten it."""
    for setting, written in ((1, 24), (24, 1)):
        install = reviewed(shop, setting)
        (install.settings.home / "policy.toml").write_text(f"review_hours = {written}")
        install.restart()
        install.verify()
        world.now += 23 * MS_PER_HOUR
        install.verify()
        assert [entry.state for entry in install.reports()] == ["sealed"]


def test_a_vetoed_report_never_leaves_and_later_ones_begin_behind_it(world: World, shop: Make) -> None:
    """Enterprise may keep a report here: its rows leave only when they change again."""
    install = reviewed(shop, 24, world.issue(Tier.ENTERPRISE).key)
    install.verify()
    (sealed,) = install.reports()
    install.verifier.veto(sealed.number)
    world.now += 48 * MS_PER_HOUR
    assert install.verify().ok
    assert install.arrived() == rows_of_nothing(install)
    install.happen(request("/later"))
    install.verify()
    world.now += 48 * MS_PER_HOUR
    assert install.verify().ok
    assert {row[2] for row in install.arrived()["performance"]} <= {"GET", "/later"}
    assert "/open" not in repr(install.arrived())
    assert [entry.state for entry in install.reports()] == ["vetoed", "acknowledged"]


@pytest.mark.parametrize("tier", [None, Tier.PRO])
def test_where_telemetry_is_required_nothing_can_be_vetoed(world: World, shop: Make, tier: Tier | None) -> None:
    """Community and pro read a report before it goes, and cannot keep it."""
    install = reviewed(shop, 24, world.issue(tier).key if tier else None)
    install.verify()
    (sealed,) = install.reports()
    with pytest.raises(SettingsError, match="Enterprise"):
        install.verifier.veto(sealed.number)
    assert install.reports() == [sealed]


def test_only_a_report_that_waits_can_be_vetoed(world: World, shop: Make) -> None:
    """One that left, a license check, one that is not there: each gets its sentence."""
    install = reviewed(shop, 0, world.issue(Tier.ENTERPRISE).key)
    install.verify()
    with pytest.raises(SettingsError, match="it is acknowledged"):
        install.verifier.veto(1)
    with pytest.raises(SettingsError, match="there is no such report"):
        install.verifier.veto(99)


def test_an_export_respects_the_window(world: World, shop: Make) -> None:
    """What is carried by hand waits as well: a file holds the license check alone until the report was there to be read."""
    install = reviewed(shop, 24)
    entry = install.verifier.seal_next(with_telemetry=True, books=NO_BOOKS)
    assert entry.rows == 0
    world.now += 24 * MS_PER_HOUR
    assert install.verifier.seal_next(with_telemetry=True, books=NO_BOOKS).rows

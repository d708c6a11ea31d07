"""What an upgrade would newly send is known field by field before any of it is sent."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from sqlalchemy import select
from tests.sdk.license.world import NO_BOOKS, Shop, World, down, installs, request, vendor_world

from calos_telemetry.contract.catalogue import catalogue
from calos_telemetry.sdk.report import difference as module
from calos_telemetry.sdk.report.difference import difference
from calos_telemetry.store.install_tables import catalogues

Make = Callable[..., Shop]
world, shop = vendor_world, installs


def released_without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    """Make this version one that did not have these yet."""
    then = tuple(entry for entry in catalogue() if entry.name not in names)
    monkeypatch.setattr(module, "catalogue", lambda: then)


def test_an_upgrade_names_what_it_can_send_beyond_the_last_report(shop: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A counter and a field that came with the upgrade are new until a report that could hold them was acknowledged."""
    install = shop()
    install.happen(request())
    with monkeypatch.context() as old:
        released_without(old, "delivery", "stack")
        assert install.verify().ok
        assert difference(install.engine).new == ()
    found = difference(install.engine)
    assert (found.since, [f"{one.group}.{one.name}" for one in found.new]) == (
        1,
        ["counter.delivery", "telemetry_errors.stack"],
    )
    install.happen(request())
    install.verify(down)
    assert difference(install.engine) == found
    assert install.verify().ok
    assert difference(install.engine).new == ()


def test_what_went_is_named_too(shop: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that can send less says what is gone."""
    install = shop()
    install.happen(request())
    assert install.verify().ok
    released_without(monkeypatch, "os")
    assert {"counter.os"} <= set(difference(install.engine).gone)


def test_before_the_first_report_there_is_nothing_to_compare_with(shop: Make) -> None:
    """No report, or one that was not acknowledged: the difference says that it has none to compare with."""
    install = shop()
    assert difference(install.engine).since is None
    install.happen(request())
    install.verify(down)
    assert difference(install.engine).since is None


def test_the_list_is_kept_once_for_each_change(world: World, shop: Make) -> None:
    """Reports of one version share it, and looking at the next report leaves none behind."""
    install = shop()
    for _ in range(3):
        install.happen(request())
        install.verifier.upcoming(with_telemetry=True, books=NO_BOOKS)
        assert install.verify().ok
        world.now += 1_000
    with install.engine.connect() as connection:
        ((since, names),) = connection.execute(select(catalogues)).all()
    assert since == 1
    assert "counter.requests" in msgspec.json.decode(names)

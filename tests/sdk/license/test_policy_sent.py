"""The policy file at the last choke point: what it names is in no byte that leaves, however it got into the tables."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.sdk.license.world import Shop, World, down, installs, request, vendor_world

from calos_telemetry.contract.counters import COUNTERS, OF_ROWS
from calos_telemetry.contract.events import ErrorEvent, FeatureUsage, Performance
from calos_telemetry.contract.report import inflate
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.sdk.policy.file import CATEGORIES as EVENT_TYPES
from calos_telemetry.sdk.policy.file import OPTIONAL_FIELDS
from calos_telemetry.sdk.report.withheld import CATEGORIES

Make = Callable[..., Shop]
world, shop = vendor_world, installs

POLICY = """
[drop]
routes = ["/quagga/*"]
features = ["okapi"]
countries = ["CH"]
fields = ["browser", "metadata"]
error_texts = true
"""
NAMES = (b"quagga", b"okapi", b"axolotl", b"Firefox", b'"CH"', b"gold")


def happen(install: Shop) -> None:
    """Store what the policy names, often enough that none of it is rare, and as much that it does not name."""
    for at in ("/quagga/:id", "/open"):
        visit = request(at, feature="okapi", session="a" * 16, country="CH", browser="Firefox", duration_us=2_000_000)
        install.happen(*[visit] * 4, request(at, feature="heron", session="a" * 16))
        failure = ErrorEvent(category="other", name="KeyError", message="axolotl", stack=f"axolotl {at}", path=at)
        install.happen(*[failure] * 4)
    install.happen(
        FeatureUsage(feature="okapi", metadata={"plan": "gold"}),
        FeatureUsage(feature="heron", metadata={"plan": "gold"}),
        Performance(metric="transaction", duration_us=5, name="okapi"),
        Performance(metric="transaction", duration_us=5, name="okapi", success=False, error="other"),
    )


def sent(install: Shop) -> bytes:
    return b"".join(inflate(body) for body in install.wire.sent)


def test_what_is_named_is_in_no_byte_that_leaves(shop: Make) -> None:
    """Rows from before the file stay here, the others arrive; without the file every name would have left."""
    open_, closed = shop(), shop()
    for install in (open_, closed):
        happen(install)
    (closed.settings.home / "policy.toml").write_text(POLICY)
    closed.restart()
    for install in (open_, closed):
        assert install.verify().ok
    assert [name for name in NAMES if name not in sent(open_)] == []
    assert [name for name in NAMES if name in sent(closed)] == []
    assert b'"/open"' in sent(closed)
    assert b"heron" in sent(closed)


def test_a_report_that_waits_is_taken_back_when_the_file_names_what_it_holds(shop: Make) -> None:
    """Sealed and not answered before the file came, it never goes; one without what is named takes its place."""
    install = shop()
    happen(install)
    install.verify(down)
    install.wire.sent.clear()
    (install.settings.home / "policy.toml").write_text(POLICY)
    install.restart()
    assert install.verify().ok
    assert [name for name in NAMES if name in sent(install)] == []
    assert [entry.state for entry in install.reports()] == ["withdrawn", "acknowledged"]


def test_a_report_without_what_is_named_goes_on_waiting(shop: Make) -> None:
    """A file that names nothing of it changes none of its bytes."""
    install = shop()
    happen(install)
    install.verify(down)
    (install.settings.home / "policy.toml").write_text('[drop]\nfeatures = ["ibex"]')
    install.restart()
    assert install.verify().ok
    assert len({entry.digest for entry in install.reports()}) == 1


@pytest.mark.parametrize("category", sorted(EVENT_TYPES))
def test_without_a_category_its_counts_stay_here(world: World, shop: Make, category: str) -> None:
    """Enterprise may keep a whole category: no counter of it leaves."""
    install = shop(world.issue(Tier.ENTERPRISE).key)
    happen(install)
    (install.settings.home / "policy.toml").write_text(f"[drop]\ncategories = ['{category}']")
    install.restart()
    assert install.verify().ok
    assert [name for name in CATEGORIES[category] if f'"counter":"{name}"'.encode() in sent(install)] == []


def test_every_counter_belongs_to_a_category() -> None:
    """A new counter must say which events it counts, so that it can be taken away; but for those of our own work."""
    ours = OF_ROWS | {"overflow"}
    assert {counter.name for counter in COUNTERS} - ours == frozenset().union(*CATEGORIES.values())
    optional = {counter.name for counter in COUNTERS if not counter.required}
    assert optional <= OPTIONAL_FIELDS | {"choice", "slow_query"}


def test_a_name_that_was_cut_off_does_not_leave(shop: Make) -> None:
    """A pair of long names is cut to what a key holds; what is left of a withheld name stays here."""
    install = shop()
    first, second = "a" * 110, "okapi" + "b" * 110
    for _ in range(3):
        install.happen(request(feature=first, session="a" * 16), request(feature=second, session="a" * 16))
    (install.settings.home / "policy.toml").write_text(f'[drop]\nfeatures = ["{second}"]')
    install.restart()
    assert install.verify().ok
    assert b"okapi" not in sent(install)

"""Licenses: what may be issued, and that what is issued proves itself offline."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from calos_telemetry.clock import MS_PER_DAY, now_ms
from calos_telemetry.contract.license import open_license
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import LicenseError
from calos_telemetry.server import keys
from calos_telemetry.server.admin import licenses
from calos_telemetry.server.admin.licenses import Order
from calos_telemetry.server.keys import VendorKeys
from calos_telemetry.server.store import open_licenses
from calos_telemetry.settings import ServerSettings
from calos_telemetry.store.database import writing

NOW = now_ms()


def order(**changes: Any) -> Order:
    fields: dict[str, Any] = {"tier": Tier.PRO, "licensee": "ACME", "days": 30} | changes
    return Order(**fields)


@pytest.fixture
def held(home: Path) -> VendorKeys:
    """Return the vendor's keys."""
    return keys.load(home)


@pytest.fixture
def books(home: Path) -> Iterator[Connection]:
    """Return a write transaction on the licenses."""
    engine = open_licenses(ServerSettings(home=home))
    with writing(engine) as connection:
        yield connection
    engine.dispose()


def test_an_issued_license_proves_itself_offline(books: Connection, held: VendorKeys) -> None:
    """The key alone, under the pinned root, says all that was ordered, and not who ordered it."""
    wanted = order(domains=("shop.example.com",), features=("beta_reports",), air_gapped=True)
    issued = licenses.issue(books, held, wanted, NOW)
    document = open_license(issued.key, held.root)
    assert (document.id, document.tier, document.domains) == (issued.id, Tier.PRO, ["shop.example.com"])
    assert {"beta_reports", "white_label"} <= document.brings()
    assert document.expires_at == NOW + 30 * MS_PER_DAY
    assert document.air_gapped
    assert "ACME" not in str(document)


def test_the_list_is_newest_first_and_tells_each_state(books: Connection, held: VendorKeys) -> None:
    """Valid, expired and revoked are told apart at the moment of asking."""
    old = licenses.issue(books, held, order(days=1), NOW - 3 * MS_PER_DAY)
    new = licenses.issue(books, held, order(days=None), NOW)
    gone = licenses.issue(books, held, order(), NOW - 1)
    licenses.revoke(books, gone.id, "unpaid", NOW)
    listed = licenses.list_all(books)
    assert [(one.id, one.state(NOW)) for one in listed] == [
        (new.id, "valid"), (gone.id, "revoked"), (old.id, "expired")
    ]  # fmt: skip


def test_the_first_digits_find_a_license(books: Connection, held: VendorKeys) -> None:
    """A few digits are enough where they are unique, and say so where they are not."""
    issued = licenses.issue(books, held, order(), NOW)
    assert licenses.find(books, issued.id[:8].upper()).key == issued.key
    for wrong in ("", "abc", "xyz", "%", "_" * 8, issued.id + "0", "' or 1=1"):
        with pytest.raises(LicenseError, match="no license id"):
            licenses.find(books, wrong)
    absent = f"{(int(issued.id[:8], 16) + 1) % 16**8:08x}"
    with pytest.raises(LicenseError, match="license list"):
        licenses.find(books, absent)


def test_a_revocation_keeps_its_first_reason(books: Connection, held: VendorKeys) -> None:
    """Revoking needs a reason, and once is enough."""
    issued = licenses.issue(books, held, order(), NOW)
    with pytest.raises(LicenseError, match="needs a reason"):
        licenses.revoke(books, issued.id, "  ", NOW)
    licenses.revoke(books, issued.id, "unpaid", NOW)
    with pytest.raises(LicenseError, match="already: unpaid"):
        licenses.revoke(books, issued.id, "other", NOW + 1)
    assert licenses.find(books, issued.id).revoked_at == NOW


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"tier": Tier.COMMUNITY}, "needs none"),
        ({"tier": Tier.DEVELOPMENT}, "needs none"),
        ({"days": 0}, "over at once"),
        ({"days": -5}, "over at once"),
        ({"licensee": " "}, "needs the name"),
        ({"domains": ("https://shop.example.com",)}, "not a host name"),
        ({"domains": ("UPPER.example.com",)}, "not a host name"),
        ({"domains": ("a" * 254,)}, "not a host name"),
        ({"domains": tuple(f"s{number}.example" for number in range(6))}, "covers 5 domains, not 6"),
        ({"features": ("Not A Name",)}, "not a feature name"),
    ],
)
def test_what_no_license_may_say_is_refused(changes: dict[str, Any], said: str) -> None:
    """An order that makes no sense is refused before anything is signed."""
    with pytest.raises(LicenseError, match=said):
        order(**changes)


def test_enterprise_covers_any_number_of_domains() -> None:
    """The unlimited tier has no limit to break."""
    assert order(tier=Tier.ENTERPRISE, domains=tuple(f"s{number}.example" for number in range(60)))

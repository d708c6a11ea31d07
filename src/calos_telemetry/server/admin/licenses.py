"""License keys: issue, list, show, revoke."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy import Connection, Row, insert, select, update

from calos_telemetry.clock import MS_PER_DAY, date_of
from calos_telemetry.contract.license import License
from calos_telemetry.contract.tiers import LICENSED_TIERS, Tier, terms_of
from calos_telemetry.errors import LicenseError, StateError
from calos_telemetry.server.keys import VendorKeys
from calos_telemetry.store.vendor_tables import licenses

_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,62})(\.[a-z0-9]([a-z0-9-]{0,62}))*$")
_FEATURE = re.compile(r"[a-z][a-z0-9_]{0,79}$")
_PREFIX = re.compile(r"[0-9a-f]{4,32}$")


@dataclass(frozen=True, slots=True)
class Issued:
    """One license as the vendor keeps it.  Times are unix ms."""

    id: str
    tier: Tier
    licensee: str
    key: str
    issued_at: int
    expires_at: int | None
    revoked_at: int | None = None
    revoked_why: str | None = None

    def state(self, at: int) -> str:
        """Return ``valid``, ``expired`` or ``revoked``."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and at >= self.expires_at else "valid"


@dataclass(frozen=True, slots=True)
class Order:
    """What to issue.  ``days`` ``None`` means a license that does not expire."""

    tier: Tier
    licensee: str
    days: int | None
    domains: tuple[str, ...] = ()
    features: tuple[str, ...] = ()
    air_gapped: bool = False

    def __post_init__(self) -> None:
        """Refuse what no license may say.  Raises :class:`LicenseError`."""
        if self.tier not in LICENSED_TIERS:
            raise LicenseError(f"a license is for pro or enterprise: {self.tier.value} needs none")
        if self.days is not None and self.days <= 0:
            raise LicenseError(f"a license of {self.days} days would be over at once: give at least 1")
        if not self.licensee.strip():
            raise LicenseError("a license needs the name of its licensee")
        _refuse(self.domains, _HOST, "a host name such as shop.example.com")
        _refuse(self.features, _FEATURE, "a feature name such as api_access")
        limit = terms_of(self.tier).domains
        if limit is not None and len(self.domains) > limit:
            raise LicenseError(f"{self.tier.value} covers {limit} domains, not {len(self.domains)}")


def issue(connection: Connection, keys: VendorKeys, order: Order, now: int) -> Issued:
    """Sign a license for ``order``, store it, and return it with its key.

    Raises :class:`StateError` once the online keys have ended: nobody would believe what they sign.
    """
    if now > keys.valid_until:
        raise StateError(
            f"the online keys ended on {date_of(keys.valid_until)}: run `calos-telemetry keys rotate` first"
        )
    document = License(
        v=1,
        id=secrets.token_hex(16),
        tier=order.tier,
        features=list(order.features),
        domains=list(order.domains),
        issued_at=now,
        expires_at=None if order.days is None else now + order.days * MS_PER_DAY,
        air_gapped=order.air_gapped,
    )
    issued = Issued(
        id=document.id,
        tier=order.tier,
        licensee=order.licensee.strip(),
        key=keys.license_key(document),
        issued_at=now,
        expires_at=document.expires_at,
    )
    connection.execute(
        insert(licenses).values(
            license_id=issued.id,
            tier=issued.tier.value,
            licensee=issued.licensee,
            key=issued.key,
            issued_at=now,
            expires_at=issued.expires_at,
        )
    )
    return issued


def list_all(connection: Connection) -> list[Issued]:
    """Return every license, the newest first."""
    query = select(licenses).order_by(licenses.c.issued_at.desc(), licenses.c.license_id)
    return [_issued(row) for row in connection.execute(query)]


def find(connection: Connection, license_id: str) -> Issued:
    """Return the license whose id begins with ``license_id`` (4 digits or more).  Raises :class:`LicenseError`."""
    wanted = license_id.strip().lower()
    if not _PREFIX.match(wanted):
        raise LicenseError(f"{license_id!r} is no license id: give at least its first 4 hex digits")
    # A range rather than LIKE: its case and its wildcards differ between the engines.
    inside = licenses.c.license_id.between(wanted.ljust(32, "0"), wanted.ljust(32, "f"))
    rows = connection.execute(select(licenses).where(inside).limit(2)).all()
    if not rows:
        raise LicenseError(f"there is no license {license_id}: `calos-telemetry license list` names them all")
    if len(rows) > 1:
        raise LicenseError(f"more than one license begins with {license_id}: give more digits")
    return _issued(rows[0])


def revoke(connection: Connection, license_id: str, why: str, now: int) -> Issued:
    """Revoke a license.  The installs that use it learn it at their next verification.

    Raises :class:`LicenseError` when it is revoked already: the first moment and reason stay.
    """
    found = find(connection, license_id)
    if found.revoked_at is not None:
        raise LicenseError(f"license {found.id} is revoked already: {found.revoked_why}")
    if not why.strip():
        raise LicenseError("a revocation needs a reason, because the customer will ask for it")
    statement = update(licenses).where(licenses.c.license_id == found.id)
    connection.execute(statement.values(revoked_at=now, revoked_why=why.strip()))
    return find(connection, found.id)


def _issued(row: Row[tuple[object, ...]]) -> Issued:
    return Issued(
        id=row.license_id,
        tier=Tier(row.tier),
        licensee=row.licensee,
        key=row.key,
        issued_at=row.issued_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        revoked_why=row.revoked_why,
    )


def _refuse(values: Iterable[str], pattern: re.Pattern[str], wanted: str) -> None:
    for value in values:
        if not pattern.match(value):
            raise LicenseError(f"{value!r} is not {wanted}")

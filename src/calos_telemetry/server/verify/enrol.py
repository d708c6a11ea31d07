"""The vendor's book of installs: enrolled at the first verification, brought up to date at every later one."""

from __future__ import annotations

import hmac
from dataclasses import dataclass

from sqlalchemy import Connection, Row, insert, select, update

from calos_telemetry.clock import MS_PER_DAY
from calos_telemetry.contract.license import possession, read_unchecked
from calos_telemetry.contract.report import LicensePart
from calos_telemetry.server.verify.checks import Decision, Facts
from calos_telemetry.store.vendor_tables import installs, licenses

_LEAP = 1_000_000  # of lease numbers: more than any install sees, so a larger step is no honest one
_FORKS_AGAIN_MS = 90 * MS_PER_DAY  # one fork is a backup that was restored; a second one soon after, a copy
_IN_USE_MS = 30 * MS_PER_DAY  # twice the lease and grace of Pro: a host name that was given up counts no longer


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What the book says of the install, and the facts for the decision."""

    row: Row[tuple[object, ...]] | None
    facts: Facts


def look_up(connection: Connection, part: LicensePart, now: int) -> Enrolled:
    """Gather the facts about an install and the license it proves."""
    row = connection.execute(select(installs).where(installs.c.install_id == part.install_id)).one_or_none()
    license_row = _proven(connection, part)
    domain = part.domain.lower().rstrip(".") if part.domain else None
    facts = Facts(
        at=now,
        license_id=part.license_id,
        license_=None if license_row is None else read_unchecked(license_row.key),
        revoked_why=_revocation(license_row),
        domain=domain or None,
        domains=_domains(connection, part, domain, now - _IN_USE_MS),
        other_key=row is not None and row.install_key != part.install_key,
        copied=_forks(row, part) and row is not None and (row.forked_at or 0) > now - _FORKS_AGAIN_MS,
    )
    return Enrolled(row, facts)


def write_down(connection: Connection, enrolled: Enrolled, part: LicensePart, decision: Decision) -> int:
    """Enrol the install, or bring its line up to date; return the number of its next lease.

    The key that came first stays: another one never replaces it here.
    """
    row, facts = enrolled.row, enrolled.facts
    number = _next_number(0 if row is None else row.lease_number, part.lease_number)
    seen = {"lease_number": number, "last_seen_at": facts.at, "last_code": decision.code}
    seen["shown_number"] = part.lease_number or (0 if row is None else row.shown_number)
    if _forks(row, part):
        seen["forked_at"] = facts.at
    told = {
        "license_id": part.license_id if facts.license_ else None,
        "domain": facts.domain,
        "app": part.product.app,
        "sdk": part.product.sdk,
    }
    if row is None:
        first = {"install_id": part.install_id, "install_key": part.install_key, "first_seen_at": facts.at}
        connection.execute(insert(installs).values(first | told | seen))
    else:
        mine = installs.c.install_id == part.install_id
        connection.execute(update(installs).where(mine).values(seen if facts.other_key else told | seen))
    return number


def _forks(row: Row[tuple[object, ...]] | None, part: LicensePart) -> bool:
    """Say whether this request comes from another history than the last one.

    A machine that lost our answer shows the same lease again; one that got it shows the newest.  Showing another lease
    than the last request, and not the newest, takes two machines with one state directory, or a restored backup.  A
    report that waited for its operator to read it shows none.
    """
    return (
        row is not None
        and part.lease_number not in {0, row.shown_number, row.lease_number}
        and (part.lease_number < row.lease_number)
    )


def _next_number(stored: int, shown: int) -> int:
    """Rise above what the install has seen as well: our own database may have been restored from a backup."""
    return max(stored, shown if shown - stored <= _LEAP else 0) + 1


def _proven(connection: Connection, part: LicensePart) -> Row[tuple[object, ...]] | None:
    if part.license_id is None or part.proof is None:
        return None
    row = connection.execute(select(licenses).where(licenses.c.license_id == part.license_id)).one_or_none()
    if row is None or not hmac.compare_digest(possession(row.key, part.install_id), part.proof):
        return None
    return row


def _revocation(row: Row[tuple[object, ...]] | None) -> str | None:
    if row is None or row.revoked_at is None:
        return None
    return row.revoked_why or "no reason was given"


def _domains(connection: Connection, part: LicensePart, domain: str | None, since: int) -> frozenset[str]:
    """Return the host names that have used the license since ``since`` (unix ms), this one among them."""
    others = select(installs.c.domain).where(
        installs.c.license_id == part.license_id,
        installs.c.install_id != part.install_id,
        installs.c.domain.is_not(None),
        installs.c.last_seen_at >= since,
    )
    used = set() if part.license_id is None else {row.domain for row in connection.execute(others.distinct())}
    return frozenset(used | {domain} if domain else used)

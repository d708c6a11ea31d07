"""What is promised until when, and when the server wants to hear from the install again."""

from __future__ import annotations

import hashlib
import hmac

from calos_telemetry.clock import MS_PER_SECOND
from calos_telemetry.contract.license import License
from calos_telemetry.contract.report import CLOCK_TOLERANCE_MS, Lease, NextCheck
from calos_telemetry.contract.tiers import DAY, Tier, terms_of

_PARTS = 24  # the window is a 24th of the period wide: an hour of a day, seven hours of a week
_SCALE = 1 << 64
_AIR_GAPPED = 365 * DAY


def lease_for(tier: Tier, license_: License | None, number: int, now: int) -> Lease:
    """Return the lease ``number`` of ``tier``: it holds for one period, and its grace follows.

    An air-gapped install's holds for a year, because a person carries it.
    """
    terms = terms_of(tier)
    holds = _AIR_GAPPED if license_ is not None and license_.air_gapped else terms.verify_every or DAY
    expires_at = now + holds * MS_PER_SECOND
    features = license_.brings() if license_ is not None and license_.tier == tier else terms.features
    return Lease(
        number=number,
        tier=tier,
        features=sorted(features),
        issued_at=now,
        expires_at=expires_at,
        grace_until=expires_at + (terms.grace or 0) * MS_PER_SECOND,
    )


def next_check(tier: Tier, install_id: str, spread_key: bytes, now: int) -> NextCheck:
    """Return the window of the next verification: the next one of the install's own that is at least a third of a period away.

    Each install has one window in every period.  Its place is an HMAC of the install id, so that a fleet's calls are spread
    over the whole period, however many machines began at the same time.  A lease and its grace reach over two periods.
    """
    period = (terms_of(tier).verify_every or DAY) * MS_PER_SECOND
    place = int.from_bytes(hmac.digest(spread_key, install_id.encode(), hashlib.sha256)[:8])
    soonest = now + period // 3
    begin = soonest + (period * place // _SCALE - soonest) % period
    return NextCheck(not_before=begin, not_after=begin + period // _PARTS)


def soon(now: int) -> NextCheck:
    """Return the window after a wrong clock: as soon as it is mended."""
    return NextCheck(not_before=now, not_after=now + CLOCK_TOLERANCE_MS)

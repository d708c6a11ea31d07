"""A fleet of installs, each planning for itself: the license server never sees them all at once."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from calos_telemetry.contract.tiers import Tier
from calos_telemetry.sdk.license.cadence import Plan, after_answer, after_failure, first
from calos_telemetry.server.verify.lease import next_check

INSTALLS = 100_000
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
OUTAGE = range(3 * DAY + 9 * HOUR, 3 * DAY + 15 * HOUR)
END = 5 * DAY


def calls_of(number: int, start: int, chance: random.Random) -> Iterator[int]:
    """Yield the moments at which one community install calls until ``END``; its machine started at ``start``."""
    plan: Plan = first(start, chance.random())
    while (now := plan.due_at) < END:
        yield now
        if now in OUTAGE:
            plan = after_failure(plan, Tier.COMMUNITY, now, chance.random())
        else:
            window = next_check(Tier.COMMUNITY, f"{number:032x}", b"vendor", now)
            plan = after_answer(window, Tier.COMMUNITY, now, chance.random())


@pytest.mark.parametrize("started_within", [DAY, 10 * MINUTE], ids=["a_day", "ten_minutes"])
def test_a_fleet_stays_spread_and_comes_back_spread(started_within: int) -> None:
    """Of 100,000 installs that call once a day, the busiest minute sees at most three times the mean, and after an outage
    of six hours at most ten times; two days later all is as before.  It does not matter whether the machines were started
    over a day or, after a release, all within ten minutes."""
    chance = random.Random(11)  # noqa: S311 - the same fleet every time
    minutes = Counter(
        moment // MINUTE
        for number in range(INSTALLS)
        for moment in calls_of(number, int(chance.random() * started_within), chance)
    )
    mean = INSTALLS / (DAY / MINUTE)

    def busiest(begin: int, end: int) -> float:
        return max(minutes[minute] for minute in range(begin // MINUTE, end // MINUTE)) / mean

    assert busiest(DAY, OUTAGE.start) <= 3
    assert busiest(OUTAGE.start, END) <= 10
    assert busiest(END - 12 * HOUR, END) <= 3
    two_days = range(DAY // MINUTE, 3 * DAY // MINUTE)
    assert (
        sum(minutes[minute] for minute in two_days) >= 1.9 * INSTALLS
    )  # once a day each, the first up to 33 hours after the start

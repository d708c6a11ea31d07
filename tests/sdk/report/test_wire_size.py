"""What a day of a busy install weighs on the wire."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from tests.sdk.license.world import Shop, World, installs, vendor_world

from calos_telemetry.clock import MS_PER_DAY, MS_PER_HOUR
from calos_telemetry.contract.events import ApiRequest, ErrorEvent, Event, FeatureUsage

world, shop = vendor_world, installs

ROUTES, FEATURES, FAILURES, HOURS = 50, 20, 30, 24
REQUESTS = 20  # of each route in each hour
LIMIT = 14 * 1024
NOUNS = ("pos", "users", "orders", "forum", "crypto", "transcripts", "themes", "invoices", "plugins", "sync")


def hour_of_a_shop(noise: random.Random, hour: int) -> Iterator[Event]:
    """Yield the events of one hour: every route several times, with latencies of its own and now and then a failure."""
    for number in range(ROUTES):
        noun, verb = NOUNS[number % 10], ("", "/:id", "/:id/items", "/search", "/:id/status")[number // 10]
        for _ in range(REQUESTS):
            yield ApiRequest(
                method="POST" if verb == "/search" or noun == "crypto" else "GET",
                path=f"/api/{noun}{verb}",
                status=_status(noise, verb),
                duration_us=int(noise.lognormvariate(9 + number % 5, 0.7)),
                request_bytes=noise.randrange(2_000),
                response_bytes=noise.randrange(50_000),
                feature=f"{noun}_{number % FEATURES}",
                browser=noise.choice(("Firefox", "Chrome", "Safari", "Edge")),
                os=noise.choice(("Linux", "Windows", "macOS", "iOS", "Android")),
                country=noise.choice(("DE", "FR", "US", "GB", "NL", "IT", "ES", "SE")),
            )
    for number in range(FEATURES):
        yield FeatureUsage(feature=f"{NOUNS[number % 10]}_{number}")
    for number in range(FAILURES):
        if (number + hour) % 3 == 0:
            noun = NOUNS[number % 10]
            yield ErrorEvent(
                category=noise.choice(("database", "network", "timeout")),
                name=f"{noun.title()}Error",
                message=f"{noun} could not be read: connection to the database was closed by the server",
                stack=f"{noun.title()}Error\n  at app/{noun}.py in load\n  at app/{noun}.py in handle\n  at app/main.py in run",
                path=f"/api/{noun}/{':id' if number < 10 else 'search'}",
                method="GET",
                status=500,
            )


def _status(noise: random.Random, verb: str) -> int:
    """Return how a request ends: nearly always well, now and then by a failure, and on pages of one thing by a 404."""
    chance = noise.random()
    if chance < 0.002:
        return 500
    return 404 if chance < 0.02 and verb.startswith("/:id") else 200


def test_a_day_of_a_busy_install_is_small(
    world: World, shop: Callable[..., Shop], capsys: pytest.CaptureFixture[str]
) -> None:
    """50 routes in every hour of the day, 20 features and 30 kinds of failure make a report of at most 14 KB, of the 20 KB
    that a day may take."""
    install = shop(world.issue().key)
    midnight = world.now - world.now % MS_PER_DAY
    noise = random.Random(7)  # noqa: S311 - the same day every time
    requests = 0
    for hour in range(HOURS):
        events = list(hour_of_a_shop(noise, hour))
        requests += sum(isinstance(one, ApiRequest) for one in events)
        world.now = midnight + hour * MS_PER_HOUR
        install.happen(*events)
    world.now = midnight + MS_PER_DAY
    assert install.verify().ok
    assert install.arrived() == install.rows()
    size = sum(map(len, install.wire.sent))
    figure = f"{requests:,} requests a day: {install.reports()[0].rows} rows, {size:,} bytes on the wire"
    with capsys.disabled():
        print(f"\n{figure}")  # noqa: T201 - the figure is asked for
    assert size <= LIMIT, figure

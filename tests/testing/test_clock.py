"""A clock that stands still until the test moves it."""

from datetime import UTC, datetime, timedelta

import pytest

from calos_telemetry.clock import now_ms
from calos_telemetry.testing import frozen_clock

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)


def test_time_stands_moves_and_comes_back() -> None:
    """Inside the block it is as late as the test says, to the millisecond; behind it the real clock goes on."""
    before = now_ms()
    with frozen_clock(NOON) as clock:
        assert now_ms() == now_ms() == NOON.timestamp() * 1_000
        clock.move(days=1, seconds=0.5)
        assert now_ms() == (NOON + timedelta(days=1)).timestamp() * 1_000 + 500
        clock.move(hours=-48)
        assert clock.now == NOON - timedelta(days=1) + timedelta(seconds=0.5)
    assert now_ms() >= before


def test_the_clock_comes_back_after_a_failure() -> None:
    """A test that fails inside the block leaves no frozen clock to the next one."""
    with pytest.raises(ZeroDivisionError), frozen_clock(NOON):
        raise ZeroDivisionError
    assert now_ms() != NOON.timestamp() * 1_000


def test_a_time_without_a_zone_is_refused() -> None:
    """Noon is another moment in each zone."""
    with pytest.raises(ValueError, match="give one, such as tzinfo=UTC"), frozen_clock(NOON.replace(tzinfo=None)):
        pass

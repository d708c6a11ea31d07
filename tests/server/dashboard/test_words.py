"""Numbers in words."""

from __future__ import annotations

import pytest

from calos_telemetry.server.dashboard import words

NO_BREAK = "\u00a0"


@pytest.mark.parametrize(
    ("ms", "said"),
    [(0, "0.0 ms"), (3.21, "3.2 ms"), (120.4, "120 ms"), (1_500, "1.5 s"), (720_000, "12 min"), (10_109_000, "2.8 h")],
)
def test_durations_are_said_in_their_own_unit(ms: float, said: str) -> None:
    """Two digits are enough, and nobody has to divide."""
    assert words.duration(ms) == said.replace(" ", NO_BREAK)


@pytest.mark.parametrize(("share", "said"), [(0, "0.0 %"), (0.0001, "< 0.1 %"), (0.0123, "1.2 %"), (1, "100.0 %")])
def test_a_little_is_never_nothing(share: float, said: str) -> None:
    """A share that rounds to zero says that it is not zero."""
    assert words.share(share) == said.replace(" ", NO_BREAK)


def test_one_is_singular() -> None:
    """One install, two installs."""
    assert [words.counted(value, "install") for value in (0, 1, 1_200)] == ["0 installs", "1 install", "1,200 installs"]

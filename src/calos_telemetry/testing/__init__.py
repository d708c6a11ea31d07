"""For the tests of an application with our telemetry: what was recorded, a clock that stands, a license server, canaries.

Everything here is the real thing: events come out of the install's own database, answers are signed by a license server
process.  ``pytest_plugins = ["calos_telemetry.testing.plugin"]`` in a ``conftest.py`` makes fixtures of it.
"""

from calos_telemetry.testing.canaries import leaks
from calos_telemetry.testing.clock import FrozenClock, frozen_clock
from calos_telemetry.testing.events import Captured, CapturedEvent, capture_events
from calos_telemetry.testing.marks import Marks
from calos_telemetry.testing.vendor import Vendor, license_server

__all__ = [
    "Captured",
    "CapturedEvent",
    "FrozenClock",
    "Marks",
    "Vendor",
    "capture_events",
    "frozen_clock",
    "leaks",
    "license_server",
]

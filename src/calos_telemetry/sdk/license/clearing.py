"""The operator's "start anew": what the vendor last said is forgotten, the license key is not touched."""

from __future__ import annotations

from pathlib import Path

from calos_telemetry import private_files
from calos_telemetry.errors import StateError
from calos_telemetry.sdk.license.cadence import PLAN
from calos_telemetry.sdk.license.election import elected
from calos_telemetry.sdk.license.lease import LEASE, LeaseFile


def clear_lease(home: Path) -> None:
    """Forget the cached lease, so that the next verification starts anew, within two minutes.

    Raises :class:`StateError` while another process verifies, and where the state directory cannot be written.
    """
    with elected(home) as mine:
        if not mine:
            raise StateError("the license is being verified at this moment: try again in a few seconds")
        LeaseFile(home / LEASE).forget()
        private_files.delete(home / PLAN)

"""A license server for an integrator's test."""

from pathlib import Path

import pytest

from calos_telemetry import Settings, Telemetry
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import StateError
from calos_telemetry.testing import license_server


def test_an_install_verifies_against_it(tmp_path: Path) -> None:
    """An application with its key gets the tier, and the report that went with it has a receipt."""
    with license_server(tmp_path / "vendor") as vendor:
        settings = Settings(
            home=tmp_path / "home",
            public_host="shop.example.com",
            server=vendor.url,
            vendor_key=vendor.key,
            license_key=vendor.license("enterprise"),
        )
        telemetry = Telemetry(settings)
        assert telemetry.track_feature(None, "pos_transaction")
        telemetry.flush()
        telemetry.install.verify()
        assert telemetry.install.license_state().tier is Tier.ENTERPRISE
        telemetry.close()


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """A home that is no directory ends in one sentence, not in a test that waits."""
    (tmp_path / "vendor").write_text("no directory")
    with pytest.raises(StateError, match="server init failed"), license_server(tmp_path / "vendor"):
        pass

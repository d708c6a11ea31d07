"""Who asks: what an install says of itself, and that nothing of it can keep an exchange from leaving."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract.vendor import license_

from calos_telemetry.contract.report import LicensePart, VerifyRequest, freeze
from calos_telemetry.contract.signing import encode_public
from calos_telemetry.sdk.identity import Identity
from calos_telemetry.sdk.license.asking import license_part
from calos_telemetry.sdk.license.offline import HeldKey
from calos_telemetry.sdk.report.exit_gate import findings
from calos_telemetry.settings import Settings

IDENTITY = Identity("ab" * 16, Ed25519PrivateKey.from_private_bytes(b"i" * 32))


def part(key: HeldKey | None = None, **settings: Any) -> LicensePart:
    return license_part(Settings(home=Path("/nowhere"), **settings), IDENTITY, key or HeldKey(), 7)


def test_an_install_without_a_key() -> None:
    """It shows its number, its public key and its versions; no license and no proof."""
    told = part(app_version="1.2.3")
    assert (told.install_id, told.install_key) == (IDENTITY.install_id, encode_public(IDENTITY.key.public_key()))
    assert (told.license_id, told.proof, told.domain, told.lease_number) == (None, None, None, 7)
    assert told.product.app == "1.2.3"


def test_an_install_with_a_key() -> None:
    """It names the license and proves to hold its key, and no more."""
    told = part(HeldKey(license_(), "9" * 64))
    assert (told.license_id, told.proof) == (license_().id, "9" * 64)


@pytest.mark.parametrize(
    ("host", "domain"),
    [
        ("shop.example.com", "shop.example.com"),
        (" Shop.Example.COM. ", "shop.example.com"),
        ("shop.example.com:8443", "shop.example.com"),
        ("xn--bcker-gra.example", "xn--bcker-gra.example"),
        ("bäcker.example", None),
        ("maria@bakery.example", None),
        ("x" * 300, None),
        ("", None),
        (None, None),
    ],
)
def test_the_domain_is_a_host_name_or_nothing(host: str | None, domain: str | None) -> None:
    """The public host travels in one form, without a port; what is no host name stays."""
    assert part(public_host=host).domain == domain


@settings(deadline=None)
@given(version=st.text(max_size=300), host=st.none() | st.text(max_size=300))
def test_no_setting_keeps_the_license_check_here(version: str, host: str | None) -> None:
    """Whatever an operator configures as version and host: the request follows the schema and passes the exit gate."""
    request = VerifyRequest(v=1, license=part(app_version=version, public_host=host), telemetry=None)
    assert list(findings(freeze(request))) == []

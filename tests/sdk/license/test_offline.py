"""The configured license key, checked without any network."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.contract.vendor import ROOT, license_, license_key

from calos_telemetry.contract.license import possession
from calos_telemetry.contract.signing import encode_public
from calos_telemetry.sdk.license.offline import HeldKey, hold_license, read_license
from calos_telemetry.settings import Settings

VENDOR = encode_public(ROOT.public_key())
INSTALL_ID = "ab" * 16


def settings(tmp_path: Path, key: str | None, vendor_key: str | None = VENDOR) -> Settings:
    return Settings(home=tmp_path, license_key=key, vendor_key=vendor_key)


def problem(tmp_path: Path, key: str | None, vendor_key: str | None = VENDOR) -> str:
    """Return why the configured key proves nothing."""
    license_read, why = read_license(settings(tmp_path, key, vendor_key))
    assert license_read is None
    assert why is not None
    assert "\n" not in why
    return why


def test_no_key_is_no_problem(tmp_path: Path) -> None:
    """Without a configured key there is neither a license nor anything to complain of."""
    assert read_license(settings(tmp_path, None)) == (None, None)


def test_the_key_itself_or_a_file_that_holds_it(tmp_path: Path) -> None:
    """CALOS_LICENSE_KEY may be the key, with white space around it, or name a file: both prove the same."""
    text = license_key()
    file = tmp_path / "acme.lic"
    file.write_text(text)
    for given in (text, f"\n  {text}\n", str(file)):
        assert read_license(settings(tmp_path, given)) == (license_(), None)


def test_license_and_proof_come_from_one_reading(tmp_path: Path) -> None:
    """The proof for the vendor is that of the very key that was checked."""
    text = license_key()
    assert hold_license(settings(tmp_path, text), INSTALL_ID) == HeldKey(license_(), possession(text, INSTALL_ID))


@pytest.mark.parametrize("given", ["/no/such/file", "acme\0.lic", "x" * 5_000, "~nobody-of-that-name/acme.lic", "/"])
def test_a_file_that_cannot_be_read(tmp_path: Path, given: str) -> None:
    """A path that leads nowhere, or is none, is said in one sentence that says what to do."""
    why = problem(tmp_path, given)
    assert why.startswith("CALOS_LICENSE_KEY names a file that cannot be read")
    assert why.endswith("give the key or its file")


def test_a_damaged_key(tmp_path: Path) -> None:
    """A key that lost characters is called damaged, and the sentence never quotes it."""
    text = license_key()
    cut = text[: len(text) // 2] + text[len(text) // 2 + 8 :]
    why = problem(tmp_path, cut)
    assert "damaged" in why
    assert text[40:60] not in why


def test_a_file_without_a_key_in_it(tmp_path: Path) -> None:
    """A file of something else, however large or binary, is told from a key."""
    file = tmp_path / "photo.jpg"
    file.write_bytes(b"\xff\xd8" * 100_000)
    assert "no license key" in problem(tmp_path, str(file))


def test_a_key_of_another_vendor(tmp_path: Path) -> None:
    """A genuine key of somebody else proves nothing here."""
    other = encode_public(Ed25519PrivateKey.generate().public_key())
    assert "another vendor" in problem(tmp_path, license_key(), other)


def test_a_key_without_a_vendor_to_check_it(tmp_path: Path) -> None:
    """A license key without, or with a damaged, vendor key is a setting that is missing, and is named."""
    assert "CALOS_VENDOR_KEY is not" in problem(tmp_path, license_key(), None)
    assert "CALOS_VENDOR_KEY is damaged" in problem(tmp_path, license_key(), "not a key")

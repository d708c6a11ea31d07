"""Rotation: new keys beside the old ones, a new root that the old one names, and no moment in which nothing fits."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.server.install import Install, report

from calos_telemetry import private_files
from calos_telemetry.clock import MS_PER_DAY, now_ms
from calos_telemetry.contract.keys import Use, open_keyring
from calos_telemetry.contract.license import open_license, possession, with_keyring
from calos_telemetry.contract.signing import encode_public, key_id
from calos_telemetry.errors import LicenseError, StateError
from calos_telemetry.server import keys, rotation
from calos_telemetry.server.admin.licenses import Issued
from calos_telemetry.server.keys import VendorKeys
from calos_telemetry.server.rotation import root_file, rotate
from calos_telemetry.server.vendor import Vendor


def kids(held: VendorKeys) -> dict[Use, str]:
    return {use: key_id(key.public_key()) for use, key in held.online.items()}


def test_new_keys_begin_beside_the_old_ones(home: Path) -> None:
    """After sixty days all three are new; for thirty more the old ones may sign, as the keyring said from the beginning."""
    now = now_ms()
    before = keys.load(home)
    after = rotate(home, now + 60 * MS_PER_DAY)
    ring = open_keyring(after.keyring, after.root)
    assert ring.version == 2
    assert set(kids(before).values()).isdisjoint(kids(after).values())
    for use in Use:
        assert ring.public_key(kids(before)[use], use, now + 89 * MS_PER_DAY)
        assert ring.public_key(kids(after)[use], use, now + 60 * MS_PER_DAY)
    assert after.valid_until > now + 149 * MS_PER_DAY
    assert encode_public(after.root) == encode_public(before.root)


def test_a_new_root_needs_the_old_one_only_once(home: Path) -> None:
    """Three roots later the vendor's own files still fit, and each rotation asks for the root of its time."""
    first = keys.load(home)
    for _ in range(3):
        held = rotate(home, now_ms(), new_root=True)
    assert len(set(held.root_kids)) == 4
    assert held.root_kids[-1] == key_id(first.root)
    assert key_id(held.root) == held.root_kids[0]
    with pytest.raises(StateError, match="not the root that signed the present keyring"):
        rotate(home, now_ms(), root=root_file(home, 1))
    root_file(home, 4).rename(home.parent / "safe.pem")
    with pytest.raises(StateError, match="bring the root from its safe place"):
        rotate(home, now_ms())
    assert rotate(home, now_ms(), root=home.parent / "safe.pem").root_kids == held.root_kids


@pytest.mark.parametrize("new_root", [False, True])
@pytest.mark.parametrize("step", range(9))
def test_a_rotation_that_is_cut_short_anywhere_goes_on(
    home: Path, monkeypatch: pytest.MonkeyPatch, step: int, new_root: bool
) -> None:
    """Whichever write or rename is the last one, the keys fit at that moment, and repeating it ends with one rotation."""
    before = keys.load(home)
    left = [step]

    def counted(work: Callable[..., object]) -> Callable[..., object]:
        def stop_after(*arguments: object) -> object:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            return work(*arguments)

        return stop_after

    monkeypatch.setattr(private_files, "create_once", counted(private_files.create_once))
    monkeypatch.setattr(private_files, "write", counted(private_files.write))
    monkeypatch.setattr(Path, "replace", counted(Path.replace))
    with contextlib.suppress(KeyboardInterrupt):
        rotate(home, now_ms(), new_root=new_root)
    monkeypatch.undo()
    keys.load(home)
    held = keys.load(home) if set(kids(keys.load(home)).values()).isdisjoint(kids(before).values()) else None
    held = held or rotate(home, now_ms(), new_root=new_root)
    assert open_keyring(held.keyring, held.root).version == 2
    assert len(held.root_kids) == 1 + new_root
    assert set(kids(held).values()).isdisjoint(kids(before).values())


def test_a_running_server_takes_the_new_keys_by_itself(
    home: Path, vendor: Vendor, install: Callable[..., Install]
) -> None:
    """The very next answer is signed by the new key, and its receipt too; an install that pins an old root is served."""
    one = install()
    first = vendor.keys
    one.verify(report())
    held = rotate(home, now_ms(), new_root=True)
    wire_pinned_to_the_first_root = one.verify(report(number=2))
    assert wire_pinned_to_the_first_root.telemetry.receipt is not None
    assert wire_pinned_to_the_first_root.telemetry.receipt.kid == kids(held)[Use.RECEIPT] != kids(first)[Use.RECEIPT]


def test_keys_that_do_not_fit_yet_do_not_stop_a_running_server(home: Path, vendor: Vendor) -> None:
    """While somebody copies files about, the server goes on with the keys it has; then it takes the new ones."""
    before = vendor.keys
    whole = (home / "keyring.json").read_bytes()
    private_files.write(home / "keyring.json", b"{}")
    assert vendor.keys is before
    private_files.write(home / "keyring.json", whole)
    rotate(home, now_ms())
    assert kids(vendor.keys) != kids(before)


def test_a_license_key_shown_again_fits_every_root(home: Path, issue: Callable[..., Issued]) -> None:
    """One that was issued under the first root opens under the third, with the same proof, once it has today's keyring."""
    issued, first = issue(), keys.load(home)
    for _ in range(2):
        held = rotation.rotate(home, now_ms(), new_root=True)
    shown = with_keyring(issued.key, held.keyring)
    assert open_license(shown, first.root) == open_license(issued.key, first.root)
    assert possession(shown, "a" * 32) == possession(issued.key, "a" * 32)
    with pytest.raises(LicenseError, match="another vendor"):
        open_license(shown, held.online[Use.LICENSE].public_key())
    license_ = open_license(shown, first.root)
    assert license_.id == issued.id


def test_keys_that_ended_issue_nothing_until_they_are_renewed(home: Path, issue: Callable[..., Issued]) -> None:
    """A license that no install would believe is not sold; the sentence names the command, and after it all is well."""
    late = now_ms() + 91 * MS_PER_DAY
    with pytest.raises(StateError, match="run `calos-telemetry keys rotate` first"):
        issue(at=late)
    held = rotate(home, late)
    assert open_license(issue(at=late).key, held.root).issued_at == late

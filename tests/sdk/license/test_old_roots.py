"""An install that was away while the vendor's keys were renewed, roots and all."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from tests.sdk.license.far_side import DAY, Clock, FarSide, NearSide, broken_findings

from calos_telemetry.contract.keys import SignedKeyring, open_keyring, seal_keyring
from calos_telemetry.contract.signing import parse_private
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.server.rotation import root_file, rotate


@pytest.mark.parametrize("roots", [0, 1, 3])
def test_an_install_three_roots_behind_still_works(near: NearSide, far: FarSide, time: Clock, roots: int) -> None:
    """It pins the first root and holds the first keyring; its license, lease, report and old receipts all hold."""
    assert near.verify().ok
    for _ in range(max(roots, 1)):
        time.now += 60 * DAY
        rotate(far.home, time.now, new_root=roots > 0)
    near.use("later")
    outcome = near.verify()
    assert outcome.ok, outcome.sentence
    assert near.state().tier is Tier.PRO
    assert near.state().warning is None
    assert broken_findings(near) == []


def test_a_license_key_issued_under_a_later_root_is_proved_offline(
    make: Callable[..., NearSide], far: FarSide, time: Clock
) -> None:
    """An install that pins the first root takes a key that the third one's vendor issues, without any network."""
    pinned = make()
    for _ in range(3):
        rotate(far.home, time.now, new_root=True)
    renewed = make("renewed", license_key=far.issue(Tier.ENTERPRISE).key, vendor_key=pinned.settings.vendor_key)
    assert renewed.state().tier is Tier.ENTERPRISE


def test_a_root_that_retired_signs_no_keyring_any_more(near: NearSide, far: FarSide, time: Clock) -> None:
    """Whoever steals the first root after its successor is known cannot bring an install back under it."""
    assert near.verify().ok
    stolen = parse_private(root_file(far.home, 1).read_bytes())
    held = rotate(far.home, time.now, new_root=True)
    assert near.verify().ok
    newer = msgspec.structs.replace(open_keyring(held.keyring, held.root), version=99, keys=[])
    forged = msgspec.json.encode(seal_keyring(newer, stolen))
    before = (near.settings.home / "keys.json").read_bytes()
    near.wire.keyring = forged
    rotate(far.home, time.now)
    assert not near.verify().ok
    assert (near.settings.home / "keys.json").read_bytes() == before
    near.wire.keyring = None
    assert near.verify().ok
    assert msgspec.json.decode((near.settings.home / "keys.json").read_bytes(), type=SignedKeyring).roots

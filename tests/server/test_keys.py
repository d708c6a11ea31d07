"""The key ceremony: made once, private, and refused when something does not fit."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from calos_telemetry.clock import MS_PER_DAY, now_ms
from calos_telemetry.contract.keys import Use, open_keyring
from calos_telemetry.contract.signing import encode_public
from calos_telemetry.errors import SignatureError, StateError
from calos_telemetry.server import keys


def test_the_ceremony_is_held_once(tmp_path: Path) -> None:
    """Repeating it, also without the root that was moved offline, changes nothing."""
    first = keys.init(tmp_path, now_ms())
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    (tmp_path / "root.pem").rename(tmp_path / "offline.pem")
    second = keys.init(tmp_path, now_ms() + MS_PER_DAY)
    assert encode_public(first.root) == encode_public(second.root)
    assert not (tmp_path / "root.pem").exists()
    assert all(path.read_bytes() == content for path, content in before.items() if path.name != "root.pem")


def test_nobody_else_may_read_what_it_makes(tmp_path: Path) -> None:
    """Every file is 0600 and every directory 0700."""
    home = tmp_path / "home"
    keys.init(home, now_ms())
    for path in (home, *home.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600), path


def test_a_ceremony_that_was_cut_short_goes_on(tmp_path: Path) -> None:
    """Whatever was made before the interruption is kept: the root that was printed somewhere stays the root."""
    whole = keys.init(tmp_path, now_ms())
    (tmp_path / "keyring.json").unlink()
    (tmp_path / "keys" / "receipt.pem").unlink()
    with pytest.raises(StateError, match="server init"):
        keys.load(tmp_path)
    again = keys.init(tmp_path, now_ms())
    assert encode_public(again.root) == encode_public(whole.root)


def test_online_keys_hold_ninety_days_and_each_its_own_use(tmp_path: Path) -> None:
    """A key signs what it is for, within its time, and nothing else; a clock slightly behind accepts it."""
    now = now_ms()
    held = keys.init(tmp_path, now)
    keyring = open_keyring(held.keyring, held.root)
    for key in keyring.keys:
        assert keyring.public_key(key.kid, key.use, now - 10 * 60_000)
        for use in Use:
            if use != key.use:
                with pytest.raises(SignatureError):
                    keyring.public_key(key.kid, use, now)
        with pytest.raises(SignatureError):
            keyring.public_key(key.kid, key.use, now + 91 * MS_PER_DAY)
    assert held.valid_until == pytest.approx(now + 90 * MS_PER_DAY, abs=2 * 3_600_000)


def test_without_a_ceremony_the_next_step_is_named(tmp_path: Path) -> None:
    """An empty home says which command is missing."""
    with pytest.raises(StateError, match="run `calos-telemetry server init` first"):
        keys.load(tmp_path)


def damage_keyring(home: Path) -> None:
    (home / "keyring.json").write_bytes(b"{}")


def swap_root(home: Path) -> None:
    other = keys.init(home.parent / "other", now_ms())
    (home / "root.pub").write_text(encode_public(other.root))


def swap_online(home: Path) -> None:
    (home / "keys" / "answer.pem").write_bytes((home / "keys" / "receipt.pem").read_bytes())


def damage_pem(home: Path) -> None:
    (home / "keys" / "answer.pem").write_bytes(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")


def loosen(home: Path) -> None:
    (home / "keys" / "answer.pem").chmod(0o644)


def flip_signature(home: Path) -> None:
    document = msgspec.json.decode((home / "keyring.json").read_bytes())
    document["signature"] = document["signature"][::-1]
    (home / "keyring.json").write_bytes(msgspec.json.encode(document))


@pytest.mark.parametrize("harm", [damage_keyring, swap_root, swap_online, damage_pem, loosen, flip_signature])
def test_keys_that_do_not_fit_are_refused_in_words(tmp_path: Path, harm: object) -> None:
    """Damaged, swapped, forged or readable by others: one sentence that names the file and what to do."""
    home = tmp_path / "home"
    keys.init(home, now_ms())
    assert callable(harm)
    harm(home)
    with pytest.raises(StateError, match=r"restore|chmod 600"):
        keys.load(home)

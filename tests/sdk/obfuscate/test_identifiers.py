"""Keyed hashes of users and sessions, and the secrets they need."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
import subprocess
import sys
import uuid
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any, NoReturn

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.errors import StateError
from calos_telemetry.sdk.obfuscate import identifiers, obfuscate_user_id
from calos_telemetry.sdk.obfuscate.identifiers import DailyKeys, Identifiers, load_secret

SECRET = bytes(range(32))
OTHER_SECRET = bytes(32)
HASH = re.compile(r"[0-9a-f]{16}")
TODAY = date(2026, 11, 23)


def test_is_a_keyed_hash() -> None:
    """The hash is HMAC-SHA-256 under a key derived for users, cut to 16 hexadecimal digits."""
    key = hmac.digest(SECRET, b"calos user\0", "sha256")

    assert obfuscate_user_id("user_123", SECRET) == hmac.new(key, b"user_123", hashlib.sha256).hexdigest()[:16]


IDENTIFIER = uuid.UUID("0f8fad5b-d9cb-469f-a165-70867728950e")


@pytest.mark.parametrize(
    ("one", "same"),
    [
        (7, "7"),
        ("7", b"7"),
        (" 7 ", "7"),
        (IDENTIFIER, str(IDENTIFIER)),
        (IDENTIFIER, str(IDENTIFIER).encode()),
        (b"7", bytearray(b"7")),
    ],
)
def test_same_user_same_hash(one: object, same: object) -> None:
    """An identifier has one hash, in whatever type it arrives."""
    assert obfuscate_user_id(one, SECRET) == obfuscate_user_id(same, SECRET)


def forbidden(*_: object) -> NoReturn:
    """Stand in every place where a stranger's code could run."""
    pytest.fail("a stranger's code was run")


def refused(*_: object) -> NoReturn:
    """Fail as a stranger's code may."""
    raise RuntimeError


Hostile = type("Hostile", (), dict.fromkeys(("__str__", "__repr__", "__bytes__", "__index__"), forbidden))


@pytest.mark.parametrize(
    "make", [lambda: None, str, bytes, lambda: "  ", lambda: True, lambda: 1.5, list, Hostile, lambda: 10**5000]
)
def test_no_user(make: Callable[[], object]) -> None:
    """Nothing, emptiness and what is no identifier have no hash."""
    assert obfuscate_user_id(make(), SECRET) is None
    assert Identifiers(SECRET).user(make()) is None
    assert Identifiers(SECRET).session(make()) is None


def test_installs_and_contexts_differ() -> None:
    """Another install, and a session of the same name, have another hash."""
    hashes = Identifiers(SECRET), Identifiers(OTHER_SECRET)

    values = {hashes[0].user("x"), hashes[1].user("x"), hashes[0].session("x"), hashes[1].session("x")}

    assert len(values) == 4


@pytest.mark.parametrize("base", [str, bytes, bytearray, int, object, uuid.UUID, Exception])
def test_a_strangers_class_is_not_asked(base: Any) -> None:
    """Even an object that answers every question with a failure gets an answer of ours, and none of its methods runs."""
    names = (
        "__getattribute__",
        "__getitem__",
        "__len__",
        "__str__",
        "__int__",
        "__index__",
        "__eq__",
        "__hash__",
        "encode",
    )
    traps: dict[str, Any] = dict.fromkeys(names, refused)
    stranger = base.__new__(type("Stranger", (base,), traps))
    assert obfuscate_user_id(stranger, SECRET) in {None, obfuscate_user_id(0, SECRET)}


@given(st.one_of(st.text(), st.integers(), st.binary(), st.uuids()))
def test_answers_are_hashes(value: object) -> None:
    """The answer is a hash or nothing, the same each time, cached or not."""
    identifiers = Identifiers(SECRET)

    first = identifiers.user(value)

    assert first is None or HASH.fullmatch(first)
    assert first == identifiers.user(value) == obfuscate_user_id(value, SECRET)


def test_surrogates_have_a_hash() -> None:
    """A lone surrogate is no reason to fail."""
    assert HASH.fullmatch(str(Identifiers(SECRET).user("\ud800")))


def test_wrong_secret_length() -> None:
    """A short secret is refused at once."""
    with pytest.raises(ValueError, match="16 bytes"):
        Identifiers(bytes(16))


def test_secret_is_made_once_and_private(tmp_path: Path) -> None:
    """The first call makes 32 random bytes that only their owner can read; later calls return the same."""
    path = tmp_path / "secret"

    secret = load_secret(path)

    assert len(secret) == 32
    assert load_secret(path) == secret
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert load_secret(tmp_path / "other") != secret


def test_secret_readable_by_others_is_refused(tmp_path: Path) -> None:
    """A secret that others can read is none: the error says what to do."""
    path = tmp_path / "secret"
    load_secret(path)
    path.chmod(0o644)

    with pytest.raises(StateError, match="chmod 600"):
        load_secret(path)


def test_secret_behind_a_link_is_refused(tmp_path: Path) -> None:
    """A symbolic link is not followed, neither to read nor to write."""
    (tmp_path / "target").write_bytes(SECRET)
    (tmp_path / "secret").symlink_to(tmp_path / "target")

    with pytest.raises(StateError):
        load_secret(tmp_path / "secret")


def test_damaged_secret_is_refused(tmp_path: Path) -> None:
    """A file of another length is not silently replaced: that would change every hash."""
    path = tmp_path / "secret"
    path.write_bytes(b"short")
    path.chmod(0o600)

    with pytest.raises(StateError, match="32 bytes"):
        load_secret(path)


def test_racing_processes_agree(tmp_path: Path) -> None:
    """Processes that start together end up with one secret."""
    code = f"from pathlib import Path; from calos_telemetry.sdk.obfuscate.identifiers import load_secret; print(load_secret(Path({str(tmp_path / 'secret')!r})).hex())"
    racers = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(4)]

    answers = {racer.communicate(timeout=60)[0] for racer in racers}

    assert len(answers) == 1
    assert len(answers.pop().strip()) == 64
    assert os.listdir(tmp_path) == ["secret"]  # noqa: PTH208  the names are the point


def test_anonymous_session_lasts_a_day(tmp_path: Path) -> None:
    """One visitor has one hash a day, another the next day, and others have others."""
    keys = DailyKeys(tmp_path / "days")

    first = keys.anonymous_session("203.0.113.7", "Firefox", TODAY)

    assert HASH.fullmatch(first)
    assert first == keys.anonymous_session("203.0.113.7", "Firefox", TODAY)
    assert first != keys.anonymous_session("203.0.113.8", "Firefox", TODAY)
    assert first != keys.anonymous_session("203.0.113.7", "Chrome", TODAY)
    assert first != keys.anonymous_session("203.0.113.7", "Firefox", TODAY + timedelta(days=1))


def test_keys_survive_a_restart(tmp_path: Path) -> None:
    """A restarted process, and a second one, give the same hash on the same day."""
    first = DailyKeys(tmp_path / "days").anonymous_session("203.0.113.7", "Firefox", TODAY)

    assert DailyKeys(tmp_path / "days").anonymous_session("203.0.113.7", "Firefox", TODAY) == first


def test_processes_that_start_a_day_together_agree(tmp_path: Path) -> None:
    """A visitor is one and the same for all workers of a server, also for those that made the day's key at once."""
    code = (
        "from datetime import date; from pathlib import Path; "
        "from calos_telemetry.sdk.obfuscate.identifiers import DailyKeys; import sys; sys.stdin.read(1); "
        f"print(DailyKeys(Path({str(tmp_path)!r})).anonymous_session('203.0.113.7', 'Firefox', date(2026, 11, 25)))"
    )
    command, pipe = [sys.executable, "-c", code], subprocess.PIPE
    racers = [subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) for _ in range(4)]

    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()

    assert len({racer.communicate(timeout=60)[0] for racer in racers}) == 1


def test_who_loses_the_race_takes_the_key_that_won(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that another process stores while ours is being made holds for both."""
    other, ours = DailyKeys(tmp_path), DailyKeys(tmp_path)
    theirs: list[str] = []

    def late() -> bytes:
        monkeypatch.undo()
        theirs.append(other.anonymous_session("203.0.113.7", "Firefox", TODAY))
        return bytes(32)

    monkeypatch.setattr(identifiers, "_new_key", late)

    assert [ours.anonymous_session("203.0.113.7", "Firefox", TODAY)] == theirs


def test_old_keys_are_gone(tmp_path: Path) -> None:
    """There are files of today's and yesterday's key and no other, so nobody can link older visits to an address."""
    keys = DailyKeys(tmp_path / "days")
    for day in range(4):
        keys.anonymous_session("203.0.113.7", "Firefox", TODAY + timedelta(days=day))

    files = sorted((tmp_path / "days").iterdir())

    assert [file.name for file in files] == [f"{TODAY + timedelta(days=day)}" for day in (2, 3)]
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_clock_that_goes_back_costs_no_key(tmp_path: Path) -> None:
    """A visit of the day before, noted late, leaves today's key alone."""
    keys = DailyKeys(tmp_path)
    first = keys.anonymous_session("203.0.113.7", "Firefox", TODAY)

    keys.anonymous_session("203.0.113.7", "Firefox", TODAY - timedelta(days=1))

    assert DailyKeys(tmp_path).anonymous_session("203.0.113.7", "Firefox", TODAY) == first


def test_damaged_keys_start_anew(tmp_path: Path) -> None:
    """A damaged file costs a day's continuity, not the application's request."""
    path = tmp_path / TODAY.isoformat()
    path.write_bytes(b"{")
    path.chmod(0o600)

    assert HASH.fullmatch(DailyKeys(tmp_path).anonymous_session("203.0.113.7", "Firefox", TODAY))

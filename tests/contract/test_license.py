"""License keys: proved offline, refused in words, and never sent."""

from __future__ import annotations

import base64
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.vendor import BEGIN, END, ONLINE, ROOT, keyring, license_, license_key

from calos_telemetry.contract import keys
from calos_telemetry.contract.license import (
    LicenseFile,
    armour,
    open_license,
    possession,
    read_unchecked,
    unarmour,
)
from calos_telemetry.contract.signing import b64decode, b64encode
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import LicenseError

PUBLIC = ROOT.public_key()


def test_a_license_key_proves_its_tier_offline() -> None:
    """The text and the pinned root are enough."""
    opened = open_license(license_key(), PUBLIC)
    assert opened == license_()
    assert opened.brings() == {"beta", "white_label", "multi_domain", "priority_support"}


def test_it_survives_what_mail_does_to_it() -> None:
    """Line breaks, indentation, surrounding words and Windows line ends do not matter."""
    text = license_key()
    for changed in (text.replace("\n", ""), text.replace("\n", "\r\n   "), f"Dear customer,\n\n{text}\nYours"):
        assert open_license(changed, PUBLIC).id == "a" * 32


def test_expiry_is_a_question_of_its_own() -> None:
    """An expired key is still a genuine one: its holder is told that it expired, not that it is forged."""
    opened = open_license(license_key(), PUBLIC)
    assert opened.valid_at(END - 1)
    assert not opened.valid_at(END)
    assert open_license(license_key(expires_at=None), PUBLIC).valid_at(2**53)


def test_a_key_outlives_the_online_key_that_signed_it() -> None:
    """The signer had to hold when the license was issued, not when it is read years later."""
    assert open_license(license_key(expires_at=END * 100), PUBLIC).valid_at(END * 50)
    for moment in (BEGIN - 1, END + 1):
        with pytest.raises(LicenseError):
            open_license(license_key(issued_at=moment), PUBLIC)


def test_another_vendor_and_another_signer_are_refused() -> None:
    """Neither a foreign root nor an online key for another use makes a license."""
    with pytest.raises(LicenseError, match="another vendor"):
        open_license(license_key(), ONLINE[keys.Use.LICENSE].public_key())
    for use in (keys.Use.ANSWER, keys.Use.RECEIPT):
        with pytest.raises(LicenseError, match="damaged"):
            open_license(license_key(ONLINE[use]), PUBLIC)
    with pytest.raises(LicenseError, match="damaged"):
        open_license(license_key(ROOT), PUBLIC)


@pytest.mark.parametrize("text", ["", "license", "-----BEGIN CALOS LICENSE-----", "-----END CALOS LICENSE-----"])
def test_what_is_no_license_key_says_what_one_looks_like(text: str) -> None:
    """The sentence names the line to look for."""
    with pytest.raises(LicenseError, match="BEGIN CALOS LICENSE"):
        open_license(text, PUBLIC)


@given(st.binary(max_size=120))
def test_any_body_between_the_marks_is_refused_in_words(body: bytes) -> None:
    """Whatever stands there, the answer is our own error."""
    text = f"-----BEGIN CALOS LICENSE-----\n{base64.b64encode(body).decode()}\n-----END CALOS LICENSE-----"
    with pytest.raises(LicenseError):
        open_license(text, PUBLIC)


def test_every_flipped_bit_of_what_is_signed_is_refused() -> None:
    """Exhaustive over both payloads and both signatures: no bit of what a license says can change."""
    file = unarmour(license_key())
    for name in ("license", "keyring"):
        document: keys.Signed = getattr(file, name)
        for part in ("payload", "signature"):
            data = b64decode(getattr(document, part))
            number = int.from_bytes(data)
            for bit in range(8 * len(data)):
                changed = {part: b64encode((number ^ (1 << bit)).to_bytes(len(data)))}
                broken = msgspec.structs.replace(file, **{name: msgspec.structs.replace(document, **changed)})
                with pytest.raises(LicenseError):
                    open_license(armour(broken), PUBLIC)


def test_every_flipped_bit_of_the_text_is_refused_or_means_the_same() -> None:
    """Exhaustive over the letters as mailed: a changed letter is noticed, or changes nothing that is said."""
    text = license_key()
    for place, letter in enumerate(text):
        for bit in range(7):
            broken = text[:place] + chr(ord(letter) ^ (1 << bit)) + text[place + 1 :]
            try:
                assert open_license(broken, PUBLIC) == license_()
            except LicenseError:
                continue


def test_parts_of_two_keys_do_not_make_a_third() -> None:
    """A license under one signature and its better tier under another stay apart."""
    pro, enterprise = unarmour(license_key()), unarmour(license_key(tier=Tier.ENTERPRISE))
    mixed = msgspec.structs.replace(pro.license, payload=enterprise.license.payload)
    with pytest.raises(LicenseError):
        open_license(armour(LicenseFile(license=mixed, keyring=keyring())), PUBLIC)


def test_possession_is_bound_to_the_install_and_to_the_key() -> None:
    """The proof differs by install and by license, is repeatable, and shows nothing of the key."""
    text, other = license_key(), license_key(id="b" * 32)
    proofs = {possession(text, "1" * 32), possession(text, "2" * 32), possession(other, "1" * 32)}
    assert len(proofs) == 3
    assert possession(text.replace("\n", ""), "1" * 32) == possession(text, "1" * 32)
    assert not any(proof in text for proof in proofs)


def test_reading_without_checking_is_for_our_own_books() -> None:
    """The vendor reads back what it issued; nobody else has a reason to."""
    assert read_unchecked(license_key()) == license_()


@pytest.mark.parametrize("seed", range(3))
def test_shuffled_lines_are_refused(seed: int) -> None:
    """Lines that came in another order do not make a license."""
    first, *body, last = license_key().splitlines()
    shuffled = body[:]
    while shuffled == body:
        random.Random(seed).shuffle(shuffled)  # noqa: S311 - an order, not a secret
        seed += 100
    with pytest.raises(LicenseError):
        open_license("\n".join((first, *shuffled, last)), PUBLIC)

"""Checks that tell a number that is somebody's from one that only looks like it."""

from __future__ import annotations

import re
from typing import Final

# ISO 13616 registry: length of an IBAN by country, checked against the published list of December 2024.
_IBAN_LENGTHS: Final = {
    code: length
    for length, codes in (
        (15, "NO"),
        (16, "BE"),
        (18, "DK FI FO GL NL SD"),
        (19, "MK SI"),
        (20, "AT BA EE KZ LT LU MN XK"),
        (21, "CH HR LI LV"),
        (22, "BG BH CR DE GB GE IE ME RS VA"),
        (23, "AE GI IL IQ OM SO TL"),
        (24, "AD CZ ES MD PK RO SA SE SK TN VG"),
        (25, "LY PT ST"),
        (26, "IR IS TR"),
        (27, "BI DJ FR GR IT MC MR SM"),
        (28, "AL AZ BY CY DO GT HN HU LB NI PL SV"),
        (29, "BR EG PS QA UA"),
        (30, "JO KW MU YE"),
        (31, "MT SC"),
        (32, "LC"),
        (33, "RU"),
    )
    for code in codes.split()
}

# Major industry ranges: 2 and 5 Mastercard, 3 American Express, Diners, JCB, 4 Visa, 50 and 56-69 Maestro, 6 Discover,
# Mir, RuPay and UnionPay, 81 UnionPay; 1800 and 2131 are the old JCB numbers of 15 digits.
_ISSUERS: Final = re.compile(r"[456]|3[04-9]|2[2-7]|20|81|1800|2131")
_CARD_LENGTHS: Final = {"3": range(14, 20), "4": range(13, 20), "8": range(16, 20)}
_ANY_LENGTH: Final = range(12, 20)
_DATE: Final = re.compile(
    r"\D*(?:\d{1,2}[ .\-/]\d{1,2}[ .\-/](?:19|20)?\d\d|(?:19|20)\d\d[ .\-/]\d{1,2}[ .\-/]\d{1,2})\D*"
)
_EXTENSION: Final = re.compile(r"\s?(?:x|ext\.?|#)\s?\d+\Z", re.IGNORECASE)
_NOT_DIGIT: Final = re.compile(r"\D+")
_DOUBLED: Final = bytes.maketrans(b"0123456789", b"0246813579")  # a doubled digit above nine is cast out


def digits_of(text: str) -> str:
    """Return only the digits of ``text``."""
    return text if text.isdecimal() else _NOT_DIGIT.sub("", text)


def is_luhn(digits: str) -> bool:
    """Check the last digit by ISO/IEC 7812-1 annex B, as cards and IMEI carry it."""
    codes = digits.encode()
    total = sum(codes[::-2]) + sum(codes[-2::-2].translate(_DOUBLED))
    return (total - ord("0") * len(codes)) % 10 == 0


def is_card(text: str) -> bool:
    """Say whether the digits of ``text`` are a payment card number: issuer range, length, check digit."""
    digits = digits_of(text)
    if not is_luhn(digits) or not _ISSUERS.match(digits):
        return False
    return len(digits) in _CARD_LENGTHS.get(digits[0], _ANY_LENGTH) and len(set(digits)) > 1  # 4444…4 is nobody's


def is_iban(text: str) -> bool:
    """Say whether ``text`` is an IBAN: the length its country uses, or else the check digits of ISO 7064 MOD 97-10."""
    plain = text.replace(" ", "").replace("-", "").upper()
    length = _IBAN_LENGTHS.get(plain[:2])
    if length is not None and len(plain) >= length and any(part.isdigit() for part in plain[4:]):
        return len(plain) == length or " " in text or _mod_97(plain)
    return _mod_97(plain)


def _mod_97(plain: str) -> bool:
    return int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1


def is_ipv4(text: str) -> bool:
    """Say whether ``text`` is a dotted address that leads to somebody: not this machine, no octet above 255."""
    octets = text.split(".")
    if any(len(octet) > 3 or int(octet) > 255 for octet in octets):  # noqa: PLR2004  three digits, one byte
        return False
    return text not in {"0.0.0.0", "127.0.0.1"}  # noqa: S104  compared, not bound


def is_ipv6(text: str) -> bool:
    """Say whether ``text`` (hexadecimal groups and colons) is an address: eight groups, or ``::`` with something in it."""
    address, _, _zone = text.partition("%")
    head, dotted = address.rpartition(":")[::2] if "." in address else (address, "")
    if dotted and not all(int(octet) < 256 for octet in dotted.split(".")):  # noqa: PLR2004  one byte
        return False
    groups = [group for group in head.split(":") if group]
    count = len(groups) + (2 if dotted else 0)
    if "::" in address:
        return bool(dotted) or (0 < count < 8 and text != "::1" and _is_numeric(groups))  # noqa: PLR2004  8 groups
    return count == 8  # noqa: PLR2004  an address has 8 groups of 16 bits


def _is_numeric(groups: list[str]) -> bool:
    """``face::add`` is a name in a program; an address in use has a digit in it."""
    return any(letter.isdigit() for group in groups for letter in group)


def is_phone(text: str) -> bool:
    """Say whether the digits of ``text`` could be dialled (7 to 15, ITU-T E.164) and are not a date."""
    digits = digits_of(_EXTENSION.sub("", text))
    return 7 <= len(digits) <= 15 and len(set(digits)) > 2 and _DATE.fullmatch(text) is None  # noqa: PLR2004  E.164


_CLASS: Final = re.compile(r"[a-z]+|[A-Z]+|[0-9]+")
_CAMEL: Final = re.compile(r"[A-Z]?[a-z]{3,}|[A-Z]{2,}(?![a-z])")
_NUMBERS: Final = re.compile(r"[0-9]+")
_THREE_NUMBERS: Final = re.compile(r"[^0-9]*+(?:[0-9]++[^0-9]++){2}[0-9]")
_HEXADECIMAL: Final = re.compile(r"[0-9a-fA-F]+")


def is_opaque(text: str) -> bool:
    """Say whether a long run of letters and digits was made by a machine: it changes its kind of character too often.

    Words in camelCase change their kind about every third character, random text at base 62 nearly every second.
    """
    if text.isalpha() or text.isdecimal():
        return False
    if _THREE_NUMBERS.match(text):
        return True  # words carry one number, at most two
    if sum(map(len, _NUMBERS.findall(text))) < 2:  # noqa: PLR2004  one digit is a version: isBluetoothA2dpOn
        return False
    if _HEXADECIMAL.fullmatch(text):
        return len(_CLASS.findall(text)) >= 4  # noqa: PLR2004  a number in hexadecimal, not a word with a counter
    return len(_CLASS.findall(_CAMEL.sub("", text))) * 4 >= len(text)

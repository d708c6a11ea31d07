"""Tells words from text that a machine made.

Two measures, both about the *shape* of the text, never about a list of known values:

1. **Numbers.** A run of two or more digits is an identifier unless the letters before it form a technical word that
   carries a number by nature (``sha256``, ``rfc7807``, ``h264``): people are called ``anna85``, standards are not.
2. **Description length.** The bits it takes to write the text as English words in usual spelling (lower case, camelCase,
   ACRONYM), less the bits it takes to write it as random characters. Positive means that randomness explains it better.
"""

from __future__ import annotations

import re
from functools import cache
from string import ascii_letters, ascii_lowercase, digits
from typing import Final

# -log2 P(next letter | letter), whole bits capped at 9: row = letter, column = next letter, both a..z. Counted from the
# 12 554 distinct words in the source of Python's own standard library, each weighted by the logarithm of its frequency.
_SURPRISE_ROWS: Final = """
95449859596343959343667669 36563888459267359446398959 39673883594467279463589969 47652678288576479546589879
47436569798453757334866579 49664489299477379455498969 48672854499464579346478998 28762898398666399564599979
56455559999442459543959695 39572799595798369647298979 47652658399495668636695979 38752799398387379855589949
25862899397657339856599979 48433538496676479843669989 66448669696442549344465799 38663686498387349354598959
77867898889695799557098999 38552769396656369544678959 58472774396567548742487969 38562794399667469345587958
54564669599343649343999999 27691799399867579778998999 28653684299684478347886799 57363676399557639652778558
66564677499543529633765867 49771698399667469766898979
"""
_SURPRISE: Final = tuple(_SURPRISE_ROWS.split())

# Words that carry a number by nature, so that the number says nothing about a person or a record.
_NUMBERED_WORDS: Final = """
v ver version api rest http https tls ssl ip ipv oauth saml openid web html css es ecma xml json yaml utf ucs ascii
latin unicode base sha md crc blake ripemd aes des rsa rs hs ps ed curve secp argon pbkdf hotp totp x h vp av mp jp
mpeg jpeg rfc iso ieee iec din en ean isbn issn upc gs code qr pdf pdfa vcard ical epsg wgs osgb utm iaga igrf gtfs
nmea icd fhir hl dicom snomed covid sars cov mt camt pain pacs swift edi edifact ubl cii peppol soc form schedule
annex article chapter part step stage phase level tier grade class gen layer zone area quarter top first last int uint
float double bit win amd arm i python py node java jdk php net es ps office dynamics m d s r erc bep trc eip bip slip
brc nft http error status port usb hdmi bluetooth wifi lte nr tcp udp sctp imap pop smtp ntp snmp snmpv ldap radius
rip ospf vlan vxlan mod log geo b pep
"""
_NUMBERED: Final = frozenset(_NUMBERED_WORDS.split())
_LONG_NUMBERED: Final = frozenset({"iso", "rfc", "epsg"})
_MOST_DIGITS: Final = 5  # iso20022, epsg25832
_NUMBER: Final = re.compile(r"([A-Z]+(?![a-z])|[A-Z]?[a-z]+)?[-_.]?([0-9]+)(?=([a-z])?)")
# i18n a11y · 180x180 · 24h 30d 1080p 12months · 1st 22nd · v2 v2.1 v1beta1 v20240131 · en_419
_NUMBERED_NAME: Final = re.compile(
    r"[a-z]\d\d[a-z]|\d{2,4}x\d{2,4}|\d{1,4}(?:ms|s|m|min|h|d|w|y|k|p|bit|(?:minute|hour|day|week|month|year)s?)"
    r"|\d{1,2}(?:st|nd|rd|th)|v\d{1,4}(?:[._]\d{1,4}){0,3}(?:[a-z]{1,7}\d{0,2})?|v20\d{4}(?:\d\d)?"
)
_SHORT_CODE: Final = re.compile(r"(?=.{1,5}$)[A-Za-z]*\d[A-Za-z]+\d[A-Za-z0-9]*")  # 8f3a: no word is broken twice
_DIGIT_INSIDE: Final = re.compile(r"[A-Za-z][0-9]+[A-Za-z]")  # words carry their numbers at an end
_DIGIT: Final = re.compile(r"[0-9]")
_SEPARATORS: Final = re.compile(r"[-_.~]+")
_PLAIN: Final = re.compile(r"[a-z]{1,7}(?:[-_.][a-z]{1,7})*")  # too little evidence to call any of these random
_HEXADECIMAL: Final = re.compile(r"[0-9a-f.~_-]+|[0-9A-F.~_-]+")
_LONG_ENOUGH: Final = 6
_TOO_MANY_NUMBERS: Final = 3  # B07-R3-S2 is a place in a warehouse: words carry one number, at most two
_LONGEST_TEXT: Final = 64
# All bits are counted in hundredths, so that their sum is exact.
_FOREIGN_BITS: Final = 900
_BASE_62, _BASE_36, _BASE_16, _ONE_CASE = 595, 517, 400, 470  # a random character of the alphabets identifiers are in


def is_opaque(text: str) -> bool:
    """Say whether `text` (ASCII letters, digits and ``-_.~``) looks like an identifier rather than like words."""
    if text.isdigit():
        return True
    if _PLAIN.fullmatch(text):
        return False
    if len(text) > _LONGEST_TEXT:
        return True
    numbered = _DIGIT.search(text) is not None
    if text.islower() and not numbered:
        return _is_random(text)
    pieces = [text] if text.isalnum() else _SEPARATORS.split(text)
    if numbered and _has_record_number(text, pieces):
        return True
    return _is_random(text) or (len(pieces) > 1 and any(map(_is_random, pieces)))


def _has_record_number(text: str, pieces: list[str]) -> bool:
    """Find a run of two or more digits that no technical word or unit explains, or two digits in a very short piece."""
    if _NUMBERED_NAME.fullmatch(text):
        return False
    if len(pieces) >= _TOO_MANY_NUMBERS and sum(map(_carries_number, pieces)) >= _TOO_MANY_NUMBERS:
        return True
    for piece in pieces:
        if _NUMBERED_NAME.fullmatch(piece):
            text = text.replace(piece, "", 1)
        elif _SHORT_CODE.fullmatch(piece):
            return True
    return any(
        len(number) > 1 and not _explains(stem.lower(), number, behind)
        for stem, number, behind in _NUMBER.findall(text)
    )


def _carries_number(piece: str) -> bool:
    return _DIGIT.search(piece) is not None and not piece.isdigit()


def _explains(stem: str, number: str, behind: str) -> bool:
    """Say whether a technical word accounts for the number behind it (``m365``, ``sha256``, ``form1099``)."""
    if stem in _LONG_NUMBERED:
        return len(number) <= _MOST_DIGITS
    if len(stem) == 1:
        return not behind and stem in _NUMBERED and len(number) <= _MOST_DIGITS - 2
    return stem in _NUMBERED and len(number) <= _MOST_DIGITS - 1


def _is_random(text: str) -> bool:
    """Compare both description lengths; the margin is the prior: most path segments are words."""
    length = len(text)
    if length < _LONG_ENOUGH:
        return False
    bits = _bits_as_words(text)
    if not (text.islower() or text.isupper()):
        return bits > _BASE_62 * length + 400 - 50 * length  # words in camelCase fall far below, the longer the farther
    if text.isalpha():
        return bits > _ONE_CASE * length + 1000
    random = _BASE_16 if _HEXADECIMAL.fullmatch(text) else _BASE_36
    return bits > random * length + (500 if _DIGIT_INSIDE.search(text) else 800)


def _bits_as_words(text: str) -> int:
    """Hundredths of bits that it takes to write ASCII `text` as words."""
    codes = text.encode("ascii", "replace")
    costs = _costs()
    return sum([costs[before][after] for before, after in zip(b"\0" + codes, codes, strict=False)])


@cache
def _costs() -> list[list[int]]:
    """Cost of each character (column) after each other one (row; row 0 begins a text) when the text is usual words."""
    alphabet = ascii_letters + digits + "-_.~"
    table = [[_FOREIGN_BITS] * 128 for _ in range(128)]
    for after in alphabet:
        table[0][ord(after)] = _start_bits(after)
        for before in alphabet:
            table[ord(before)][ord(after)] = _step_bits(before, after)
    return table


def _start_bits(after: str) -> int:
    """Cost of the first character of a word."""
    if after.isalpha():
        return 470 if after.islower() else 570
    return 700


def _step_bits(before: str, after: str) -> int:
    """Cost of `after` following `before`: letters by the table, changes of case and kind by how rare they are."""
    if before.isalpha() and after.isalpha():
        surprise = 100 * int(_SURPRISE[ord(before.lower()) - 97][ord(after.lower()) - 97])
        if after.islower():
            return surprise + (20 if before.islower() else 50)
        return 770 if before.islower() else min(surprise, 600) + 100  # a new camelCase word; an acronym's next letter
    if after.isdigit():
        return 360 if before.isdigit() else 730
    if after.isalpha():
        return (870 if before.isdigit() else 470) + (0 if after in ascii_lowercase else 90)
    return 300 if before.isalnum() else 800

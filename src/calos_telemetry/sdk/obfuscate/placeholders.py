"""The closed set of words that stand where something was taken out."""

from __future__ import annotations

import re
from typing import Final

EMAIL: Final = "[EMAIL]"
PHONE: Final = "[PHONE]"
CARD: Final = "[CARD]"
IBAN: Final = "[IBAN]"
ID: Final = "[ID]"
IP: Final = "[IP]"
MAC: Final = "[MAC]"
TOKEN: Final = "[TOKEN]"  # noqa: S105  a word, not a token
VALUE: Final = "[VALUE]"
USER: Final = "[USER]"
NAME: Final = "[NAME]"
AMOUNT: Final = "[AMOUNT]"
DEVICE: Final = "[DEVICE]"
WALLET: Final = "[WALLET]"
NUMBER: Final = "[NUMBER]"
REDACTED: Final = "[REDACTED]"

PLACEHOLDERS: Final[frozenset[str]] = frozenset(
    {EMAIL, PHONE, CARD, IBAN, ID, IP, MAC, TOKEN, VALUE, USER, NAME, AMOUNT, DEVICE, WALLET, NUMBER} | {REDACTED},
)
"""Every placeholder the functions of this package may write."""

MASK: Final = "\x01"
"""Stands for the letters of a placeholder while rules read a text, so that ``[USER]:0`` is not read as ``USER: 0``."""

PLACEHOLDER: Final = re.compile("|".join(re.escape(word) for word in sorted(PLACEHOLDERS)))

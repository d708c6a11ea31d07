"""The second scrub of every text, independent of the install's own: what must not be here is not kept.

The install obfuscates by allow-list; these patterns catch what an old, changed or lying client lets through.
"""

from __future__ import annotations

import re
from ipaddress import ip_address

_SUSPICIOUS = re.compile(
    r"@|\d{3}|:[0-9a-fA-F]{0,4}:|\d\.\d|eyJ|-----BEGIN|[\\/](?:home|Users|root)[\\/]|[0-9A-Za-z_-]{20}"
)

_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("secret", re.compile(r"-----BEGIN [A-Z ]{1,40}-----.*?(?:-----END [A-Z ]{1,40}-----|$)", re.DOTALL)),
    ("secret", re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*){1,4}")),
    ("secret", re.compile(r"\b(?:sk|pk|rk|ghp|gho|ghs|glpat|xox[abprs]|AKIA)[_-]?[A-Za-z0-9_-]{16,}")),
    ("secret", re.compile(r"\b[0-9a-fA-F]{24,}\b")),
    ("secret", re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[a-z])(?=[\w-]*[A-Z])[A-Za-z0-9_-]{32,}")),
    ("email", re.compile(r"[\w.!#$%&'*+=?^`{|}~-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")),
    ("home", re.compile(r"(?:[A-Za-z]:)?[\\/](?:home|Users)[\\/][^\\/\s:\"',)]{1,80}|/root(?=/)")),
    ("number", re.compile(r"(?<![\w.])\+?\d(?:[ .()-]{0,2}\d){8,}(?!\w)")),
)
_V4 = r"\d{1,3}(?:\.\d{1,3}){3}"
_V6 = rf"[0-9a-fA-F]{{0,4}}(?::[0-9a-fA-F]{{0,4}}){{1,7}}(?::{_V4}|:[0-9a-fA-F]{{0,4}})"
_ADDRESS = re.compile(rf"(?<![\w.])(?:{_V6}(?![\w:]|\.\d)|{_V4}(?!\w|\.\d))")


def is_clean(text: str) -> bool:
    """Whether ``text`` holds nothing that looks like a person, an address or a secret."""
    return scrub(text) == text


def scrub(text: str) -> str:
    """Return ``text`` with everything that looks like a person, an address or a secret replaced by its kind."""
    if not _SUSPICIOUS.search(text):
        return text
    text = _ADDRESS.sub(_address, text)  # first: four numbers with dots could pass for one long number
    for kind, pattern in _PATTERNS:
        text = pattern.sub(f"[{kind}]", text)
    return text


def _address(match: re.Match[str]) -> str:
    try:
        ip_address(match[0])
    except ValueError:
        return match[0]
    return "[ip]" if any(char.isalnum() for char in match[0]) else match[0]

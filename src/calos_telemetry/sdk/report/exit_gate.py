"""The exit gate: a second, independent pass over the frozen bytes, before they may leave.

It knows nothing of the obfuscators.  It reads the bytes as the vendor will, refuses every field and counter that is not
declared, and looks at every text with detectors of its own.  One hit keeps the whole report here, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from calos_telemetry.contract.counters import COUNTER_NAMES
from calos_telemetry.contract.report import VerifyRequest, inflate
from calos_telemetry.errors import ProtocolError

_DETECTORS: dict[str, re.Pattern[str]] = {
    "an e-mail address": re.compile(r"[^\s@/:=]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}"),
    "an IPv4 address": re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])"),
    "an IPv6 address": re.compile(r"(?<![0-9a-zA-Z:])(?:[0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}", re.IGNORECASE),
    "a JSON web token": re.compile(r"eyJ[\w-]{8,}\.[\w-]{8,}"),
    "a private key": re.compile(r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY"),
    "a token of a known service": re.compile(
        r"\b(?:sk|pk|rk)_(?:live|test)_\w{8}|\bgh[pousr]_\w{16}|\bxox[abprs]-\w|\bAKIA[A-Z0-9]{12}|\bAIza[\w-]{20}|\bglpat-\w"
    ),
    "a password in a URL": re.compile(r"[a-z][a-z0-9+.-]{1,20}://[^\s/:@]{1,80}:[^\s/@]{1,80}@"),
    "a home directory": re.compile(r"(?:/home/|/Users/|[A-Z]:\\Users\\)[^\s/\\\[]{1,80}"),
    "a long number": re.compile(r"(?<![\d.])\d(?:[ -]?\d){8,18}(?![\d.])"),
}
_OPAQUE = frozenset({"install_id", "install_key", "license_id", "proof", "previous", "fingerprint", "domain"})
"""Fields whose shape the schema fixes, or that the operator chose to show (the domain of the license)."""


def findings(body: bytes) -> Iterator[str]:
    """Yield, in words and without the value, every reason why ``body`` must not leave."""
    try:
        plain = inflate(body)
        msgspec.json.decode(plain, type=VerifyRequest)
    except (ProtocolError, msgspec.MsgspecError) as error:
        yield f"the bytes do not follow the schema: {error}"
        return
    request = msgspec.json.decode(plain)
    yield from _undeclared(request, VerifyRequest)
    for row in (request["telemetry"] or {}).get("aggregates", ()):
        if row["counter"] not in COUNTER_NAMES:
            yield "a counter is not in the list of counters"
    for where, text in _texts(request, ""):
        yield from (f"{where} looks like {kind}" for kind, pattern in _DETECTORS.items() if pattern.search(text))


def _undeclared(value: Any, kind: type[msgspec.Struct]) -> Iterator[str]:
    """Yield fields that the types do not know; msgspec itself passes over them."""
    again = msgspec.to_builtins(msgspec.convert(value, kind, str_keys=True), str_keys=True)
    if again != value:
        yield "the bytes hold a field that is not in the catalogue"


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, where)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key not in _OPAQUE:
                yield from _texts(item, f"{where}.{key}" if where else key)

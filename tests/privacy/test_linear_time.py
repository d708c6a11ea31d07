"""No input makes an obfuscator think for long: four times the input takes about four times the time, not sixteen."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from calos_telemetry.sdk.obfuscate import (
    obfuscate_email,
    obfuscate_message,
    obfuscate_metadata,
    obfuscate_path,
    obfuscate_stack,
    obfuscate_user_id,
)
from calos_telemetry.sdk.obfuscate.clients import client_of
from calos_telemetry.sdk.obfuscate.names import feature_name
from calos_telemetry.sdk.obfuscate.place import country_from_header
from calos_telemetry.sdk.obfuscate.routes import template_of_route

_PIECES = {
    "digits": "4",
    "digits and spaces": "4 ",
    "hyphens": "1-",
    "at signs": "a@",
    "dots": "a.",
    "addresses": "1.1.1.",
    "colons": "a:",
    "hex colons": "ab:",
    "open brackets": "(",
    "nested braces": "{[(<",
    "quotes": "'\"",
    "unclosed quotes": " 'a",
    "equals": "password=",
    "slashes": "/a",
    "backslashes": "\\a",
    "percents": "%25",
    "percent at": "%40",
    "base64": "eyJh",
    "letters": "a",
    "capitals": "aA1",
    "spaces": " ",
    "lines": "\n",
    "frames": '  File "a.py", line 1, in f\n',
    "java frames": "\tat a.b.C.d(E.java:1)\n",
    "causes": "Caused by: a: b\n",
    "zero width": "a\u200b",
    "look-alikes": "а＠",  # noqa: RUF001 - that is the point
    "surrogates": "\ud800",
    "nul": "\x00",
    "urls": "http://a:b@c/?d=",
    "keys": "-----BEGIN PRIVATE KEY",
    "routes": "{a:",
    "groups": "(?P<a>(",
    "quantifiers": "a{1,",
    "agents": "Mozilla/5.0 (",
    "words": "user name ",
    "money": "$1,",
    "national": "A1B2-",
}
_SMALL, _LARGE = 4_000, 16_000
_RUNS = 3
_ATTEMPTS = 6
_MOST = 10.0  # linear is 4, quadratic 16
_FLOOR = 0.004  # seconds: below it the clock says more than the code


def _nested(text: str) -> dict[str, object]:
    """Return metadata in which the text is key, value and list, wide and deep."""
    inner: dict[str, object] = {text[:200]: text, "note": text, "status": list(text[:500])}
    for _ in range(min(len(text) // 40, 400)):
        inner = {"child": inner, "status": text}
    return inner


FUNCTIONS: dict[str, Callable[[str], Any]] = {
    "email": obfuscate_email,
    "message": obfuscate_message,
    "path": obfuscate_path,
    "stack": obfuscate_stack,
    "user": lambda text: obfuscate_user_id(text, b"k" * 32),
    "metadata": lambda text: obfuscate_metadata(_nested(text)),
    "client": client_of,
    "feature name": feature_name,
    "country": country_from_header,
    "route": template_of_route,
}


def _cpu(function: Callable[[str], Any], text: str) -> float:
    """Return the least time of this thread that one call takes; the caches never see the same text twice."""
    best = float("inf")
    for number in range(_RUNS):
        fresh = f"{number}{time.perf_counter_ns()}{text}"
        started = time.thread_time()
        function(fresh)
        best = min(best, time.thread_time() - started)
    return best


@pytest.mark.parametrize("piece", _PIECES.values(), ids=_PIECES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_time_grows_with_the_input(name: str, piece: str) -> None:
    """The best of several runs of 16,000 characters takes at most ten times that of 4,000, for every function and input."""
    function = FUNCTIONS[name]
    function(piece)  # compiles what is compiled at first use
    small, large = piece * (_SMALL // len(piece)), piece * (_LARGE // len(piece))
    ratios = []
    for _ in range(_ATTEMPTS):
        short, long = _cpu(function, small), _cpu(function, large)
        ratios.append(long / max(short, _FLOOR / _MOST))
        if ratios[-1] <= _MOST:
            return
    pytest.fail(f"{name} takes {min(ratios):.1f} times as long for four times the input")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_megabyte_is_no_burden(name: str) -> None:
    """Inputs of a megabyte come back within a second of this thread's time: what no report could hold is not read."""
    for piece in ("a@b.", "1 ", "/a1", "é'"):
        text = piece * (1_000_000 // len(piece))
        assert _cpu(FUNCTIONS[name], text) < 1.0, piece

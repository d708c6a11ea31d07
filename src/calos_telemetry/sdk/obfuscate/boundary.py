"""The one place where a failure of our own is swallowed: the caller gets ``[REDACTED]``, never the raw input back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from calos_telemetry.sdk.obfuscate.placeholders import REDACTED

_P = ParamSpec("_P")

FAILURES: Counter[str] = Counter()
"""How often each function of this package failed and answered ``[REDACTED]``; read by the pipeline's health view."""


def fail_closed(function: Callable[_P, str]) -> Callable[_P, str]:
    """Answer ``[REDACTED]`` where ``function`` raises, and count it under the function's name.

    A text that could not be scrubbed is treated as a secret.  ``RecursionError`` and ``MemoryError`` are exceptions
    like any other here; ``KeyboardInterrupt`` and ``SystemExit`` belong to the application and pass.
    """

    @wraps(function)
    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> str:
        try:
            return function(*args, **kwargs)
        except Exception:  # noqa: BLE001  the boundary: whatever went wrong, nothing raw may leave
            FAILURES[function.__name__] += 1
            return REDACTED

    return guarded

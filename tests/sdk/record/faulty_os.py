"""An `os` that fails on request, to stand in for the one the spool's modules use."""

import os
from collections.abc import Callable
from typing import Any

import pytest

from calos_telemetry.sdk.record import directory, spool


class FaultyOS:
    """Passes everything on to the real `os`, except the calls that were replaced."""

    def __init__(self, **replaced: Callable[..., Any]) -> None:
        self._replaced = replaced

    def __getattr__(self, name: str) -> Any:
        return self._replaced.get(name) or getattr(os, name)


def replace_os(monkeypatch: pytest.MonkeyPatch, **replaced: Callable[..., Any]) -> None:
    """Let the spool's modules, and nobody else, see these instead of the real calls."""
    faulty = FaultyOS(**replaced)
    monkeypatch.setattr(directory, "os", faulty)
    monkeypatch.setattr(spool, "os", faulty)


def failing(number: int) -> Callable[..., Any]:
    """Return a call that always fails with this errno."""

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    return fail

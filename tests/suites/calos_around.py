"""Our middleware around every application of a framework's own tests: a pytest plug-in, and `runtests` for Django.

It is loaded into the framework's test process, where `tests` is the framework's own package; so it stands alone.  With
``CALOS_AROUND`` (a directory) in the environment it wraps; it always writes each test's outcome to ``CALOS_OUTCOMES``.
"""

from __future__ import annotations

import json
import os
import runpy
import sys
import unittest
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.append(os.environ["CALOS_EXTRAS"])  # what the framework's tests need beyond our own environment

_outcomes: dict[str, str] = {}
_telemetry: Any = None


def wrap() -> None:
    """Put the middleware around all that is installed."""
    global _telemetry  # noqa: PLW0603 - one per process
    from calos_telemetry import Settings, Telemetry  # noqa: PLC0415

    settings = Settings(
        home=Path(os.environ["CALOS_AROUND"]), public_host="shop.example.com", server="http://127.0.0.1:9"
    )
    _telemetry = Telemetry(settings)
    _telemetry._schedule.stop()  # a thread would disturb the tests that count threads; the drain is not what is tested
    for framework in (_wrap_starlette, _wrap_flask):
        framework()


def _wrap_starlette() -> None:
    from starlette import testclient  # noqa: PLC0415
    from starlette.applications import Starlette  # noqa: PLC0415

    from calos_telemetry import TelemetryMiddleware  # noqa: PLC0415

    original = Starlette.__call__

    async def call(self: Any, scope: Any, receive: Any, send: Any) -> None:
        await TelemetryMiddleware(partial(original, self), _telemetry)(scope, receive, send)

    Starlette.__call__ = call  # type: ignore[method-assign]
    begin = testclient._TestClientTransport.__init__

    def begin_around(self: Any, app: Any, *arguments: Any, **options: Any) -> None:
        begin(self, TelemetryMiddleware(app, _telemetry), *arguments, **options)

    testclient._TestClientTransport.__init__ = begin_around  # type: ignore[method-assign]


def _wrap_flask() -> None:
    from flask import Flask  # noqa: PLC0415

    from calos_telemetry.sdk.middleware.wsgi import TelemetryWsgiMiddleware  # noqa: PLC0415

    original = Flask.wsgi_app

    def answer(self: Any, environ: Any, start_response: Any) -> Any:
        return TelemetryWsgiMiddleware(partial(original, self), _telemetry)(environ, start_response)

    Flask.wsgi_app = answer  # type: ignore[method-assign]


class _WithOurs:
    """Django's settings with our middleware first; all else is as it is."""

    def __init__(self, settings: Any) -> None:
        self._settings = settings

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._settings, name)
        return ["calos_telemetry.sdk.middleware.django.TelemetryMiddleware", *value] if name == "MIDDLEWARE" else value


def _wrap_django() -> None:
    from django.conf import settings  # noqa: PLC0415
    from django.core.handlers import base  # noqa: PLC0415

    vars(base)["settings"] = _WithOurs(settings)


def pytest_configure(config: Any) -> None:  # noqa: ARG001 - as pytest calls it
    """Begin before any test module is imported."""
    from _pytest import monkeypatch  # noqa: PLC0415

    vars(monkeypatch).setdefault("notset", vars(monkeypatch).get("NOTSET"))  # Flask 3.1's tests know pytest up to 9.1
    if os.environ.get("CALOS_AROUND"):
        wrap()


def pytest_runtest_logreport(report: Any) -> None:
    """Note how each test went; of its phases, the one that did not pass counts."""
    if report.when == "call" or report.outcome != "passed":
        _outcomes[report.nodeid] = report.outcome


def pytest_collectreport(report: Any) -> None:
    """Note what could not be collected."""
    if report.failed:
        _outcomes[report.nodeid] = "not collected"


def pytest_sessionfinish() -> None:
    """Write the outcomes, and what telemetry made of it."""
    seen: dict[str, Any] = {"outcomes": _outcomes, "recorded": 0, "failures": {}}
    if _telemetry is not None:
        seen |= {"recorded": _telemetry.books().recorded, "failures": dict(_telemetry.failures)}
    Path(os.environ["CALOS_OUTCOMES"]).write_text(json.dumps(seen), encoding="utf-8")


class _Noting(unittest.TextTestResult):
    """Notes how each of Django's tests went."""

    def stopTest(self, test: unittest.TestCase) -> None:  # noqa: N802 - unittest's name
        _outcomes.setdefault(test.id(), "passed")
        super().stopTest(test)

    def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: N802
        if err is not None:
            _outcomes[test.id()] = "failed"
        super().addSubTest(test, subtest, err)


def _noted(name: str, outcome: str) -> Callable[..., None]:
    original = getattr(unittest.TextTestResult, name)

    def note(self: Any, test: unittest.TestCase, *details: Any) -> None:
        _outcomes[test.id()] = outcome
        original(self, test, *details)

    return note


def main() -> None:
    """Run Django's `runtests.py` with the arguments given, around it what is wanted."""
    for name, outcome in (
        ("addFailure", "failed"), ("addError", "failed"), ("addSkip", "skipped"),
        ("addExpectedFailure", "skipped"), ("addUnexpectedSuccess", "failed"),
    ):  # fmt: skip
        setattr(_Noting, name, _noted(name, outcome))
    from django.test.runner import DiscoverRunner  # noqa: PLC0415

    DiscoverRunner.get_resultclass = lambda self: _Noting  # type: ignore[method-assign]
    if os.environ.get("CALOS_AROUND"):
        wrap()
        _wrap_django()
    sys.argv[0] = "runtests.py"
    try:
        runpy.run_path("runtests.py", run_name="__main__")
    finally:
        pytest_sessionfinish()


if __name__ == "__main__":
    main()

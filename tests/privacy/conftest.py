"""One run of each application with all marks planted: recorded, flushed, reported to a real license server."""

from __future__ import annotations

import logging
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from calos_telemetry import Settings, Telemetry
from calos_telemetry.testing.canaries import contents_of
from calos_telemetry.testing.marks import Marks

from ..flow.conftest import Vendor, run
from . import shops
from .relay import Relay

_OWN_LOGS = ("httpx", "httpcore", "canary_shop", "asyncio", "werkzeug")
"""What the test's client and the application itself log is theirs."""


@dataclass
class Run:
    """What is left of a run: files by name at each stage, log lines, sent bytes, pages of the operator."""

    marks: Marks
    home: Path
    files: dict[str, bytes] = field(default_factory=dict)
    log: list[str] = field(default_factory=list)
    sent: bytes = b""
    pages: dict[str, bytes] = field(default_factory=dict)
    events: int = 0


class _Keeper(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.DEBUG)
        self._lines = lines
        self.setFormatter(logging.Formatter("%(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(_OWN_LOGS):
            self._lines.append(self.format(record))


@pytest.fixture(scope="session", params=["fastapi", "flask"])
def done(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Drive one application with all marks and gather everything that is left of them."""
    base = tmp_path_factory.mktemp("canaries")
    vendor = Vendor(base / "vendor")
    vendor.key = run("server", "init", env=vendor.env).rpartition("CALOS_VENDOR_KEY=")[2].strip()
    result = Run(Marks(), base / "install")
    with ExitStack() as stack:
        server = stack.enter_context(vendor.server())
        relay = Relay(urlsplit(server).port or 0)
        stack.callback(relay.close)
        root = logging.getLogger()
        keeper, level = _Keeper(result.log), root.level
        root.addHandler(keeper)
        root.setLevel(logging.DEBUG)
        stack.callback(root.setLevel, level)
        stack.callback(root.removeHandler, keeper)
        settings = Settings(
            home=result.home, public_host=shops.HOST, server=relay.url, vendor_key=vendor.key, license_key=vendor.license()
        )  # fmt: skip
        telemetry = Telemetry(settings)
        stack.callback(telemetry.close)
        ask = getattr(shops, request.param)(telemetry, result.marks)
        _visit(ask, result.marks)
        result.files |= {f"spooled {name}": content for name, content in contents_of(result.home).items()}
        telemetry.flush()
        result.events = telemetry.install.books().stored
        telemetry.install.verify()
        for page in ("", "summary?hours=24", "report"):
            result.pages[page] = ask("GET", f"/api/telemetry/{page}", {"Host": "127.0.0.1"})
        result.files |= contents_of(result.home, vendor.home)
        result.sent = relay.everything()
        assert not telemetry.failures, telemetry.failures
    return result


def _visit(ask: shops.Ask, marks: Marks) -> None:
    """Plant the marks in every place where a visitor or a proxy can write."""
    headers = _headers(marks)
    query = "&".join(f"{kind}={quote(value)}" for kind, value in marks.all_of("query").items())
    for _ in range(4):  # often enough to be common: what is held back as rare would prove nothing
        for value in marks.all_of("URL path").values():
            ask("GET", f"/find/{quote(value, safe='')}?{query}", headers)
        for value in marks.all_of("path that no route has").values():
            ask("GET", f"/nowhere/{quote(value, safe='')}", headers)
        for value in marks.all_of("path without a router", but=("name",)).values():
            ask("GET", f"/raw/{quote(value, safe='')}/x?{query}", headers)
        ask("POST", "/find/body", headers, str(marks.all_of("body")).encode())
        for how in ("text", "sql", "parameters", "chain", "group", "key"):
            ask("GET", f"/fail/{how}", headers)
    ask("GET", "/find/strange-host", {**headers, "Host": f"{marks.of('Host header', 'path').split('/')[2]}.net"})


def _headers(marks: Marks) -> dict[str, str]:
    def words(place: str) -> str:
        return ", ".join(marks.all_of(place).values())

    return {
        "User-Agent": f"Mozilla/5.0 (X11; Linux x86_64) {words('user agent')}",
        "Referer": f"https://search.example/?q={quote(words('referrer'))}",
        "Cookie": f"session={quote(words('cookie'))}",
        "Authorization": f"Bearer {marks.of('authorization', 'token')}",
        "X-Forwarded-For": marks.of("forwarded address", "ip"),
        "X-Real-IP": marks.of("real address", "ip"),
        "CF-Connecting-IP": marks.of("connecting address", "ip"),
        "Forwarded": f"for={marks.of('forwarded', 'ip')}",
        "X-Customer": words("header"),
        "Accept-Language": words("language"),
    }

"""Who may open the operator's pages: the same answers under ASGI, Flask and Django."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from calos_telemetry import Settings, Telemetry
from calos_telemetry.sdk.viewer.pages import mounted_at

from ..conftest import HOST
from .doors import NOWHERE, Answer, Ask, asgi_door, django_door, flask_door

TOKEN = "hunter2 and a long tail"
PAGES = (
    ("GET", "/"),
    ("GET", "/style.css"),
    ("GET", "/summary"),
    ("POST", "/flush"),
    ("POST", "/verify"),
    ("GET", "/report"),
    ("GET", "/license"),
    ("POST", "/license/clear"),
)
LOCAL, ELSEWHERE = "127.0.0.1", "203.0.113.7"
HOME = {"host": "localhost:8000"}
FRAMEWORKS = ("asgi", "flask", "django")


def basic(password: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"me:{password}".encode()).decode()}


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def telemetry_of(home: Path, token: str | None) -> Telemetry:
    return Telemetry(Settings(home=home, public_host=HOST, server=NOWHERE, operator_token=token))


def door(framework: str, home: Path, token: str | None) -> Iterator[Ask]:
    if framework == "django":
        with django_door(home, token) as ask:
            yield ask
        return
    telemetry = telemetry_of(home, token)
    yield {"asgi": asgi_door, "flask": flask_door}[framework](telemetry)
    telemetry.close()
    assert not telemetry.failures


@pytest.fixture(scope="module", params=FRAMEWORKS)
def open_door(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Yield a shop without an operator's token."""
    yield from door(request.param, tmp_path_factory.mktemp("open") / "home", None)


@pytest.fixture(scope="module", params=FRAMEWORKS)
def locked_door(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Yield a shop with an operator's token."""
    yield from door(request.param, tmp_path_factory.mktemp("locked") / "home", TOKEN)


def refused(answer: Answer, status: int) -> bool:
    """Say whether an answer is a refusal that says in words what to do, and tells nothing else."""
    sentence = answer.content
    return answer.status == status and not sentence["success"] and "CALOS_OPERATOR_TOKEN" in sentence["error"]


@pytest.mark.parametrize(("method", "page"), PAGES)
@pytest.mark.parametrize(
    ("peer", "headers"),
    [
        (ELSEWHERE, HOME),
        (ELSEWHERE, {"host": HOST}),
        (LOCAL, {"host": HOST}),
        (LOCAL, HOME | {"x-forwarded-for": ELSEWHERE}),
        (LOCAL, HOME | {"forwarded": f"for={ELSEWHERE}"}),
        (LOCAL, HOME | {"x-real-ip": ELSEWHERE}),
        ("", HOME),
        (LOCAL, HOME | {"x-forwarded-host": HOST} | basic(TOKEN)),
    ],
)
def test_without_a_token_only_the_machine_itself_is_answered(
    open_door: Ask, method: str, page: str, peer: str, headers: dict[str, str]
) -> None:
    """Visitors, visitors through a proxy on the same machine, and a name that was rebound to it are refused: 403."""
    assert refused(open_door(method, "/api/telemetry" + page, headers, peer), 403)


@pytest.mark.parametrize(("method", "page"), PAGES)
@pytest.mark.parametrize(
    "headers", [{}, bearer("wrong"), basic("wrong"), bearer(TOKEN + "x"), bearer(""), {"authorization": TOKEN}]
)
def test_with_a_token_nobody_is_answered_without_it(
    locked_door: Ask, method: str, page: str, headers: dict[str, str]
) -> None:
    """Not even a direct call from the machine itself: 401, and a browser is asked for the token."""
    answer = locked_door(method, "/api/telemetry" + page, HOME | headers, LOCAL)
    assert refused(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Basic realm=")


@pytest.mark.parametrize("headers", [bearer(TOKEN), basic(TOKEN)])
@pytest.mark.parametrize("peer", [LOCAL, ELSEWHERE])
def test_the_token_opens_from_anywhere(locked_door: Ask, headers: dict[str, str], peer: str) -> None:
    """With the token, as Bearer or as a browser sends it, page, summary and flush answer, also through a proxy."""
    through = {"host": HOST, "x-forwarded-for": ELSEWHERE} | headers
    assert locked_door("GET", "/api/telemetry/", through, peer).status == 200
    assert locked_door("GET", "/api/telemetry/summary?hours=1", through, peer).content["success"] is True
    assert locked_door("POST", "/api/telemetry/flush", through, peer).content["message"] == "Telemetry flushed"


@pytest.mark.parametrize("page", ["/flush", "/verify", "/license/clear"])
@pytest.mark.parametrize(
    "headers", [{"origin": "https://evil.example"}, {"sec-fetch-site": "cross-site"}, {"origin": "null"}]
)
def test_another_site_cannot_press_the_buttons(
    open_door: Ask, locked_door: Ask, page: str, headers: dict[str, str]
) -> None:
    """A form on a foreign page is refused, although the browser adds the token it knows."""
    assert open_door("POST", "/api/telemetry" + page, HOME | headers, LOCAL).status == 403
    assert locked_door("POST", "/api/telemetry" + page, HOME | headers | basic(TOKEN), LOCAL).status == 403


def test_our_own_buttons_lead_back_to_the_page(open_door: Ask) -> None:
    """A browser that posts one of the page's forms is sent back to the page, which says what was done."""
    form = HOME | {"origin": "http://localhost:8000", "accept": "text/html,*/*;q=0.8", "sec-fetch-site": "same-origin"}
    flushed = open_door("POST", "/api/telemetry/flush", form, LOCAL)
    assert (flushed.status, flushed.headers["location"]) == (303, "/api/telemetry/?done=flushed")
    assert "what was waiting is in the database now" in open_door("GET", flushed.headers["location"], HOME, LOCAL).body
    verified = open_door("POST", "/api/telemetry/verify", form, LOCAL)
    assert (verified.status, verified.headers["location"]) == (303, "/api/telemetry/?done=not-verified")
    assert "could not be checked now" in open_door("GET", verified.headers["location"], HOME, LOCAL).body


@pytest.mark.parametrize(
    ("method", "page", "allowed"),
    [
        ("POST", "/summary", "GET"), ("PUT", "/summary", "GET"), ("DELETE", "/", "GET"), ("PATCH", "/report", "GET"),
        ("GET", "/flush", "POST"), ("GET", "/license/clear", "POST"), ("POST", "/license", "GET"),
        ("GET", "/verify", "POST"), ("OPTIONS", "/flush", "POST"), ("HEAD", "/flush", "POST"),
    ],
)  # fmt: skip
def test_other_methods_are_refused(open_door: Ask, method: str, page: str, allowed: str) -> None:
    """A method that a page does not have is 405 and says which it has: no link can flush anything."""
    answer = open_door(method, "/api/telemetry" + page, HOME, LOCAL)
    assert (answer.status, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("page", ["/nothing", "/summary/24", "/../summary", "//", "/%2e%2e/etc/passwd"])
def test_there_is_nothing_else(open_door: Ask, page: str) -> None:
    """An address that is no page is 404, with a sentence; none leads out of these pages."""
    answer = open_door("GET", "/api/telemetry" + page, HOME, LOCAL)
    assert answer.status in ({200} if page == "//" else {404})


@pytest.mark.parametrize("hours", ["0", "-1", "1e9", "abc", "24.5", "1000000000", "٢٤", "%00", "0x10", "+5", "99999"])
def test_hours_that_make_no_sense_are_refused_in_words(open_door: Ask, hours: str) -> None:
    """A window that is no number, or none that makes sense, is 400 with a sentence."""
    answer = open_door("GET", f"/api/telemetry/summary?hours={hours}", HOME, LOCAL)
    assert answer.status == 400
    assert "a whole number" in answer.content["error"]


@pytest.mark.parametrize("query", ["", "?hours=24", "?hours=24&hours=24", "?other=1", "?hours="])
def test_the_default_is_a_day(open_door: Ask, query: str) -> None:
    """Without hours the summary is that of the last day."""
    answer = open_door("GET", f"/api/telemetry/summary{query}", HOME, LOCAL)
    assert answer.content["summary"]["period"] == "24h"


def test_the_license_has_an_address_of_its_own(open_door: Ask) -> None:
    """``/api/license`` and ``/api/license/clear`` answer as they do below the other pages, behind the same door."""
    for at in ("/api/license/", "/api/telemetry/license"):
        told = open_door("GET", at, HOME, LOCAL)
        assert (told.status, told.headers["cache-control"]) == (200, "no-store")
        assert told.content["license"]["tier"] == "community"
        assert told.content["lease"] is None
        assert refused(open_door("GET", at, HOME, ELSEWHERE), 403)
    cleared = open_door("POST", "/api/license/clear", HOME, LOCAL)
    assert (cleared.status, cleared.content["success"]) == (200, True)
    assert refused(open_door("POST", "/api/license/clear", HOME, ELSEWHERE), 403)
    assert open_door("POST", "/api/license/clear", HOME | {"origin": "https://evil.example"}, LOCAL).status == 403
    assert open_door("GET", "/api/license/clear", HOME, LOCAL).status == 405


@pytest.mark.parametrize(
    "path", ["/api/licenses", "/api/license.json", "/api/telemetryx", "/api", "/shop/api/license", ""]
)
def test_the_applications_own_addresses_stay_its_own(path: str) -> None:
    """What only looks like one of our addresses is the application's."""
    assert mounted_at(path) is None


def test_nobody_else_learns_from_these_pages(open_door: Ask) -> None:
    """The pages run no script, load nothing from elsewhere, are kept by no cache and shown in no frame."""
    answer = open_door("GET", "/api/telemetry/", HOME, LOCAL)
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
    assert (answer.headers["cache-control"], answer.headers["x-frame-options"]) == ("no-store", "DENY")
    assert "<script" not in answer.body
    assert not re.search(r"""(src|href|action|srcset|data)\s*=\s*["']?\s*([a-z]+:)?//|url\(|@import""", answer.body)
    assert int(answer.headers["content-length"]) == len(answer.body.encode("latin-1"))


def test_looking_at_these_pages_is_no_use_of_the_product(open_door: Ask) -> None:
    """However often the operator looks and flushes, nothing is recorded of it."""
    for _ in range(3):
        open_door("GET", "/api/telemetry/", HOME, LOCAL)
        open_door("POST", "/api/telemetry/flush", HOME, LOCAL)
    assert open_door("GET", "/api/telemetry/summary", HOME, LOCAL).content["summary"]["apiStats"] == []

"""The vendor's start page: who may see it, what it says, and what it never does."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import httpx2 as httpx
import pytest
from starlette.testclient import TestClient
from tests.server.analytics.fleet import ONE, aggregate, failure, route, store
from tests.server.install import Install, aggregate_row, report

from calos_telemetry.clock import date_of, now_ms
from calos_telemetry.contract.signing import encode_public
from calos_telemetry.server.app import create_app
from calos_telemetry.server.vendor import Vendor
from calos_telemetry.settings import ServerSettings

HOSTILE = "<script>alert(1)</script>&\"'{{6*7*1000003}}"


class Page(HTMLParser):
    """Every tag with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def filled(vendor: Vendor, name: str = "pos_transaction") -> None:
    today = date_of(now_ms())
    aggregates = [
        aggregate(ONE, today, "requests", "2xx", 1234),
        aggregate(ONE, today, "requests", "5xx", 66),
        aggregate(ONE, today, "hour", "08", 1300),
        aggregate(ONE, today, "feature", name, 42),
    ]
    slow = route(ONE, today, f"/api/{name}/:id", [120] * 9)
    broken = failure(ONE, "a", 7, message=name, first_seen_at=now_ms(), last_seen_at=now_ms())
    store(vendor.store.telemetry, aggregates=aggregates, performance=[slow], errors=[broken])


def test_an_empty_fleet_is_told_how_to_fill(client: TestClient, vendor: Vendor) -> None:
    """Without a report the page says so, and gives the two lines that an install needs."""
    page = client.get("/").text
    assert "Nothing has been reported yet" in page
    assert f"CALOS_VENDOR_KEY={encode_public(vendor.keys.root)}" in page
    assert "<figure>" not in page


def test_a_report_is_on_the_page_at_once(client: TestClient, install: Callable[..., Install]) -> None:
    """What an install sends is what the next look at the page shows."""
    assert install().verify(report(aggregates=[aggregate_row(value=4321)])).telemetry.code == "ACCEPTED"
    page = client.get("/").text
    assert "What the product does, on 1 install" in page
    assert "4,321" in page


def test_every_question_has_a_sentence_a_chart_and_a_table(client: TestClient, vendor: Vendor) -> None:
    """The numbers are there in words, as well-formed SVG and as a table."""
    filled(vendor)
    page = client.get("/?days=7").text.replace("\u00a0", " ")
    assert "1,300 requests in 7 days" in page
    assert "5.1 %" in page
    assert "pos_transaction leads with 100.0 % of all uses, on 1 of 1 install." in page
    assert "One in twenty GET /api/pos_transaction/:id takes" in page
    assert "Locked (database) is the most widespread: 7 times, on 1 of 1 install." in page
    charts = re.findall(r"<figure>(.*?)</figure>", page, re.DOTALL)
    assert [ET.fromstring(chart).tag for chart in charts] == ["{http://www.w3.org/2000/svg}svg"] * 4  # noqa: S314 - ours
    assert page.count("<table>") == 5


@pytest.mark.parametrize("query", ["", "?days=7", "?days=90", "?days=0", "?days=-1", "?days=abc", "?days=7&days=8"])
def test_any_period_gives_a_page(client: TestClient, vendor: Vendor, query: str) -> None:
    """Only the offered periods exist; anything else is the usual one."""
    filled(vendor)
    response = client.get("/" + query)
    assert response.status_code == 200
    assert response.text.count('aria-current="page"') == 1


def test_what_installs_send_is_text_and_nothing_else(client: TestClient, vendor: Vendor) -> None:
    """Markup in a name is shown as letters: in tables, sentences and charts alike."""
    filled(vendor, HOSTILE)
    response = client.get("/")
    page = Page(response.text)
    assert not [tag for tag, _ in page.tags if tag in {"script", "iframe", "object", "img", "form"}]
    assert not [attrs for _, attrs in page.tags if any(name.startswith("on") or name == "style" for name in attrs)]
    assert "42000126" not in response.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in response.text


def test_no_page_asks_another_host_for_anything(client: TestClient, vendor: Vendor) -> None:
    """Every address in the page, its charts and its style is our own, and the policy forbids the rest."""
    filled(vendor)
    response = client.get("/")
    addresses = [
        value
        for _, attrs in Page(response.text).tags
        for name, value in attrs.items()
        if name in {"href", "src", "xlink:href", "action", "srcset"} and value
    ]
    assert addresses
    assert all(value.startswith(("/", "data:", "#")) and not value.startswith("//") for value in addresses)
    style = client.get("/assets/style.css")
    assert "url(" not in style.text
    assert "@import" not in style.text
    assert style.headers["content-type"].startswith("text/css")
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def served(home: Path, token: str | None, peer: str, headers: dict[str, str]) -> httpx.Response:
    app = create_app(ServerSettings(home=home, admin_token=token))
    with TestClient(app, base_url="http://127.0.0.1:8700", client=(peer, 50000)) as client:
        return client.get("/", headers=headers)


@pytest.mark.parametrize(
    ("token", "peer", "headers", "status"),
    [
        (None, "127.0.0.1", {}, 200),
        (None, "127.0.0.1", {"X-Forwarded-For": "203.0.113.5"}, 403),
        (None, "127.0.0.1", {"Host": "evil.example"}, 403),
        (None, "203.0.113.5", {}, 403),
        ("secret", "127.0.0.1", {}, 401),
        ("secret", "203.0.113.5", {"Authorization": "Bearer wrong"}, 401),
        ("secret", "203.0.113.5", {"Authorization": "Bearer secret"}, 200),
    ],
)
def test_only_the_vendor_sees_it(
    home: Path, token: str | None, peer: str, headers: dict[str, str], status: int
) -> None:
    """Loopback without a proxy, or the token; everybody else is told what to do, and sees no number."""
    response = served(home, token, peer, headers)
    assert response.status_code == status
    if status != 200:
        assert "CALOS_SERVER_ADMIN_TOKEN" in response.text
        assert "CALOS_VENDOR_KEY" not in response.text
    assert ("www-authenticate" in response.headers) == (status == 401)

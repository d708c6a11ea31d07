"""Who may open the operator's and the vendor's pages."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.access import Verdict, decide, is_loopback

TOKEN = "correct horse battery staple"
LOCAL = {"host": "localhost:8000"}


def basic(password: str) -> str:
    return "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        ("127.0.0.1", {"host": "127.0.0.1:8000"}, Verdict.ALLOWED),
        ("127.8.9.10", {"host": "localhost"}, Verdict.ALLOWED),
        ("::1", {"host": "[::1]:8000"}, Verdict.ALLOWED),
        ("::ffff:127.0.0.1", {"host": "localhost"}, Verdict.ALLOWED),
        ("192.168.1.5", {"host": "localhost"}, Verdict.FORBIDDEN),
        ("203.0.113.5", {"host": "localhost"}, Verdict.FORBIDDEN),
        (None, {"host": "localhost"}, Verdict.FORBIDDEN),
        ("testclient", {"host": "localhost"}, Verdict.FORBIDDEN),
        ("127.0.0.1", {}, Verdict.FORBIDDEN),
        ("127.0.0.1", {"host": "evil.example"}, Verdict.FORBIDDEN),
        ("127.0.0.1", {"host": "localhost.evil.example"}, Verdict.FORBIDDEN),
        ("127.0.0.1", {"host": "localhost@evil.example"}, Verdict.FORBIDDEN),
        ("127.0.0.1", {"host": "[::1"}, Verdict.FORBIDDEN),
        ("127.0.0.1", {"host": "0.0.0.0"}, Verdict.FORBIDDEN),
        ("127.0.0.1", LOCAL | {"x-forwarded-for": "203.0.113.5"}, Verdict.FORBIDDEN),
        ("127.0.0.1", LOCAL | {"x-forwarded-proto": "https"}, Verdict.FORBIDDEN),
        ("127.0.0.1", LOCAL | {"forwarded": "for=203.0.113.5"}, Verdict.FORBIDDEN),
        ("127.0.0.1", LOCAL | {"x-real-ip": ""}, Verdict.FORBIDDEN),
        ("127.0.0.1", LOCAL | {"via": "1.1 proxy"}, Verdict.FORBIDDEN),
    ],
)
def test_without_a_token_only_direct_loopback_passes(
    peer: str | None, headers: dict[str, str], expected: Verdict
) -> None:
    """Loopback opens the pages only where no proxy stands in between and the browser asked for loopback by name."""
    assert decide(peer, headers, None) is expected


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (f"Bearer {TOKEN}", Verdict.ALLOWED),
        (f"bearer  {TOKEN} ", Verdict.ALLOWED),
        (basic(TOKEN), Verdict.ALLOWED),
        (basic(TOKEN + "x"), Verdict.UNAUTHORIZED),
        (f"Bearer {TOKEN[:-1]}", Verdict.UNAUTHORIZED),
        (f"Digest {TOKEN}", Verdict.UNAUTHORIZED),
        (TOKEN, Verdict.UNAUTHORIZED),
        ("Basic %%%", Verdict.UNAUTHORIZED),
        ("Basic /////w==", Verdict.UNAUTHORIZED),
        ("", Verdict.UNAUTHORIZED),
    ],
)
def test_a_token_opens_from_anywhere_and_is_then_always_required(authorization: str, expected: Verdict) -> None:
    """A configured token decides alone: through proxies with it, not even from loopback without it."""
    headers = {"host": "telemetry.example", "x-forwarded-for": "203.0.113.5", "authorization": authorization}
    assert decide("203.0.113.7", headers, TOKEN) is expected
    assert decide("127.0.0.1", LOCAL | {"authorization": authorization}, TOKEN) is expected


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "post"])
@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        ({}, Verdict.ALLOWED),
        ({"sec-fetch-site": "same-origin"}, Verdict.ALLOWED),
        ({"sec-fetch-site": "none"}, Verdict.ALLOWED),
        ({"sec-fetch-site": "cross-site"}, Verdict.FORBIDDEN),
        ({"sec-fetch-site": "same-site"}, Verdict.FORBIDDEN),
        ({"origin": "http://localhost:8000"}, Verdict.ALLOWED),
        ({"origin": "http://localhost:9000"}, Verdict.FORBIDDEN),
        ({"origin": "https://evil.example"}, Verdict.FORBIDDEN),
        ({"origin": "null"}, Verdict.FORBIDDEN),
        ({"origin": "http://[::1"}, Verdict.FORBIDDEN),
    ],
)
def test_another_site_cannot_make_a_browser_change_anything(
    method: str, extra: dict[str, str], expected: Verdict
) -> None:
    """A state-changing request that a foreign page caused is refused, with a stored password as without one."""
    assert decide("127.0.0.1", LOCAL | extra, None, method) is expected
    assert decide("127.0.0.1", LOCAL | extra | {"authorization": basic(TOKEN)}, TOKEN, method) is expected


def test_reading_from_another_site_is_left_to_the_browser() -> None:
    """A link from elsewhere may open a page: the browser itself keeps its content from the other site."""
    assert decide("127.0.0.1", LOCAL | {"sec-fetch-site": "cross-site"}, None) is Verdict.ALLOWED


@given(
    peer=st.none() | st.ip_addresses().map(str) | st.text(max_size=20),
    headers=st.dictionaries(st.sampled_from(["host", "authorization", "origin", "via"]), st.text(max_size=40)),
    method=st.sampled_from(["GET", "POST"]),
)
def test_nothing_a_stranger_sends_raises_or_guesses_the_token(
    peer: str | None, headers: dict[str, str], method: str
) -> None:
    """Any bytes in any header end in a verdict, and never in ALLOWED where a token is asked for."""
    assert decide(peer, headers, TOKEN, method) is not Verdict.ALLOWED
    if not is_loopback(peer):
        assert decide(peer, headers, None, method) is Verdict.FORBIDDEN

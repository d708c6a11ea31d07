from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.sdk.obfuscate import clients
from calos_telemetry.sdk.obfuscate.clients import BROWSERS, SYSTEMS, Client, client_of

pytest.importorskip("ua_parser")

WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
KNOWN = [
    (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {WEBKIT} Chrome/120.0.0.0 Safari/537.36", "Chrome", "Windows"),
    (f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/119.0 Safari/537.36 Edg/119.0", "Edge", "Windows"),
    ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0", "Firefox", "Linux"),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.0 Safari/605.1.15",
        "Safari",
        "macOS",
    ),
    (
        f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) {WEBKIT} Version/17.0 Mobile/15E148 Safari/604.1",
        "Safari",
        "iOS",
    ),
    (
        f"Mozilla/5.0 (Linux; Android 13; SM-S901B) {WEBKIT} SamsungBrowser/22.0 Chrome/111.0 Mobile Safari/537.36",
        "Samsung Internet",
        "Android",
    ),
    (f"Mozilla/5.0 (Linux; Android 9; CUBOT NOTE) {WEBKIT} Chrome/111.0 Mobile Safari/537.36", "Chrome", "Android"),
    (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {WEBKIT} Chrome/120.0.0.0 Safari/537.36", "Chrome", "ChromeOS"),
    ("Mozilla/5.0 (Windows NT 10.0; Trident/7.0; rv:11.0) like Gecko", "Internet Explorer", "Windows"),
    ("Netscape-of-my-own/1.0", "other", "other"),
]
PROGRAMS = [
    ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
    ("Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.0; +https://openai.com/gptbot)", "bot"),
    ("kube-probe/1.27", "bot"),
    (f"Mozilla/5.0 (X11; Linux x86_64) {WEBKIT} HeadlessChrome/120.0 Safari/537.36", "bot"),
    ("Mozilla/5.0 zgrab/0.x", "bot"),
    ("GoogleHC/1.0", "bot"),
    ("Blackbox Exporter/0.25.0", "bot"),
    ("PostmanRuntime/7.42.0", "script"),
    ("GuzzleHttp/7", "script"),
    ("curl/8.4.0", "script"),
    ("python-requests/2.31.0", "script"),
    ("okhttp/4.9.0", "script"),
]


@pytest.mark.parametrize(("user_agent", "browser", "system"), KNOWN)
def test_browsers_and_systems_have_no_version(user_agent: str, browser: str, system: str) -> None:
    """A person's browser becomes two words from the closed lists."""
    assert client_of(user_agent) == Client(browser, system, bot=False)


@pytest.mark.parametrize(("user_agent", "family"), PROGRAMS)
def test_programs_are_marked(user_agent: str, family: str) -> None:
    """Crawlers, monitors and HTTP libraries are no visitors."""
    client = client_of(user_agent)

    assert (client.browser, client.bot) == (family, True)


@given(st.text(max_size=2000) | st.none() | st.binary() | st.integers())
def test_anything_gives_words_from_the_closed_lists(anything: object) -> None:
    """No user agent, however strange, brings a word of its own into the answer."""
    client = client_of(anything)  # type: ignore[arg-type]

    assert client.browser in BROWSERS
    assert client.os in SYSTEMS


def test_the_cache_is_bounded_and_holds_no_user_agent() -> None:
    """A visitor who sends ever new texts fills numbers into a bounded cache, never a text."""
    for number in range(2 * 2048 + 1):
        client_of(f"Planted/{number}")

    assert len(clients._clients) <= 2048
    assert {type(key) for key in clients._clients} == {int}


def test_the_parser_is_loaded_on_first_use_only() -> None:
    """Importing the module costs the request path nothing: the pattern list stays unread."""
    code = "import sys, calos_telemetry.sdk.obfuscate.clients; print('ua_parser' in sys.modules, 're2' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert result.stdout.split() == ["False", "False"]


def test_a_broken_parser_answers_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure inside the parser is counted and costs nobody the request."""

    def broken() -> None:
        raise RuntimeError

    monkeypatch.setattr(clients, "_parser", broken)

    assert client_of("Never/seen before") == Client("other", "other", bot=False)

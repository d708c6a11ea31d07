"""User agent to browser and operating system family, without versions; why this parser: docs/decisions/0003."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Final, NamedTuple

from calos_telemetry.sdk.obfuscate.boundary import FAILURES


class Client(NamedTuple):
    """What is kept of a user agent: two words from closed lists, and whether a program sent the request."""

    browser: str
    os: str
    bot: bool


OTHER: Final = "other"
BOT: Final = "bot"  # crawlers and monitors
SCRIPT: Final = "script"  # HTTP libraries and command line tools
UNKNOWN: Final = Client(OTHER, OTHER, bot=False)

_BROWSER_OF: Final = {
    "Chrome": "Chrome",
    "Chromium": "Chrome",
    "Firefox": "Firefox",
    "Safari": "Safari",
    "Edge": "Edge",
    "IE": "Internet Explorer",
    "Opera": "Opera",
    "Samsung": "Samsung Internet",
    "Android": "Android Browser",
    "Brave": "Brave",
    "Vivaldi": "Vivaldi",
    "DuckDuckGo": "DuckDuckGo",
    "Yandex": "Yandex",
    "UC": "UC Browser",
    "Electron": "Electron",
    "MiuiBrowser": "Miui Browser",
    "Whale": "Whale",
}
"""By the first word of the parser's family: ``Chrome Mobile WebView`` is Chrome."""

_FIRST_WORDS: Final = {"Mobile Safari": "Safari", "Mobile": OTHER, "HeadlessChrome": BOT}

_SYSTEM_OF: Final = {
    "Windows": "Windows",
    "Mac": "macOS",
    "iOS": "iOS",
    "iPadOS": "iOS",
    "Android": "Android",
    "Chrome": "ChromeOS",
    "Linux": "Linux",
    "Ubuntu": "Linux",
    "Debian": "Linux",
    "Fedora": "Linux",
    "Red": "Linux",
    "Gentoo": "Linux",
    "SUSE": "Linux",
    "CentOS": "Linux",
    "Arch": "Linux",
    "Mint": "Linux",
    "FreeBSD": "BSD",
    "OpenBSD": "BSD",
    "NetBSD": "BSD",
    "Tizen": "Tizen",
    "webOS": "webOS",
    "tvOS": "tvOS",
    "ATV": "tvOS",
    "KaiOS": "KaiOS",
    "HarmonyOS": "HarmonyOS",
}

BROWSERS: Final = frozenset(_BROWSER_OF.values()) | {OTHER, BOT, SCRIPT}
SYSTEMS: Final = frozenset(_SYSTEM_OF.values()) | {OTHER}

# Programs give themselves away by these words; browsers never carry them.
_BOT_WORDS: Final = re.compile(
    r"bot\b|crawl|spider|slurp|scan(?:ner)?\b|monitor|uptime|health.?check|probe|preview|archiver|headless|lighthouse"
    r"|phantomjs|selenium|playwright|puppeteer|externalhit|feed(?:fetcher|burner|ly)"
    r"|zgrab|nikto|sqlmap|nessus|nmap|nuclei|zabbix|nagios|prometheus|blackbox|censys|expanse|statuscake|site24x7|synthetic"
    r"|pinger|googlehc",
    re.IGNORECASE,
)
_SCRIPT_WORDS: Final = re.compile(
    r"^(?:curl|wget|httpie|python|aiohttp|httpx|urllib|java|okhttp|apache-http\w*|go-http|node|axios|got|undici|ruby|faraday|php"
    r"|guzzle\w*|symfony httpclient|perl|libwww|rust|reqwest|dart|postman\w*|insomnia|powershell|restsharp|dotnet|\.net|jakarta|k6|ab|hey|wrk)\b",
    re.IGNORECASE,
)
_CUBOT: Final = re.compile(r"cubot", re.IGNORECASE)  # a maker of telephones
_LONGEST: Final = 512
_MOST_CACHED: Final = 2048

_clients: dict[int, Client] = {}
"""By the hash of the user agent, which Python keys anew in each process: the text itself is not kept."""


def client_of(user_agent: str | None) -> Client:
    """Return the families of a user agent; anything unknown is ``other``.

    The first call that meets a new user agent loads the parser (about 60 ms); `prepare` does that beforehand.
    """
    if type(user_agent) is not str or not user_agent:
        return UNKNOWN
    key = hash(user_agent)
    client = _clients.get(key)
    if client is None:
        client = _parsed(user_agent[:_LONGEST])
        if len(_clients) >= _MOST_CACHED:
            _clients.clear()
        _clients[key] = client
    return client


def prepare() -> None:
    """Load the parser now, away from a request: called by the worker thread when it starts."""
    _parser()


def _parsed(user_agent: str) -> Client:
    """Ask the parser, and fold its several hundred families into the closed lists."""
    user_agent = _CUBOT.sub("", user_agent)
    try:
        family, system, is_spider = _parser()(user_agent)
    except Exception:  # noqa: BLE001  the boundary: a user agent is a visitor's input
        FAILURES["client_of"] += 1
        return UNKNOWN
    os = _SYSTEM_OF.get(_first_word(system), OTHER)
    if is_spider or _BOT_WORDS.search(user_agent):
        return Client(BOT, os, bot=True)
    if _SCRIPT_WORDS.search(user_agent):
        return Client(SCRIPT, os, bot=True)
    folded = _FIRST_WORDS.get(" ".join(family.split()[:2])) or _BROWSER_OF.get(_first_word(family), OTHER)
    return Client(folded, os, bot=False)


def _first_word(family: str) -> str:
    return family.partition(" ")[0]


@cache
def _parser() -> Callable[[str], tuple[str, str, bool]]:
    """Build the parser: browsers, systems and, of the device patterns, only those that tell spiders."""
    from ua_parser import Domain  # noqa: PLC0415  loads 60 ms of patterns, on first use only
    from ua_parser.loaders import load_lazy_builtins  # noqa: PLC0415
    from ua_parser.re2 import Resolver  # noqa: PLC0415

    browsers, systems, devices = load_lazy_builtins()
    resolve = Resolver(
        (browsers, systems, [device for device in devices if getattr(device, "family", None) == "Spider"])
    )

    def parse(user_agent: str) -> tuple[str, str, bool]:
        found = resolve(user_agent, Domain.ALL)
        browser = found.user_agent.family if found.user_agent else ""
        return browser, found.os.family if found.os else "", found.device is not None

    return parse

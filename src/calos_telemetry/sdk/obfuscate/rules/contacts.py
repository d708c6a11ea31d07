"""Where somebody can be reached: e-mail, telephone, account number, network address, and what URLs carry."""

from __future__ import annotations

import re
from typing import Final

from calos_telemetry.sdk.obfuscate.opaque import is_opaque
from calos_telemetry.sdk.obfuscate.placeholders import EMAIL, ID, IP, MAC, NUMBER, PHONE, TOKEN, VALUE
from calos_telemetry.sdk.obfuscate.rules.checks import digits_of, is_ipv4, is_ipv6, is_phone
from calos_telemetry.sdk.obfuscate.rules.rule import LETTER, WIDE, Rule
from calos_telemetry.sdk.obfuscate.words import is_wordy

# The sign itself, percent-encoded (once or twice), as HTML entity, JSON or string escape, and written out in brackets.
_AT: Final = r"(?:@{1,3}|%(?:25)?40|&(?:#64|#x40|commat);|\\u0040|\\x40|\s?[\[({]\s?at\s?[\])}]\s?)"
_LOCAL_SIGNS: Final = rf"{LETTER}.+~!#$*^-"
_LOCAL: Final = rf"(?:[{_LOCAL_SIGNS}]++|%(?!(?:25)?40)|(?<=\w)'(?=\w))"
_DOT: Final = r"(?:\.|%2e|\s?[\[({]\s?dot\s?[\])}]\s?)"
_DOMAIN: Final = (
    rf"(?:(?:[{LETTER}-]+{_DOT})+(?:xn--)?[a-z\x80-\U0010ffff][{LETTER}-]*|\[?\d{{1,3}}(?:\.\d{{1,3}}){{3}}\]?)"
)
_SPOKEN: Final = r"[\w.-]+ at [\w-]+ dot [a-z]{2,24}\b"

_IN_USERINFO: Final = re.compile(r"://[^\s/?#]*\Z")
_PIXEL_RATIO: Final = re.compile(r"@\dx\.")
_LOOK_BACK: Final = 96
_IN_URL: Final = re.compile(r"(?:https?://[^\s/?#\"'<>]+|(?:GET|POST|PUT|PATCH|DELETE|HEAD) )/[^\s?#\"'<>]*\Z")
_LONGEST_URL: Final = 256


def _is_mail(match: re.Match[str]) -> bool:
    """Leave ``icon@2x.png`` alone, and what stands before a host in a URL to the rule that knows where it ends."""
    before = match.string[max(0, match.start("v") - _LOOK_BACK) : match.start("v")]
    return _PIXEL_RATIO.search(match[0]) is None and _IN_USERINFO.search(before) is None


def _is_number(match: re.Match[str]) -> bool:
    return is_phone(match["v"])


def _is_dialled(match: re.Match[str]) -> bool:
    """Say whether a number is one by its shape alone: no byte dump (``00 1f``), no ISBN, no run of zeros."""
    if "isbn" in match.string[max(0, match.start() - 12) : match.start()].lower():
        return False
    digits = digits_of(match["v"])
    return is_phone(match["v"]) and len(digits) > 7 and "0000" not in digits  # noqa: PLR2004  shortest with its area


_TELEPHONE: Final = (
    r"(?:tele)?phones?|mobile|cell(?:ular|phone)?|tel|telefon[oe]?|telefoon|telepono|fax|whats ?app|msisdn|sms|handy|desk|cep|gsm"
    r"|answering|reach(?:ed|able)?|dial(?:l?ed|l?ing)?|call(?:ed|ing|er|back)?|text(?:ed)?|messages?|landline|hotline|rufnummer|(?:sent|deliver(?:ed|y)?|forward(?:ed)?|code|otp|pin) to"
)
_NUMBER: Final = r"\+?\(?\d(?:[ ().\-/]{0,3}\d){6,14}(?:\s?(?:x|ext\.?)\s?\d{1,6})?"
_EXTENSION: Final = r"(?:\s?(?:x|ext\.?|#)\s?\d{1,6})?"

_VERSION_BEFORE: Final = re.compile(
    r"(?:version|release|build|firmware|\bver\.?|\bv)[\s:='\"]*\Z|[A-Za-z]/\Z", re.IGNORECASE
)
_VERSION_TAIL: Final = (".0.0", ".0.1")


def _is_address(match: re.Match[str]) -> bool:
    """Tell ``Chrome/120.0.0.0`` and ``version 1.2.3.4`` from an address."""
    if not is_ipv4(match["v"]):
        return False
    before = _VERSION_BEFORE.search(match.string[max(0, match.start() - 12) : match.start()].lower())
    return before is None or (before[0].endswith("/") and not match["v"].endswith(_VERSION_TAIL))


def _is_colon_address(match: re.Match[str]) -> bool:
    return is_ipv6(match["v"])


def _is_query_value(match: re.Match[str]) -> bool:
    """Let a word stay that the program put there (``?format=json``), as in any other place."""
    return not is_wordy(match["v"] or match["w"])


def _is_path_identifier(match: re.Match[str]) -> bool:
    """Say whether it is an identifier, as in any path, and whether the path is that of a URL or a request."""
    before = match.string[max(0, match.start() - _LONGEST_URL) : match.start()]
    return is_opaque(match["v"]) and _IN_URL.search(before) is not None


RULES: Final = (
    Rule(
        "email",
        EMAIL,
        "an e-mail address (RFC 5321 form, in any encoding)",
        rf"(?i)(^|[^{WIDE}.+~!#$*^%-])([{WIDE}.+~!#$*^%'-]+|\"[^\"\n]+\")"
        r"(@|%(25)?40|&(#64|#x40|commat);|\\u0040|\\x40|\s?[\[({]\s?at\s?[\])}]|\sat\s[\w-]+\sdot\s)",
        rf"(?i)(?:\A|[^%{_LOCAL_SIGNS}])(?P<v>(?:{_LOCAL}++|\"[^\"\n]{{1,64}}\"){_AT}{_DOMAIN}|{_SPOKEN})",
        _is_mail,
    ),
    Rule(
        "url.credentials",
        TOKEN,
        "the user and password of a URL (RFC 3986 userinfo)",
        r"://[^\s/?#]*@|://[^\s/:@]*:[^\s@]*@",
        r"://(?P<v>[^\s/?#\"'<>]{1,256}|[^\s/:@\"'<>]{0,64}:(?!\d{1,5}[/?#])[^\s@\"'<>]{1,128})@(?=[\w\[])",
        scan=True,
    ),
    Rule(
        "url.query",
        VALUE,
        "a value in the query of a URL",
        r"[?&][\w.\[\]%-]+=[^\s&]|=[^\s&=]+&[\w.%-]+=",
        r"[?&][\w.\[\]%-]{1,60}=(?P<v>[^\s&;\"'`<>)\]}]+)|(?<![\w.?&%-])[\w.%-]{1,60}=(?P<w>[^\s&;\"'`<>)\]}]+)(?=&[\w.%-]{1,60}=)",
        _is_query_value,
        scan=True,
    ),
    Rule(
        "url.path",
        ID,
        "an identifier in the path of a URL or a request",
        r"(https?://[^\s/?#]+|(GET|POST|PUT|PATCH|DELETE|HEAD) )/[^\s?#]*\d",
        r"(?<=/)(?P<v>[\w.~-]{4,})(?=[/?#\s\"'`<>)\]},;]|\Z)",
        _is_path_identifier,
        scan=True,
    ),
    Rule(
        "ip.v4",
        IP,
        "an IPv4 address",
        r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d",
        r"(?P<v>\d(?<![\w.]\d)\d{0,2}(?:\.\d{1,3}){3})(?!\w|\.\d)",
        _is_address,
        scan=True,
    ),
    Rule(
        "ip.hostname",
        IP,
        "an IPv4 address inside a host name, as providers name their lines",
        r"([A-Za-z]{1,12}[-.])?\d{1,3}[-.]\d{1,3}[-.]\d{1,3}[-.]\d{1,3}[-.][A-Za-z0-9-]*[A-Za-z]",
        r"(?<![\w.])(?:[A-Za-z]{1,12}[-.])?(?P<v>\d{1,3}(?P<separator>[-.])\d{1,3}(?P=separator)\d{1,3}(?P=separator)\d{1,3})(?=[-.][A-Za-z0-9-]*[A-Za-z])",
        lambda match: is_ipv4(match["v"].replace("-", ".")),
    ),
    Rule(
        "mac",
        MAC,
        "a hardware address (EUI-48, EUI-64 or dotted)",
        r"(?i)\b[0-9a-f]{2}(([:-][0-9a-f]{2}){5}|[0-9a-f]{2}\.[0-9a-f]{4}\.[0-9a-f]{4})",
        r"(?i)\b(?<![:.-])[0-9a-f]{2}(?:(?::[0-9a-f]{2}){5,7}|(?:-[0-9a-f]{2}){5,7}|[0-9a-f]{2}(?:\.[0-9a-f]{4}){2})(?![\w-])",
    ),
    Rule(
        "ip.v6",
        IP,
        "an IPv6 address",
        r"(?i)([0-9a-f]{1,4}:){1,6}:|::[0-9a-f]|([0-9a-f]{1,4}:){5}[0-9a-f]",
        r"(?i)(?<![\w.\]-])(?<!\w:)(?P<v>(?:[0-9a-f]{1,4}:|(?<!:)::)(?:[0-9a-f]{0,4}:){0,7}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{1,4}|(?<=::))(?:%\w{1,16})?)(?![\w\[])",
        _is_colon_address,
    ),
    Rule(
        "phone.international",
        PHONE,
        "a telephone number with its country code (ITU-T E.164)",
        r"(\+|%2B)\s?\(?[1-9]|\b00[1-9]([ ./-]?\d){7}",
        rf"(?<![\w+.])(?P<v>(?:\+|%2B)\s?\(?[1-9](?:[ .\-/()]{{0,3}}\d){{6,14}}{_EXTENSION})(?!\d)"
        rf"|(?<![.:+-])\b(?P<w>00[1-9]\d{{0,3}}(?:[ .\-/]?\d{{2,12}}){{1,4}}{_EXTENSION})(?![\w.:-]?\d)",
        lambda match: is_phone(match[0]) and (match["v"] is not None or len(digits_of(match[0])) > 9),  # noqa: PLR2004
    ),
    Rule(
        "phone.named",
        PHONE,
        "a number that the words before it call a telephone number",
        rf"(?i)({_TELEPHONE})[^\d\n]{{0,24}}\s{{0,3}}[+(]{{0,2}}\d",
        rf"(?i)(?<![a-z])(?:{_TELEPHONE})(?:[ _.-]?(?:numbers?|no|nr|num))?\.?[\"'\\\]]{{0,4}}(?: (?:me|us|him|her|them|back)){{0,2}}"
        rf"(?:[\s:=#>,(-]{{0,4}}(?:is|at|to|on|from|under)?[\s:=\"'\\(\[]{{0,6}})(?<!\w)(?P<v>{_NUMBER})(?!\d)",
        _is_number,
    ),
    Rule(
        "phone.labelled",
        PHONE,
        "a number that the word behind it calls a telephone number",
        r"(?i)[+(]{0,2}\d([ ().\/-]{0,3}\d){6,14}(\s?(x|ext\.?)\s?\d+)?[\s(\[-]{0,2}((is |was )?(not )?(an? )?(in)?(valid )?(phone|mobile)|office|fax|mobile|cell|desk|landline|phone)",
        rf"(?i)(?<![\d+(])(?<!\d[ .-])(?P<v>{_NUMBER})(?=[\s(\[-]{{0,2}}(?:(?:is |was )?(?:not )?(?:an? )?(?:in)?(?:valid )?(?:phone|mobile)|office|fax|mobile|cell|desk|landline)\b)",
        _is_number,
    ),
    Rule(
        "phone.trunk",
        PHONE,
        "a national telephone number: the trunk prefix 0, then groups of digits",
        r"\(0[1-9]\d{0,4}\)[ ./-]{1,2}\d\d|\b0([1-9]\d{0,4}[ ./-]{1,2}\d{2,8}| ?\(?[1-9]\d{1,3}\)?[ .-]\d{2,4}[ .-]\d|[1-9]\d{8,9}\b)",
        r"(?P<v>[(0](?<![\w.:/+-].)(?:(?<=0)|0)(?:[1-9]\d{0,4}\)?(?:[ .\-/]{1,2}\d{2,8}){1,4}| ?\(?[1-9]\d{1,3}\)?(?:[ .-]\d{2,4}){2,3}"
        r"|[1-9]\d{8,9}))(?![\w-]|[.:/]\d)",
        _is_dialled,
        scan=True,
    ),
    Rule(
        "phone.grouped",
        PHONE,
        "a telephone number in the usual groups of three and four digits",
        r"(1[ .-])?\(?\d{3}[) .-]{1,2}\d{3}[ .-]\d{3,4}",
        rf"(?P<v>[(\d](?<![\w.+-].)(?:(?<=1)[ .-]\(?)?(?:(?<=\()\d{{3}}\) ?|(?<=[.\- ])\d{{3}}[).-] ?|(?<=[2-9])\d{{2}}[.-])\d{{3}}[ .-]\d{{4}}"
        rf"{_EXTENSION})(?![\w-])",
        _is_dialled,
        scan=True,
    ),
    Rule(
        "phone.area",
        PHONE,
        "a telephone number: an area code in brackets, then groups of digits; or groups of three, two and two",
        r"\(\d{2,5}\) ?\d{2,5}[ -]\d{2,4}|\b[1-9]\d{1,2}[ -]\d{3}[ -]\d\d[ -]\d\d",
        rf"(?P<v>\(\d{{2,5}}\) ?\d{{2,5}}(?:[ -]\d{{2,4}}){{1,3}}{_EXTENSION}|(?<![\w.,+-])(?<!\d )[1-9]\d{{1,2}}[ -]\d{{3}}[ -]\d\d[ -]\d\d)(?![\w-]|[ .:]\d)",
        _is_dialled,
    ),
    Rule(
        "number.named",
        NUMBER,
        "a long number that the word before it calls somebody's number",
        r"(?i)\b(number|account|acct|routing|iban|konto\w*|reference)( (no|nr|number|is|was))?[\"'\s:.#=]{1,4}\d{7}|\bnumber (\w+ )?\d(?:[ .-]?\d){6}",
        r"(?i)\b(?:number|account|acct|routing|iban|konto\w{0,8}|reference)(?: (?:no|nr|number|is|was))?[\"'\s:.#=]{1,4}(?P<v>\d{7,19})(?![\w.]*\w)"
        r"|\bnumber (?:is |was )?(?P<w>\d{2,4}(?:[ -]\d{2,4}){2,5})(?![\w.-]*\w)",
    ),
)

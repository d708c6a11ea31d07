"""What opens a door: keys, tokens, passwords, cookies; by their own shape or by the name in front of them."""

from __future__ import annotations

import re
from typing import Final

from calos_telemetry.sdk.obfuscate.placeholders import ID, MASK, TOKEN, VALUE
from calos_telemetry.sdk.obfuscate.rules.checks import is_opaque
from calos_telemetry.sdk.obfuscate.rules.rule import Rule
from calos_telemetry.sdk.obfuscate.words import is_wordy

_NAMES: Final = (
    r"pass(?:word|wd|wort|phrase|code|key)?|pwd|pw|passw|secrete?|token|jwt|bearer|credentials?|authorization|auth|cookie"
    r"|(?:api|access|secret|private|account|shared|signing|encryption|master|client|auth|iam|license|licence|app|web|deploy"
    r"|service|storage|rest|sas|ssh|ssl|pgp|gpg|hmac|jwt|softlayer|sl)[ _.-]?key|apikey|key[ _.-]?id|access[ _.-]?id"
    r"|sess(?:ion)?[ _.-]?(?:id|key|token|hash)|session=|sid|csrf|xsrf|signature|sig|otp|totp|pin|cvv2?|cvc2?|nonce|salt|hmac"
    r"|security[ _.-]?code|recovery[ _.-]?code|verification[ _.-]?code|(?:security|secret)[ _.-]?answer|psk|contrase[nñ]a|mot de passe|senha"
)
_REST_OF_NAME: Final = r"(?:s|(?:[_.-][a-z0-9]{1,24}){1,4}|hash|value|id|key|confirmation|data|header|\d{1,3}|param)?"
_ASSIGN: Final = r"(?:\[\w*\])?(?:\\?[\"'`])?\]?\s{0,4}(?::?={1,3}|=>|!={1,2}|:)\s{0,4}=?\s?@?"
_QUOTED_OR_BARE: Final = (
    r"(?:\\[\"'](?P<a>[^\"'\\\n]{1,400})|\"(?P<b>(?:[^\"\\\n]|\\.){1,400})|'(?P<c>(?:[^'\\\n]|\\.){1,400})|`(?P<d>[^`\n]{1,400})"
    r"|(?P<v>[^\s,;&\"'`]{1,400}(?:[,&](?![\s\"']|\w[\w.-]*[=:])[^\s,;&\"'`]{0,99}){0,9}(?<![.)\]}>:])))"
)
_NOTHING: Final = frozenset(
    "none null nil undefined true false yes no on off ok empty blank missing invalid required basic bearer digest negotiate "  # noqa: SIM905
    "hidden masked redacted xxx xxxx *** ... n/a na".split(),
)
_CODES: Final = re.compile(r"pin|otp|cv[vc]|code|pass|pw", re.IGNORECASE)
_TEMPLATE: Final = re.compile(r"[%$]?(?:\(\w*\)|\{\w*\}|<\w*>|\[\w*\])[sdr]?|[%$]?[({<\[][a-z_]*|%[sdrif]|\W+")
_RECORD: Final = re.compile(r"[A-Za-z]{2,12}[_-]-?\d[\d_-]*|AES-\d{3}-\w{2,3}")  # job_1445144423722_0020
_NUMBER: Final = re.compile(r"0[xX][0-9a-fA-F]{1,16}\b")
_PAIR: Final = re.compile(r"[\w.-]{1,60}=.")  # the inside of a cookie: its own rule takes the values one by one
_ASSIGNED: Final = re.compile(
    r"(?:pass|pw)[a-z]{0,8}[\"'\\]{0,3}\s?=\s?[^=>]", re.IGNORECASE
)  # a password may be a word
_PASSWORD: Final = re.compile(r"pass|pw", re.IGNORECASE)
_COUNT_DIGITS: Final = 6
_LONG: Final = 20

_PROOFS: Final = r"cvv2?|cvc2?|pin|otp|totp|one[- ]time (?:password|code)|(?:verification|security|confirmation|login|access|your|sms|mfa|2fa|auth\w{0,12}) code"
_SCHEME: Final = r"basic|bearer|digest|negotiate|ntlm|token|apikey|api-key|hawk|aws4-hmac-sha256|splunk|sharedkey|oauth"


def _is_secret(match: re.Match[str]) -> bool:
    """Say whether it is a value, not a word of the message (``token: expired``), a template (``%(key)s``) or a count (``tokens=12``)."""
    value = match[match.lastgroup or 0]
    if value.lower() in _NOTHING or _TEMPLATE.fullmatch(value) or _NUMBER.match(value) or _is_cookie_list(match):
        return False
    if value.isdigit():
        return len(value) >= _COUNT_DIGITS or _CODES.match(match[0]) is not None
    if _PASSWORD.match(match[0]) and any(map(str.isdigit, value)):
        return True  # two words and a digit are what people make up
    if _ASSIGNED.match(match[0]) or (match["v"] is None and " " in value.strip()):
        return True
    return not is_wordy(value)


def _is_cookie_list(match: re.Match[str]) -> bool:
    return match[0][:6].lower() == "cookie" and _PAIR.match(match[match.lastgroup or 0]) is not None


def _is_bare_secret(match: re.Match[str]) -> bool:
    """Behind a mere word such as ``token`` only what cannot be a word: it has a digit, and it is none we know."""
    value = match["v"]
    if _NUMBER.match(value) or _RECORD.fullmatch(value):
        return False
    mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return mixed and not is_wordy(value)


def _is_credential(match: re.Match[str]) -> bool:
    value = match["v"]
    plain = value.isalpha() and (value.islower() or value.istitle())
    return len(value) >= _LONG or not (plain or is_wordy(value) or value.lower() in _NOTHING)


def _in_cookie(match: re.Match[str]) -> bool:
    line = match.string.rfind("\n", 0, match.start()) + 1
    return "cookie" in match.string[line : match.start()].lower()


def _is_opaque(match: re.Match[str]) -> bool:
    return is_opaque(match["v"])


RULES: Final = (
    Rule(
        "key.private",
        TOKEN,
        "a private key (PEM block)",
        r"-----BEGIN",
        r"-----BEGIN [A-Z0-9 ]{0,40}-----(?s:.*?)(?:-----END [A-Z0-9 ]{0,40}-----|\Z)",
        scan=True,
    ),
    Rule(
        "token.jwt",
        TOKEN,
        "a signed token (JWT, RFC 7519) or other base64 of a JSON object",
        r"eyJ[\w-]{6}",
        r"eyJ[\w-]{6,}(?:\.[\w.~+/-]*)?={0,2}",
        scan=True,
    ),
    Rule(
        "secret.hash",
        TOKEN,
        "the hash of a password (crypt, PHC string format)",
        r"\$[0-9a-z-]{1,10}\$",
        r"\$[0-9a-z-]{1,10}\$[\w+/.=$,-]{12,}",
    ),
    Rule(
        "secret.header",
        TOKEN,
        "the credentials of an authorization header",
        rf"(?i)\b({_SCHEME})\s{{1,2}}[\"']?[\w+/.~=:-]|authorization[\"'\\\]]*\s?[:=]",
        rf"(?i)\b(?:{_SCHEME})\s{{1,2}}[\"']?(?P<v>[\w+/.~=:-]{{6,}})|authorization[\"'\\\]]*\s?[:=]\s?[\"'\\]*(?!(?:{_SCHEME})\b)(?P<w>[^\s\"'\\]{{6,}})",
        lambda match: match["v"] is None or _is_credential(match),
    ),
    Rule(
        "secret.cookie",
        TOKEN,
        "the value of a cookie",
        r"(?i)cookie",
        r"[\w.-]{1,60}=(?P<v>[^;\s\"',]{2,})",
        _in_cookie,
        scan=True,
    ),
    Rule(
        "secret.named",
        VALUE,
        "a value that its name calls a secret",
        rf"(?i)({_NAMES}){_REST_OF_NAME}{_ASSIGN}\S",
        rf"(?i)(?:(?<![a-z])|(?<=[a-z](?=pass[wp]|secret|token|api|key|cred|cookie|auth|sess|csrf)))(?:{_NAMES}){_REST_OF_NAME}"
        rf"{_ASSIGN}{_QUOTED_OR_BARE}",
        _is_secret,
    ),
    Rule(
        "secret.quoted",
        VALUE,
        "a quoted value next to a word for a secret",
        rf"(?i)({_NAMES})(\w*\.\w+\(|\(|\s(is|was|to)?\s?)[\"'`]|[\"'`][^\n]*[\"'`)]\s?[!=]==?\s?[\w.]*({_NAMES})",
        rf"(?i)(?:{_NAMES})(?:[_\w]*\.\w{{1,24}}\(|\(|\s(?:is|was|to)?\s?)(?P<q>[\"'`])(?P<v>(?:(?!(?P=q))[^\n]){{4,200}})(?P=q)"
        rf"|(?P<p>[\"'`])(?P<w>(?:(?!(?P=p))[^\n]){{4,200}})(?P=p)\)?\s?[!=]==?\s?[\w.]{{0,40}}(?:{_NAMES})",
        lambda match: not is_wordy((match["v"] or match["w"]).replace(MASK, "")),
    ),
    Rule(
        "secret.following",
        TOKEN,
        "a value right behind the word that names a secret",
        rf"(?i)\b({_NAMES}|session|key|code)s?(\s[a-z]{{1,12}}){{0,2}}:?\s{{1,2}}[\"'`(<]?[\w.~+/$!@#%^&*=:-]*\d",
        rf"(?i)\b(?:{_NAMES}|session|key|code)s?(?:\s[a-z]{{1,12}}){{0,2}}:?\s{{1,2}}[\"'`(<]?(?P<v>[\w.~+/$!@#%^&*=:-]{{6,200}}(?<![.:]))",
        _is_bare_secret,
    ),
    Rule(
        "secret.code",
        VALUE,
        "a code that proves who somebody is",
        rf"(?i)\b({_PROOFS})(\s(is|was))?[:\s]{{1,2}}\d",
        rf"(?i)\b(?:{_PROOFS})(?:\s(?:is|was))?[:\s]{{1,2}}(?P<v>\d{{3,8}})\b",
    ),
    Rule(
        "secret.option",
        VALUE,
        "the value of a command line option that takes a secret or a user",
        r"(\s|^)-{1,2}(password|passwd|pass|token|secret|api-?key|auth|user|username|u|p)[= ]?\S",
        r"(?:\s|^)(?:--(?:password|passwd|pass|token|secret|api-?key|auth|user|username)[= ]|-u ?|-p(?=[^\s\d-]))(?P<v>[^\s\"']{2,})",
        lambda match: not is_wordy(match["v"]),
    ),
    Rule(
        "id.uuid",
        ID,
        "a universally unique identifier (RFC 9562)",
        r"(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
        r"(?i)(?<![0-9a-z])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9a-z])",
    ),
    Rule(
        "token.opaque",
        TOKEN,
        "a long run of letters and digits that no word explains",
        r"[A-Za-z0-9]{7}([A-Za-z][0-9]|[0-9][A-Za-z])|([A-Za-z][0-9]|[0-9][A-Za-z])[A-Za-z0-9]{7}",
        r"(?:\A|[^A-Za-z0-9])(?P<v>(?!0(?:[xX]|000))(?:[A-Za-z]*\d[A-Za-z0-9]*[_-])?[A-Za-z0-9]{16,}(?:[_-][A-Za-z0-9_-]{4,})?={0,2})(?![A-Za-z0-9])",
        _is_opaque,
        start=r"(^|[^A-Za-z0-9])([A-Za-z]*[0-9][A-Za-z0-9]*[_-])?[A-Za-z0-9]{16}",
    ),
)

"""What a program quotes from its input: SQL literals, refused values, the content of fields, people's names."""

from __future__ import annotations

import re
from typing import Final

from calos_telemetry.sdk.obfuscate.placeholders import MASK, NAME, NUMBER, VALUE
from calos_telemetry.sdk.obfuscate.rules.checks import digits_of
from calos_telemetry.sdk.obfuscate.rules.rule import LETTER, Rule
from calos_telemetry.sdk.obfuscate.words import is_wordy

_CAPITALISED: Final = r"[A-Z\u00c0-\u00de\u0100-\u024f\u0386-\u03ab\u0410-\u042f]"
_GIVEN: Final = rf"{_CAPITALISED}(?:[{LETTER}.-]|'(?=[{LETTER}])){{0,30}}"
_FULL_NAME: Final = (
    rf"{_GIVEN}(?: (?:(?:van|von|de|da|di|del|der|den|la|le|bin|ibn|al|el|dos|du|y) ){{0,2}}{_GIVEN}){{1,3}}"
)

_SQL: Final = (
    r"(?i)\b(insert\s+into|delete\s+from|update\s+\S+\s+set|select\s[^;']*\sfrom\s+[\w\".]+(\s+(where|join|order|limit|group|as)\b|;|$)|values?\s*\(['\d]|where\s+\S+\s*(=|<|>|!|like\b|in\b))"
    r"|\[?parameters:|\bparams\s?[:=]|bind(ing)?s?\s?[:=]"
)
_FIELD: Final = (
    r"(?:first|last|full|given|family|middle|display|maiden|customer|patient|contact|card ?holder|account ?holder|beneficiary"
    r"|recipient|sender|employee|student|billing|shipping|legal|real|owner)[ _-]?name|firstname|lastname|fullname|surname"
    r"|nombre|apellidos?|vorname|nachname|nome|cognome|pr[eé]nom|imi[eę]|nazwisko|card ?holder"
)
_PLACE: Final = (
    r"street(?:[ _]?(?:name|address))?|address[ _]?(?:line)?[ _]?\d|(?:home|postal|billing|shipping|mailing)[ _]address|zip(?:[ _-]?code)?"
    r"|post(?:al)?[ _-]?code|plz|date[ _]of[ _]birth|dob|birth[ _]?(?:day|date)|geburtsdatum|maiden|latitude|longitude|lat|lng"
)
_PERSON: Final = (
    r"user|customer|client|patient|employee|member|student|driver|cashier|partner|contact|guest|passenger|supplier|teacher|doctor|owner|author"
    r"|tenant|buyer|seller|recipient|sender|reviewer|assignee|(?:opened|created|signed|requested|approved|ordered|sent|paid|booked|submitted) by"
    r"|delivery to|shipped to|deliver to|on behalf of"
)
_ASSIGN: Final = r"[\"'\\\]]{0,3}\s{0,2}(?:=>|:?=|:)\s{0,3}"
_DATE_OR_VERSION: Final = re.compile(r"(?:19|20)\d\d[-\d.:/, TWZ+]*|v?\d+(?:\.\d+){1,3}[\w.+() -]*")
_WORDLESS_DIGITS: Final = 5
_LONG_NUMBER: Final = 6
_LETTERS: Final = re.compile(r"[A-Za-z]{2,}")

_CODE: Final = re.compile(r"[A-Za-z_$][\w$]*(?:(?:\.|::|/|->|:|-)[A-Za-z_$*][\w$]*)*(?:\(\)|\[\])?[.:]?")
_PLACE_IN_FILES: Final = re.compile(r"[./~\\]|[A-Za-z]:\\|[a-z+]{2,12}://|'")
_TEMPLATE: Final = re.compile(r"%|\{\w*\}|<\w*>|\$\{|\*")


def _is_literal(match: re.Match[str]) -> bool:
    """Every literal of a statement, but not the keys of a parameter dictionary."""
    behind = match.string[match.end() : match.end() + 2].lstrip()
    return not (behind.startswith(":") and (is_wordy(match["v"]) or MASK in match["v"]))


def _is_typed(match: re.Match[str]) -> bool:
    """Say whether it was typed by somebody: no known words, nothing written like an identifier, a template or a date."""
    value = match["v"].replace(MASK, "")  # what an earlier pass took out says nothing
    if (
        is_wordy(value)
        or (value.isdigit() and len(value) < _LONG_NUMBER)
        or _DATE_OR_VERSION.fullmatch(value)
        or _TEMPLATE.search(value)
        or _PLACE_IN_FILES.match(value)
    ):
        return False
    return " " in value or not _CODE.fullmatch(value)


def _is_name(match: re.Match[str]) -> bool:
    return not is_wordy(match["v"])


def _is_persons_name(match: re.Match[str]) -> bool:
    """Say whether no part of it is a word: ``Customer Service Agent`` is a title."""
    return not any(map(is_wordy, match["v"].split()))


def _is_value_alone(match: re.Match[str]) -> bool:
    """Take the only value of a text: without a word it tells an operator nothing; if it carries a number that is no date or version, it goes."""
    value = match["v"]
    if len(digits_of(value)) < _WORDLESS_DIGITS or _DATE_OR_VERSION.fullmatch(value):
        return False
    return not any(is_wordy(word) for word in _LETTERS.findall(value))


RULES: Final = (
    Rule(
        "literal.sql",
        VALUE,
        "a literal in an SQL statement or its parameters",
        _SQL,
        r"(?<![\w'])[NEX]?'(?P<v>(?:[^'\n]|''){1,300})'(?!\w)",
        _is_literal,
        scan=True,
    ),
    Rule(
        "literal.sql.number",
        NUMBER,
        "a number in an SQL statement or its parameters",
        _SQL,
        r"(?<=[=(,<>\s])(?P<v>-?\d{3,}(?:\.\d+)?)(?=\s?[,);\]}]|\s+(?:AND|OR|LIMIT|ORDER|GROUP)\b|\s*\Z)",
        scan=True,
    ),
    Rule(
        "literal.duplicate",
        VALUE,
        "the value a database refused (PostgreSQL, MySQL, MongoDB wordings)",
        r"(?i)\)=\(|failing row contains \(|duplicate entry '|dup key: ?\{|invalid input syntax for [^\n:]*: ?[\"']|out of range: ?\"|"
        r"incorrect \w+ value: ?'|invalid input value for enum|for column|base \d+: ?['\"]|isoformat string: ?['\"]|to float: ?['\"]|input_value=",
        r"(?i)(?:\)=\(|failing row contains \()(?P<v>[^\n]{1,400})(?=\))|(?:duplicate entry|incorrect \w{1,12} value:|(?:literal for int\(\) with )?base \d{1,2}:"
        r"|isoformat string:|string to float:) ?(?P<q>['\"])(?P<a>(?:(?!(?P=q))[^\n]){1,300})(?P=q)|dup key: ?\{ ?\w{0,40}:? ?\"?(?P<b>[^\"}\n]{1,300}?)\"? ?\}"
        r"|(?:invalid input (?:syntax|value) for [^\n:\"]{1,40}(?:\"\w+\")?|field value out of range): ?\"(?P<c>[^\"\n]{1,300})\"|input_value='(?P<d>[^'\n]{1,300})'",
        scan=True,
    ),
    Rule(
        "literal.value",
        VALUE,
        "a quoted value that was refused",
        r"(?i)\b(values?|got|received|input|invalid|duplicate|data|string|number|entry|unknown|parse|convert)\b[^\"'`\n]{0,32}[\"'`]",
        r"(?i)\b(?:values?|got|received|input|invalid|duplicate|data|string|number|entry|unknown|parse|convert)\b[^\"'`\n]{0,32}(?P<q>[\"'`])"
        r"(?P<v>(?:(?!(?P=q))[^\n]){2,200})(?P=q)(?!\w)",
        _is_typed,
    ),
    Rule(
        "literal.key",
        VALUE,
        "the key that was missing in a mapping",
        r"KeyError: ['\"]",
        r"KeyError: (?:'(?P<v>[^'\n]{1,200})'|\"(?P<w>[^\"\n]{1,200})\")",
        lambda match: not is_wordy(match[match.lastgroup or 0]),
    ),
    Rule(
        "name.field",
        NAME,
        "a person's name, given away by the name of its field",
        rf"(?i)({_FIELD}){_ASSIGN}\S",
        rf"(?i)(?<![a-z])(?:{_FIELD}){_ASSIGN}(?P<q>\\?[\"'`])?(?P<v>(?(q)(?:(?!(?P=q))[^\n]){{1,80}}|(?-i:{_GIVEN}(?: {_GIVEN}){{0,3}}|[{LETTER}'-]{{2,40}})))",
        _is_name,
    ),
    Rule(
        "name.full",
        NAME,
        "a first and a last name behind the word name, a title or a greeting",
        r"[nN]ame[\"'\\\]]{0,3}\s{0,2}[:=]|\b(Mr|Mrs|Ms|Miss|Dr|Prof|Herr|Frau|Mme|Dear|Hello|Hi|Sra?)\b,?\.? ",
        rf"(?<![a-z])[nN]ame[\"'\\\]]{{0,3}}\s{{0,2}}(?:=>|=|:)\s{{0,4}}\\?[\"']?(?P<v>{_FULL_NAME})"
        rf"|\b(?:Mr|Mrs|Ms|Miss|Dr|Prof|Herr|Frau|Mme|Dear|Hello|Hi|Sra?)\b,?\.? (?P<w>{_GIVEN}(?: {_GIVEN}){{0,2}})",
        lambda match: not is_wordy(match["v"] or match["w"]),
    ),
    Rule(
        "name.person",
        NAME,
        "a first and a last name behind the word for what somebody is",
        rf"(?i)\b({_PERSON})\b[:\s\"'`(]{{1,4}}[^\s\d]",
        rf"\b(?i:{_PERSON}):?\s{{1,2}}[\"'`(]?(?P<v>{_FULL_NAME})",
        _is_persons_name,
    ),
    Rule(
        "name.mailbox",
        NAME,
        "the name in front of an e-mail address (RFC 5322 mailbox)",
        r"[\"\w\x80-\x{10ffff}] ?<[^\s<>@]+@",
        rf"(?P<v>{_GIVEN}(?: {_GIVEN}){{0,3}})\"? ?(?=<[^\s<>@]{{1,64}}@)",
        _is_name,
        scan=True,
    ),
    Rule(
        "place.field",
        VALUE,
        "an address or a birthday, given away by the name of its field",
        rf"(?i)({_PLACE}){_ASSIGN}\S",
        rf"(?i)(?<![a-z])(?:{_PLACE}){_ASSIGN}(?P<q>\\?[\"'`])?(?P<v>(?(q)(?:(?!(?P=q))[^\n]){{1,120}}|[^\s,;\"'&]{{2,60}}))",
        _is_name,
    ),
    Rule(
        "value.alone",
        VALUE,
        "a text that holds no word, only a value",
        rf"\A([A-Za-z]{{0,3}}[^A-Za-z{MASK}]+)*[A-Za-z]{{0,3}}\z",
        r"\A\s*(?P<v>\S{1,40}(?: \S{1,24}){0,3})\s*\Z",
        _is_value_alone,
        scan=True,
    ),
)

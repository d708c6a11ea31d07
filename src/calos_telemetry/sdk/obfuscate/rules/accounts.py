"""Who it was: user names and numbers, known only by the words around them, and the home directories named after them."""

from __future__ import annotations

import re
from typing import Final

from calos_telemetry.sdk.obfuscate.opaque import is_opaque
from calos_telemetry.sdk.obfuscate.placeholders import USER
from calos_telemetry.sdk.obfuscate.rules.rule import LETTER, WIDE, Rule
from calos_telemetry.sdk.obfuscate.words import is_wordy

_NAME: Final = rf"[{LETTER}$][{LETTER}.@\\+$~-]{{0,62}}[{LETTER}$]|[{LETTER}]"
_OPEN: Final = r"[\"'`(<\[#]{0,2}"
_PERSON: Final = (
    r"users?|account|member|subscriber|customer|client|employee|staff|patient|student|owner|author|assignee|reviewer|operator"
    r"|admin(?:istrator)?|contact|person|profile|principal|identity|recipient|sender|participant|attendee|tenant|buyer|seller"
    r"|merchant|partner|driver|guest|visitor|applicant|candidate|teacher|doctor|agent|holder|payer|payee|beneficiary|actor|login|creator|approver|uploader"
    r"|requester|moderator|manager|editor|supervisor|responsible|speaker|organi[sz]er|registrant|cashier|salesperson|worker"
)
_ROLE: Final = (
    r"cashier|driver|patient|member|employee|student|subscriber|customer|client|visitor|guest|operator|agent|teacher|doctor|tenant|reader"
    r"|seller|buyer|merchant|partner|supplier|courier|waiter|assignee|reviewer|approver|owner|author|actor|sender|recipient|participant|attendee"
)
_PEOPLE: Final = frozenset("cashier patient employee student teacher doctor customer waiter courier".split())  # noqa: SIM905
_SIGN_INSIDE: Final = re.compile(r"\d|\w[._]\w")
_KEY: Final = (
    r"(?:[a-z]{1,16}[_.-])?r?(?:user|member|customer|employee|patient|subscriber|shopper|student|owner|actor|author|account|client|person|contact"
    r"|profile)(?:[ _.-]?(?:names?|ids?|ref(?:erence)?|uuid|no|number|pk|principal[ _.-]?name))?"
    r"|usr|uname|upn|logname|login(?:[ _.-]?(?:name|id))?|acct|uid|nick(?:name)?|s?am ?account ?name|assignee|principal(?:name)?"
    r"|(?:created|updated|modified|approved|requested|reviewed|deleted|assigned)[_ ](?:by|to)(?:_id)?|impersonator|sender|recipient|payee|payer|initiator|requester|invoker|subject|sub"
)
_STATED: Final = frozenset("account client person contact profile subject sub owner author".split())  # noqa: SIM905
_NOBODY: Final = frozenset(
    "none null nil undefined true false unknown anonymous system self nobody any all other n/a arn "  # noqa: SIM905
    "root admin administrator guest superuser".split(),  # everybody has these: they name nobody
)
_FUNCTION_WORDS: Final = frozenset(
    "a an and any are as at be by can cannot for from had has have he if in is it me my no not of on or that the their them "  # noqa: SIM905
    "this to us was were with without your you who which name names user users id invalid unknown illegal all each".split(),
)
_UUID: Final = r"[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}"
_IS_UUID: Final = re.compile(_UUID)
_SMALL_DIGITS: Final = 3  # a number below a thousand is a count or a choice, unless it is said to be a user's
_LONGEST_ABBREVIATION: Final = 5  # blocked by CORS
_RECORD: Final = re.compile(r"[A-Za-z]{2,12}[_-]-?\d[\d_-]*")  # job_1445144423722_0020: a thing, not a person
_NUMBERED_WORD: Final = re.compile(r"[a-z]{4,}\d{1,3}")  # reporting1: so logins are made unique
_HEXADECIMAL: Final = re.compile(r"0[xX][0-9a-fA-F]+\b")


def _is_person(match: re.Match[str]) -> bool:
    """Not a word that messages are made of, not ``null``, not a number in hexadecimal: then it is somebody."""
    value = match["v"]
    if value.lower() in _NOBODY or _HEXADECIMAL.match(value):
        return False
    return not is_wordy(value) or _NUMBERED_WORD.fullmatch(value) is not None


def _is_named(match: re.Match[str]) -> bool:
    """Say the same of a value with a name: a number behind ``uid`` is the operating system's, and one behind ``user_id`` somebody's."""
    key = match["k"].lower()
    if match["v"].isdigit():
        return key[-3:] != "uid" and ("user" in key or ("id" in key and len(match["v"]) > _SMALL_DIGITS))
    return _is_person(match) and (key not in _STATED or _is_proper(match))


def _is_called_so(match: re.Match[str]) -> bool:
    """Not a number, which has a rule of its own, nor a function that is called: ``LOGIN chdir(...)``."""
    called = match.string.startswith("(", match.end("v"))
    return not (called or match["v"].isdigit()) and _is_person(match)


def _is_number_of_person(match: re.Match[str]) -> bool:
    """Take a number or a UUID for its place alone, a prefixed identifier (``usr_8Lz7vNmR``) for its shape too."""
    value = match["v"]
    return (
        not value[0].isalpha()
        or _IS_UUID.fullmatch(value) is not None
        or (is_opaque(value) and _RECORD.fullmatch(value) is None)
    )


def _is_login(match: re.Match[str]) -> bool:
    """Beside a word that also stands in plain sentences only what no sentence has: a digit or a sign inside."""
    value = match["v"]
    if not any(map(str.isalpha, value)) or not value.isascii():
        return False
    human = match["k"].lower().removesuffix("s") in _PEOPLE
    return ((human and value.islower()) or _SIGN_INSIDE.search(value) is not None) and _is_proper(match)


def _is_account(match: re.Match[str]) -> bool:
    """Where the server's own wording leaves no doubt, only grammar words are spared."""
    value = match[match.lastgroup or 0].lower().rstrip(".")
    return value not in _FUNCTION_WORDS and value not in _NOBODY


def _is_proper(match: re.Match[str]) -> bool:
    """Where the wording leaves doubt: no known word, no number, no record of a machine."""
    value = match["v"]
    shouted = value.isupper() and len(value) <= _LONGEST_ABBREVIATION
    return not (value.isdigit() or shouted or _RECORD.fullmatch(value)) and _is_person(match)


_ACTION: Final = (
    r"(?:authenticat\w{1,8}|passw(?:or)?d|login|logon|credentials?|sessions?|account|mailbox|inbox|profile|quotas?|access|invitation|tokens?"
    r"|director(?:y|ies)|folder|workspace|message|notification|verification|permissions?|enrol\w{1,8})(?: \w{1,24}){0,2} (?:for|of)|(?:logged|signed|log|sign|login|running|run|executing)(?: in| on| job| task)? as|(?:message|mail|payment|comment|login) from"
    r"|impersonat\w{1,4}|acting as|(?:created|updated|modified|deleted|requested|approved|locked|owned|uploaded|edited|submitted|rejected"
    r"|cancell?ed|initiated|triggered|scheduled|assigned|added|changed|invited|booked|confirmed|denied|issued|verified|deactivated|suspended|exported"
    r"|recorded|filed|raised|granted|reported|signed|posted|sent|closed|started|stopped|executed|attempt|login|made|reviewed|paid|ordered) by:?"
    r"|roles? to|(?:assigned|granted|revoked|invited|sent|delivered|addressed|reply|denied) (?:to|from)|welcome(?: back)?,?|hello,?"
    r"|account|admin|member|subscriber|owner|author|imperson\w{1,6}"
)
_DOING: Final = (
    r"(?:has |is |was )?(?:logged|signed) (?:in|out|on|off|up)|has (?:joined|left)"
    r"|is (?:not |already )?(?:a |an )?(?:member of|authori[sz]ed to|allowed to|banned|impersonating|missing the)"
)

_ADMITTED: Final = r"(?=\s+(?:from\s+\S+\s+(?:port|ssh)|from\s+[\d\[]|\[preauth\]|by\s+\(uid))"

RULES: Final = (
    Rule(
        "user.home",
        USER,
        "the user in the path of a home directory",
        r"(?i)(/|\\|%2f|%5c|[a-z]:)(home|users|documents and settings|profiles|people|mail)(/|\\|%2f|%5c)|[\s\"'=(]~[a-z]",
        r"(?i)(?:(?:/|\\|%2f|%5c|[a-z]:)(?:home|users|documents and settings|profiles|people|mail)(?:/|\\{1,4}|%2f|%5c)|[\s\"'=(]~(?=[a-z]))"
        r"(?P<v>[^\s/\\%\"'`<>|:;,)\]{$\[][^\s/\\%\"'`<>|:;,)\]]{0,63}(?: [^\s/\\\"'`<>|:;,)\]]{1,32}(?=\\))?)",
        lambda match: match["v"].lower() not in {"shared", "public", "default", "root", "all", "me"},
    ),
    Rule(
        "user.account",
        USER,
        "an account named by a server that admits or refuses it (sshd, PAM, su)",
        r"(?i)(invalid|illegal|unknown|authenticating) user \S|(password|publickey|keyboard-interactive/pam|none|hostbased|gssapi-with-mic|login"
        r"|logon|key|certificate) +for |session (opened|closed) for|authentication failures for|user \S+ from \S+ not allowed|failed su for"
        r"|failed login|no such user|new user: name=|\brole [\"']\w|access denied for user ",
        rf"(?i)(?:invalid|illegal|unknown) user (?P<v>{_NAME}){_ADMITTED}"
        rf"|(?:password|publickey|keyboard-interactive/pam|none|hostbased|gssapi-with-mic|login|logon|key|certificate) +for +"
        rf"(?:(?:invalid|illegal) user )?(?P<a>{_NAME}){_ADMITTED}"
        rf"|session (?:opened|closed) for(?: local)? user (?P<b>{_NAME})|authentication failures for (?:invalid user )?(?P<c>{_NAME})"
        rf"|(?:authenticating|invalid|illegal) user (?P<d>{_NAME})\s+(?:[\d\[]|from|port)|user (?P<e>{_NAME}) from \S+ not allowed"
        rf"|failed su for \w+ by (?P<g>{_NAME})|no such user:?\s+[\"'(]?(?P<i>{_NAME})|failed login \d* ?from \S+ for (?P<j>{_NAME})"
        rf"|new user: name=(?P<m>{_NAME})|\brole (?P<q>[\"'])(?P<n>{_NAME})(?P=q)|access denied for user ['\"]?(?P<u>{_NAME})['\"]?@",
        _is_account,
    ),
    Rule(
        "user.prefix",
        USER,
        "the account in front of what sudo and cron report",
        r"(?i)\S : (tty=|\d incorrect|command not|user not)|['\"]: no such user|:(user|federated-user)/\w|\]\\+\[\w|\) cmd \(|\(to \w+\) \S+ on |\] (fail|ok) login|[ug]id=\d+\(\w| - \S+ \[\d\d/|arn:aws|\w:\$\w+\$",
        rf"(?i)(?<!\S)(?P<v>{_NAME}) : (?:tty=|\d incorrect|command not|user not)|\((?P<h>{_NAME})\) cmd \("
        rf"|\(to \w{{1,32}}\) (?P<a>{_NAME}) on |\[(?P<b>{_NAME})\] (?:fail|ok) login|=\d{{1,9}}\((?P<c>{_NAME})\)"
        rf"|['\"](?P<d>{_NAME})['\"]: no such user|:(?:user|federated-user)/(?P<e>{_NAME})|\]\\{{1,2}}\[(?P<f>{_NAME})\]"
        rf"|(?<=\S) - (?P<g>{_NAME}) \[\d\d/\w{{3}}/\d{{4}}:|arn:aws[\w-]{{0,8}}:[\w-]{{0,32}}:[\w-]{{0,32}}:(?P<i>\d{{12}})(?=:)|(?<!\S)(?P<j>{_NAME}):\$\w{{1,8}}\$",
        _is_account,
        scan=True,
    ),
    Rule(
        "user.named",
        USER,
        "a value that its name calls a user",
        rf"(?i)\b({_KEY})[\"'\\\]]{{0,3}}\s{{0,2}}(=>|:?=|:)",
        rf"(?i)\b(?P<k>{_KEY})[\"'\\\]]{{0,3}}\s{{0,2}}(?:=>|:?={{1,2}}|:(?!:))\s{{0,2}}(?:u?\\?[\"'`(<\[]){{0,2}}(?!\w{{1,24}}=)(?P<v>(?:{_NAME})(?:(?-i: [A-Z][a-z]{{1,20}}){{1,2}}(?=[\"'>,;)\]]|\Z))?)",
        _is_named,
    ),
    Rule(
        "user.dn",
        USER,
        "the person in a directory name (RFC 4514)",
        r"(?i)\b(cn|uid|samaccountname)=[^,]{1,64},\s?(ou|cn|o|dc|c)=",
        r"(?i)\b(?:cn|uid|samaccountname)=(?P<v>[^,=\n]{1,64})(?=,\s?(?:ou|cn|o|dc|c)=)",
        _is_person,
    ),
    Rule(
        "user.word",
        USER,
        "a name right behind the word `user`",
        r"(?i)\b(user([ _]?name)?|usr|login|nick(name)?)s?[\s:,]",
        rf"(?i)\b(?<![.\\])(?:user(?:[ _]?name)?|usr|login|nick(?:name)?)s?(?: (?:with|id|name|named|called|of|is|was|account|not|found|does|exists?|disabled|locked|unknown|denied|authenticated|authori[sz]ed|created|deleted|removed|added|updated|registered|verified|blocked|banned)){{0,4}}[:,]?\s{{1,2}}{_OPEN}(?=(?P<v>{_NAME}))",
        _is_called_so,
    ),
    Rule(
        "user.role",
        USER,
        "a login right behind the word for what somebody is",
        rf"(?i)\b({_ROLE})s?[\s:,#]",
        rf"(?i)\b(?<![.\\])(?P<k>(?:{_ROLE})s?)(?: (?:with|id|ref|name|named|called|of|is|no|nr|number|login))?[.:,]?\s{{1,2}}#?{_OPEN}(?P<v>{_NAME})",
        _is_login,
    ),
    Rule(
        "user.number",
        USER,
        "the number of a person",
        rf"(?i)\b({_PERSON})s?(_?ids?)?\b[^\d\[]{{0,24}}\[?([0-9a-f]{{8}}-|\d{{3}}|[\w-]{{0,16}}\d)",
        rf"(?i)\b(?:{_PERSON})s?(?:_?ids?)?\b(?:[ _-]?(?:with|id|ids|no|number|num|nr|uuid|guid|pk|is|was|disabled|of|for|the|has|matching|query|where|by))*[\"']?[:=]?\s?[#\"'`(<\[:=\s]{{0,3}}"
        rf"(?:[\"']?(?:id|pk)[\"']?[=: ]\s?[\"']?)?(?P<v>\d{{3,20}}(?:, \d{{1,20}}){{0,9}}(?![\w.]*\w)|{_UUID}|(?-i:[a-z]{{1,12}}[_-]\w{{6,60}})(?![\w.]*\w))",
        _is_number_of_person,
    ),
    Rule(
        "user.action",
        USER,
        "a name behind the words for what a person does or is given",
        rf"(?i)\b({_ACTION})\s+(user |member |admin )?[\"'`(<\[#]{{0,2}}[{WIDE}$]",
        rf"(?i)\b(?:{_ACTION})\s+(?:user |member |admin )?{_OPEN}(?P<v>(?-i:{_NAME}))",
        _is_proper,
    ),
    Rule(
        "user.subject",
        USER,
        "a name in front of what a person does",
        rf"(?i)[{WIDE}.@+$~-][\"'`)\]]? ({_DOING})\b",
        rf"(?i)(?<![{LETTER}.@/\\-])(?-i:(?P<v>{_NAME}))[\"'`)\]]? (?:{_DOING})\b",
        _is_proper,
        scan=True,
    ),
    Rule(
        "user.object",
        USER,
        "the name or number in the object of a user",
        r"(?i)[\"'](user|member|customer|account|owner|author|actor)\\?[\"']\s{0,2}:\s{0,2}\{",
        rf"(?i)[\"'](?:id|pk|uuid|name|login|handle|nick)\\?[\"']\s{{0,2}}:\s{{0,2}}(?:\\?[\"'])?(?P<v>{_NAME})",
        lambda match: match["v"].isdigit() or _is_person(match),
        scan=True,
    ),
    Rule(
        "user.bracket",
        USER,
        "the number of a person in brackets behind the person",
        r"(?i)(user\w*[=: ]\S+|@[\w.-]+|\]) ?\((id|pk|uid|user_id)[=: ]",
        rf"(?i)(?:user\w{{0,24}}[=: ]{{1,2}}\S{{1,99}}|@[\w.-]{{1,99}}|\]) ?\((?:id|pk|uid|user_id)[=: ]{{1,2}}(?P<v>\d{{3,20}}|{_UUID})",
    ),
)

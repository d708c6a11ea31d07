"""What :func:`obfuscate_message` takes out of a text, what it leaves, and what it does with bad input."""

# ruff: noqa: RUF001  look-alike letters are planted on purpose

from __future__ import annotations

import re
import time
from collections.abc import Callable
from functools import cache
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
import re2  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.sdk.obfuscate import detectors, messages, obfuscate_message
from calos_telemetry.sdk.obfuscate.boundary import FAILURES
from calos_telemetry.sdk.obfuscate.folding import fold, visible
from calos_telemetry.sdk.obfuscate.messages import LONGEST_OUTPUT, explain_message
from calos_telemetry.sdk.obfuscate.placeholders import MASK, PLACEHOLDER, PLACEHOLDERS
from calos_telemetry.sdk.obfuscate.rules import RULES


@pytest.fixture(autouse=True, scope="module")
def _compile_first() -> None:
    """Compile before anything is timed, by the tests or by their deadlines."""
    messages.warm_up()
    for index in range(len(RULES)):
        compiled(index)


TAKEN_OUT = [
    ("User john@example.com failed to log in", "User [EMAIL] failed to log in"),
    ("Connection from 192.168.1.100 refused", "Connection from [IP] refused"),
    ("SMTP refused jörg.müller@exämple.de now", "SMTP refused [EMAIL] now"),
    ("GET /reset?email=ann.lee%40example.org", "GET /reset?email=[EMAIL]"),
    ('{\\"email\\":\\"ann@example.org\\"}', '{\\"email\\":\\"[EMAIL]\\"}'),
    ("Write to ann [at] example [dot] org", "Write to [EMAIL]"),
    ("SMS to +49 30 901820 failed", "SMS to [PHONE] failed"),
    ("SMS to 0171 2345678 failed", "SMS to [PHONE] failed"),
    ("Fax: (212) 555-0187x12 busy", "Fax: [PHONE] busy"),
    ("Card 4111 1111 1111 1111 was declined", "Card [CARD] was declined"),
    ("Charge on 4242424242424242 failed", "Charge on [CARD] failed"),
    ("field 2 4242424242424242 field 39", "field 2 [CARD] field 39"),  # what was refused hides nothing behind it
    ("Transfer to DE89 3704 0044 0532 0130 00 rejected", "Transfer to [IBAN] rejected"),
    ("SSN 078-05-1120 is malformed", "SSN [ID] is malformed"),
    ("rejected 27ABCDE1234F1Z5 as given", "rejected [ID] as given"),
    ("rejected 12.345.678/0001-95 as given", "rejected [ID] as given"),
    ("reçu 27ABCDE1234F1Z5, refusé", "reçu [ID], refusé"),
    ("Peer 2001:db8::ff00:42:8329 timed out", "Peer [IP] timed out"),
    ("Device 00:1B:44:11:3A:B7 blocked", "Device [MAC] blocked"),
    ("GET https://bob:s3cr3t@shop.example.com/a", "GET https://[TOKEN]@shop.example.com/a"),
    ("postgresql://app:hunter2@db:5432/shop refused", "postgresql://[TOKEN]@db:5432/shop refused"),
    ("Server=db;User Id=sa1;Password=Pa$$w0rd;", "Server=db;User Id=[USER];Password=[VALUE];"),
    ("Authorization: Bearer abc.DEF-123456", "Authorization: Bearer [TOKEN]"),
    ("proxy said Basic Ym9iOmh1bnRlcjI=", "proxy said Basic [TOKEN]"),
    ("api_key = 'value with spaces'", "api_key = '[VALUE]'"),
    ("Duplicate entry 'bob' for key 'users.name'", "Duplicate entry '[VALUE]' for key 'users.name'"),
    ("INSERT INTO users VALUES ('Bob', 'x')", "INSERT INTO users VALUES ('[VALUE]', '[VALUE]')"),
    ("DETAIL: Key (name)=(bob smith) already exists.", "DETAIL: Key (name)=([VALUE]) already exists."),
    ("open '/home/bob/.ssh/id_rsa' denied", "open '/home/[USER]/.ssh/id_rsa' denied"),
    ("open C:\\Users\\bob\\x.txt denied", "open C:\\Users\\[USER]\\x.txt denied"),
    ("Failed password for invalid user bob from 1.2.3.4 port 22 ssh2",
     "Failed password for invalid user [USER] from [IP] port 22 ssh2"),
    ("user=bob action=delete", "user=[USER] action=delete"),
    ("Permission denied for user bob on table orders", "Permission denied for user [USER] on table orders"),
    ("User 48213 not found", "User [USER] not found"),
    ("Payment of $1,234.56 failed", "Payment of [AMOUNT] failed"),
    ("Refund 12.50 EUR refused", "Refund [AMOUNT] refused"),
    ('{"first_name": "Ann"}', '{"first_name": "[NAME]"}'),
    ("IMEI 490154203237518 unknown", "IMEI [DEVICE] unknown"),
    ("Paid to bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "Paid to [WALLET]"),
    ("trace 9f8e7d6c5b4a39281706f5e4d3c2b1a0 lost", "trace [TOKEN] lost"),
    ("User b\u200bob@exam\u2060ple.com failed", "User [EMAIL] failed"),
    ("ｊｏｈｎ＠ｅｘａｍｐｌｅ．ｃｏｍ failed", "[EMAIL] failed"),
    ("раssword=hunter2", "раssword=[VALUE]"),
]  # fmt: skip

LEFT_ALONE = [
    'relation "public.orders" does not exist',
    "'NoneType' object has no attribute 'id'",
    "Unsupported engine: wanted 1.2.3-beta.4",
    "lodash@4.17.21 has an unmet peer dependency",
    "expected 1732320000000 got 1732319999999",
    "connect ECONNREFUSED 127.0.0.1:5432",
    "[::]:8080 is already in use",
    "undefined reference to std::vector::at",
    "<Order object at 0x7f3b5c0a1e90>",
    "Order 375556945807302 not found",
    "ISBN 0 00 726970 6 is not in the catalogue",
    'cannot parse date "2009-05-19"',
    "Content-Length 104857600 exceeds limit 52428800",
    "Your user does not have the permission to change settings",
    "the token has expired, sign in again",
    "Invalid password: must be at least 8 characters",
    "user not found",
    "User model must define USERNAME_FIELD",
    "Retry 3 of 5 in 250 ms",
    "timeout of 10000ms exceeded at 12:30:05.123",
    "/var/www/html/index.php on line 42",
    "SELECT failed: no such table: auth_user",
    "icon@2x.png could not be loaded",
    "HTTP/1.1 502 Bad Gateway",
    "python3.11 needs glibc 2.31",
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), TAKEN_OUT)
def test_takes_out(text: str, expected: str) -> None:
    """Each kind of person and secret is replaced by the word for its kind, and the rest of the text stays."""
    assert obfuscate_message(text) == expected


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_leaves_alone(text: str) -> None:
    """Ordinary error text stays as it is, numbers, versions and quoted names included."""
    assert obfuscate_message(text) == text


VENDOR_TOKENS = [
    "AKIA" + "IOSFODNN7EXAMPLE",
    "ghp_" + "16C7e42F292c6912E7710c838347Ae178B4a",
    "github_pat_" + "11ABCDEFG0aBcDeFgHiJkL_mNoPqRsTuVwXyZ012345",
    "glpat-" + "xY7_9kPqRs2TuVwXyZ01",
    "xoxb-" + "2048312345-4031412345-a1b2c3d4e5f6",
    "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "whsec_" + "a1B2c3D4e5F6g7H8",
    "SG." + "ngeVfQFYQlKU0ufo8x5d1A.TwL2iGABf9DHoTf09kqeF8tAmbihYz",
    "AIza" + "SyD9aBcDeFgHiJkLmNoPqRsTuVwXyZ01234",
    "sk-ant-" + "api03-aB1cD2eF3gH4iJ5k",
    "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZ012345",
    "npm_" + "aB1cD2eF3gH4iJ5kL6mN7oP8qR9sT0uV1wX2",
    "pypi-" + "AgEIcHlwaS5vcmcCJGQ1ZjE2",
    "dop_v1_" + "0123456789abcdef0123456789abcdef",
    "hvs." + "CAESIJlmno1234567890abcdef",
    "shpat_" + "0123456789abcdef0123456789abcdef",
    "123456789" + ":AAF1bjqpKKW3maRSPAxzIU0v6xNuq2NjMxy",
    "dckr_pat_" + "aB1cD2eF3gH4iJ5kL6mN7oP8qR9",
    "PMAK-" + "0123456789abcdef01234567-0123456789abcdef",
    "0123456789abcdef0123456789abcdef" + "-us12",
    "eyJhbGciOiJIUzI1NiJ9." + "eyJzdWIiOiIxMjM0NTYifQ.dBjftJeZ4CVPmB92K27uhbUJU1p1r_wW1gFWFOEjXk",
]


@pytest.mark.parametrize("token", VENDOR_TOKENS)
@pytest.mark.parametrize("frame", ["{}", "refused: {}", "key {} is revoked", "a={}&b=1", "'{}'", "({})", "x\n{}\ny"])
def test_vendor_tokens(token: str, frame: str) -> None:
    """No six characters of a token survive, whatever stands around it."""
    assert_gone(token, obfuscate_message(frame.format(token)))


def assert_gone(secret: str, output: str) -> None:
    """Fail where any six neighbouring characters of ``secret`` are in ``output``."""
    bare = PLACEHOLDER.sub("\0", output)
    pieces = [secret[i : i + 6] for i in range(max(1, len(secret) - 5))]
    assert not [piece for piece in pieces if piece in bare], output


WORDS = st.lists(
    st.sampled_from(["request", "failed", "while", "reading", "the", "order", "for", "a", "retry", "gateway"]),
    max_size=6,
)
AROUND = st.tuples(WORDS.map(" ".join), st.sampled_from([" ", "\n", ": ", ' "', " '", " (", " <", "=", ",", "\t"]))
DIGIT = st.sampled_from("0123456789")
PLANTED = st.one_of(
    st.builds("{}.{}@{}.example".format, *[st.text("abcdefghijklmnopqrstuvwxyz", min_size=4, max_size=12)] * 3),
    st.builds(lambda *parts: "10." + ".".join(map(str, parts)), *[st.integers(100, 255)] * 3),
    st.text(DIGIT, min_size=9, max_size=10).filter(lambda digits: len(set(digits)) > 3).map("+49 1{}".format),
    st.sampled_from(VENDOR_TOKENS),
    st.sampled_from(["4111 1111 1111 1111", "5555-5555-5555-4444", "378282246310005", "6011000990139424"]),
    st.sampled_from(["DE89370400440532013000", "GB29 NWBK 6016 1331 9268 19", "FR1420041010050500013M02606"]),
    st.uuids().map(str),
    st.text("abcdefghijklmnopqrstuvwxyz", min_size=7, max_size=10).map("password=zq{}".format),
    st.text("abcdefghijklmnopqrstuvwxyz", min_size=7, max_size=10).map("/home/zq{}/file".format),
)


@given(PLANTED, AROUND, AROUND)
def test_planted_secrets_never_survive(planted: str, before: tuple[str, str], behind: tuple[str, str]) -> None:
    """A secret of any kind is gone wherever it stands: not whole, and not in any piece of six characters."""
    text = before[0] + before[1] + planted + behind[1] + behind[0]
    secret = planted.removeprefix("password=").removeprefix("/home/").removesuffix("/file")
    secret = secret.split("@")[0]

    assert_gone(secret, obfuscate_message(text))


ENCODINGS = [
    lambda mail: mail.replace("@", "%40"),
    lambda mail: mail.replace("@", "%2540"),
    lambda mail: mail.replace("@", "&#64;"),
    lambda mail: mail.replace("@", "\\u0040"),
    lambda mail: mail.replace("@", "\uff20"),
    lambda mail: mail[:3] + "\u200b" + mail[3:],
    lambda mail: mail[:3] + "\u00ad" + mail[3:],
    lambda mail: mail.upper(),
]


@pytest.mark.parametrize("encode", ENCODINGS)
def test_encoded_mail(encode: Any) -> None:
    """An e-mail address is found in every usual encoding of its sign, and with invisible characters inside."""
    mail = encode("katarzyna.nowak@example.org")

    output = obfuscate_message(f"Unknown recipient {mail} in template")

    assert output == "Unknown recipient [EMAIL] in template"


NASTY = st.text(st.sampled_from("a1 @.:/\\'\"=-_+()[]%,;&#EMAILuserpassword0x\n\u200bé٣"), max_size=60)
PIECES = st.lists(
    st.sampled_from(
        [
            "user ",
            "password=",
            "for ",
            "card ",
            "phone: ",
            "'",
            '"',
            "@",
            "a@b.co",
            "10.1.2.3",
            "4111111111111111",
            "[EMAIL]",
            "[VALUE]",
            "x",
            "12345678",
            "Bob",
            " from ",
            "token ",
            "://",
            "INSERT INTO t VALUES (",
            "id=",
            "\n",
            " ",
            "é",
            "::1",
            "0171",
        ]
    ),
    max_size=14,
).map("".join)


@given(st.one_of(st.text(max_size=80), NASTY, PIECES))
def test_idempotent_and_bounded(text: str) -> None:
    """Applying it twice changes nothing more, and the answer keeps to its length and has no invisible characters."""
    once = obfuscate_message(text)

    assert obfuscate_message(once) == once
    assert len(once) <= LONGEST_OUTPUT
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f\u200b\ud800-\udfff]", once)


@given(
    st.integers(0, 6000),
    st.sampled_from([*VENDOR_TOKENS, "4111 1111 1111 1111", "bob.builder@example.com", "password='open sesame now'"]),
)
def test_cut_leaves_no_piece(place: int, secret: str) -> None:
    """Wherever a long text is cut, no piece of a secret at the cut survives."""
    filler = ("word " * 1300)[:place]
    output = obfuscate_message(f"{filler} {secret}" + " word" * 1300)

    assert len(output) <= LONGEST_OUTPUT
    assert_gone(secret.removeprefix("password=").strip("'").split("@")[0], output)


def test_wanted_length() -> None:
    """The caller may ask for less, and gets whole words."""
    output = obfuscate_message("word " * 200, 100)

    assert len(output) <= 100
    assert output.endswith("word...")


def forbidden(*_: object) -> NoReturn:
    """Stand in every place where a stranger's code could run."""
    pytest.fail("a stranger's code was run")


TEXT_METHODS = dict.fromkeys(
    ("__str__", "__repr__", "__format__", "__len__", "__iter__", "__bytes__", "__bool__"), forbidden
)
Hostile = type("Hostile", (), TEXT_METHODS | {"__class__": property(forbidden)})
HostileError = type("HostileError", (Exception,), TEXT_METHODS | {"args": property(forbidden)})
HostileText = type("HostileText", (str,), TEXT_METHODS | {"__hash__": forbidden, "__getitem__": forbidden})
HostileNumber = type("HostileNumber", (float,), TEXT_METHODS)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (Hostile, "[REDACTED]"),
        (object, "[REDACTED]"),
        (lambda: ["a@b.co"], "[REDACTED]"),
        (lambda: {"a": 1}, "[REDACTED]"),
        (lambda: HostileError("to bob@example.com"), "to [EMAIL]"),
        (lambda: ValueError("to bob@example.com", Hostile()), "to [EMAIL], [REDACTED]"),
        (lambda: HostileText("to bob@example.com"), "to [EMAIL]"),
        (lambda: b"to bob@example.com \xff", "to [EMAIL] \ufffd"),
        (lambda: HostileNumber(1.5), "1.5"),
        (lambda: None, "None"),
        (lambda: True, "True"),
        (lambda: 7, "7"),
        (lambda: 1.5, "1.5"),
        (lambda: 10**5000, "[REDACTED]"),
        (lambda: "", ""),
        (lambda: "\ud800 bob@example.com", " [EMAIL]"),
    ],
)
def test_anything_as_input(make: Callable[[], object], expected: str) -> None:
    """Only plain values are read, by the base types' own methods; everything else is redacted, and nothing raises."""
    assert obfuscate_message(make()) == expected


def test_failure_is_closed_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where our own code breaks, the answer is [REDACTED], never the input, and the failure is counted."""

    def broken(_: str) -> NoReturn:
        raise RuntimeError

    monkeypatch.setattr(messages, "_find", broken)
    before = FAILURES["obfuscate_message"]

    assert obfuscate_message("a text never seen before by bob@example.com") == "[REDACTED]"
    assert FAILURES["obfuscate_message"] == before + 1


def test_gate_that_gives_up_opens_every_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where RE2 runs out of memory and reports nothing, every rule is tried instead of none."""
    exhausted = SimpleNamespace(Match=lambda _: None)
    monkeypatch.setattr(detectors, "_compiled", lambda: (exhausted, [None] * len(RULES)))
    monkeypatch.setattr(detectors, "_finder", compiled)

    assert [rule.name for _, _, rule in detectors.find("to bob@example.com")] == ["email"]


@cache
def compiled(index: int) -> Any:
    """Compile one rule without the gate."""
    rule = RULES[index]
    pattern = re.compile(rule.pattern, re.ASCII)
    return detectors._Finder(index, None, pattern, rule.check, rule in detectors._BY_CONTEXT)


BY_CONTEXT = {"literal.sql", "literal.sql.number", "secret.cookie", "user.object", "value.alone"}
"""Rules whose gate is a condition of its own: what kind of text this is."""


@given(PIECES.map(lambda text: fold(visible(text)).read))
def test_gates_open_for_their_patterns(text: str) -> None:
    """A gate never hides what its pattern would find: trying all rules everywhere finds nothing more."""
    gated = {(start, end) for start, end, _ in detectors.find(text)}
    masked = PLACEHOLDER.sub(detectors._masked, text)

    for index, rule in enumerate(RULES):
        for begin, _, stop in [] if rule.name in BY_CONTEXT else detectors._places(compiled(index), masked, b""):
            whole = masked[begin:stop]
            covered = any(start <= begin and stop <= end for start, end in gated)
            assert covered or MASK in whole or not any(map(str.isalnum, whole)), (text, rule.name)


@pytest.mark.parametrize("text", ["", "no", "to bob@example.com", "é: bob@example.com, zoë@exämple.org"])
def test_searches_agree(text: str) -> None:
    """RE2's own method, and the public one that stands in for it where it is missing, find the same places."""
    data = text.encode()
    for rule in RULES:
        own = detectors._searcher(rule.gate)
        public = detectors._public_searcher(re2.compile(rule.gate, detectors._options()))
        for start in range(len(data) + 1):
            assert own(data, start, len(data)) == public(data, start, len(data))


def test_search_without_the_own_method(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a version of the package hides RE2's own method, the public one is taken."""
    monkeypatch.setattr(detectors, "re2", SimpleNamespace(compile=re2.compile, Options=re2.Options))

    assert detectors._searcher("b+")(b"abba", 0, 4) == [(1, 3)]


ADVERSARIAL = [
    "a",
    "a@",
    "a.",
    "1 ",
    "1-",
    "0",
    "user ",
    "password=",
    "'",
    '"',
    "::",
    "f:",
    "eyJ",
    "://",
    "x=",
    "-----BEGIN ",
    "(",
    "[",
    "%40",
]
ADVERSARIAL += [
    "/home/",
    "A1b2",
    "a@b.",
    "é",
    "+1",
    "user=user=",
    "token token ",
    "card card ",
    "name name=",
    "\\u0040",
    "Bob ",
    "key ",
    "0171 ",
    "https://a/b1/",
    "GET /a1/",
    "ABCD 12 ",
    "(12) 345-",
    "600 123 ",
    "customer: ",
    "Customer Ana ",
    "member id of ",
    "usr_1",
    "sent by ",
    "x=y&",
    "$1$",
    "x - y [",
    "number 12 ",
]


@pytest.mark.parametrize("piece", ADVERSARIAL)
def test_time_is_linear(piece: str) -> None:
    """Four times the text takes about four times as long, also for text made to hurt (the best of several runs)."""
    short, long = ((piece * (size // len(piece)))[:size] for size in (1000, 4000))
    detectors.find(long)

    assert cost(long) < 12 * cost(short) + 0.002


def cost(text: str) -> float:
    """Seconds of processor time to search ``text``, the best of five."""
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        detectors.find(text)
        best = min(best, time.process_time() - start)
    return best


def test_every_rule_compiles() -> None:
    """A rule that does not compile would redact every text that opens its gate: warming up finds it here instead."""
    messages.warm_up()

    assert None not in detectors._compiled()[1]


def test_rules_keep_to_the_closed_set() -> None:
    """Every rule has a name of its own, a reason, and a placeholder from the closed set."""
    names = [rule.name for rule in RULES]

    assert len(set(names)) == len(names)
    assert {rule.placeholder for rule in RULES} <= PLACEHOLDERS
    assert all(rule.why for rule in RULES)


def test_explanation_names_the_rule() -> None:
    """Each change is explained: which rule, what stands there now, where it was, and why."""
    text = "User bob@example.com from 10.0.0.7"

    changes = explain_message(text)

    assert [(change.rule, change.placeholder, text[change.start : change.end]) for change in changes] == [
        ("email", "[EMAIL]", "bob@example.com"),
        ("ip.v4", "[IP]", "10.0.0.7"),
    ]
    assert explain_message(object()) == []


def test_remembered_answers_hold_nothing_raw() -> None:
    """Recent answers are kept by hash only, and only so many of them."""
    for number in range(messages._MOST_RECENT + 50):
        obfuscate_message(f"order {number} of bob@example.com")

    assert len(messages._RECENT) <= messages._MOST_RECENT
    assert "bob" not in repr(messages._RECENT)

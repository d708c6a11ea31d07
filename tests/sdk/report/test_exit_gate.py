"""The exit gate: what must not leave is found in the frozen bytes, by rules that know nothing of the obfuscators."""

from __future__ import annotations

import gzip
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calos_telemetry.contract.report import Books, LicensePart, Product, Report, VerifyRequest, freeze, inflate
from calos_telemetry.contract.rows import AggregateRow, ErrorRow, FeatureRow, PerformanceRow
from calos_telemetry.sdk.obfuscate.placeholders import PLACEHOLDERS
from calos_telemetry.sdk.report.exit_gate import findings, without_suspects

REVISION = 1_795_564_800_000
SECRETS = {
    "an e-mail address": ["maria@bakery.example", "mailto:maria.lopez+x@mail.bakery.example", "maria%40bakery.example", "maria\uff20bakery.example"],
    "an IPv4 address": ["10.0.0.1", "host 203.0.113.255.", "[192.0.2.7]:443", "v192.0.2.7"],
    "an IPv6 address": ["2001:db8::1", "[fe80::1%eth0]:80", "::ffff:192.0.2.1", "2001:DB8:0:0:8:800:200C:417A", "(fe80::1)"],
    "a JSON web token": ["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"],
    "a PEM block": ["-----BEGIN RSA PRIVATE KEY-----", "-----BEGIN CERTIFICATE-----"],
    "a token of a known service": [
        "sk_live_4eC39HqLyjWDarjtT1zdp7dc", "sk-proj-abcdefghijklmnop", "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
        "xoxb-17653672481-19874698323", "AKIAIOSFODNN7EXAMPLE", "AIzaSyDaGmWKa4JsXZ-HjGw7ISLn_3namBGewQe",
        "glpat-abcdefghij0123456789", "Authorization: Bearer abcdefghijklmnop", "SG.abcdefghijklmnop.qrstuvwx",
        "sk-ant-api03-abcdefgh", "rzp_live_ILgsfZCZoFIKMb", "pk_4eC39HqLyjWDarjtT1", "ya29.a0AfH6SMBx7Qk3Jd9lP2",
        "Authorization: Basic dXNlcjpwYXNzd29yZA==", "https://hooks.slack.com/services/T0000/B0000/XXXX",
    ],
    "a password in a URL": ["postgresql://shop:geheim@db/shop", "redis://:geheim@cache"],
    "a password beside its name": ["password=hunter2!", "api_key='q8zr1lxn5v'", "reset_token=abc123def", "password: hunter2",
        '"password": "hunter2x"', "{'api_key': 'q8zr1lxn5v'}", "Server=db;User Id=sa;Password=geheim;", "AccountKey=Zm9vYmFyYmF6",
    ],
    "the hash of a password": ["$2a$12$Qe8bYw3kFzNn1VxL0sTq2u", "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ"],
    "a hardware address": ["00:1b:44:11:3a:b7", "9C-B6-D0-E1-4F-22", "001b.4411.3ab7"],
    "a home directory": ["C:\\Users\\Maria\\shop.py", "C:\\\\Users\\\\Maria", "c:\\users\\maria"],
    "a long number": ["4111111111111111", "4111 1111 1111 1111", "+49 170 1234567", "1234567890123456789012345", "no. 123456789.", "+1 (415) 555-2671"],
    "a long hexadecimal number": ["deadbeefdeadbeefdeadbeef", "id=DEADBEEFCAFEDEADBEEFCAFE00"],
    "a random identifier": ["user_3f2a9c1b7d8e4f60", "01ARZ3NDEKTSV4RRFFQ69G5FAV", "SK2f1e9d8c7b6a5f4e3d2c1b0a9f8e7d6c"],
    "a UUID": ["f81d4fae-7dec-11d0-a765-00a0c91e6bf6"],
}  # fmt: skip
PLANTED = [(kind, text) for kind, texts in SECRETS.items() for text in texts]
HARMLESS = [
    "/api/users/:id/transactions/:id", "pos_transaction", "[EMAIL]", "12:34:56", "2026-11-25", "HTTP 404", "Foo::Bar",
    "std::vector<int>", "a:b:c", "shop.seats:find:7", "1,234,567", "3.14159", "sqlalchemy.exc.OperationalError",
    "/home/[USER]/shop.py", "theme.colour=dark", "en-US", "Decimal('1.50')", "port 5432", "0x7f", "token=[VALUE]", "tokens=4096", "password=None", "v1.2.3", "::",
    "task-force", "skip_list", "Bearer", "user@", "@decorator", "(rare)",
    'duplicate key value violates unique constraint "pk_customer_orders"', "npm_install_dependencies_job", "hf_model_inference_requests",
    "Bearer authentication required", "Basic authentication failed", "postgresql://[TOKEN]@db.internal:5432/shop", "lodash@4.17.21",
    "connect ECONNREFUSED 127.0.0.1:5432", "listening on 0.0.0.0:80", "panic serving [::1]:54143", "Version=2.3.0.0",
    "Allowed memory size of 134217728 bytes exhausted", "2026-11-25 12:34:56", "<Cart object at 0x00007f8b1c0a2d48>",
    "password: this field is required", "shop.token:refresh_v2:142", "auth.password:reset:88", "password=None", "invalid token: expected a string", "/api/v2/oauth2/token", "invoice_pdf_a4",
    *sorted(PLACEHOLDERS),
]  # fmt: skip


def report(**changes: Any) -> Report:
    whole = Report(
        number=1,
        previous="0" * 64,
        from_revision=0,
        to_revision=REVISION,
        sealed_at=REVISION,
        books=Books(recorded=3, stored=2, dropped={"spool_full": 1}, pending=0),
        features=[feature()],
        errors=[error()],
        performance=[series()],
        aggregates=[aggregate()],
    )
    return msgspec.structs.replace(whole, **changes)


def feature(name: str = "pos_transaction") -> FeatureRow:
    return FeatureRow(feature=name, usage_count=1, first_used_at=REVISION, last_used_at=REVISION, revision=REVISION)


def error(**changes: Any) -> ErrorRow:
    row = ErrorRow(
        fingerprint="0123456789012345", type="database", name="OperationalError", message="no such table",
        stack="shop.seats:find:7", path="/api/pos/:id", method="POST", status_code=500, occurrence_count=1,
        first_seen_at=REVISION, last_seen_at=REVISION, revision=REVISION,
    )  # fmt: skip
    return msgspec.structs.replace(row, **changes)


def series(path: str = "/api/pos/:id") -> PerformanceRow:
    return PerformanceRow(
        day="2026-11-25", metric="api_request", method="GET", path=path, status=200, count=1, total=9, max=9,
        histogram=[9, 1], revision=REVISION,
    )  # fmt: skip


def aggregate(key: str = "2xx", counter: str = "requests") -> AggregateRow:
    return AggregateRow(date="2026-11-25", counter=counter, key=key, value=1, revision=REVISION)


def request(telemetry: Report | None, **product: str) -> VerifyRequest:
    """Return the request of an install whose numbers happen to look like all kinds of things."""
    part = LicensePart(
        install_id="1" * 32, install_key="4" * 43, license_id="12345678901234567890123456789012", proof="9" * 64,
        domain="203.0.113.5", lease_number=9_999_999_999,
        product=Product(**({"app": "1.2.3.4", "sdk": "0.1.0", "python": "3.11.14", "os": "Linux"} | product)),
    )  # fmt: skip
    return VerifyRequest(v=1, license=part, telemetry=telemetry)


def told(telemetry: Report | None, **product: str) -> list[str]:
    return list(findings(freeze(request(telemetry, **product))))


def test_an_ordinary_request_passes() -> None:
    """Nothing is objected to in an ordinary report, nor in the numbers that the contract itself puts around it."""
    assert told(report()) == []
    assert told(None) == []


@pytest.mark.parametrize("version", ["10.0.0.1", "1.0+20261125123456", "2026.11.25.1234567890", "f" * 40])
def test_no_version_number_keeps_an_exchange_here(version: str) -> None:
    """A version may have four parts, a build time or a commit in it: it must never stop the license check."""
    assert told(None, app=version) == []


@pytest.mark.parametrize("text", HARMLESS)
def test_the_ordinary_is_not_objected_to(text: str) -> None:
    """What the obfuscators leave in place on purpose passes in every field."""
    rows = {"features": [feature(text)], "errors": [error(message=text, stack=text)], "performance": [series(text)]}
    assert told(report(**rows, aggregates=[aggregate(text, "feature")])) == []


@pytest.mark.parametrize("route", ["/home/dashboard", "/scim/v2/Users/me"])
def test_a_home_page_is_no_home_directory(route: str) -> None:
    """A route with such a name passes where routes stand; in a text it is somebody's directory."""
    assert told(report(errors=[error(path=route)], performance=[series(route)], aggregates=[aggregate(route)])) == []
    assert "telemetry.errors.message looks like a home directory" in told(report(errors=[error(message=f"no {route}")]))


@pytest.mark.parametrize(("kind", "text"), PLANTED)
def test_each_kind_of_secret_is_found(kind: str, text: str) -> None:
    """Every planted secret is found, is named by kind and place, and is not quoted."""
    found = told(report(errors=[error(message=f"failed for {text}")]))
    assert f"telemetry.errors.message looks like {kind}" in found
    assert not any(text in sentence for sentence in found)


def test_the_operator_is_told_which_failures() -> None:
    """The failures that are objected to are named by fingerprint, so that the operator finds them among hundreds."""
    odd = [error(fingerprint=f"{number:016x}", message="for maria@bakery.example") for number in range(9)]
    assert "the failures are " + ", ".join(f"{number:016x}" for number in range(5)) in told(
        report(errors=[error(), *odd])
    )


places = st.sampled_from(
    [
        "feature",
        "error.name",
        "error.message",
        "error.stack",
        "error.path",
        "performance.path",
        "aggregate.key",
        "dropped",
        "os",
    ]
)


@settings(deadline=None)
@given(
    st.sampled_from([text for _, text in PLANTED]),
    places,
    st.text("abz .,()", max_size=20),
    st.text("abz .,()", max_size=20),
)
def test_a_secret_is_found_wherever_it_stands(secret: str, place: str, before: str, after: str) -> None:
    """In every text of a request, between any words: at least one detector sees it."""
    text = f"{before} {secret} {after}"
    if place == "os":
        secret_in_versions = told(None, os=text[:80])
        kinds = {kind for kind, planted in PLANTED if planted == secret}
        numeric = {
            "an IPv4 address",
            "an IPv6 address",
            "a long number",
            "a long hexadecimal number",
            "a UUID",
            "a random identifier",
        }
        assert secret_in_versions or kinds <= numeric
        return
    changes: dict[str, dict[str, Any]] = {
        "feature": {"features": [feature(), feature(text[:120])]},
        "error.name": {"errors": [error(name=text[:120])]},
        "error.message": {"errors": [error(), error(message=text)]},
        "error.stack": {"errors": [error(stack=f"one line\n{text}\nanother")]},
        "error.path": {"errors": [error(path=text)]},
        "performance.path": {"performance": [series(text)]},
        "aggregate.key": {"aggregates": [aggregate(text, "feature")]},
        "dropped": {"books": Books(recorded=1, stored=0, dropped={text[:80]: 1}, pending=0)},
    }
    assert told(report(**changes[place]))


@settings(deadline=None)
@given(
    st.sampled_from([text for _, text in PLANTED]), st.permutations(["features", "errors", "performance", "aggregates"])
)
def test_only_the_suspects_are_kept_back(secret: str, tables: list[str]) -> None:
    """Without the rows that are objected to, the rest of the report passes, whole and in order."""
    rows: dict[str, list[Any]] = {
        "features": [feature(), feature(f"x {secret}"[:120])],
        "errors": [error(), error(message=f"x {secret}"), error(name="KeyError")],
        "performance": [series(), series(f"/x/ {secret}")],
        "aggregates": [aggregate(), aggregate(f"x {secret}", "feature"), aggregate("4xx", "no_such_counter")],
    }
    dirty = report(**{name: rows[name] for name in tables})
    assert told(dirty)
    clean = without_suspects(dirty)
    assert told(clean) == []
    assert clean == report(errors=[error(), error(name="KeyError")])


def reasons_for(plain: bytes) -> list[str]:
    return list(findings(gzip.compress(plain)))


def test_a_counter_that_is_not_declared_stays() -> None:
    """A counter outside the closed list keeps the report here."""
    assert told(report(aggregates=[aggregate(counter="visitors")])) == ["a counter is not in the list of counters"]


@pytest.mark.parametrize(
    "smuggle",
    [
        lambda plain: plain.replace(b'"name":"Oper', b'"user":"maria","name":"Oper', 1),
        lambda plain: plain.replace(b'"name":"Oper', b'"name":"maria","name":"Oper', 1),
        lambda plain: plain.replace(b'{"v":1,', b'{"v":1,"note":"maria",', 1),
        lambda plain: plain.replace(b'"v":1', b'"v": 1', 1),
        lambda plain: plain.replace(b'"v":1', b'"v":1.0', 1),
        lambda plain: plain + b" ",
        lambda plain: plain.replace(b"OperationalError", b"\\u004fperationalError", 1),
    ],
    ids=["field", "double", "top", "space", "float", "tail", "escape"],
)
def test_every_byte_is_accounted_for(smuggle: Any) -> None:
    """A field that the types do not know, one that stands twice, white space, another way to write a value: none passes."""
    plain = inflate(freeze(request(report())))
    assert reasons_for(plain) == []
    assert smuggle(plain) != plain
    assert len(reasons_for(smuggle(plain))) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"nonsense",
        gzip.compress(b"", mtime=0),
        gzip.compress(b"{}", mtime=0),
        gzip.compress(b"[" * 100_000, mtime=0),
        gzip.compress(b"\xff", mtime=0),
        gzip.compress(b"{}", mtime=0) * 2,
    ],
)
def test_what_is_no_request_stays(body: bytes) -> None:
    """Bytes that nobody could read as a request are kept, and nothing is raised."""
    (reason,) = findings(body)
    assert reason.startswith("the bytes do not follow the schema")


@settings(deadline=None)
@given(st.text(max_size=200))
def test_any_text_is_judged(text: str) -> None:
    """Whatever stands in a message, the gate comes to a verdict, and the same one for the bytes and for the row."""
    row = error(message=text)
    held = without_suspects(report(errors=[row])).errors == []
    assert bool(told(report(errors=[row]))) is held


@pytest.mark.parametrize(
    "char",
    [
        "1",
        "a",
        "f",
        ":",
        ".",
        "@",
        "-",
        "a.",
        "1 ",
        "a@",
        "::",
        "0:",
        "eyJ",
        "/home/",
        "%40",
        "a1",
        "pwd=",
        "(1) ",
        "sk_a",
        "C:\\Users\\",
    ],
)
def test_no_text_is_slow(char: str) -> None:
    """A report full of what the patterns begin with is judged in linear time: 500 messages of the longest length."""
    rows = [error(message=(char * 500)[: 499 - number % 7], fingerprint=f"{number:016x}") for number in range(500)]
    list(findings(freeze(request(report(errors=rows)))))

"""The second scrub: what looks like a person, an address or a secret is replaced; the rest stays as it is."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.server.intake.scrub import is_clean, scrub


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("mail bob.smith+x@mail.example.co.uk now", "mail [email] now"),
        ("10.0.0.1 refused", "[ip] refused"),
        ("connect to 192.168.1.77:5432", "connect to [ip]:5432"),
        ("addr:10.0.0.1 and addr:2001:db8::1", "addr:[ip] and addr:[ip]"),
        ("from ::ffff:192.0.2.1", "from [ip]"),
        ("from fe80::1ff:fe23:4567:890a", "from [ip]"),
        ("from 2001:db8::1, then ::1", "from [ip], then [ip]"),
        ('File "/home/bob/app/main.py", line 12', 'File "[home]/app/main.py", line 12'),
        ("/Users/bob/x.py and C:\\Users\\bob\\x.py", "[home]/x.py and [home]\\x.py"),
        ("/root/app.py", "[home]/app.py"),
        ("call +1 (555) 123-4567", "call [number]"),
        ("card 4111 1111 1111 1111 declined", "card [number] declined"),
        ("order 1234567890", "order [number]"),
        ("Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2ln", "Bearer [secret]"),
        ("sk_live_abcdefghijklmnop1234", "[secret]"),
        ("AKIAIOSFODNN7EXAMPLE12", "[secret]"),
        ("digest deadbeefdeadbeefdeadbeefdeadbeef", "digest [secret]"),
        ("token aB3dE5gH7jK9mN1pQ3sT5vW7yZ9bC1dE", "token [secret]"),
        ("-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----", "[secret]"),
        ("-----BEGIN RSA PRIVATE KEY-----\ncut off", "[secret]"),
    ],
)
def test_what_must_not_be_here_is_replaced(text: str, scrubbed: str) -> None:
    """Each kind is replaced by its name, and nothing around it is lost."""
    assert scrub(text) == scrubbed
    assert not is_clean(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/api/users/:id/transactions/:id",
        "/presentations/logstash-puppetconf-2012/images/:id",
        "/files/logstash-1.3.2-monolithic.jar",
        "/blog/geekery/2012/05/12",
        "pos_transaction.currency=USD",
        "marketplace_theme_installation_finished",
        "std::vector and Foo::Bar",
        "at 12:30:45 in line 1234",
        "version 1.2.3.4.5",
        "HTTP 500 after [duration]",
        "a :: b",
        "OperationalError: no such table: telemetry_features",
    ],
)
def test_what_the_product_is_made_of_stays(text: str) -> None:
    """Templates, versions, dates, times and names of features are no persons."""
    assert is_clean(text)


@given(st.text(max_size=300))
def test_scrubbing_twice_changes_nothing_more(text: str) -> None:
    """What was scrubbed is clean, so a row that was taken once is always taken."""
    once = scrub(text)
    assert scrub(once) == once


@given(st.emails(), st.ip_addresses().map(str), st.sampled_from([" ", ", ", ":", "/", "\n", '"', "(", "="]))
def test_no_address_survives_between_any_signs(email: str, ip: str, sign: str) -> None:
    """The common forms of e-mail and IP addresses are found wherever they stand."""
    if sign != ":" or ":" not in ip:  # colons on both sides of an IPv6 address leave open where it begins
        assert ip not in scrub(f"a{sign}{ip}{sign}b") or ip == "::"
    if all(char.isalnum() or char in "@.-_+" for char in email) and email.count("@") == 1:
        local, _, domain = email.partition("@")
        assert f"{local[-1]}@{domain}" not in scrub(f"a{sign}{email}{sign}b")


@pytest.mark.parametrize(
    "piece", ["a", "1 ", "a@", "@", ":", "ab12AB", "eyJ", "/home/", "1.1.1.", "-", "a.", "-----BEGIN ", "1-", "A1a_"]
)
def test_no_text_takes_long(piece: str) -> None:
    """The longest text that a row may carry is scrubbed in milliseconds, whatever it repeats."""
    text = (piece * 2_000)[:2_000]
    begin = time.perf_counter()
    scrub(text)
    assert time.perf_counter() - begin < 0.25

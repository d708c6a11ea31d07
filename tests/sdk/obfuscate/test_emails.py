"""What :func:`obfuscate_email` keeps of an address."""

# ruff: noqa: RUF001  look-alike letters are planted on purpose

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.sdk.obfuscate import obfuscate_email
from calos_telemetry.sdk.obfuscate.emails import OTHER, PUBLIC_PROVIDERS


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("john@gmail.com", "gmail.com"),
        ("John.Doe+shop@GMail.com", "gmail.com"),
        (" bob@web.de ", "web.de"),
        ("Bob Smith <bob@yahoo.co.uk>", "yahoo.co.uk"),
        ("mailto:bob@proton.me", "proton.me"),
        ("bob%40gmx.net", "gmx.net"),
        ("ｂｏｂ＠ｑｑ．ｃｏｍ", "qq.com"),
        (b"bob@icloud.com", "icloud.com"),
        ("bob@smith-family.example", OTHER),
        ("bob@mail.gmail.com", OTHER),
        ("bob@gmail.com.evil.example", OTHER),
        ("gmail.com", OTHER),
        ("@gmail.com", OTHER),
        ("a b@gmail.com", OTHER),
        ("bob@x@gmail.com", OTHER),
        ("x" * 65 + "@gmail.com", OTHER),
        ("x" * 1000 + "@gmail.com", OTHER),
        ("", OTHER),
        (None, OTHER),
        (7, OTHER),
        (["bob@gmail.com"], OTHER),
        ("\ud800@gmail.com", OTHER),
    ],
)
def test_keeps_only_large_providers(value: object, expected: str) -> None:
    """The domain of a large public provider is kept; every other domain is somebody's name and becomes `other`."""
    assert obfuscate_email(value) == expected


@given(st.one_of(st.text(), st.emails(), st.binary(), st.none(), st.integers(), st.floats()))
def test_answer_is_from_the_closed_list(value: object) -> None:
    """Whatever comes in, the answer is on the list, so nothing of the input can leak."""
    assert obfuscate_email(value) in PUBLIC_PROVIDERS | {OTHER}


def test_list_is_clean() -> None:
    """The list holds plain lower-case domains."""
    assert all(domain == domain.strip().lower() and "." in domain and "@" not in domain for domain in PUBLIC_PROVIDERS)

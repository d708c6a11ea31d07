from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.contract import choices
from calos_telemetry.contract.declarations import (
    BUILTIN,
    Declaration,
    DeclarationError,
    Declarations,
    Kind,
    normal_form,
    words_of,
)
from calos_telemetry.errors import CalosTelemetryError

FILE = "shop.toml"


def test_builtin_declarations_are_complete() -> None:
    """Every built-in key has a purpose and a name in normal form; every choice has closed values."""
    for name, declaration in BUILTIN.items():
        assert declaration.name == name == normal_form(name)
        assert declaration.purpose
        assert bool(declaration.values) == (declaration.kind is Kind.CHOICE)


def test_usual_keys_are_built_in() -> None:
    """Ordinary metadata works without any declaration by the application."""
    usual = "status method currency plan tier success count quantity items duration_ms type state role theme language country"
    usual += " format source channel payment_method environment severity provider interval visibility action event reason level"

    assert set(usual.split()) <= set(BUILTIN)


def test_iso_lists_have_their_size() -> None:
    """249 countries and 183 languages as of ISO 3166-1 and 639-1 (with the six withdrawn or added codes we carry)."""
    assert len(choices.COUNTRIES) == 249
    assert len(choices.LANGUAGES) >= 183
    assert {"eur", "usd", "jpy", "btc"} <= choices.CURRENCIES


def test_no_word_is_a_persons_name() -> None:
    """The vocabulary that values may be composed of holds no common given or family name."""
    names = (
        "maria anna john james mary robert michael david sarah laura thomas peter paul martin daniel kevin julia emma "
    )
    names += "smith johnson williams brown jones garcia miller davis lopez wilson anderson taylor moore martinez schmidt mueller"

    assert not choices.WORDS & set(names.split())


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("status", "status"),
        ("paymentStatus", "status"),
        ("PAYMENT-STATUS", "status"),
        ("payment_method", "payment_method"),
        ("http_method", "http_method"),
        ("status_of_maria", None),
        ("", None),
        ("名前", None),
    ],
)
def test_a_key_is_found_by_its_last_words(key: str, found: str | None) -> None:
    """A longer key belongs to the family its last words name, whatever its spelling."""
    declaration = Declarations().find(key)

    assert (declaration.name if declaration else None) == found


def test_words_of_the_usual_spellings() -> None:
    """snake_case, camelCase, kebab-case and acronyms split the same way."""
    for key in ("payment_method", "paymentMethod", "Payment-Method", "PAYMENT_METHOD", "payment method"):
        assert words_of(key) == ["payment", "method"]
    assert words_of("HTTPStatus2xx") == ["http", "status2", "xx"]


def test_toml_file() -> None:
    """A file declares features with their purpose, and keys with closed values."""
    text = """
    [features]
    pos_transaction = "a sale at the till"

    [metadata.plan]
    values = ["Solo", "family"]

    [metadata.covers]
    kind = "count"
    purpose = "guests at a table"
    sensitivity = "technical"

    [metadata.takeaway]
    """
    declarations = Declarations.from_toml(text, FILE)

    assert declarations.features == {"pos_transaction": "a sale at the till"}
    assert declarations.metadata["plan"].canonical("SOLO") == "Solo"
    assert declarations.metadata["plan"].canonical("enterprise") is None
    assert declarations.metadata["covers"].kind is Kind.COUNT
    assert declarations.metadata["takeaway"].kind is Kind.FLAG
    assert declarations.metadata["status"] is BUILTIN["status"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[features", ["not TOML"]),
        ("[feature]\na = 'b'", ["[feature]", "[features]"]),
        ("features = 5", ["features", "[features]"]),
        ("[features]\na = 5", ["features.a", 'a = "']),
        ("[metadata]\nplan = 5", ["metadata.plan", "[metadata.plan]"]),
        ("[metadata.plan]\nvalue = ['a']", ["metadata.plan.value", "values"]),
        ("[metadata.plan]\nkind = 'number'", ["metadata.plan.kind", "number", "measure"]),
        ("[metadata.plan]\nkind = []", ["metadata.plan.kind", "measure"]),
        ("[metadata.plan]\nkind = 'choice'", ["metadata.plan", "values"]),
        ("[metadata.plan]\nkind = 'count'\nvalues = ['a']", ["metadata.plan", "Remove"]),
        ("[metadata.plan]\nvalues = [5]", ["metadata.plan", "str"]),
        ("[metadata.plan]\nvalues = ['" + "a" * 65 + "']", ["metadata.plan", "64"]),
        ("[metadata.plan]\nvalues = ['größe']", ["metadata.plan", "ASCII"]),
        ("[metadata.'!']\nvalues = ['a']", ["metadata.!", "Rename"]),
        ("[metadata.Plan]\n[metadata.plan]", ["metadata.plan", "metadata.Plan", "Keep one"]),
        ("[metadata.plan]\nvalues = ['bob@acme.example']", ["metadata.plan", "words"]),
        ("[metadata.plan]\nvalues = ['+49 170 1234567']", ["metadata.plan", "digits"]),
        ("[features]\n'' = 'a sale'", ["features", "Rename ''"]),
        (f"[metadata.plan]\nvalues = {[f'v{n}x' for n in range(201)]}", ["metadata.plan", "201"]),
    ],
)
def test_errors_name_file_key_and_remedy(text: str, words: list[str]) -> None:
    """A mistake in the file is reported with the file, the key, and what to write instead."""
    with pytest.raises(DeclarationError) as caught:
        Declarations.from_toml(text, FILE)

    assert isinstance(caught.value, (CalosTelemetryError, ValueError))
    for word in [FILE, *words]:
        assert word in str(caught.value)


def test_a_declaration_in_code_is_checked_too() -> None:
    """The same rules hold for what an application declares in code."""
    with pytest.raises(DeclarationError, match="application's code"):
        Declarations().with_metadata(Declaration(name="shape", kind=Kind.CHOICE, purpose="x"))


@given(st.text(max_size=100), st.sampled_from(sorted(BUILTIN)))
def test_a_canonical_value_is_its_own(text: str, key: str) -> None:
    """What a declaration admits it admits again, unchanged, and it is short ASCII."""
    value = BUILTIN[key].canonical(text)

    if value is not None:
        assert value.isascii()
        assert len(value) <= 64
        assert BUILTIN[key].canonical(value) == value

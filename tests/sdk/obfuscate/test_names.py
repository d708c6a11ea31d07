"""What an application calls its features, without the record it was busy with."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calos_telemetry.sdk.obfuscate.names import feature_name


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("report_48213", "report_id"),
        ("user-48213.profile", "user-id.profile"),
        ("customer/cus_NffrFeUfNV2Hib/export", "customer/cus_id/export"),
        ("export for bob@acme.example", "export_for_EMAIL"),
        ("till 4111111111111111", "till_CARD"),
        (None, "unnamed"),
        ("!?", "unnamed"),
    ],
)
def test_records_and_secrets_are_no_names(given: object, kept: str) -> None:
    """A number of a record becomes ``id``, a secret the word for its kind, and what is no name is unnamed."""
    assert feature_name(given) == kept


@pytest.mark.parametrize(
    "name",
    [
        "pos_transaction",
        "oauth2_login",
        "report_2024",
        "form_1099",
        "sales_q3_2024",
        "pdf/a3",
        "exchange.v2:limit",
        "über_uns",
    ],
)
def test_usual_names_stay(name: str) -> None:
    """Versions, years, quarters and numbered terms belong to a name."""
    assert feature_name(name) == name


@given(st.text())
def test_any_text(text: str) -> None:
    """The answer is never empty, never longer than 120 characters, and has only letters, digits and ``_.:/-``."""
    assert re.fullmatch(r"[\w.:/-]{1,120}", feature_name(text))

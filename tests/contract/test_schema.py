"""The JSON Schema: a stranger can check our bytes with it, and reads our descriptions in it."""

import json
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import msgspec
import pytest

from calos_telemetry.contract.events import EVENT_TYPES, ApiRequest, ErrorEvent, FeatureUsage, Performance, SessionEvent
from calos_telemetry.contract.events import to_json as event_json
from calos_telemetry.contract.report import Books, LicensePart, Product, Report, VerifyRequest
from calos_telemetry.contract.rows import AggregateRow, ErrorRow, FeatureRow, PerformanceRow
from calos_telemetry.contract.schema import as_text, json_schema

HASH = "0123456789abcdef"
SCHEMA = json_schema()

REQUEST = VerifyRequest(
    v=1,
    license=LicensePart(
        install_id="a" * 32, install_key="k", license_id=None, proof=None, domain=None, lease_number=0,
        product=Product(app="1", sdk="1", python="3.11", os="Linux"),
    ),
    telemetry=Report(
        number=1, previous="0" * 64, from_revision=0, to_revision=9, sealed_at=5,
        books=Books(recorded=1, stored=1, dropped={"full": 0}, pending=0),
        features=[FeatureRow(feature="f", usage_count=1, first_used_at=1, last_used_at=2, revision=9)],
        errors=[ErrorRow(fingerprint=HASH, type="api", name="E", message="", stack="", path=None, method=None,
                         status_code=None, occurrence_count=1, first_seen_at=1, last_seen_at=1, revision=9)],
        performance=[PerformanceRow(day="2026-11-25", metric="api_request", method="GET", path="/", status=200, count=1,
                                    total=5, max=5, histogram=[5, 1], revision=9)],
        aggregates=[AggregateRow(date="2026-11-25", counter="requests", key="2xx", value=1, revision=9)],
    ),
)  # fmt: skip


def check(kind: str, value: Any) -> None:
    """Validate one value against its part of the document."""
    part = SCHEMA["properties"]
    part = part["events"]["properties"][kind] if kind in EVENT_TYPES else part[kind]
    jsonschema.Draft202012Validator({**part, "$defs": SCHEMA["$defs"]}).validate(value)


def test_the_document_is_a_schema() -> None:
    """Another program's validator accepts the document itself."""
    jsonschema.Draft202012Validator.check_schema(json.loads(as_text()))


def test_a_real_report_validates() -> None:
    """The bytes that would travel satisfy the schema."""
    check("request", json.loads(msgspec.json.encode(REQUEST)))


@pytest.mark.parametrize("place", ["", "license", "telemetry", "telemetry.books", "telemetry.errors.0"])
def test_an_additional_field_does_not_validate(place: str) -> None:
    """A field that is not in the catalogue is refused at every depth."""
    request = json.loads(msgspec.json.encode(REQUEST))
    inside = request
    for step in filter(None, place.split(".")):
        inside = inside[int(step)] if step.isdigit() else inside[step]
    inside["customer"] = "Alice"
    with pytest.raises(jsonschema.ValidationError, match="customer"):
        check("request", request)


@pytest.mark.parametrize(
    ("kind", "event"),
    [
        ("api_request", ApiRequest(method="GET", path="/x", status=200, user=HASH, country="DE")),
        ("feature_usage", FeatureUsage(feature="f", metadata={"flag": True})),
        ("error", ErrorEvent(category="api", name="E", message="m")),
        ("session", SessionEvent(action="start", session=HASH)),
        ("performance", Performance(metric="database_query", duration_us=7)),
    ],
)
def test_events_validate(kind: str, event: Any) -> None:
    """What is written to event_data satisfies the schema of its event."""
    check(kind, json.loads(event_json(event)))


def test_descriptions_come_along() -> None:
    """Every field of everything that is written carries its description, purpose and sensitivity."""
    for name, definition in SCHEMA["$defs"].items():
        for field, schema in definition.get("properties", {}).items():
            told = json.dumps(schema)
            assert all(word in told for word in ('"description"', '"x-purpose"', '"x-sensitivity"')), f"{name}.{field}"

"""The JSON Schema of everything that is stored or sent, with the descriptions of the catalogue: from the same types."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from calos_telemetry.contract.events import EVENT_TYPES
from calos_telemetry.contract.report import VERSION, VerifyAnswer, VerifyRequest

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def json_schema() -> dict[str, Any]:
    """Return one document: ``$defs`` for every type, and under ``properties`` the events, the report and the answer.

    What an install writes is closed (``additionalProperties`` is false); the answer is open, so that a newer vendor can
    talk to an older install.
    """
    written, answered = [*EVENT_TYPES.values(), VerifyRequest], [VerifyAnswer]
    references, closed = msgspec.json.schema_components(written, ref_template="#/$defs/{name}")
    (answer,), opened = msgspec.json.schema_components(answered, ref_template="#/$defs/{name}")
    for definition in closed.values():
        if "properties" in definition:
            definition["additionalProperties"] = False
    *events, request = references
    return {
        "$schema": _DIALECT,
        "title": f"CALOS Telemetry, exchange {VERSION}",
        "description": "What an install can store as an event, what it can send, and what it is answered.",
        "type": "object",
        "properties": {
            "events": {"type": "object", "properties": dict(zip(EVENT_TYPES, events, strict=True))},
            "request": request,
            "answer": answer,
        },
        "$defs": {**opened, **closed},
    }


def as_text() -> bytes:
    """Return the document as the license server serves it."""
    return msgspec.json.format(msgspec.json.encode(json_schema()), indent=2)

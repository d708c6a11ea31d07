"""The license server gives its JSON Schema to anybody."""

from starlette.testclient import TestClient

from calos_telemetry.contract.schema import as_text


def test_the_schema_is_served(client: TestClient) -> None:
    """What is served is what the command prints, under the media type of JSON Schema, and asks for no token."""
    answer = client.get("/schema")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/schema+json"
    assert answer.content == as_text()
    assert client.post("/schema").status_code == 405

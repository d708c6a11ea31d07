"""Flask: one call wires routes, users, failures and the operator's pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Blueprint, Flask, Response, abort, g, redirect, request, stream_with_context

from calos_telemetry import Telemetry, track_error, track_feature
from calos_telemetry.sdk.middleware.flask import init_flask

from ..conftest import HOST, Stored

api = Blueprint("api", __name__, url_prefix="/api")


@api.post("/pos/<int:number>/items/<path:rest>")
def sale(number: int, rest: str) -> Any:
    g.user_id, g.session_id = "alice@acme.example", "cookie-of-alice"
    track_feature(request, "receipt_printed", {"status": "completed", "note": f"for {rest}"})
    return {"number": number, "read": len(request.get_data())}, 201


@api.get("/stream/<name>")
def stream(name: str) -> Response:
    def chunks() -> Iterator[str]:
        for _ in range(3):
            yield request.args["x"] * len(name)

    return Response(stream_with_context(chunks()), mimetype="text/plain")


@api.get("/broken/<name>")
def broken(name: str) -> str:
    raise TimeoutError(f"no answer for {name}@acme.example")


@api.get("/caught/<name>")
def caught(name: str) -> str:
    track_error(request, ConnectionError(f"lost {name}@acme.example"))
    return "ok"


@api.get("/gone/<name>")
def gone(name: str) -> Any:
    abort(404 if name == "bob" else 410)


@api.get("/awaited/<name>")
def awaited(name: str) -> str:
    return name


@api.get("/away")
def away() -> Any:
    return redirect("/")


@api.get("/handled")
def raises_what_is_handled() -> str:
    raise KeyError("mine")


@pytest.fixture
def app(telemetry: Telemetry) -> Flask:
    """Make a small shop."""
    made = Flask(__name__)

    @made.before_request
    def gatekeeper() -> Any:  # registered before ours: it may answer before we see the route
        return ("away with you", 403) if request.headers.get("X-Robot") else None

    @made.errorhandler(KeyError)
    def handled(_error: KeyError) -> Any:
        return "handled", 409

    init_flask(made, telemetry)
    made.register_blueprint(api)
    return made


def ask(app: Flask, path: str, method: str = "GET", **options: Any) -> Any:
    return app.test_client().open(path, method=method, base_url=f"http://{HOST}", buffered=True, **options)


def only(events: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    (event,) = [event for event in events if event["type"] == kind]
    return event


def test_a_request_becomes_an_obfuscated_event(app: Flask, stored: Stored) -> None:
    """The blueprint's rule is the template, what the application leaves in `g` is hashed, and bodies are only counted."""
    answer = ask(app, "/api/pos/4711/items/for/bob", "POST", data=b"12345678")
    assert (answer.status_code, answer.json) == (201, {"number": 4711, "read": 8})
    events = stored()
    event = only(events, "api_request")
    assert (event["method"], event["path"], event["status"]) == ("POST", "/api/pos/:id/items/:id", 201)
    assert (event["request_bytes"], event["response_bytes"]) == (8, len(answer.data))
    assert len(event["user"]) == len(event["session"]) == 16
    assert only(events, "feature_usage")["metadata"]["status"] == "completed"
    assert all(secret not in str(events) for secret in ("alice", "acme", "4711", "bob"))


@pytest.mark.parametrize(
    ("path", "template", "status"),
    [
        ("/api/awaited/bob", "/api/awaited/:id", 200),
        ("/api/away", "/api/away", 302),
        ("/api/gone/bob", "/api/gone/:id", 404),
        ("/api/gone/eve", "/api/gone/:id", 410),
        ("/api/handled", "/api/handled", 409),
        ("/wp-login.php", "(unmatched)", 404),
        ("/static/bob.css", "/static/:id", 404),
        ("/api//awaited//bob", "(unmatched)", 308),
    ],
)
def test_the_template_is_flasks_own(app: Flask, stored: Stored, path: str, template: str, status: int) -> None:
    """Routes give their rule, also where they answer 404 themselves; where Flask redirects to a tidier path there is
    none.  What Flask handles is no failure."""
    assert ask(app, path).status_code == status
    events = stored()
    event = only(events, "api_request")
    assert (event["path"], event["status"]) == (template, status)
    assert not [event for event in events if event["type"] == "error"]


def test_the_wrong_method_is_unmatched(app: Flask, stored: Stored) -> None:
    """A method that no route has leads nowhere."""
    assert ask(app, "/api/away", "DELETE").status_code == 405
    assert only(stored(), "api_request")["path"] == "(unmatched)"


def test_a_refusal_before_the_route_has_its_template(app: Flask, stored: Stored) -> None:
    """Where the application itself answers in an earlier before_request, the route is known all the same."""
    assert ask(app, "/api/away", headers={"X-Robot": "1"}).status_code == 403
    assert only(stored(), "api_request")["path"] == "/api/away"


@pytest.mark.parametrize("propagate", [True, False])
def test_an_unhandled_exception_is_recorded_once(app: Flask, stored: Stored, propagate: bool) -> None:
    """Whether Flask turns it into a 500 or lets it pass, the exception is one failure with its route, without names."""
    app.config["PROPAGATE_EXCEPTIONS"] = propagate
    if propagate:
        with pytest.raises(TimeoutError, match="bob@acme"):
            ask(app, "/api/broken/bob")
    else:
        assert ask(app, "/api/broken/bob").status_code == 500
    events = stored()
    error = only(events, "error")
    assert (error["category"], error["path"]) == ("timeout", "/api/broken/:id")
    assert only(events, "api_request")["status"] == 500
    assert "bob" not in str(events)


def test_a_caught_error_belongs_to_its_route(app: Flask, stored: Stored) -> None:
    """An error tracked in the midst of a request knows the template already."""
    ask(app, "/api/caught/bob")
    assert only(stored(), "error")["path"] == "/api/caught/:id"


def test_a_stream_is_recorded_at_its_end(app: Flask, stored: Stored) -> None:
    """A streaming response is passed on chunk by chunk, counted, and recorded with its template when it is closed."""
    assert ask(app, "/api/stream/bob?x=ab").data == b"ababab" * 3
    event = only(stored(), "api_request")
    assert (event["path"], event["response_bytes"]) == ("/api/stream/:id", 18)


def test_license_headers_and_state(app: Flask, telemetry: Telemetry) -> None:
    """Every answer says the license, and the application finds the state in the environ."""

    @app.get("/license")
    def tier() -> str:
        return str(request.environ["calos.license"].tier)

    answer = ask(app, "/license")
    assert (answer.text, answer.headers["X-License-Tier"]) == ("community", "community")
    assert telemetry.license.tier == "community"


def test_below_a_prefix_the_template_has_it(app: Flask, stored: Stored) -> None:
    """An application mounted under a path is recorded with that path."""
    ask(app, "/api/awaited/bob", environ_overrides={"SCRIPT_NAME": "/shop"})
    assert only(stored(), "api_request")["path"] == "/shop/api/awaited/:id"

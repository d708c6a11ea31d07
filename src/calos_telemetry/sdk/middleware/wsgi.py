"""Pure WSGI middleware: Flask, Django under WSGI, and every other WSGI application.

The chunks, their number where it is known, ``close`` and the server's own file wrapper (it may send the file without us)
are the same as without us; the record is made when the server closes the response.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

from calos_telemetry.clock import now_ms
from calos_telemetry.sdk.middleware.exclusion import HEALTH, excluding
from calos_telemetry.sdk.middleware.wsgi_input import CountedInput
from calos_telemetry.sdk.protocols import Environ, WsgiApp
from calos_telemetry.sdk.record.facts import RequestFacts, current

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry

FACTS = "calos.facts"
ROUTE = "calos.route"
TAGS = "calos.tags"
USER = "calos.user"
SESSION = "calos.session"
_WITHOUT_BODY = frozenset({"GET", "HEAD"})
_NO_LENGTH = frozenset({"", "0", None})
_LONGEST_NUMBER = 16


class TelemetryWsgiMiddleware:
    """Records every request of ``app``.

    A framework's adapter may leave ``calos.route``, ``calos.tags``, ``calos.user`` and ``calos.session`` in the environ.
    ``exclude`` lists paths that are not recorded, whole ones and (with ``/`` at the end) all below one; without it, what
    machines ask for the application's health.
    """

    def __init__(self, app: WsgiApp, telemetry: Telemetry, exclude: Iterable[str] = HEALTH) -> None:
        self.app = app
        self.telemetry = telemetry
        self._excluded = excluding(exclude)

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        facts = self._begin(environ)
        if facts is None:
            return self.app(environ, start_response)

        def watching_start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            self._note_start(facts, status, headers)
            write = start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

            def counting_write(data: bytes) -> Any:
                facts.response_bytes += len(data)
                facts.note_piece(len(data))
                try:
                    return write(data)
                except OSError as error:
                    facts.disconnected, facts.cut = True, error
                    raise

            return counting_write

        token = current.set(facts)
        try:
            body = self.app(environ, watching_start_response)
        except BaseException as error:
            self._finish(facts, environ, error)
            raise
        finally:
            current.reset(token)
        return _watched(body, environ, facts, lambda error: self._finish(facts, environ, error))

    def _begin(self, environ: Environ) -> RequestFacts | None:
        pipeline = self.telemetry.pipeline
        if pipeline is None:
            return None
        try:
            path = environ.get("PATH_INFO", "")
            if self._excluded(path):
                return None
            host = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")
            path = environ.get("SCRIPT_NAME", "") + path
            facts = RequestFacts(pipeline, now_ms(), environ["REQUEST_METHOD"], path, host)
            facts.user_agent = environ.get("HTTP_USER_AGENT")
            facts.private = environ.get("HTTP_SEC_GPC") == "1"
            facts.address = environ.get("REMOTE_ADDR")
            if pipeline.countries.environ is not None:
                facts.country = environ.get(pipeline.countries.environ)
            environ[FACTS] = facts
            if has_body(environ) and "wsgi.input" in environ:
                announced = number_in(environ.get("CONTENT_LENGTH"))
                environ["wsgi.input"] = CountedInput(environ["wsgi.input"], facts, announced)
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self.telemetry.swallow(error)
            return None
        return facts

    def _note_start(self, facts: RequestFacts, status: str, headers: list[tuple[str, str]]) -> None:
        try:
            facts.note_status(int(status[:3]))
            sent = {name.lower(): value for name, value in headers}
            facts.is_page = sent.get("content-type", "").startswith("text/html")
            facts.announced = number_in(sent.get("content-length"))
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self.telemetry.swallow(error)

    def _finish(self, facts: RequestFacts, environ: Environ, error: BaseException | None) -> None:
        try:
            if error is not None:
                facts.note_failure(error)
            else:
                facts.note_closed()
            facts.end()
            facts.route = environ.get(ROUTE, facts.route)
            facts.tags = environ.get(TAGS, ())
            facts.user = environ.get(USER, facts.user)
            facts.session = environ.get(SESSION, facts.session)
            self.telemetry.record(facts)
        except Exception as failure:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self.telemetry.swallow(failure)


def has_body(environ: Environ) -> bool:
    """Say whether a request may have a body that somebody reads."""
    return (
        environ.get("CONTENT_LENGTH", "") not in _NO_LENGTH or environ.get("REQUEST_METHOD", "GET") not in _WITHOUT_BODY
    )


def number_in(length: str | None) -> int:
    """Return the number in a Content-Length header; 0 where it holds none."""
    return int(length) if length and length.isascii() and length.isdigit() and len(length) < _LONGEST_NUMBER else 0


Done: TypeAlias = Callable[[BaseException | None], None]


def _watched(body: Iterable[bytes], environ: Environ, facts: RequestFacts, done: Done) -> Iterable[bytes]:
    """Return what the server gets for ``body``: of the same kind as far as a server can tell."""
    wrapper = environ.get("wsgi.file_wrapper")
    if isinstance(wrapper, type) and isinstance(body, wrapper):
        return _watched_file(body, facts, done)
    return (_SizedBody if hasattr(body, "__len__") else _Body)(body, facts, done)


def _watched_file(body: Any, facts: RequestFacts, done: Done) -> Iterable[bytes]:
    """Leave the server's file wrapper to the server, and watch only its end; its size is the one announced."""
    close = getattr(body, "close", None)

    def watched_close() -> None:
        try:
            if close is not None:
                close()
        finally:
            facts.response_bytes += facts.announced
            facts.whole = True  # as far as anybody but the server can tell
            done(None)

    body.close = watched_close
    wrapped: Iterable[bytes] = body
    return wrapped


class _Body:
    """The application's iterable, counted; ``close`` is passed on exactly once, then the request is recorded."""

    def __init__(self, body: Any, facts: RequestFacts, done: Done) -> None:
        self._body = body
        self._facts = facts
        self._done: Done | None = done

    def __iter__(self) -> Iterator[bytes]:
        facts = self._facts
        try:
            for chunk in self._body:
                facts.response_bytes += len(chunk)
                facts.note_piece(len(chunk))
                yield chunk
        except Exception as error:
            self._finish(error)
            raise
        facts.whole = True

    def close(self) -> None:
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                close()
        finally:
            self._finish(None)

    def _finish(self, error: BaseException | None) -> None:
        done, self._done = self._done, None
        if done is not None:
            done(error)


class _SizedBody(_Body):
    """A body whose number of chunks is known: of one chunk, servers know the length."""

    def __len__(self) -> int:
        return len(self._body)

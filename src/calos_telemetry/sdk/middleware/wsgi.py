"""Pure WSGI middleware: Flask, Django under WSGI, and every other WSGI application.

The iterable of the application is handed on as it is (``close`` and ``wsgi.file_wrapper`` included); the record is made
when the server closes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from time import perf_counter_ns
from typing import TYPE_CHECKING, Any

from calos_telemetry.clock import now_ms
from calos_telemetry.sdk.protocols import Environ, WsgiApp
from calos_telemetry.sdk.record.facts import RequestFacts, current

if TYPE_CHECKING:
    from calos_telemetry.sdk.telemetry import Telemetry

FACTS = "calos.facts"
ROUTE = "calos.route"
USER = "calos.user"
SESSION = "calos.session"
_FAILED = 500


class TelemetryWsgiMiddleware:
    """Records every request of ``app``.

    A framework's adapter may leave ``calos.route``, ``calos.user`` and ``calos.session`` in the environ.
    """

    def __init__(self, app: WsgiApp, telemetry: Telemetry) -> None:
        self.app = app
        self.telemetry = telemetry

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer one request."""
        facts = self._begin(environ)
        if facts is None:
            return self.app(environ, start_response)
        started = perf_counter_ns()

        def watching_start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            facts.status = int(status[:3]) if status[:3].isdigit() else 0
            facts.is_page = any(n.lower() == "content-type" and v.startswith("text/html") for n, v in headers)
            write = start_response(status, headers, exc_info) if exc_info else start_response(status, headers)

            def counting_write(data: bytes) -> Any:
                facts.response_bytes += len(data)
                return write(data)

            return counting_write

        token = current.set(facts)
        try:
            body = self.app(environ, watching_start_response)
        except BaseException as error:
            self._finish(facts, environ, started, error)
            raise
        finally:
            current.reset(token)
        return _Body(body, facts, lambda error: self._finish(facts, environ, started, error))

    def _begin(self, environ: Environ) -> RequestFacts | None:
        pipeline = self.telemetry.pipeline
        if pipeline is None:
            return None
        try:
            path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
            host = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")
            facts = RequestFacts(pipeline, now_ms(), environ["REQUEST_METHOD"], path, host)
            facts.user_agent = environ.get("HTTP_USER_AGENT")
            facts.private = environ.get("HTTP_SEC_GPC") == "1"
            facts.address = environ.get("REMOTE_ADDR")
            if pipeline.countries.environ is not None:
                facts.country = environ.get(pipeline.countries.environ)
            length = environ.get("CONTENT_LENGTH") or "0"
            facts.request_bytes = int(length) if length.isdigit() else 0
            environ[FACTS] = facts
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self.telemetry.swallow(error)
            return None
        return facts

    def _finish(self, facts: RequestFacts, environ: Environ, started: int, error: BaseException | None) -> None:
        try:
            facts.duration_us = (perf_counter_ns() - started) // 1_000
            if error is not None:
                facts.error = error if isinstance(error, Exception) else None
                facts.status = facts.status or _FAILED
            facts.route = environ.get(ROUTE, facts.route)
            facts.user = environ.get(USER, facts.user)
            facts.session = environ.get(SESSION, facts.session)
            self.telemetry.record(facts)
        except Exception as failure:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self.telemetry.swallow(failure)


class _Body:
    """The application's iterable, counted; ``close`` is passed on exactly once, then the request is recorded."""

    def __init__(
        self, body: Iterable[bytes], facts: RequestFacts, done: Callable[[BaseException | None], None]
    ) -> None:
        self._body = body
        self._facts = facts
        self._done: Callable[[BaseException | None], None] | None = done

    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._body:
                self._facts.response_bytes += len(chunk)
                yield chunk
        except Exception as error:
            self._finish(error)
            raise

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

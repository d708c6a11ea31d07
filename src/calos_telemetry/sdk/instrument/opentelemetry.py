"""OpenTelemetry, both ways: spans of an application that is instrumented already feed us, and our numbers go out by OTLP.

``provider.add_span_processor(TelemetrySpanProcessor(telemetry))`` records HTTP server spans as requests and counts
database spans.  Nothing is measured twice: a request that our middleware records is left to it, and database spans are
left alone where our own instruments measure queries.  Spans that the sampler drops never reach us.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
from opentelemetry.sdk.metrics import MeterProvider as SdkMeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import SpanKind

from calos_telemetry.errors import CalosTelemetryError
from calos_telemetry.sdk.instrument.numbers import FAMILIES, Number, numbers
from calos_telemetry.sdk.instrument.spans import Attributes, is_database, is_request, read_request, series_of_span
from calos_telemetry.sdk.record.facts import RequestFacts, current
from calos_telemetry.sdk.record.own_work import is_own_work

if TYPE_CHECKING:
    from calos_telemetry.sdk.record.pipeline import Pipeline
    from calos_telemetry.sdk.telemetry import Telemetry

_MOST_OPEN = 10_000
_NS_PER_MS, _NS_PER_US = 1_000_000, 1_000
_OWN_TABLES = "telemetry_"
_FRESH_SECONDS = 1.0


class TelemetrySpanProcessor(SpanProcessor):
    """Turns the HTTP server spans and the database spans of an application into requests and query timings."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._requests: dict[int, RequestFacts] = {}
        self._queries: set[int] = set()
        if telemetry.pipeline is not None:
            telemetry.pipeline.spans = True

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Remember a request or a query that begins; what happens in the request finds its facts."""
        del parent_context
        pipeline = self._telemetry.pipeline
        try:
            if pipeline is not None and span.context is not None:
                self._begin(span, span.context.span_id, pipeline)
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self._telemetry.swallow(error)

    def on_end(self, span: ReadableSpan) -> None:
        """Record a request or a query that ended."""
        pipeline = self._telemetry.pipeline
        try:
            if pipeline is not None and span.context is not None:
                self._finish(span, span.context.span_id, pipeline)
        except Exception as error:  # noqa: BLE001 - the boundary: nothing of ours may reach the application
            self._telemetry.swallow(error)

    def _begin(self, span: ReadableSpan, number: int, pipeline: Pipeline) -> None:
        attributes = _plain(span)
        if span.kind is SpanKind.SERVER:
            outer = current.get()
            if len(self._requests) < _MOST_OPEN and (outer is None or outer.queries is None):
                facts = RequestFacts(pipeline, (span.start_time or 0) // _NS_PER_MS, "", "/", "")
                read_request(facts, attributes)
                self._requests[number] = facts
                current.set(facts)
        elif is_database(attributes) and len(self._queries) < _MOST_OPEN:
            self._queries.add(number)

    def _finish(self, span: ReadableSpan, number: int, pipeline: Pipeline) -> None:
        attributes = _plain(span)
        if span.kind is SpanKind.SERVER:
            facts = self._requests.pop(number, None)
            if facts is not None:
                self._record(facts, span, attributes)
        elif is_database(attributes):
            self._queries.discard(number)
            inside = span.parent is not None and span.parent.span_id in self._queries
            name = series_of_span(attributes)
            if not (inside or pipeline.tally.sources or _is_ours(name)):
                pipeline.query(name, _duration_us(span), current.get())

    def _record(self, facts: RequestFacts, span: ReadableSpan, attributes: Attributes) -> None:
        if current.get() is facts:
            current.set(None)
        if facts.covered or not is_request(attributes):
            return
        read_request(facts, attributes)
        facts.duration_us = _duration_us(span)
        self._telemetry.record(facts)
        for event in span.events:
            if event.name == "exception":
                told = {name: str(value) for name, value in (event.attributes or {}).items()}
                self._telemetry.attempt(
                    lambda pipeline, told=told: pipeline.told(  # type: ignore[misc]
                        told.get("exception.type", ""),
                        told.get("exception.message", ""),
                        told.get("exception.stacktrace", ""),
                        facts,
                    )
                )


def _plain(span: ReadableSpan) -> Attributes:
    """Return a span's attributes as a plain dictionary: OpenTelemetry's own takes a microsecond for each look."""
    return dict(span.attributes) if span.attributes else {}


def _is_ours(name: str) -> bool:
    """Say whether our own database is at work: a driver that is instrumented for all reports its queries as well."""
    return is_own_work() or name.partition(" ")[2].startswith(_OWN_TABLES)


def _duration_us(span: ReadableSpan) -> int:
    return max(0, (span.end_time or 0) - (span.start_time or 0)) // _NS_PER_US


def observe_metrics(telemetry: Telemetry, provider: MeterProvider) -> None:
    """Offer our numbers to ``provider`` as observable instruments, read from the install's database when it collects."""
    snapshot = _Snapshot(telemetry)
    meter = provider.get_meter("calos_telemetry")
    for family in FAMILIES:
        create = meter.create_observable_counter if family.counts else meter.create_observable_gauge
        create(family.name, callbacks=[_callback(snapshot, family.name)], unit=family.unit, description=family.what)


def export_metrics(telemetry: Telemetry, endpoint: str | None = None, *, seconds: float = 60.0) -> SdkMeterProvider:
    """Send our numbers by OTLP over HTTP to ``endpoint`` every so many ``seconds``; ``shutdown()`` of the answer ends it.

    ``endpoint`` is the whole URL (``http://collector:4318/v1/metrics``); without it OpenTelemetry's own variables decide.
    """
    reader = PeriodicExportingMetricReader(
        OTLPMetricExporter(endpoint=endpoint), export_interval_millis=seconds * 1_000
    )
    provider = SdkMeterProvider([reader], resource=Resource.create({"service.name": "calos-telemetry"}))
    observe_metrics(telemetry, provider)
    return provider


class _Snapshot:
    """The numbers of one collection: all instruments are read within a moment, and share one look at the database."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry
        self._read_at = float("-inf")
        self._numbers: list[Number] = []

    def of(self, family: str) -> list[Number]:
        if time.monotonic() - self._read_at > _FRESH_SECONDS:
            self._numbers = self._read()
            self._read_at = time.monotonic()
        return [number for number in self._numbers if number.family == family]

    def _read(self) -> list[Number]:
        try:
            return list(numbers(self._telemetry.install))
        except CalosTelemetryError as error:
            self._telemetry.swallow(error)
            return []


def _callback(snapshot: _Snapshot, family: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
    def observe(_options: CallbackOptions) -> Iterable[Observation]:
        return [Observation(number.value, number.labels) for number in snapshot.of(family)]

    return observe

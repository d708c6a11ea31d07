"""The operator's summary of a window of hours (DESIGN, issue "The whole path"), the same on both engines.

The window is put together from what is added up already and, where a day or an hour lies in it in part only, from the
events: exact at the edges, fast in the middle (``docs/decisions/0030-summary.md``).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection

from calos_telemetry.clock import MS_PER_DAY, MS_PER_HOUR
from calos_telemetry.contract.events import SLOW_REQUEST_US
from calos_telemetry.errors import SettingsError
from calos_telemetry.store import tally_events, tally_rollups
from calos_telemetry.store.tally import US_PER_MS, Latency, Operation, Range, Route, Tally, joined
from calos_telemetry.store.tally_events import Parts
from calos_telemetry.store.tally_sessions import session_figures, top_failures
from calos_telemetry.store.window import Window, widened

MAX_HOURS = 24 * 366 * 10

Row = dict[str, Any]


def summarise(connection: Connection, install_id: str, *, now: int, hours: int) -> dict[str, Any]:
    """Return the summary of the last ``hours`` before ``now`` (unix ms); durations in ms, ``None`` where none was measured.

    The keys up to ``totalEvents`` are exactly those of the mission's document.  ``totalEvents`` counts uses of features; ``notes`` says in words what is not exact, and why.
    Raises :class:`SettingsError` for a window that makes no sense.
    """
    if not 1 <= hours <= MAX_HOURS:
        raise SettingsError(f"hours is {hours}: give a whole number from 1 to {MAX_HOURS}")
    window = Window(Range(now - hours * MS_PER_HOUR + 1, now + 1))
    parts = tally_events.read_parts(connection, install_id)
    tally, notes = _counted(connection, install_id, window, parts)
    routes = _routes(tally)
    overall = Latency()
    for latency in tally.requests.values():
        overall.join(latency)
    return {
        "period": f"{hours}h",
        "featureUsage": _counts(tally.features, "feature"),
        "performance": [{name: row[name] for name in ("path", "avg_duration", "count")} for row in routes],
        "errors": _counts(tally.errors, "error_type"),
        "apiStats": _answers(tally),
        "totalEvents": tally.features.total(),
        "totalRequests": tally.classes.total(),
        "totalErrors": tally.errors.total(),
        "statusClasses": dict(sorted(tally.classes.items())),
        "features": _features(tally, tally_events.routes_of_features(parts)),
        "routes": routes,
        "latency": {"count": overall.timed, "avg_duration": overall.average_ms(), **overall.percentiles_ms()},
        "slowRequests": {
            "count": tally.slow.total(),
            "threshold": SLOW_REQUEST_US // US_PER_MS,
            "routes": _counts(tally.slow, "path"),
        },
        "database": _database(tally),
        "transactions": _transactions(tally),
        "sessions": session_figures(connection, install_id, window.whole),
        "countries": _counts(tally.countries, "country"),
        "hours": [{"hour": hour, "count": count} for hour, count in sorted(tally.hours.items()) if count],
        "topErrors": top_failures(connection, install_id, window.whole),
        "notes": notes,
    }


def _counted(connection: Connection, install_id: str, window: Window, parts: Parts) -> tuple[Tally, list[str]]:
    """Count everything in the window once, each part of it where it is exact and costs least."""
    tally = Tally()
    tally_rollups.add_days(connection, install_id, window.days, tally)
    tally_rollups.add_hours(connection, install_id, window, tally)
    for edge in window.edges():
        tally_events.add_measured(connection, parts, edge, tally)
    from_events = window.beside_days()
    for some in from_events:
        tally_events.add_counts(connection, install_id, parts, some, tally)
    for day in tally_rollups.days_with_untimed(connection, install_id, widened(window.whole, MS_PER_DAY)):
        some = Range(max(day.start, window.whole.start), min(day.end, window.whole.end))
        in_whole_days = window.days.start <= day.start < window.days.end
        tally_events.add_untimed(connection, parts, some, tally, counted=in_whole_days)
        from_events += [some] if in_whole_days else []
    return tally, [*_thinned(connection, install_id, from_events), *_old(connection, install_id, window)]


def _thinned(connection: Connection, install_id: str, from_events: Iterable[Range]) -> list[str]:
    """Say which days that were read from their events keep a sample of them only."""
    counted: Counter[str] = Counter()
    for some in from_events:
        counted.update(tally_rollups.rows_of_days(connection, install_id, widened(some, MS_PER_DAY)))
    kept, thinned = counted["kept_events"], counted["thinned_events"]
    if not thinned:
        return []
    sample = f"{kept} of {kept + thinned} events are kept of days under heavy load"
    parts = "features, failures and countries of a part of such a day, its first and last hour in the window"
    return [f"{sample}: {parts}, and requests without a duration are counted from those"]


def _old(connection: Connection, install_id: str, window: Window) -> list[str]:
    """Say from when on there are events, where the window begins earlier."""
    counted = tally_rollups.first_date(connection, install_id, widened(window.whole, MS_PER_DAY))
    kept = tally_events.first_date(connection)
    if counted is None or (kept is not None and kept <= counted):
        return []
    since = "are not kept any more" if kept is None else f"are kept from {kept} on"
    return [f"events {since}: of earlier days whole ones are counted, without routes, latencies and sessions"]


def _features(tally: Tally, routes: Mapping[str, set[Route]]) -> list[Row]:
    """Return the uses of each feature, and beside them the average answer of the routes that it is used on."""
    rows = []
    for row in _counts(tally.features, "feature"):
        answers = Latency()
        for route in routes.get(row["feature"], ()):
            answers.join(tally.requests.get(route, Latency()))
        rows.append({**row, "avg_duration": answers.average_ms()})
    return rows


def _routes(tally: Tally) -> list[Row]:
    """Return the requests of each template."""
    paths = joined((route.path, latency) for route, latency in tally.requests.items())
    rows = [
        {
            "path": path,
            "avg_duration": latency.average_ms(),
            "count": latency.count,
            **latency.percentiles_ms(),
        }
        for path, latency in paths.items()
    ]
    return sorted(rows, key=lambda row: (-row["count"], row["path"]))


def _answers(tally: Tally) -> list[Row]:
    """Return the requests of each method and status."""
    kinds = joined(((route.method, route.status), latency) for route, latency in tally.requests.items())
    rows = [
        {"method": method, "status_code": status, "count": latency.count, "avg_duration": latency.average_ms()}
        for (method, status), latency in kinds.items()
    ]
    return sorted(rows, key=lambda row: (-row["count"], row["method"], str(row["status_code"])))


def _database(tally: Tally) -> Row:
    """Return the time spent in the database, by operation and table, the costliest first."""
    rows = _operations(tally, "database_query", "operation")
    rows.sort(key=lambda row: (-row["total_duration"], row["operation"]))
    queries = Latency()
    for operation, latency in tally.operations.items():
        if operation.metric in ("database_query", "failed_database_query"):
            queries.join(latency)
    return {"queries": queries.count, **_figures(queries), "operations": rows}


def _transactions(tally: Tally) -> list[Row]:
    """Return the transactions of each name, with what made some fail; latencies are those of the successful."""
    failures: dict[str, dict[str, int]] = {}
    for key, count in tally.failures.items():
        name, _, category = key.rpartition(":")
        if count:
            failures.setdefault(name, {})[category] = count
    return [
        {**row, "failures": dict(sorted(failures.get(row["name"], {}).items()))}
        for row in _operations(tally, "transaction", "name")
    ]


def _operations(tally: Tally, metric: str, title: str) -> list[Row]:
    names = {operation.name for operation in tally.operations if operation.metric in (metric, f"failed_{metric}")}
    rows = []
    for name in names:
        succeeded, failed = (
            tally.operations.get(Operation(one, name), Latency()) for one in (metric, f"failed_{metric}")
        )
        count = succeeded.count + failed.count
        rows.append({title: name, "count": count, "failed": failed.count, **_figures(succeeded)})
    return sorted(rows, key=lambda row: (-row["count"], row[title]))


def _figures(latency: Latency) -> Row:
    total = round(latency.total_us / US_PER_MS, 1)
    return {"total_duration": total, "avg_duration": latency.average_ms(), **latency.percentiles_ms()}


def _counts(counter: Mapping[str, int], title: str) -> list[Row]:
    """Return rows with the most frequent first; equal counts in the order of their names, so that answers are stable."""
    found = sorted(counter.items(), key=lambda item: (-item[1], item[0]))
    return [{title: key, "count": count} for key, count in found if count]

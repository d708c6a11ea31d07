"""The summary once more, the plain way: from a list of events, one by one, with no table and no SQL."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from typing import Any

from calos_telemetry.clock import MS_PER_HOUR, date_of, to_datetime, to_iso
from calos_telemetry.contract.events import SLOW_REQUEST_US, ApiRequest, ErrorEvent, Event, FeatureUsage, Performance
from calos_telemetry.contract.histogram import bucket_of, percentile

IDLE_MS = 30 * 60_000
Seen = list[tuple[int, Event]]


def summary_of(seen: Seen, now: int, hours: int) -> dict[str, Any]:
    """Return what the summary must say of these events."""
    inside = [(at, event) for at, event in seen if now - hours * MS_PER_HOUR < at <= now]
    requests = [(at, event) for at, event in inside if isinstance(event, ApiRequest)]
    features = Counter(event.feature for _, event in inside if isinstance(event, ApiRequest | FeatureUsage))
    del features[None]
    errors = Counter(event.category for _, event in inside if isinstance(event, ErrorEvent))
    slow = Counter(r.path for _, r in requests if r.duration_us is not None and r.duration_us >= SLOW_REQUEST_US)
    paths = grouped((request.path, request.duration_us) for _, request in requests)
    answers = grouped(((request.method, request.status), request.duration_us) for _, request in requests)
    every = [request.duration_us for _, request in requests if request.duration_us is not None]
    routes = sorted(
        (
            {"path": path, "avg_duration": average(some), "count": len(some), **percentiles(some)}
            for path, some in paths.items()
        ),
        key=lambda row: (-row["count"], row["path"]),
    )
    return {
        "period": f"{hours}h",
        "featureUsage": ranked(features, "feature"),
        "performance": [{name: row[name] for name in ("path", "avg_duration", "count")} for row in routes],
        "errors": ranked(errors, "error_type"),
        "apiStats": sorted(
            (
                {"method": method, "status_code": status, "count": len(some), "avg_duration": average(some)}
                for (method, status), some in answers.items()
            ),
            key=lambda row: (-row["count"], row["method"], row["status_code"]),
        ),
        "totalEvents": features.total(),
        "totalRequests": len(requests),
        "totalErrors": errors.total(),
        "statusClasses": dict(sorted(Counter(f"{request.status // 100}xx" for _, request in requests).items())),
        "features": [
            {**row, "avg_duration": average(_of_feature(row["feature"], seen, requests))}
            for row in ranked(features, "feature")
        ],
        "routes": routes,
        "latency": {"count": len(every), "avg_duration": average(every), **percentiles(every)},
        "slowRequests": {"count": slow.total(), "threshold": 1_000, "routes": ranked(slow, "path")},
        "database": _database(inside),
        "transactions": _transactions(inside),
        "sessions": _sessions(seen, now - hours * MS_PER_HOUR, now),
        "countries": ranked(Counter(r.country for _, r in requests if r.country is not None), "country"),
        "hours": [
            {"hour": hour, "count": count}
            for hour, count in sorted(Counter(to_datetime(at).hour for at, _ in requests).items())
        ],
        "topErrors": _failures(seen, now - hours * MS_PER_HOUR, now),
        "notes": [],
    }


def grouped(pairs: Iterable[tuple[Hashable, int | None]]) -> dict[Any, list[int | None]]:
    sums: dict[Any, list[int | None]] = defaultdict(list)
    for key, duration_us in pairs:
        sums[key].append(duration_us)
    return sums


def average(durations: Iterable[int | None]) -> float | None:
    timed = [each for each in durations if each is not None]
    return round(sum(timed) / len(timed) / 1_000, 1) if timed else None


def percentiles(durations: Iterable[int | None]) -> dict[str, float | None]:
    spread = Counter(bucket_of(each) for each in durations if each is not None)
    values = {f"p{share}": percentile(spread, share / 100) for share in (50, 95, 99)}
    return {name: None if value is None else round(value / 1_000, 1) for name, value in values.items()}


def ranked(counter: Counter[Any], title: str) -> list[dict[str, Any]]:
    return [{title: key, "count": n} for key, n in sorted(counter.items(), key=lambda item: (-item[1], item[0]))]


def _of_feature(feature: str, seen: Seen, requests: list[tuple[int, ApiRequest]]) -> list[int | None]:
    """Return the durations of the routes on which a feature was ever used."""
    routes = {(r.method, r.path, r.status) for _, r in seen if isinstance(r, ApiRequest) and r.feature == feature}
    return [r.duration_us for _, r in requests if (r.method, r.path, r.status) in routes]


def _operations(inside: Seen, metric: str) -> dict[str, tuple[list[int], int]]:
    """Return for each name the durations of the successful, and how many failed; counted together they are equal here."""
    found: dict[str, tuple[list[int], int]] = {}
    for _, event in inside:
        if not isinstance(event, Performance) or event.metric != metric:
            continue
        succeeded, failed = found.get(event.name, ([], 0))
        durations = [event.duration_us] * event.count
        found[event.name] = (succeeded + durations, failed) if event.success else (succeeded, failed + len(durations))
    return found


def _figures(durations: list[int]) -> dict[str, Any]:
    total = round(sum(durations) / 1_000, 1)
    return {"total_duration": total, "avg_duration": average(durations), **percentiles(durations)}


def _rows(inside: Seen, metric: str, title: str) -> list[dict[str, Any]]:
    return [
        {title: name, "count": len(succeeded) + failed, "failed": failed, **_figures(succeeded)}
        for name, (succeeded, failed) in _operations(inside, metric).items()
    ]


def _database(inside: Seen) -> dict[str, Any]:
    rows = sorted(
        _rows(inside, "database_query", "operation"), key=lambda row: (-row["total_duration"], row["operation"])
    )
    every = [each for durations, _ in _operations(inside, "database_query").values() for each in durations]
    return {"queries": len(every), **_figures(every), "operations": rows}


def _transactions(inside: Seen) -> list[dict[str, Any]]:
    why: dict[str, Counter[str]] = defaultdict(Counter)
    for _, event in inside:
        if isinstance(event, Performance) and event.metric == "transaction" and not event.success:
            why[event.name][event.error or "other"] += 1
    rows = sorted(_rows(inside, "transaction", "name"), key=lambda row: (-row["count"], row["name"]))
    return [{**row, "failures": dict(sorted(why[row["name"]].items()))} for row in rows]


def _sessions(seen: Seen, after: int, until: int) -> dict[str, Any]:
    """Return the figures of the sessions that began in the window."""
    moments: dict[str, list[int]] = defaultdict(list)
    for at, event in seen:
        if isinstance(event, ApiRequest | FeatureUsage) and event.session is not None:
            moments[event.session].append(at)
    spans = []
    for times in moments.values():
        first = last = min(times)
        for at in sorted(times):
            if at - last >= IDLE_MS:
                spans.append((first, last))
                first = at
            last = at
        spans.append((first, last))
    began = [(first, (last - first) // 1_000) for first, last in spans if after < first <= until]
    lengths = sorted(length for _, length in began)
    days = Counter(date_of(first) for first, _ in began)
    return {
        "count": len(began),
        "avg_seconds": round(sum(lengths) / len(lengths), 1) if lengths else None,
        "median_seconds": lengths[(len(lengths) - 1) // 2] if lengths else None,
        "perDay": [{"date": date, "count": count} for date, count in sorted(days.items())],
    }


def _failures(seen: Seen, after: int, until: int) -> list[dict[str, Any]]:
    """Return the failures last seen in the window; the tests make no two with an equal name."""
    times: dict[str, list[int]] = defaultdict(list)
    kinds: dict[str, ErrorEvent] = {}
    for at, event in seen:
        if isinstance(event, ErrorEvent):
            times[event.name].append(at)
            kinds[event.name] = event
    rows = [
        {
            "error_type": kinds[name].category,
            "name": name,
            "message": kinds[name].message,
            "path": kinds[name].path,
            "count": len(moments),
            "last_seen": to_iso(max(moments)),
        }
        for name, moments in times.items()
        if after < max(moments) <= until
    ]
    return sorted(rows, key=lambda row: -row["count"])

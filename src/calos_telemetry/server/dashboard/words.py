"""Numbers and findings in words, the way a person says them."""

from __future__ import annotations

from collections.abc import Sequence

from calos_telemetry.clock import to_datetime
from calos_telemetry.server.analytics.errors import Failure
from calos_telemetry.server.analytics.features import PopularFeature
from calos_telemetry.server.analytics.overview import Overview
from calos_telemetry.server.analytics.performance import SlowRoute
from calos_telemetry.server.analytics.traffic import Day, Hour

_LONG = ((3_600_000, "h"), (60_000, "min"), (1_000, "s"))
_EXACT_BELOW = 10
_SMALLEST = 0.001  # of which one digit is left
_NO_BREAK = "\u00a0"  # a number stays on the line of its unit


def amount(value: int) -> str:
    """Return ``12345`` as ``12,345``."""
    return f"{value:,}"


def counted(value: int, noun: str, plural: str | None = None) -> str:
    """Return ``1 install`` or ``2 installs``."""
    return f"{value:,} {noun if value == 1 else plural or noun + 's'}"


def duration(ms: float) -> str:
    """Return milliseconds as ``3.2 ms``, ``120 ms``, ``1.5 s``, ``12 min`` or ``2.8 h``."""
    size, unit = next(((size, unit) for size, unit in _LONG if ms >= size), (1, "ms"))
    value = ms / size
    number = f"{value:.1f}" if value < _EXACT_BELOW else f"{value:,.0f}"
    return number + _NO_BREAK + unit


def share(value: float) -> str:
    """Return ``0.0123`` as ``1.2 %``; a little is never shown as nothing."""
    number = f"<{_NO_BREAK}0.1" if 0 < value < _SMALLEST else f"{value * 100:.1f}"
    return f"{number}{_NO_BREAK}%"


def day(ms: int) -> str:
    """Return unix ms as ``25 Nov 2026``."""
    return to_datetime(ms).strftime("%d %b %Y").lstrip("0")


def about_traffic(days: Sequence[Day], total: Overview) -> str:
    """Say how much was asked and how much of it failed."""
    busiest = max(days, key=lambda one: one.requests)
    return (
        f"{counted(total.requests, 'request')} in {counted(len(days), 'day')}, most of them on {busiest.date} "
        f"({amount(busiest.requests)}); {share(total.server_error_share)} ended in a server error."
    )


def about_hours(hours: Sequence[Hour]) -> str:
    """Say when it is busy and when it is quiet."""
    busiest, quietest = max(hours, key=lambda one: one.requests), min(hours, key=lambda one: one.requests)
    return f"Busiest from {busiest.hour}:00 to {busiest.hour}:59 UTC, quietest from {quietest.hour}:00: the time for maintenance."


def about_features(features: Sequence[PopularFeature], total: Overview) -> str:
    """Say which feature leads, and how widely it is used."""
    first = features[0]
    part = share(first.uses / total.feature_uses if total.feature_uses else 0)
    return (
        f"{first.feature} leads with {part} of all uses, on {first.installs} of {counted(total.installs, 'install')}."
    )


def about_routes(routes: Sequence[SlowRoute]) -> str:
    """Say which route is slowest, and which costs most time altogether."""
    first, heaviest = routes[0], max(routes, key=lambda one: one.total_ms)
    slowest = f"One in twenty {first.method} {first.path} takes {duration(first.p95_ms)} or longer"
    if heaviest is first:
        return f"{slowest}; it also costs the most time altogether ({duration(heaviest.total_ms)})."
    return (
        f"{slowest}; {heaviest.method} {heaviest.path} costs the most time altogether ({duration(heaviest.total_ms)})."
    )


def about_failures(failures: Sequence[Failure], total: Overview) -> str:
    """Say which failure is the most widespread."""
    first = failures[0]
    seen = f"{first.installs} of {counted(total.installs, 'install')}" if total.installs else "installs"
    return f"{first.name} ({first.type}) is the most widespread: {counted(first.occurrences, 'time')}, on {seen}."

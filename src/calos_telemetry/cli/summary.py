"""``calos-telemetry summary``: what was collected in the last hours."""

from __future__ import annotations

from typing import Any

import click

from calos_telemetry.cli.opening import opened_install
from calos_telemetry.cli.printing import as_json, as_table


@click.command()
@click.option("--hours", default=24, show_default=True, help="How far back to look.")
@click.option("--json", "in_json", is_flag=True, help="Print JSON, as GET /api/telemetry/summary answers.")
def summary(hours: int, in_json: bool) -> None:
    """Print what was used, how fast and how reliably in the last hours; durations in ms.

    Example: calos-telemetry summary --hours 168
    """
    with opened_install() as install:
        content = install.summary(hours)
    click.echo(as_json({"success": True, "summary": content}) if in_json else _in_words(content))


def _in_words(content: dict[str, Any]) -> str:
    latency, sessions, database = content["latency"], content["sessions"], content["database"]
    head = [
        f"Last {content['period']}: {content['totalEvents']:,} uses of features",
        f"Requests: {content['totalRequests']:,}, failures: {content['totalErrors']:,}",
        f"Answers: {_listed(content['statusClasses'])}; {_latencies(latency)}",
        f"Slow: {content['slowRequests']['count']:,} requests of {content['slowRequests']['threshold']:,} ms or longer",
        f"Sessions: {sessions['count']:,}, in seconds: {_lengths(sessions)}",
        f"Database: {database['queries']:,} queries, {database['total_duration']:,} ms; {_latencies(database)}",
        *(f"Note: {note}" for note in content["notes"]),
    ]
    tables = {
        "Features": content["features"],
        "Routes": content["routes"],
        "Answers": content["apiStats"],
        "Failures": content["errors"],
        "Most frequent failures": content["topErrors"],
        "Transactions": content["transactions"],
        "Database operations": database["operations"],
        "Slow routes": content["slowRequests"]["routes"],
        "Sessions per day": sessions["perDay"],
        "Countries": content["countries"],
        "Hours of the day (UTC)": content["hours"],
    }
    return "\n".join([*head, *(f"\n{title}\n{as_table(rows)}" for title, rows in tables.items() if rows)])


def _latencies(figures: dict[str, Any]) -> str:
    names = {"average": "avg_duration", "p50": "p50", "p95": "p95", "p99": "p99"}
    return "in ms: " + ", ".join(f"{title} {_number(figures[name])}" for title, name in names.items())


def _lengths(sessions: dict[str, Any]) -> str:
    return f"average {_number(sessions['avg_seconds'])}, median {_number(sessions['median_seconds'])}"


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,}"

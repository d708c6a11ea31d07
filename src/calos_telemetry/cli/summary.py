"""``calos-telemetry summary``: what was collected in the last hours."""

from __future__ import annotations

from typing import Any

import click

from calos_telemetry.cli.opening import opened_install
from calos_telemetry.cli.printing import as_json


@click.command()
@click.option("--hours", default=24, show_default=True, help="How far back to look.")
@click.option("--json", "in_json", is_flag=True, help="Print JSON, as GET /api/telemetry/summary answers.")
def summary(hours: int, in_json: bool) -> None:
    """Print features, routes, failures and answers of the last hours.

    Example: calos-telemetry summary --hours 168
    """
    with opened_install() as install:
        content = install.summary(hours)
    click.echo(as_json({"success": True, "summary": content}) if in_json else _tables(content))


def _tables(content: dict[str, Any]) -> str:
    parts = [f"Last {content['period']}: {content['totalEvents']} uses of features"]
    for title, name in (
        ("Features", "featureUsage"),
        ("Routes", "performance"),
        ("Failures", "errors"),
        ("Answers", "apiStats"),
    ):
        rows = content[name]
        parts.append(f"\n{title}" + ("" if rows else ": none"))
        parts += ["  " + "  ".join(f"{key} {value}" for key, value in row.items()) for row in rows]
    return "\n".join(parts)

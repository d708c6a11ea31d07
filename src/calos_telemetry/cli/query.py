"""``calos-telemetry query``: the documented questions, on either engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from sqlalchemy import Connection

from calos_telemetry.cli.opening import opened_install
from calos_telemetry.cli.printing import as_json, as_table
from calos_telemetry.clock import now_ms
from calos_telemetry.store.queries import daily, error_trend, popular_features, telemetry_summary

Question = Callable[[Connection, str, int], list[dict[str, Any]]]

QUESTIONS: dict[str, Question] = {
    "summary": lambda connection, install_id, days: telemetry_summary(connection, install_id, days, now_ms()),
    "features": lambda connection, _, how_many: popular_features(connection, how_many),
    "errors": lambda connection, _, days: error_trend(connection, days, now_ms()),
    "daily": lambda connection, _, days: daily(connection, days, now_ms()),
}
_USUAL = {"summary": 7, "features": 10, "errors": 30, "daily": 30}


@click.command()
@click.argument("question", type=click.Choice(sorted(QUESTIONS)))
@click.argument("number", type=click.IntRange(min=1), required=False)
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def query(question: str, number: int | None, in_json: bool) -> None:
    """Ask one of the documented questions about NUMBER days, or for the NUMBER most used features.

    Example: calos-telemetry query errors 30
    """
    with opened_install() as install, install.engine.connect() as connection:
        rows = QUESTIONS[question](connection, install.identity.install_id, number or _USUAL[question])
    if in_json:
        click.echo(as_json(rows))
    elif not rows:
        click.echo("nothing yet")
    else:
        click.echo(as_table(rows))

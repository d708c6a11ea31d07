"""``calos-telemetry cleanup``: delete what is older than it has to be."""

from __future__ import annotations

import dataclasses

import click

from calos_telemetry.cli.opening import opened_install
from calos_telemetry.cli.printing import as_json
from calos_telemetry.store.retention import KEPT_DAYS


@click.command()
@click.option("--days", type=click.IntRange(min=1), default=KEPT_DAYS, show_default=True, help="Days to keep.")
@click.option("--dry-run", is_flag=True, help="Delete nothing; only say how much would go.")
@click.option("--json", "in_json", is_flag=True, help="Print JSON.")
def cleanup(days: int, dry_run: bool, in_json: bool) -> None:
    """Delete events, latencies and sessions that are older than so many whole days; what was counted stays.

    Example: calos-telemetry cleanup --days 30 --dry-run
    """
    with opened_install() as install:
        done = install.upkeep.preview(days) if dry_run else install.upkeep.clean(days)
    counts = {f"{name}_deleted": number for name, number in dataclasses.asdict(done).items()}
    if in_json:
        click.echo(as_json({**counts, "dry_run": dry_run}))
    else:
        said = "would be deleted" if dry_run else "deleted"
        click.echo(f"{done.events} events, {done.performance} rows of latencies, {done.sessions} sessions {said}")

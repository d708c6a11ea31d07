"""``calos-telemetry server migrate``: from any engine to any other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from calos_telemetry.errors import SettingsError, StoreError
from calos_telemetry.server import migration
from calos_telemetry.server.migration import Move, Notes
from calos_telemetry.server.store import VendorStore, open_store
from calos_telemetry.settings import ServerSettings
from calos_telemetry.store.faults import reason

_KINDS = "give postgresql://user:password@host/name, clickhouse://user:password@host/name or sqlite:////a/directory"


@click.command()
@click.option("--to", "url", required=True, help="The URL of an empty database; sqlite:////a/directory for files.")
def migrate(url: str) -> None:
    """Move everything to another database: PostgreSQL, ClickHouse (the rows of reports alone) or files of SQLite.

    Stop the license servers first.  It can be interrupted: the same command goes on.  At the end counts and sums are compared;
    what was moved stays here as well.

    Example: calos-telemetry server migrate --to clickhouse://calos:secret@ch1:8123/calos
    """
    settings = ServerSettings.from_environment()
    notes = Notes(settings.home, url)
    source = open_store(settings)
    try:
        target = open_store(_at(settings, url))
        try:
            _move_all(source, target, notes)
        except SQLAlchemyError as error:
            raise StoreError(f"a database failed ({reason(error)}): run the command again, it goes on") from error
        finally:
            target.close()
    finally:
        source.close()
    variable = "CALOS_SERVER_TELEMETRY_URL" if url.startswith("clickhouse:") else "CALOS_SERVER_DATABASE_URL"
    click.echo(f"Everything has arrived.  Set {_setting(variable, url)} and start the license server.")


def _move_all(source: VendorStore, target: VendorStore, notes: Notes) -> None:
    migration.drain(source)
    planned = migration.moves(source, target)
    if not notes.begun:
        migration.check_empty(planned)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        for move in planned:
            _move(move, notes, bar)
    for move in planned:
        migration.compare(move)
    notes.remove()


def _move(move: Move, notes: Notes, bar: Progress) -> None:
    total = migration.count(move.source, move.table)
    if not total:
        return
    begun = move.table.name in notes.places.last
    done = min(total, migration.count(move.target, move.table)) if begun else 0
    task = bar.add_task(move.table.name, total=total, completed=done)
    migration.run(move, notes, lambda rows: bar.advance(task, rows))
    bar.update(task, completed=total)


def _at(settings: ServerSettings, url: str) -> ServerSettings:
    """Return the settings of a server whose data is at ``url``."""
    if url.startswith("clickhouse://"):
        return replace(settings, telemetry_url=url)
    if url.startswith(("postgresql://", "postgres://")):
        return replace(settings, database_url=url, telemetry_url=None)
    try:
        directory = make_url(url).database if url.startswith("sqlite:") else None
    except ArgumentError:
        directory = None
    if not directory:
        raise SettingsError(f"--to is of another kind: {_KINDS}")
    return replace(settings, home=Path(directory), database_url=None, telemetry_url=None)


def _setting(variable: str, url: str) -> str:
    return (
        f"CALOS_SERVER_HOME to {url.removeprefix('sqlite:///')}"
        if url.startswith("sqlite:")
        else f"{variable} to that URL"
    )

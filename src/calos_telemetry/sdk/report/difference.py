"""What this version can send that the last acknowledged report could not: field by field, before any of it is sent.

The names of all fields and counters that can leave are kept beside the first report that was sealed with them.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, Engine, func, insert, select

from calos_telemetry.contract.catalogue import Entry, catalogue
from calos_telemetry.sdk.report.ledger import ACKNOWLEDGED
from calos_telemetry.store.install_tables import catalogues, reports


@dataclass(frozen=True, slots=True)
class Difference:
    """``since`` is the report that is compared with, ``None`` where none was acknowledged or it did not note its fields."""

    since: int | None
    new: tuple[Entry, ...] = ()
    gone: tuple[str, ...] = ()


def note_catalogue(connection: Connection, number: int) -> None:
    """Note what report ``number`` can hold, if the report before it could hold something else."""
    names = msgspec.json.encode(sorted(_sendable())).decode()
    latest = select(catalogues.c.names).order_by(catalogues.c.since.desc()).limit(1)
    if connection.scalar(latest) != names:
        connection.execute(insert(catalogues), {"since": number, "names": names})


def difference(engine: Engine) -> Difference:
    """Compare what can be sent now with what the last acknowledged report could hold."""
    with engine.connect() as connection:
        acknowledged = reports.c.state == ACKNOWLEDGED, reports.c.rows > 0
        since = connection.scalar(select(func.max(reports.c.number)).where(*acknowledged))
        before = catalogues.c.since <= (since or 0)
        latest = select(catalogues.c.names).where(before).order_by(catalogues.c.since.desc()).limit(1)
        names = connection.scalar(latest)
    if names is None:
        return Difference(None)
    known, now = set(msgspec.json.decode(names, type=list[str])), _sendable()
    return Difference(
        since,
        new=tuple(entry for name, entry in sorted(now.items()) if name not in known),
        gone=tuple(sorted(known - now.keys())),
    )


def _sendable() -> dict[str, Entry]:
    return {f"{entry.group}.{entry.name}": entry for entry in catalogue() if entry.leaves}

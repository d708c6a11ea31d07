"""A report, read row by row: one bad row costs itself and not its neighbours."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from sqlalchemy import Table

from calos_telemetry.contract.fields import Count
from calos_telemetry.contract.report import MAX_ROWS
from calos_telemetry.errors import ProtocolError
from calos_telemetry.server.intake.rows import KINDS, Bounds, Kind, RejectedRow


class RawReport(msgspec.Struct, frozen=True, kw_only=True):
    """:class:`~calos_telemetry.contract.report.Report` with its rows left unread."""

    number: Count
    to_revision: Count
    features: list[msgspec.Raw]
    errors: list[msgspec.Raw]
    performance: list[msgspec.Raw]
    aggregates: list[msgspec.Raw]


@dataclass(slots=True)
class Sifted:
    """The rows of each table that are taken, and how many are not, by reason."""

    number: int
    taken: dict[Table, list[Mapping[str, Any]]] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)

    def accepted(self) -> int:
        """Return how many rows are taken."""
        return sum(map(len, self.taken.values()))


def sift(raw: bytes, install_id: str, now: int) -> Sifted:
    """Part the rows of a report into those that are taken and those that are not.

    Raises :class:`ProtocolError` when it is no report at all.
    """
    try:
        report = msgspec.json.decode(raw, type=RawReport)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"the telemetry is not a report: {error}") from None
    sifted = Sifted(number=report.number)
    bounds = Bounds(now=now, to_revision=report.to_revision)
    room = MAX_ROWS
    for kind in KINDS:
        rows: list[msgspec.Raw] = getattr(report, kind.name)
        sifted.rejected["too_many_rows"] += max(0, len(rows) - room)
        sifted.taken[kind.table] = _take(kind, rows[:room], install_id, bounds, sifted.rejected)
        room = max(0, room - len(rows))
    sifted.rejected += Counter()  # drops the zeros
    return sifted


def _take(
    kind: Kind[Any], rows: Sequence[msgspec.Raw], install_id: str, bounds: Bounds, rejected: Counter[str]
) -> list[Mapping[str, Any]]:
    taken: list[Mapping[str, Any]] = []
    for raw in rows:
        try:
            taken.append({"install_id": install_id, **kind.read(raw, bounds)})
        except RejectedRow as reason:
            rejected[str(reason)] += 1
    return taken

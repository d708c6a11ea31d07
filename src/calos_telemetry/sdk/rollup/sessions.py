"""telemetry_sessions: requests of one session hash with less than 30 minutes between them.

A session is a cluster of moments; clusters that touch are merged, so the rows do not depend on the order in which the
events arrive or on how they are split into drains.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, select

from calos_telemetry.contract.events import ApiRequest
from calos_telemetry.sdk.rollup.batch import Batch
from calos_telemetry.store.tables import sessions
from calos_telemetry.store.upserts import insert_new

IDLE_MS = 30 * 60_000


@dataclass(frozen=True, slots=True)
class Span:
    """One session, or a part of one: first and last request (unix ms), how many, and whose."""

    first: int
    last: int
    requests: int
    user: str | None

    def joined(self, later: Span) -> Span:
        """Return the two as one; of several users the least hash, so that no order of arrival matters."""
        users = [user for user in (self.user, later.user) if user is not None]
        return Span(
            first=self.first,
            last=max(self.last, later.last),
            requests=self.requests + later.requests,
            user=min(users, default=None),
        )


def roll_up(connection: Connection, batch: Batch) -> None:
    """Add the batch's requests to ``telemetry_sessions``."""
    moments: dict[str, list[Span]] = defaultdict(list)
    for at, request in batch.of(ApiRequest):
        if request.session is not None:
            moments[request.session].append(Span(at, at, 1, request.user))
    rows: list[dict[str, Any]] = []
    for session, spans in moments.items():
        known = list(_taken(connection, batch.install_id, session, spans))
        rows += (_row(batch, session, span) for span in clusters((*known, *spans)))
    insert_new(connection, sessions, rows)


def clusters(spans: Iterable[Span]) -> Iterator[Span]:
    """Merge spans that lie less than 30 minutes apart."""
    current: Span | None = None
    for span in sorted(spans, key=lambda span: span.first):
        if current is None:
            current = span
        elif span.first - current.last < IDLE_MS:
            current = current.joined(span)
        else:
            yield current
            current = span
    if current is not None:
        yield current


def _taken(connection: Connection, install_id: str, session: str, spans: Iterable[Span]) -> Iterator[Span]:
    """Take out the stored sessions that the new moments may touch; the merged ones are written back."""
    first = min(span.first for span in spans) - IDLE_MS
    last = max(span.last for span in spans) + IDLE_MS
    touched = (
        (sessions.c.install_id == install_id)
        & (sessions.c.session_hash == session)
        & (sessions.c.last_seen_at > first)
        & (sessions.c.started_at < last)
    )
    columns = (sessions.c.started_at, sessions.c.last_seen_at, sessions.c.requests, sessions.c.user_hash)
    for row in connection.execute(select(*columns).where(touched)).all():
        yield Span(*row)
    connection.execute(delete(sessions).where(touched))


def _row(batch: Batch, session: str, span: Span) -> dict[str, Any]:
    return {
        "install_id": batch.install_id,
        "session_hash": session,
        "started_at": span.first,
        "user_hash": span.user,
        "last_seen_at": span.last,
        "duration_seconds": (span.last - span.first) // 1_000,
        "requests": span.requests,
        "revision": batch.revision,
    }

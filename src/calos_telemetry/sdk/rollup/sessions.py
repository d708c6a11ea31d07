"""telemetry_sessions: what one session hash did with less than 30 minutes in between; and what sessions add to the counts.

A session is a cluster of moments; clusters that touch are merged, so the rows do not depend on the order in which the
events arrive or on how they are split into drains.  What a session counts for is taken back when it changes.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, delete, select

from calos_telemetry.clock import MS_PER_DAY
from calos_telemetry.contract.events import FeatureUsage
from calos_telemetry.sdk.rollup import aggregates
from calos_telemetry.sdk.rollup.batch import Batch
from calos_telemetry.sdk.rollup.limits import MAX_SESSION_FEATURES
from calos_telemetry.store.bulk import insert_bulk
from calos_telemetry.store.tables import sessions

IDLE_MS = 30 * 60_000
_LOOKUP = 400  # sessions per query: SQLite allows 999 parameters where it is old
_MAX_KEY = 200

Features = Mapping[str, int]
"""Feature → its first use in a session (unix ms)."""

Moment = tuple[int, int, str | None, str | None]
"""When something was asked of the application (unix ms), how many requests that was (1 or 0), by whom, which feature."""

_when = itemgetter(0)


@dataclass(frozen=True, slots=True)
class Span:
    """One session, or a part of one: first and last moment (unix ms), how many requests, whose, which features."""

    first: int
    last: int
    requests: int
    user: str | None
    features: Features = field(default_factory=dict)

    def joined(self, other: Span) -> Span:
        """Return the two as one; of several users the least hash, so that no order of arrival matters."""
        users = [user for user in (self.user, other.user) if user is not None]
        return Span(
            first=min(self.first, other.first),
            last=max(self.last, other.last),
            requests=self.requests + other.requests,
            user=min(users, default=None),
            features=_earliest(self.features, other.features),
        )


def roll_up(connection: Connection, batch: Batch) -> None:
    """Add the batch's moments to ``telemetry_sessions``, and what has changed by them to ``telemetry_aggregates``."""
    spans = {session: list(_spans(moments)) for session, moments in _moments(batch).items()}
    changes: Counter[tuple[int, str, str]] = Counter()
    for session, span in _taken(connection, batch.install_id, spans):
        spans[session].append(span)
        _count(changes, span, -1)
    rows = []
    for session, some in spans.items():
        for span in clusters(some):
            rows.append(_row(batch, session, span))
            _count(changes, span, 1)
    insert_bulk(connection, sessions, rows)
    aggregates.add(connection, batch, changes)


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


def _moments(batch: Batch) -> Mapping[str, list[Moment]]:
    moments: dict[str, list[Moment]] = defaultdict(list)
    for like, requests in batch.alike:
        feature = like.feature
        for asked in requests:
            if asked.event.session is not None:
                moments[asked.event.session].append((asked.at, 1, asked.event.user, feature))
    for at, usage in batch.of(FeatureUsage):
        if usage.session is not None:
            moments[usage.session].append((at, 0, usage.user, usage.feature))
    return moments


def _spans(moments: list[Moment]) -> Iterator[Span]:
    """Put moments that lie less than 30 minutes apart together."""
    moments.sort(key=_when)
    begin = 0
    for end in range(1, len(moments) + 1):
        if end == len(moments) or moments[end][0] - moments[end - 1][0] >= IDLE_MS:
            yield _span(moments[begin:end])
            begin = end


def _span(moments: Sequence[Moment]) -> Span:
    """Return moments, in the order of time, as one session."""
    users = {user for _, _, user, _ in moments if user is not None}
    used: dict[str, int] = {}
    for at, _, _, feature in moments:
        if feature is not None and feature not in used:
            used[feature] = at
    requests = sum(requests for _, requests, _, _ in moments)
    return Span(moments[0][0], moments[-1][0], requests, min(users, default=None), _first(used))


def _earliest(one: Features, other: Features) -> Features:
    """Return the first uses in both, the earliest of them: the same in whatever order sessions are put together."""
    if not one or not other:
        return one or other
    both = {name: min(one.get(name, at), at) for name, at in other.items()}
    return _first({**one, **both})


def _first(used: Features) -> Features:
    """Return as many features as a session may have: those that were used first."""
    if len(used) <= MAX_SESSION_FEATURES:
        return used
    return dict(sorted(used.items(), key=lambda use: (use[1], use[0]))[:MAX_SESSION_FEATURES])


def _count(counts: Counter[tuple[int, str, str]], span: Span, times: int) -> None:
    """Add what a session counts for: on the days that it touches, and on the day on which it began."""
    began = span.first // MS_PER_DAY
    for day in range(began, span.last // MS_PER_DAY + 1):
        counts[day, "active_sessions", ""] += times
    counts[began, "session_seconds", ""] += times * ((span.last - span.first) // 1_000)
    in_order = sorted(span.features, key=lambda name: (span.features[name], name))
    for one, other in combinations(sorted(in_order), 2):
        counts[began, "feature_pair", f"{one} + {other}"[:_MAX_KEY]] += times
    for one, other in pairwise(in_order):
        counts[began, "feature_transition", f"{one} > {other}"[:_MAX_KEY]] += times


def _taken(connection: Connection, install_id: str, spans: Mapping[str, list[Span]]) -> list[tuple[str, Span]]:
    """Take out the stored sessions that the new moments may touch; the merged ones are written back."""
    found: list[tuple[str, Span]] = []
    column = sessions.c
    columns = (column.started_at, column.last_seen_at, column.requests, column.user_hash, column.features)
    query = select(column.session_hash, *columns).where(column.install_id == install_id)
    listed = list(spans)
    for start in range(0, len(listed), _LOOKUP):
        some = listed[start : start + _LOOKUP]
        first = min(span.first for session in some for span in spans[session]) - IDLE_MS
        last = max(span.last for session in some for span in spans[session]) + IDLE_MS
        near = (column.session_hash.in_(some), column.last_seen_at > first, column.started_at < last)
        for session, began, ended, requests, user, features in connection.execute(query.where(*near)).all():
            span = Span(began, ended, requests, user, _read(features))
            found += [(session, span)] if _touches(span, spans[session]) else []
    if found:
        mine = (
            column.install_id == install_id,
            column.session_hash == bindparam("h"),
            column.started_at == bindparam("s"),
        )
        gone = [{"h": session, "s": span.first} for session, span in found]
        connection.execute(delete(sessions).where(*mine), gone)
    return found


def _touches(stored: Span, new: list[Span]) -> bool:
    """Whether a stored session lies less than 30 minutes from any of the new ones, or between two of them."""
    first, last = min(span.first for span in new) - IDLE_MS, max(span.last for span in new) + IDLE_MS
    return stored.last > first and stored.first < last


def _read(features: str | None) -> Features:
    return {} if features is None else msgspec.json.decode(features, type=dict[str, int])


def _row(batch: Batch, session: str, span: Span) -> tuple[Any, ...]:
    """Return the row in the order of the table's columns."""
    return (
        batch.install_id,
        session,
        span.first,
        span.user,
        span.last,
        (span.last - span.first) // 1_000,
        span.requests,
        batch.revision,
        msgspec.json.encode(dict(sorted(span.features.items()))).decode() if span.features else None,
    )

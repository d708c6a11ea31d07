"""Active users of 1, 7 and 30 days, counted exactly on the install, so that no hash of a user has to leave it.

``telemetry_user_days`` says on which days each user was there.  A date has its counts from its first user on; a user who
turns up late for a day adds one to each later date whose window now holds that user and did not before.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sqlalchemy import Connection, func, select

from calos_telemetry.clock import MS_PER_DAY, date_of, from_iso
from calos_telemetry.sdk.rollup import aggregates
from calos_telemetry.sdk.rollup.batch import Batch
from calos_telemetry.store.tables import aggregates as counts
from calos_telemetry.store.tables import user_days
from calos_telemetry.store.upserts import insert_new

WINDOWS = {"active_users_1d": 1, "active_users_7d": 7, "active_users_30d": 30}
_LONGEST = max(WINDOWS.values())
_EVERY_DAY = "active_users_1d"
_LOOKUP = 400  # users per query: SQLite allows 999 parameters where it is old

Days = dict[bytes, set[int]]
"""User → days since 1970-01-01."""


def roll_up(connection: Connection, batch: Batch) -> None:
    """Note who was there on which day, and count them."""
    seen: Days = defaultdict(set)
    for day, users in _users(batch).items():
        for user in users:
            if user is not None:
                seen[bytes.fromhex(user)].add(day)
    known = _known(connection, seen)
    new = {user: days - known[user] for user, days in seen.items() if days - known[user]}
    if not new:
        return
    rows = [{"user_hash": user, "day": day} for user, days in sorted(new.items()) for day in sorted(days)]
    insert_new(connection, user_days, rows)
    days = {day for days in new.values() for day in days}
    counted = _counted(connection, batch.install_id, min(days), max(days) + _LONGEST)
    changes = Counter({(day, name, ""): more for day, name, more in _later(new, known, counted)})
    changes.update({(day, name, ""): users for day, name, users in _first_time(connection, days - counted)})
    aggregates.add(connection, batch, changes)


def _users(batch: Batch) -> Mapping[int, set[str | None]]:
    """Return who was there on each day."""
    users: dict[int, set[str | None]] = defaultdict(set)
    for _, requests in batch.alike:
        users[requests[0].at // MS_PER_DAY].update([asked.event.user for asked in requests])
    for stored in batch.others:
        users[stored.at // MS_PER_DAY].add(getattr(stored.event, "user", None))
    return users


def _known(connection: Connection, seen: Days) -> Days:
    """Return the days on which these users were there already, as far as any window can hold them."""
    known: Days = defaultdict(set)
    days = {day for days in seen.values() for day in days}
    listed = list(seen)
    for start in range(0, len(listed), _LOOKUP):
        column = user_days.c
        near = column.day.between(min(days) - _LONGEST, max(days) + _LONGEST)
        some = column.user_hash.in_(listed[start : start + _LOOKUP])
        for user, day in connection.execute(select(column.user_hash, column.day).where(some, near)):
            known[bytes(user)].add(day)
    return known


def _counted(connection: Connection, install_id: str, first: int, last: int) -> set[int]:
    """Return the days that have their counts already."""
    column = counts.c
    mine = column.install_id == install_id, column.counter == _EVERY_DAY
    span = column.date.between(date_of(first * MS_PER_DAY), date_of(last * MS_PER_DAY))
    return {_day(date) for date in connection.scalars(select(column.date).where(*mine, span))}


def _later(new: Days, known: Days, counted: set[int]) -> Iterator[tuple[int, str, int]]:
    """Yield by how much the counts of counted days rise: by the users whom their windows hold only now."""
    rises: Counter[tuple[int, str]] = Counter()
    for user, days in new.items():
        concerned = {day for day in counted if any(0 <= day - one < _LONGEST for one in days)}
        for day in concerned:
            for name, window in WINDOWS.items():
                before, now = _within(known[user], day, window), _within(days, day, window)
                rises[day, name] += now and not before
    for (day, name), more in rises.items():
        yield day, name, more


def _within(days: Iterable[int], day: int, window: int) -> bool:
    return any(0 <= day - one < window for one in days)


def _first_time(connection: Connection, days: set[int]) -> Iterator[tuple[int, str, int]]:
    """Yield the counts of days that had no user so far, from everybody who was there in their windows."""
    users: Any = func.count(user_days.c.user_hash.distinct())
    for day in sorted(days):
        for name, window in WINDOWS.items():
            query = select(users).where(user_days.c.day.between(day - window + 1, day))
            yield day, name, int(connection.scalar(query) or 0)


def _day(date: str) -> int:
    return from_iso(f"{date}T00:00:00Z") // MS_PER_DAY

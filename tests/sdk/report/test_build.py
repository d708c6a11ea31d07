"""Reports are state: any sequence of drains and reports ends with the vendor's rows equal to the install's."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, Engine, func, insert, select
from tests.conftest import ENGINES, Open, empty

from calos_telemetry.clock import MS_PER_DAY, MS_PER_HOUR, from_iso
from calos_telemetry.contract.events import ApiRequest, ErrorEvent, Event, FeatureUsage
from calos_telemetry.contract.histogram import unpack
from calos_telemetry.contract.report import Books, LicensePart, Product, Report, VerifyRequest, freeze, inflate
from calos_telemetry.sdk.record.storing import store_events
from calos_telemetry.sdk.report.build import build_report
from calos_telemetry.sdk.rollup.batch import Stored
from calos_telemetry.sdk.rollup.performance import read_histogram
from calos_telemetry.store.database import writing
from calos_telemetry.store.tables import aggregates, errors, features, performance
from calos_telemetry.store.upserts import keep_newest

INSTALL_ID = "ab" * 16
MIDNIGHT = 1_795_564_800_000  # 2026-11-25
NOBODYS = Books(recorded=0, stored=0, dropped={}, pending=0)
REPORTED = (features, errors, performance, aggregates)
Rows = dict[str, set[tuple[Any, ...]]]

_ids = count(1)


@pytest.fixture(scope="session", params=ENGINES)
def both(request: pytest.FixtureRequest, open_lasting: Open) -> Callable[[], tuple[Engine, Engine]]:
    """Return what empties and gives the databases of an install and of a vendor, on each engine."""
    install, vendor = open_lasting(request.param), open_lasting(request.param)

    def emptied() -> tuple[Engine, Engine]:
        empty(install)
        empty(vendor)
        return install, vendor

    return emptied


@pytest.fixture
def engine(install_engine: Engine) -> Engine:
    return install_engine


def drain(engine: Engine, happened: Sequence[tuple[int, Event]]) -> None:
    """Store one drain's events."""
    with writing(engine) as connection:
        store_events(connection, INSTALL_ID, [Stored(f"{next(_ids):032x}", at, it) for at, it in happened])


def build(connection: Connection, after: int, **limits: int) -> Report | None:
    return build_report(
        connection, INSTALL_ID, number=1, previous="0" * 64, from_revision=after, books=NOBODYS, sealed_at=0, **limits
    )


def next_report(engine: Engine, after: int, **limits: int) -> Report | None:
    with writing(engine) as connection:
        return build(connection, after, **limits)


def all_reports(engine: Engine, after: int = 0, **limits: int) -> list[Report]:
    """Return report after report until nothing is new."""
    reports: list[Report] = []
    while (report := next_report(engine, after, **limits)) is not None:
        assert report.to_revision > after
        after = report.to_revision
        reports.append(report)
    return reports


def take_in(engine: Engine, report: Report) -> None:
    """Store a report as the vendor does."""
    series = [
        msgspec.structs.asdict(row) | {"histogram": msgspec.json.encode(unpack(row.histogram)).decode()}
        for row in report.performance
    ]
    for row in series:
        row["period"] = from_iso(f"{row.pop('day')}T00:00:00Z")
    with writing(engine) as connection:
        for table, rows in (
            (features, [msgspec.structs.asdict(row) for row in report.features]),
            (errors, [msgspec.structs.asdict(row) for row in report.errors]),
            (performance, series),
            (aggregates, [msgspec.structs.asdict(row) for row in report.aggregates]),
        ):
            keep_newest(connection, table, [{"install_id": INSTALL_ID, **row} for row in rows])


def rows_of(engine: Engine) -> Rows:
    """Return the rows of the reported tables without their revisions."""
    with engine.connect() as connection:
        return {
            table.name: {
                tuple(row) for row in connection.execute(select(*(c for c in table.columns if c.name != "revision")))
            }
            for table in REPORTED
        }


def request(path: str = "/api/pos/:id", duration_us: int = 1_000, status: int = 200) -> ApiRequest:
    return ApiRequest(method="GET", path=path, status=status, duration_us=duration_us, feature="pos")


moments = st.integers(MIDNIGHT - 2 * MS_PER_DAY, MIDNIGHT + MS_PER_DAY)
happenings = st.one_of(
    st.builds(request, st.sampled_from(["/a", "/b/:id"]), st.integers(0, 10**7), st.sampled_from([200, 500])),
    st.builds(FeatureUsage, feature=st.sampled_from(["pos", "forum"])),
    st.builds(
        ErrorEvent, category=st.just("other"), name=st.sampled_from(["ValueError", "KeyError"]), stack=st.just("a:b:1")
    ),
)
drains = st.lists(st.tuples(moments, happenings), min_size=1, max_size=8)
# What happens: a drain; a report of which the answer arrives; one of which it is lost; the last report once more.
steps = st.lists(st.one_of(drains, st.sampled_from(["report", "lost", "repeat"])), max_size=12)


@settings(max_examples=60, deadline=None)
@given(steps=steps, limits=st.fixed_dictionaries({}, optional={"max_rows": st.integers(3, 30)}), late=st.booleans())
def test_any_sequence_ends_equal(
    both: Callable[[], tuple[Engine, Engine]], steps: list[Any], limits: dict[str, int], late: bool
) -> None:
    """Drains and reports in any order, cut at any size, lost, repeated and overtaken: the vendor ends with one full report's rows."""
    install, vendor = both()
    after, sent = 0, list[Report]()
    for step in steps:
        if isinstance(step, list):
            drain(install, step)
        elif step == "repeat":
            sent.extend(sent[-1:])
        elif (report := next_report(install, after, **limits)) is not None:
            sent.append(report)
            after = report.to_revision if step == "report" else after
    sent += all_reports(install, after, **limits)
    for report in reversed(sent) if late else sent:
        take_in(vendor, report)
    there = rows_of(vendor)
    with writing(vendor) as connection:
        for table in REPORTED:
            connection.execute(table.delete())
    for report in all_reports(install):
        take_in(vendor, report)
    assert there == rows_of(vendor)
    assert there["telemetry_features"] == rows_of(install)["telemetry_features"]


def test_nothing_new_is_no_report(engine: Engine) -> None:
    """An install without events, and one without changes since the last report, has nothing to send."""
    assert next_report(engine, 0) is None
    drain(engine, [(MIDNIGHT, request())])
    report = next_report(engine, 0)
    assert report is not None
    assert next_report(engine, report.to_revision) is None


def test_only_what_changed_travels_with_its_current_value(engine: Engine) -> None:
    """The second report carries the changed rows whole, and not those that stayed."""
    drain(engine, [(MIDNIGHT, FeatureUsage(feature="pos")), (MIDNIGHT, FeatureUsage(feature="forum"))])
    first = next_report(engine, 0)
    assert first is not None
    drain(engine, [(MIDNIGHT + 1, FeatureUsage(feature="pos"))])
    second = next_report(engine, first.to_revision)
    assert second is not None
    assert [(row.feature, row.usage_count) for row in first.features] == [("forum", 1), ("pos", 1)]
    assert [(row.feature, row.usage_count) for row in second.features] == [("pos", 2)]
    assert second.from_revision == first.to_revision < second.to_revision


def test_a_day_is_folded_from_all_its_hours(engine: Engine) -> None:
    """An hour that changes brings its whole day: hours reported long ago are in it, other days are not."""
    hours = [(MIDNIGHT + hour * MS_PER_HOUR, request(duration_us=1_000 * (hour + 1))) for hour in (0, 7, 23)]
    drain(engine, [*hours, (MIDNIGHT + MS_PER_DAY, request())])
    first = next_report(engine, 0)
    assert first is not None
    drain(engine, [(MIDNIGHT + 7 * MS_PER_HOUR, request(duration_us=9))])
    second = next_report(engine, first.to_revision)
    assert second is not None
    (row,) = second.performance
    assert (row.day, row.count, row.total, row.max) == ("2026-11-25", 4, 33_009, 24_000)
    assert sum(unpack(row.histogram).values()) == 4
    assert row.revision == second.to_revision
    assert [it.day for it in first.performance] == ["2026-11-25", "2026-11-26"]


def test_events_sessions_and_other_installs_stay(engine: Engine) -> None:
    """Of a request with a user and a session, and of another install in the same database, no byte is in the report."""
    drain(
        engine,
        [
            (
                MIDNIGHT,
                ApiRequest(method="GET", path="/a", status=200, user="5ec3e7" + "0" * 10, session="c0ffee" + "0" * 10),
            )
        ],
    )
    with writing(engine) as connection:
        store_events(connection, "cd" * 16, [Stored("f" * 32, MIDNIGHT, FeatureUsage(feature="not_mine"))])
    report = next_report(engine, 0)
    assert report is not None
    plain = msgspec.json.encode(report)
    for text in (b"5ec3e7", b"c0ffee", b"not_mine", b"cd" * 16):
        assert text not in plain


def test_cuts_lie_between_drains(engine: Engine) -> None:
    """More rows than fit end a report after the last whole drain, oldest first, and the next goes on from there."""
    for number in range(6):
        drain(engine, [(MIDNIGHT, FeatureUsage(feature=f"feature_{number}_{one}")) for one in range(3)])
    reports = all_reports(engine, max_rows=20)
    assert len(reports) > 1
    assert all(report.rows() <= 20 for report in reports)
    told = [row.feature for report in reports for row in report.features]
    assert told == sorted(told)
    assert len(told) == 18
    assert all(row.revision <= report.to_revision for report in reports for row in report.performance)


def test_no_row_is_newer_than_its_report(engine: Engine) -> None:
    """A day whose later hour lies beyond the cut is whole in both reports, and in each no newer than the report itself."""
    drain(engine, [(MIDNIGHT, request())])
    first = next_report(engine, 0)
    assert first is not None
    drain(engine, [(MIDNIGHT + MS_PER_HOUR, request())])
    for report in all_reports(engine, max_rows=first.rows() - 1):
        assert all(row.revision <= report.to_revision for row in report.performance)
    days = [
        row for report in all_reports(engine, max_rows=3) for row in report.performance if row.metric == "api_request"
    ]
    assert {row.count for row in days} == {2}


def test_one_drain_that_is_too_large_travels_in_pieces(engine: Engine) -> None:
    """A single revision larger than a report blocks nothing: every row arrives, and what came after it as well."""
    drain(engine, [(MIDNIGHT - day * MS_PER_DAY, request(f"/r{day}")) for day in range(60)])
    drain(engine, [(MIDNIGHT, FeatureUsage(feature="afterwards"))])
    with engine.connect() as connection:
        rows = sum(connection.scalar(select(func.count()).select_from(table)) or 0 for table in REPORTED)
    reports = all_reports(engine, max_rows=50)
    assert len(reports) <= rows // 50 + 2
    assert all(report.rows() <= 50 for report in reports)
    days = {(row.day, row.path) for report in reports for row in report.performance}
    assert len(days) == 60
    assert "afterwards" in {row.feature for report in reports for row in report.features}
    keys = [(row.date, row.counter, row.key) for report in reports for row in report.aggregates]
    assert len(set(keys)) == len(keys)


def test_a_report_fits_the_wire(engine: Engine) -> None:
    """Rows that compress badly are cut by their bytes; nothing is lost and the next report goes on."""
    sizes = {"max_wire": 40_000}
    messages = [hashlib.sha512(b"%d" % number).hexdigest() for number in range(900)]
    with writing(engine) as connection:
        connection.execute(insert(errors), [_error(number, text) for number, text in enumerate(messages)])
    reports = all_reports(engine, **sizes)
    assert len(reports) > 1
    assert sum(len(report.errors) for report in reports) == len(messages)
    part = LicensePart(
        install_id=INSTALL_ID, install_key="k" * 43, license_id="a" * 32, proof="0" * 64, domain="d" * 253,
        lease_number=1, product=Product(app="1" * 80, sdk="1", python="3", os="Linux"),
    )  # fmt: skip
    wires = [freeze(VerifyRequest(v=1, license=part, telemetry=report)) for report in reports]
    assert max(map(len, wires)) <= 40_000
    assert all(inflate(wire) for wire in wires)


def test_one_row_is_always_small_enough_to_try(engine: Engine) -> None:
    """A limit that nothing can meet still makes progress, a row at a time, instead of an endless loop."""
    drain(engine, [(MIDNIGHT, FeatureUsage(feature="a")), (MIDNIGHT, FeatureUsage(feature="b"))])
    reports = all_reports(engine, max_wire=1)
    assert all(report.rows() == 1 for report in reports)
    assert {row.feature for report in reports for row in report.features} == {"a", "b"}


def test_the_histogram_is_that_of_the_database(engine: Engine) -> None:
    """Bucket by bucket: what travels is what is stored."""
    drain(engine, [(MIDNIGHT, request(duration_us=us)) for us in (1, 1, 900, 10**6)])
    report = next_report(engine, 0)
    assert report is not None
    with engine.connect() as connection:
        stored = connection.scalars(select(performance.c.histogram).where(performance.c.metric == "api_request")).one()
    (row,) = (row for row in report.performance if row.metric == "api_request")
    assert unpack(row.histogram) == read_histogram(stored)


def _error(number: int, name: str) -> dict[str, Any]:
    return {
        "install_id": INSTALL_ID, "fingerprint": f"{number:016x}", "type": "other", "name": name[:120], "message": "",
        "stack": "", "path": None, "method": None, "status_code": None, "occurrence_count": 1,
        "first_seen_at": MIDNIGHT, "last_seen_at": MIDNIGHT, "revision": 1_000,
    }  # fmt: skip

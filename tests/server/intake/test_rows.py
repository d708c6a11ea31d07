"""Row by row: what is taken, what is not and why, and that a bad row costs itself alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.server.install import aggregate_row, error_row, feature_row, performance_row, report

from calos_telemetry.clock import MS_PER_DAY, now_ms
from calos_telemetry.contract.histogram import MAX_BUCKET
from calos_telemetry.contract.report import MAX_ROWS, Report
from calos_telemetry.errors import ProtocolError
from calos_telemetry.server.intake.sift import sift
from calos_telemetry.store import tables

INSTALL = "1" * 32
LATER = now_ms() + 10 * MS_PER_DAY

Row = Callable[..., msgspec.Struct]


def raw(full: Report) -> bytes:
    return msgspec.json.encode(full)


CASES: list[tuple[str, Row, dict[str, Any], str]] = [
    ("features", feature_row, {"usage_count": -1}, "malformed"),
    ("features", feature_row, {"usage_count": 2**53}, "malformed"),
    ("features", feature_row, {"usage_count": True}, "malformed"),
    ("features", feature_row, {"usage_count": "3"}, "malformed"),
    ("features", feature_row, {"usage_count": 1.5}, "malformed"),
    ("features", feature_row, {"feature": "x" * 121}, "malformed"),
    ("features", feature_row, {"feature": None}, "malformed"),
    ("features", feature_row, {"feature": ""}, "unscrubbed"),
    ("features", feature_row, {"feature": "order of bob@example.com"}, "unscrubbed"),
    ("features", feature_row, {"revision": 10**15 + 1}, "bad_revision"),
    ("features", feature_row, {"first_used_at": 5, "last_used_at": 4}, "bad_time"),
    ("features", feature_row, {"last_used_at": LATER}, "bad_time"),
    ("errors", error_row, {"fingerprint": "XYZ"}, "malformed"),
    ("errors", error_row, {"message": "x" * 501}, "malformed"),
    ("errors", error_row, {"type": "mischief"}, "unknown_category"),
    ("errors", error_row, {"method": "YANK"}, "unknown_method"),
    ("errors", error_row, {"status_code": 1_000}, "malformed"),
    ("errors", error_row, {"last_seen_at": LATER}, "bad_time"),
    ("performance", performance_row, {"day": "2026-02-30"}, "bad_date"),
    ("performance", performance_row, {"day": "1999-12-31"}, "bad_date"),
    ("performance", performance_row, {"day": "9999-12-31"}, "bad_date"),
    ("performance", performance_row, {"day": "today"}, "malformed"),
    ("performance", performance_row, {"metric": "Robert'); DROP TABLE"}, "unknown_metric"),
    ("performance", performance_row, {"method": "get"}, "unknown_method"),
    ("performance", performance_row, {"path": "/users/bob@example.com"}, "unscrubbed"),
    ("performance", performance_row, {"histogram": [1, 3]}, "bad_histogram"),  # counts more than the row
    ("performance", performance_row, {"histogram": [1, 1, 1]}, "bad_histogram"),
    ("performance", performance_row, {"histogram": [1, 0]}, "bad_histogram"),
    ("performance", performance_row, {"histogram": [1, 1, 0, 1]}, "bad_histogram"),
    ("performance", performance_row, {"histogram": [MAX_BUCKET, 1, 1, 1]}, "bad_histogram"),
    ("performance", performance_row, {"histogram": [1, 1] * (MAX_BUCKET + 2)}, "malformed"),
    ("performance", performance_row, {"histogram": [-1, 1]}, "malformed"),
    ("performance", performance_row, {"histogram": [1, 2**53]}, "malformed"),
    ("performance", performance_row, {"histogram": [1, "1"]}, "malformed"),
    ("performance", performance_row, {"histogram": {"1": 1}}, "malformed"),
    ("aggregates", aggregate_row, {"date": "2026-13-01"}, "bad_date"),
    ("aggregates", aggregate_row, {"counter": "passwords"}, "unknown_counter"),
    ("aggregates", aggregate_row, {"counter": "requests", "key": "200"}, "unknown_key"),
    ("aggregates", aggregate_row, {"counter": "hour", "key": "24"}, "unknown_key"),
    ("aggregates", aggregate_row, {"counter": "bytes_in", "key": "x"}, "unknown_key"),
    ("aggregates", aggregate_row, {"counter": "browser", "key": "10.1.2.3"}, "unscrubbed"),
    ("aggregates", aggregate_row, {"key": "x" * 201}, "malformed"),
]


@pytest.mark.parametrize(("name", "row", "changes", "reason"), CASES)
def test_a_bad_row_is_counted_by_reason_and_its_neighbours_are_taken(
    name: str, row: Row, changes: dict[str, Any], reason: str
) -> None:
    """Each rule of the catalogue refuses the row that breaks it, and no other."""
    good, bad = msgspec.to_builtins(row()), msgspec.to_builtins(row()) | changes
    full = msgspec.to_builtins(report()) | {name: [good, bad, good]}
    sifted = sift(msgspec.json.encode(full), INSTALL, now_ms())
    assert dict(sifted.rejected) == {reason: 1}
    assert sifted.accepted() == 3 + 2


@pytest.mark.parametrize("row", [b"null", b"17", b"[]", b"{}", b'"x"', b'{"feature":"a"}', b'{"usage_count":1e400}'])
def test_a_row_of_another_shape_is_malformed(row: bytes) -> None:
    """What is no row at all is counted like a row that is wrong."""
    text = raw(report(features=[])).replace(b'"features":[]', b'"features":[' + row + b"]")
    assert dict(sift(text, INSTALL, now_ms()).rejected) == {"malformed": 1}


def test_texts_of_an_error_are_scrubbed_and_the_row_is_taken() -> None:
    """An error is worth more than its words: they are replaced, and it is still counted."""
    dirty = error_row(
        name="Refused", message="no mail to bob@example.com", stack='File "/home/bob/x.py"', path="/u/bob@example.com"
    )
    sifted = sift(raw(report(errors=[dirty])), INSTALL, now_ms())
    row = sifted.taken[tables.errors][0]
    assert (row["message"], row["stack"], row["path"]) == ("no mail to [email]", 'File "[home]/x.py"', "/u/[email]")
    assert not sifted.rejected


def test_rows_beyond_the_limit_are_counted() -> None:
    """The first 20,000 rows are looked at; the others are counted, in whatever list they stand."""
    many = [feature_row(feature=f"f{number}") for number in range(MAX_ROWS)]
    sifted = sift(raw(report(features=many)), INSTALL, now_ms())
    assert (sifted.accepted(), dict(sifted.rejected)) == (MAX_ROWS, {"too_many_rows": 3})


def test_a_day_becomes_the_start_of_its_day() -> None:
    """The vendor's period is the day of the report, in unix ms."""
    sifted = sift(raw(report(performance=[performance_row(day="2026-11-25")])), INSTALL, now_ms())
    assert sifted.taken[tables.performance][0]["period"] == 1_795_564_800_000


def test_unknown_fields_are_left_out() -> None:
    """A newer client may say more: what is not in the catalogue is not stored, and the row is."""
    rows = [msgspec.to_builtins(feature_row()) | {"email": "bob@example.com", "install_id": "2" * 32}]
    full = msgspec.to_builtins(report()) | {"features": rows, "mood": "good"}
    sifted = sift(msgspec.json.encode(full), INSTALL, now_ms())
    (taken,) = sifted.taken[tables.features]
    assert set(taken) == set(tables.features.columns.keys())
    assert taken["install_id"] == INSTALL


def test_every_row_that_the_contract_allows_fits_its_table() -> None:
    """A row as it is taken has exactly the columns of its table, for each of the four."""
    sifted = sift(raw(report()), INSTALL, now_ms())
    assert {table.name: set(rows[0]) for table, rows in sifted.taken.items()} == {
        table.name: set(table.columns.keys()) for table in sifted.taken
    }


@pytest.mark.parametrize("telemetry", [b"", b"null", b"[]", b"{}", b'{"number":1}', b"[" * 10_000, b"\xff"])
def test_what_is_no_report_is_said_to_be_none(telemetry: bytes) -> None:
    """Without the frame of a report there is nothing to go through row by row."""
    with pytest.raises(ProtocolError, match="not a report"):
        sift(telemetry, INSTALL, now_ms())

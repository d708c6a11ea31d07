"""The wire format of this version of the exchange, held against files that were written down once.

A change that these tests notice is a change of the format: installs in the field speak the old one, so it needs a new
``VERSION`` with files of its own, and a license server that still reads these.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from calos_telemetry.contract.histogram import bucket_of, unpack
from calos_telemetry.contract.report import VERSION, RawVerifyRequest, VerifyAnswer, VerifyRequest, freeze, inflate
from calos_telemetry.server.intake.sift import sift
from calos_telemetry.store import tables

WIRE = Path(__file__).with_name("wire")


def written_down(name: str) -> bytes:
    return (WIRE / f"v{VERSION}-{name}.json").read_bytes().rstrip(b"\n")


@pytest.mark.parametrize(("name", "kind"), [("request", VerifyRequest), ("answer", VerifyAnswer)])
def test_what_is_read_is_written_again_byte_by_byte(name: str, kind: Any) -> None:
    """A field that went, came, moved, or is spelled in another way shows as a difference."""
    golden = written_down(name)
    assert msgspec.json.encode(msgspec.json.decode(golden, type=kind)) == golden


def test_frozen_bytes_hold_exactly_the_request() -> None:
    """Freezing compresses and does nothing else, and does it in the same way every time."""
    request = msgspec.json.decode(written_down("request"), type=VerifyRequest)
    assert inflate(freeze(request)) == written_down("request")
    assert freeze(request) == freeze(request)


def test_the_license_server_takes_every_row_of_it() -> None:
    """The vendor's half reads what is written down: each row arrives, and the histogram as a map of buckets."""
    telemetry = bytes(msgspec.json.decode(written_down("request"), type=RawVerifyRequest).telemetry)
    sifted = sift(telemetry, "0" * 32, 1_795_700_000_000)
    assert {table.name: len(rows) for table, rows in sifted.taken.items()} == {
        "telemetry_features": 1, "telemetry_errors": 2, "telemetry_performance": 1, "telemetry_aggregates": 1,
    }  # fmt: skip
    assert not sifted.rejected
    (series,) = sifted.taken[tables.performance]
    assert series["histogram"] == '{"208":2,"209":1,"212":1,"263":1}'


def test_buckets_mean_the_same_for_ever() -> None:
    """The packed histogram of the file, in the numbers of this version: distances, counts, and the µs they stand for."""
    request = msgspec.json.decode(written_down("request"), type=VerifyRequest)
    assert request.telemetry is not None
    (series,) = request.telemetry.performance
    assert series.histogram == [208, 2, 1, 1, 3, 1, 51, 1]
    assert unpack(series.histogram) == {208: 2, 209: 1, 212: 1, 263: 1}
    assert list(map(bucket_of, (0, 63, 64, 1_536, 1_599, 5_000))) == [0, 63, 64, 208, 209, 263]

"""Records that an earlier version has spooled are read by this one."""

import struct

import msgspec
import pytest

from calos_telemetry.contract.events import ApiRequest, from_record

OLD = {"method": "GET", "path": "/a/:id", "status": 200, "duration_us": 7}


@pytest.mark.parametrize("later", [{}, {"tomorrow": 1}])
def test_a_record_without_the_newest_fields_is_read(later: dict[str, int]) -> None:
    """Fields are known by their names: one that is not there yet has its default, one of a later version is passed over."""
    record = struct.pack("<BQ", 1, 1_764_072_000_000) + msgspec.msgpack.encode({**OLD, **later})
    assert from_record(record) == (1_764_072_000_000, ApiRequest(**OLD))  # type: ignore[arg-type]

"""Whether anything of the planted marks is left in what telemetry keeps."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import MetaData, select

from calos_telemetry.sdk.telemetry import Telemetry
from calos_telemetry.testing.marks import Marks

_GZIP = b"\x1f\x8b\x08"


def leaks(telemetry: Telemetry, marks: Marks) -> list[str]:
    """Return which marks can be found, and where: in a file of the install, or in a table of its database.

    Everything that leaves an install is frozen in its database before, so what is in neither has not left.
    """
    spooled = list(_found(marks, contents_of(telemetry.settings.home)))
    telemetry.flush()
    stored = _found(marks, contents_of(telemetry.settings.home) | _tables(telemetry))
    return list(dict.fromkeys([*spooled, *stored]))


def contents_of(*homes: Path) -> dict[str, bytes]:
    """Return the content of every file under ``homes``, by path, with what compressed parts of it hold."""
    files = (path for home in homes for path in sorted(home.rglob("*")) if path.is_file())
    return {str(path): (raw := path.read_bytes()) + b"".join(inflated(raw)) for path in files}


def inflated(raw: bytes) -> Iterator[bytes]:
    """Yield what every gzip member in ``raw`` holds."""
    at = raw.find(_GZIP)
    while at >= 0:
        yield _member(raw[at:])
        at = raw.find(_GZIP, at + 1)


def _member(raw: bytes) -> bytes:
    try:
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(raw)
    except zlib.error:
        return b""


def _tables(telemetry: Telemetry) -> dict[str, bytes]:
    """Return each row of the database as text: a database of one's own is in no file of the install."""
    found = MetaData()
    with telemetry.install.engine.connect() as connection:
        found.reflect(connection)
        return {
            f"table {table.name}": b"\n".join(
                _bytes_of(value) for row in connection.execute(select(table)) for value in row
            )
            for table in found.tables.values()
        }


def _bytes_of(value: object) -> bytes:
    if isinstance(value, bytes | memoryview):
        raw = bytes(value)
        return raw + b"".join(inflated(raw))
    return str(value).encode(errors="replace")


def _found(marks: Marks, contents: dict[str, bytes]) -> Iterator[str]:
    for name, content in contents.items():
        for what in marks.found(content):
            yield f"{what}, found in {name}"

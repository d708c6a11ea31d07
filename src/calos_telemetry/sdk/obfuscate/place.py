"""Address to country: an operator's own offline database, or the header of a trusted proxy.

The address is looked up and forgotten: it is neither stored nor logged, and no cache holds it.
"""

from __future__ import annotations

import ipaddress
import threading
from os import PathLike
from typing import TYPE_CHECKING, Final

from calos_telemetry.contract.choices import COUNTRIES
from calos_telemetry.sdk.obfuscate.boundary import FAILURES

if TYPE_CHECKING:
    from maxminddb import Reader

_COUNTRIES: Final = COUNTRIES | {"XK"}  # Kosovo has no ISO code; databases use the one that ISO leaves free
_LONGEST_ADDRESS: Final = 64
_COUNTRY_FIELDS: Final = ("country", "country_code", "iso_code")


class Places:
    """Looks countries up in a MaxMind DB file (``.mmdb``), which is opened when the first address is asked for.

    Any database with ``country.iso_code``, ``country_code`` or a two-letter ``country`` will do: GeoLite2, DB-IP, IPinfo.
    """

    def __init__(self, mmdb_path: str | PathLike[str] | None = None) -> None:
        self._path = mmdb_path
        self._reader: Reader | None = None
        self._lock = threading.Lock()
        self.problem: str | None = None
        """Why there are no countries, for the operator: no such file, not a database, package missing."""

    def country(self, address: object) -> str | None:
        """Return the ISO 3166-1 alpha-2 code of the country of an address, or None where it is not known."""
        if self._path is None or type(address) is not str:
            return None
        try:
            bare = _bare(address)
            reader = self._open() if bare is not None else None
            return None if reader is None else _country_of(reader.get(bare or ""))
        except Exception:  # noqa: BLE001  the boundary: a header or a damaged database, and nothing raw may leave
            FAILURES["country"] += 1
            return None

    def _open(self) -> Reader | None:
        """Open the database once; one that cannot be opened is reported and not tried again."""
        if self._reader is None and self.problem is None:
            with self._lock:
                if self._reader is None and self.problem is None:
                    self._open_now()
        return self._reader

    def _open_now(self) -> None:
        try:
            from maxminddb import open_database  # noqa: PLC0415  the [geo] extra, needed with a database only

            self._reader = open_database(str(self._path))
        except ImportError:
            self.problem = "the package maxminddb is missing: install calos-telemetry[geo]"
        except Exception as error:  # noqa: BLE001  a missing or damaged file must not cost a request
            self.problem = f"{self._path} cannot be used as a country database ({type(error).__name__})"

    def close(self) -> None:
        """Release the file; the next lookup opens it again, perhaps in a newer version."""
        with self._lock:
            if self._reader is not None:
                self._reader.close()
            self._reader = None
            self.problem = None


def country_from_header(value: object) -> str | None:
    """Return the country that a trusted proxy put into a header, if it is one (``CF-IPCountry: XX`` is not)."""
    if type(value) is not str:
        return None
    code = value[:_LONGEST_ADDRESS].strip().upper()
    return code if code in _COUNTRIES else None


def _bare(address: str) -> str | None:
    """Return an address without port, brackets and zone; None where it is none, or none that has a country."""
    text = address[:_LONGEST_ADDRESS].strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return str(parsed) if parsed.is_global else None


def _country_of(record: object) -> str | None:
    """Read the country from a record, whichever of the usual databases it comes from."""
    if not isinstance(record, dict):
        return None
    for field in _COUNTRY_FIELDS:
        value = record.get(field)
        if isinstance(value, dict):
            value = value.get("iso_code")
        code = country_from_header(value)
        if code is not None:
            return code
    return None

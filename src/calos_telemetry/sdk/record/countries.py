"""The country of a request: from the header of a trusted proxy, or from an operator's offline database.

Headers are forgeries until the operator names one: only ``CALOS_COUNTRY_HEADER`` is read.  It may carry a country
(``CF-IPCountry``) or an address (``X-Forwarded-For``: the last entry, which the proxy itself wrote).
"""

from __future__ import annotations

from pathlib import Path

from calos_telemetry.sdk.obfuscate.place import Places, country_from_header


class Countries:
    """Answers with an ISO 3166 code; addresses are looked up and forgotten."""

    def __init__(self, database: Path | None = None, header: str | None = None) -> None:
        self.known = database is not None or header is not None
        """Whether there is anything to ask: the request path does nothing at all without."""
        self.header = header.lower().encode("ascii") if header is not None else None
        self.environ = f"HTTP_{header.upper().replace('-', '_')}" if header is not None else None
        self._places = Places(database)

    @property
    def problem(self) -> str | None:
        """Return why the database answers nothing, for the operator."""
        return self._places.problem

    def of(self, address: str | None, header: str | None) -> str | None:
        """Return the country of a request with this peer ``address`` and this value of the trusted ``header``.

        Where a header is configured the peer is the proxy, so its address is never looked up.
        """
        if self.header is None:
            return self._places.country(address)
        if header is None:
            return None
        return country_from_header(header) or self._places.country(header.rpartition(",")[2])

"""The one exchange, ``POST /verify``: request body, answer body, and what each signature covers (DESIGN §4.5)."""

from __future__ import annotations

import gzip
import zlib
from typing import Annotated

import msgspec

from calos_telemetry.contract.fields import INSTALL_ID, Count, Moment
from calos_telemetry.contract.receipt import SignedReceipt
from calos_telemetry.contract.rows import AggregateRow, ErrorRow, FeatureRow, PerformanceRow
from calos_telemetry.contract.signing import digest, signing_base
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import ProtocolError

VERSION = 1
MAX_WIRE = 1 << 20
MAX_INFLATED = 8 << 20
MAX_ROWS = 20_000
CLOCK_TOLERANCE_MS = 10 * 60_000

HEADER_INSTALL = "Calos-Install"
HEADER_CREATED = "Calos-Created"
HEADER_NONCE = "Calos-Nonce"
HEADER_SIGNATURE = "Calos-Signature"

_Hex64 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
_InstallId = Annotated[str, msgspec.Meta(pattern=INSTALL_ID)]
_Short = Annotated[str, msgspec.Meta(max_length=80)]


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """Versions of the application and of what it runs on."""

    app: _Short
    sdk: _Short
    python: _Short
    os: _Short


class LicensePart(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: the install, its public key, and the proof of a license key (``None`` without one: community)."""

    install_id: _InstallId
    install_key: _Short
    license_id: _InstallId | None
    proof: _Hex64 | None
    domain: Annotated[str, msgspec.Meta(max_length=253)] | None
    lease_number: Count
    product: Product


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """recorded = stored + dropped + pending, in events, since the install began."""

    recorded: Count
    stored: Count
    dropped: dict[_Short, Count]
    pending: Count


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The rollup rows whose revision is newer than the last acknowledged one: their current values."""

    number: Count
    previous: _Hex64
    from_revision: Count
    to_revision: Count
    sealed_at: Moment
    books: Books
    features: list[FeatureRow]
    errors: list[ErrorRow]
    performance: list[PerformanceRow]
    aggregates: list[AggregateRow]

    def rows(self) -> int:
        """Return how many rows the report carries."""
        return len(self.features) + len(self.errors) + len(self.performance) + len(self.aggregates)


class VerifyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The whole body of ``POST /verify``."""

    v: int
    license: LicensePart
    telemetry: Report | None


class RawVerifyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The same body with the telemetry left unread, so that the license is decided before anybody looks at it."""

    v: int
    license: LicensePart
    telemetry: msgspec.Raw = msgspec.Raw(b"null")


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """What holds until when (unix ms); ``number`` rises with every lease of an install."""

    number: Count
    tier: Tier
    features: list[str]
    issued_at: Moment
    expires_at: Moment
    grace_until: Moment


class LicenseAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The decision: a code from SECURITY §2.5, the tier that holds, a sentence for people, the lease."""

    code: _Short
    tier: Tier
    message: Annotated[str, msgspec.Meta(max_length=500)]
    lease: Lease | None


class TelemetryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the report: ACCEPTED, DUPLICATE, PARTIAL, NONE, RETRY or REFUSED; rejected rows by reason."""

    code: _Short
    receipt: SignedReceipt | None = None
    rejected: dict[_Short, Count] = {}


class NextCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The window (unix ms) in which the server wants to hear from the install again."""

    not_before: Moment
    not_after: Moment


class VerifyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The whole body of the answer."""

    v: int
    now: Moment
    nonce: _Short
    license: LicenseAnswer
    telemetry: TelemetryAnswer
    next_check: NextCheck


def freeze(request: VerifyRequest) -> bytes:
    """Return the bytes that travel: gzip JSON, the same for the same request."""
    return gzip.compress(msgspec.json.encode(request), compresslevel=6, mtime=0)


def inflate(wire: bytes, limit: int = MAX_INFLATED) -> bytes:
    """Inflate one gzip member of at most ``limit`` bytes; the only place that inflates.

    Raises :class:`ProtocolError` on damage, on more than ``limit`` bytes, and on anything behind the first member.
    """
    inflater = zlib.decompressobj(wbits=31)
    try:
        content = inflater.decompress(wire, limit + 1)
    except zlib.error:
        raise ProtocolError("the body is not gzip") from None
    if len(content) > limit:
        raise ProtocolError(f"the body inflates to more than {limit} bytes")
    if not inflater.eof:
        raise ProtocolError("the gzip body is cut off")
    if inflater.unused_data:
        raise ProtocolError("the gzip body holds more than one member")
    return content


def request_base(vendor_kid: str, install_id: str, body: bytes, created: str, nonce: str) -> bytes:
    """Return what the install signs: bound to the vendor, the exact bytes, the moment and the nonce."""
    return signing_base("calos-verify-v1", vendor_kid, install_id, str(len(body)), digest(body), created, nonce)


def answer_base(status: int, request_digest: str, nonce: str, body: bytes) -> bytes:
    """Return what the server signs: the HTTP status is part of it, so no proxy can turn a refusal into a yes."""
    return signing_base("calos-verified-v1", str(status), request_digest, nonce, digest(body))

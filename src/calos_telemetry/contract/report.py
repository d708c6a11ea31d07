"""The one exchange, ``POST /verify``: request body, answer body, and what each signature covers (DESIGN §4.5)."""

from __future__ import annotations

import gzip
import zlib
from enum import StrEnum
from typing import Annotated

import msgspec

from calos_telemetry.contract.fields import INSTALL_ID, Count, Moment, Sensitivity, declared
from calos_telemetry.contract.receipt import SignedReceipt
from calos_telemetry.contract.rows import AggregateRow, ErrorRow, FeatureRow, PerformanceRow
from calos_telemetry.contract.signing import digest, signing_base
from calos_telemetry.contract.tiers import Tier
from calos_telemetry.errors import ProtocolError

VERSION = 1
MAX_WIRE = 1 << 20
MAX_INFLATED = 8 << 20
MAX_RATIO = (
    250  # the most monotonous reports grow to a hundred times their size, a day's to eight times, a bomb to a thousand
)
_SMALL = 64 * 1024
MAX_ROWS = 20_000
CLOCK_TOLERANCE_MS = 10 * 60_000

HEADER_INSTALL = "Calos-Install"
HEADER_CREATED = "Calos-Created"
HEADER_NONCE = "Calos-Nonce"
HEADER_SIGNATURE = "Calos-Signature"

_Hex64 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
_InstallId = Annotated[str, msgspec.Meta(pattern=INSTALL_ID)]
_Short = Annotated[str, msgspec.Meta(max_length=80)]
_Domain = Annotated[str, msgspec.Meta(max_length=253)]
_Sentence = Annotated[str, msgspec.Meta(max_length=500)]
_Version = Annotated[int, declared("version of the exchange", "lets either side be newer than the other")]
_INTERACTION = Sensitivity.INTERACTION
_PSEUDONYMOUS = Sensitivity.PSEUDONYMOUS


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """Versions of the application and of what it runs on."""

    app: Annotated[_Short, declared("version of the application", "tells releases apart")]
    sdk: Annotated[_Short, declared("version of this package", "tells what the report can hold")]
    python: Annotated[_Short, declared("version of Python", "decides what to support")]
    os: Annotated[_Short, declared("operating system of the server", "decides what to support")]


class LicensePart(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: the install, its public key, and the proof of a license key (``None`` without one: community)."""

    install_id: Annotated[
        _InstallId, declared("random number of the install, 32 hex digits", "keeps installs apart", _PSEUDONYMOUS)
    ]
    install_key: Annotated[
        _Short, declared("public key of the install, base64url", "proves who sent the report", _PSEUDONYMOUS)
    ]
    license_id: (
        Annotated[_InstallId, declared("number of the license key", "finds the license to verify", _PSEUDONYMOUS)]
        | None
    )
    proof: (
        Annotated[
            _Hex64, declared("proof that the install holds the license key; the key stays", "verifies the license")
        ]
        | None
    )
    domain: Annotated[_Domain, declared("host name the operator configured", "holds the license to its domains")] | None
    lease_number: Annotated[Count, declared("number of the newest lease at hand", "finds restored and copied installs")]
    product: Annotated[Product, declared("versions of the application and its surroundings", "decides what to support")]


class Books(msgspec.Struct, frozen=True, kw_only=True):
    """recorded = stored + dropped + pending, in events, since the install began."""

    recorded: Annotated[Count, declared("events recorded, ever", "says how much a report stands for")]
    stored: Annotated[Count, declared("of these, events that are in the database", "says how much was lost")]
    dropped: Annotated[dict[_Short, Count], declared("of these, events lost, by reason", "says how much was lost")]
    pending: Annotated[Count, declared("of these, events that wait in the spool", "says how much is still to come")]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The rollup rows whose revision is newer than the last acknowledged one: their current values."""

    number: Annotated[Count, declared("number of the exchange, rising by one", "shows what is missing")]
    previous: Annotated[_Hex64, declared("hash of the receipt before this one", "chains the receipts")]
    from_revision: Annotated[Count, declared("rows changed after this revision are in it", "makes repeats harmless")]
    to_revision: Annotated[Count, declared("rows changed up to this revision are in it", "makes repeats harmless")]
    sealed_at: Annotated[Moment, declared("when the bytes were frozen, unix ms", "dates the report")]
    books: Annotated[Books, declared("the balance of all events", "says how much a report stands for")]
    features: Annotated[list[FeatureRow], declared("rows of telemetry_features", "shows adoption", _INTERACTION)]
    errors: Annotated[list[ErrorRow], declared("rows of telemetry_errors", "shows what breaks")]
    performance: Annotated[list[PerformanceRow], declared("days of telemetry_performance", "shows what is slow")]
    aggregates: Annotated[list[AggregateRow], declared("rows of telemetry_aggregates", "shows trends", _INTERACTION)]

    def rows(self) -> int:
        """Return how many rows the report carries."""
        return len(self.features) + len(self.errors) + len(self.performance) + len(self.aggregates)


class VerifyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The whole body of ``POST /verify``."""

    v: _Version
    license: Annotated[LicensePart, declared("who asks, and the proof of a license", "verifies the license")]
    telemetry: Annotated[
        Report | None, declared("the report; null where telemetry may not be sent", "shows how the product does")
    ]


class RawVerifyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The same body with the telemetry left unread, so that the license is decided before anybody looks at it."""

    v: int
    license: LicensePart
    telemetry: msgspec.Raw = msgspec.Raw(b"null")


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """What holds until when (unix ms); ``number`` rises with every lease of an install."""

    number: Annotated[Count, declared("number of the lease, rising", "an older lease never replaces a newer one")]
    tier: Annotated[Tier, declared("tier that the lease grants", "decides what is paid for")]
    features: Annotated[list[str], declared("paid features that the lease grants", "decides what is paid for")]
    issued_at: Annotated[Moment, declared("begin of the lease, unix ms", "says how long it holds")]
    expires_at: Annotated[Moment, declared("end of the lease, unix ms", "says how long it holds")]
    grace_until: Annotated[Moment, declared("end of the time of grace, unix ms", "says how long it holds at the most")]


class LicenseAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The decision: a code from SECURITY §2.5, the tier that holds, a sentence for people, the lease."""

    code: Annotated[_Short, declared("the decision, one of a closed list", "tells programs what was decided")]
    tier: Annotated[Tier, declared("tier that holds", "decides what is paid for")]
    message: Annotated[_Sentence, declared("the decision in a sentence", "tells people what was decided")]
    lease: Annotated[Lease | None, declared("what holds until when", "bridges outages")]


class TelemetryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the report: ACCEPTED, DUPLICATE, PARTIAL, NONE, RETRY or REFUSED; rejected rows by reason."""

    code: Annotated[
        _Short, declared("what became of the report, one of a closed list", "says whether to send it again")
    ]
    receipt: Annotated[
        SignedReceipt | None, declared("the vendor's signature over the bytes received", "proves what arrived")
    ] = None
    rejected: Annotated[dict[_Short, Count], declared("rows refused, by reason", "shows what did not arrive")] = {}


class NextCheck(msgspec.Struct, frozen=True, kw_only=True):
    """The window (unix ms) in which the server wants to hear from the install again."""

    not_before: Annotated[Moment, declared("earliest next verification, unix ms", "spreads the load")]
    not_after: Annotated[Moment, declared("latest next verification, unix ms", "spreads the load")]


class VerifyAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The whole body of the answer."""

    v: _Version
    now: Annotated[Moment, declared("the vendor's clock, unix ms", "finds clocks that are wrong")]
    nonce: Annotated[_Short, declared("the nonce of the request", "an old answer cannot be played again")]
    license: Annotated[LicenseAnswer, declared("the decision on the license", "decides what is paid for")]
    telemetry: Annotated[TelemetryAnswer, declared("what became of the report", "says whether to send it again")]
    next_check: Annotated[NextCheck, declared("when to verify again", "spreads the load")]


def freeze(request: VerifyRequest | Report) -> bytes:
    """Return the bytes that travel: gzip JSON, the same for the same request.  For a report alone: its share of them."""
    return gzip.compress(msgspec.json.encode(request), compresslevel=9, mtime=0)


def inflate(wire: bytes, limit: int = MAX_INFLATED) -> bytes:
    """Inflate one gzip member of at most ``limit`` bytes; the only place that inflates.

    Raises :class:`ProtocolError` on damage, on more than ``limit`` bytes, on more than any report grows by, and on anything
    behind the first member.
    """
    limit = min(limit, _SMALL + MAX_RATIO * len(wire))
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


class Purpose(StrEnum):
    """What an install asks for, and which way: the context line under which it signs."""

    VERIFY = "calos-verify-v1"
    ERASE = "calos-erase-v1"
    EXPORTED_VERIFY = "calos-export-v1"
    EXPORTED_ERASE = "calos-erase-export-v1"


def request_base(  # noqa: PLR0917 - one for each signed line
    vendor_kid: str, install_id: str, body: bytes, created: str, nonce: str, purpose: Purpose = Purpose.VERIFY
) -> bytes:
    """Return what the install signs: bound to the vendor, the exact bytes, the moment and the nonce."""
    return signing_base(purpose, vendor_kid, install_id, str(len(body)), digest(body), created, nonce)


def answer_base(status: int, request_digest: str, nonce: str, body: bytes) -> bytes:
    """Return what the server signs: the HTTP status is part of it, so no proxy can turn a refusal into a yes."""
    return signing_base("calos-verified-v1", str(status), request_digest, nonce, digest(body))

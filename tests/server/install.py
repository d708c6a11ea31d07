"""An install as the license server sees it: it signs, sends, and believes nothing that is not signed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

import httpx2 as httpx
import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from starlette.testclient import TestClient

from calos_telemetry.clock import now_ms, to_iso
from calos_telemetry.contract.keys import Use, open_keyring
from calos_telemetry.contract.license import possession, read_unchecked
from calos_telemetry.contract.receipt import NO_CHAIN
from calos_telemetry.contract.report import (
    Books,
    LicensePart,
    Product,
    Purpose,
    Report,
    VerifyAnswer,
    VerifyRequest,
    answer_base,
    freeze,
    request_base,
)
from calos_telemetry.contract.rows import AggregateRow, ErrorRow, FeatureRow, PerformanceRow
from calos_telemetry.contract.signing import check, digest, encode_public, key_id, sign
from calos_telemetry.server.vendor import Vendor

REVISION = 1_000


def feature_row(**changes: Any) -> FeatureRow:
    row = FeatureRow(
        feature="pos_transaction", usage_count=3, first_used_at=1, last_used_at=now_ms(), revision=REVISION
    )
    return msgspec.structs.replace(row, **changes)


def error_row(**changes: Any) -> ErrorRow:
    row = ErrorRow(
        fingerprint="0123456789abcdef", type="database", name="OperationalError", message="no such table", stack="",
        path="/api/pos/:id", method="POST", status_code=500, occurrence_count=2, first_seen_at=1,
        last_seen_at=now_ms(), revision=REVISION,
    )  # fmt: skip
    return msgspec.structs.replace(row, **changes)


def performance_row(**changes: Any) -> PerformanceRow:
    row = PerformanceRow(
        day=to_iso(now_ms())[:10], metric="api_request", method="GET", path="/api/pos/:id", status=200, count=2,
        total=300, max=200, histogram=[90, 1, 10, 1], revision=REVISION,
    )  # fmt: skip
    return msgspec.structs.replace(row, **changes)


def aggregate_row(**changes: Any) -> AggregateRow:
    row = AggregateRow(date=to_iso(now_ms())[:10], counter="requests", key="2xx", value=7, revision=REVISION)
    return msgspec.structs.replace(row, **changes)


def report(**changes: Any) -> Report:
    """Return a report of one row of each kind, with ``changes``."""
    full = Report(
        number=1,
        previous=NO_CHAIN,
        from_revision=0,
        to_revision=10**15,
        sealed_at=now_ms(),
        books=Books(recorded=9, stored=9, dropped={}, pending=0),
        features=[feature_row()],
        errors=[error_row()],
        performance=[performance_row()],
        aggregates=[aggregate_row()],
    )
    return msgspec.structs.replace(full, **changes)


@dataclass
class Install:
    """One install and its key.  ``license_key`` is the text the vendor issued, if any."""

    vendor: Vendor
    client: TestClient
    license_key: str | None = None
    domain: str | None = "shop.example.com"
    lease_number: int = 0
    install_id: str = field(default_factory=lambda: secrets.token_hex(16))
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    def request(self, telemetry: Report | None = None, **changes: Any) -> VerifyRequest:
        """Return the body of a verification; ``changes`` are to its license part."""
        text = self.license_key
        part = LicensePart(
            install_id=self.install_id,
            install_key=encode_public(self.key.public_key()),
            license_id=read_unchecked(text).id if text else None,
            proof=possession(text, self.install_id) if text else None,
            domain=self.domain,
            lease_number=self.lease_number,
            product=Product(app="1.0", sdk="0.1.0", python="3.11", os="linux"),
        )
        return VerifyRequest(v=1, license=msgspec.structs.replace(part, **changes), telemetry=telemetry)

    def headers(
        self,
        wire: bytes,
        *,
        created_at: int | None = None,
        nonce: str | None = None,
        purpose: Purpose = Purpose.VERIFY,
    ) -> dict[str, str]:
        """Return the headers that send ``wire``: a new moment, a new nonce, a signature over all of it."""
        created, nonce = to_iso(created_at or now_ms()), nonce or secrets.token_urlsafe(16)
        base = request_base(self.vendor.keys.root_kids[0], self.install_id, wire, created, nonce, purpose)
        return {
            "Content-Type": "application/json",
            "Content-Encoding": "gzip",
            "Calos-Install": self.install_id,
            "Calos-Created": created,
            "Calos-Nonce": nonce,
            "Calos-Signature": f"{key_id(self.key.public_key())}.{sign(self.key, base)}",
        }

    def post(self, wire: bytes, headers: dict[str, str]) -> httpx.Response:
        """Send exactly these bytes and headers."""
        return self.client.post("/verify", content=wire, headers=headers)

    def ask_to_erase(self) -> httpx.Response:
        """Ask the vendor to delete what this install reported."""
        wire = freeze(self.request())
        return self.client.post("/erase", content=wire, headers=self.headers(wire, purpose=Purpose.ERASE))

    def verify(self, telemetry: Report | None = None, **changes: Any) -> VerifyAnswer:
        """Verify, and return the answer once its signature is checked."""
        return self.send(freeze(self.request(telemetry, **changes)))

    def send(self, wire: bytes) -> VerifyAnswer:
        """Send a frozen body under a new envelope, and return the answer once its signature is checked."""
        headers = self.headers(wire)
        response = self.post(wire, headers)
        assert response.status_code == 200, response.text
        return self.open(response, wire, headers["Calos-Nonce"])

    def open(self, response: httpx.Response, wire: bytes, nonce: str) -> VerifyAnswer:
        """Return the answer, believing it only as an install would."""
        self.check_signature(response, wire, nonce)
        answer = msgspec.json.decode(response.content, type=VerifyAnswer)
        assert answer.nonce == nonce
        return answer

    def check_signature(self, response: httpx.Response, wire: bytes, nonce: str) -> None:
        """Check the vendor's signature over status, request and body."""
        kid, _, signature = response.headers["Calos-Signature"].partition(".")
        keyring = open_keyring(self.vendor.keys.keyring, self.vendor.keys.root)
        base = answer_base(response.status_code, digest(wire), nonce, response.content)
        check(keyring.public_key(kid, Use.ANSWER, now_ms()), base, signature)

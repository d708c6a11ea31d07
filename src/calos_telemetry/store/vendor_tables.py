"""What only the vendor keeps: receipts beside the telemetry, and, in another database, licenses and installs."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, String, Table, Text, UniqueConstraint

vendor = MetaData()
licenses_database = MetaData()

receipts = Table(
    "receipts",
    vendor,
    Column("log_index", Integer, primary_key=True, autoincrement=True, comment="place in the vendor's log"),
    Column("install_id", String(32), nullable=False),
    Column("number", Integer, nullable=False, comment="number of the report at the install"),
    Column("digest", String(64), nullable=False, comment="SHA-256 of the bytes received"),
    Column("chain", String(64), nullable=False, comment="link that the next receipt of the install carries"),
    Column("text", Text, nullable=False),
    Column("kid", String(20), nullable=False),
    Column("signature", String(100), nullable=False),
    Column("rejected", Text, nullable=False, comment="rejected rows by reason, as JSON"),
    Column("received_at", BigInteger, nullable=False, comment="unix ms"),
    UniqueConstraint("install_id", "digest"),
)

erasures = Table(
    "erasures",
    vendor,
    Column("install_id", String(32), primary_key=True, comment="an install whose telemetry is never taken again"),
    Column("erased_at", BigInteger, nullable=False, comment="unix ms"),
    Column("text", Text, nullable=False, comment="the erasure receipt"),
    Column("kid", String(20), nullable=False),
    Column("signature", String(100), nullable=False),
)

outbox = Table(
    "outbox",
    vendor,
    Column("id", Integer, primary_key=True, autoincrement=True, comment="in the order of arrival"),
    Column("install_id", String(32), nullable=False),
    Column("size", Integer, nullable=False, comment="rows in the report"),
    Column("rows", LargeBinary, nullable=False, comment="table → rows of one report, as deflated JSON"),
)
"""Reports that have their receipt and are not in ClickHouse yet."""

licenses = Table(
    "licenses",
    licenses_database,
    Column("license_id", String(32), primary_key=True),
    Column("tier", String(20), nullable=False),
    Column("licensee", Text, nullable=False, comment="who bought it; never in the telemetry database"),
    Column("key", Text, nullable=False, comment="the license key as issued"),
    Column("issued_at", BigInteger, nullable=False, comment="unix ms"),
    Column("expires_at", BigInteger, comment="unix ms; empty: does not expire"),
    Column("revoked_at", BigInteger, comment="unix ms"),
    Column("revoked_why", Text),
)

installs = Table(
    "installs",
    licenses_database,
    Column("install_id", String(32), primary_key=True),
    Column("install_key", String(50), nullable=False, comment="public key shown at the first verification"),
    Column("license_id", String(32), comment="license it last proved"),
    Column("domain", String(253)),
    Column("lease_number", Integer, nullable=False),
    Column("shown_number", Integer, nullable=False, server_default="0", comment="lease it had at the last request"),
    Column("forked_at", BigInteger, comment="when it last had a lease that an earlier request had not, unix ms"),
    Column("app", String(80), nullable=False),
    Column("sdk", String(80), nullable=False),
    Column("first_seen_at", BigInteger, nullable=False, comment="unix ms"),
    Column("last_seen_at", BigInteger, nullable=False, comment="unix ms"),
    Column("last_code", String(40), nullable=False, comment="last license decision"),
)

nonces = Table(
    "nonces",
    licenses_database,
    Column("nonce", String(80), primary_key=True, comment="seen within the last 20 minutes"),
    Column("seen_at", BigInteger, nullable=False, comment="unix ms"),
)

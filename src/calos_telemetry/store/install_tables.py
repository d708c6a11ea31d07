"""What only an install keeps beside the telemetry: how far each spool file is drained, the books, the ledger."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, MetaData, String, Table, Text

install = MetaData()

spool_cursors = Table(
    "spool_cursors",
    install,
    Column("file_id", String(32), primary_key=True, comment="the spool file"),
    Column("position", BigInteger, nullable=False, comment="bytes of it that are in the database"),
    Column("drained_at", BigInteger, nullable=False, comment="unix ms"),
)

books = Table(
    "telemetry_books",
    install,
    Column("entry", String(80), primary_key=True, comment="stored, or dropped: and the reason"),
    Column("events", BigInteger, nullable=False, comment="events, ever"),
)

owner = Table(
    "telemetry_owner",
    install,
    Column("number", Integer, primary_key=True, autoincrement=False, comment="always 1: there is one owner"),
    Column("install_id", String(32), nullable=False, comment="the install, 32 hex digits"),
)

upkeep = Table(
    "telemetry_upkeep",
    install,
    Column("job", String(40), primary_key=True, comment="what is done every night"),
    Column("done_at", BigInteger, nullable=False, comment="when it was done last, unix ms"),
)

reports = Table(
    "telemetry_reports",
    install,
    Column("number", Integer, primary_key=True, comment="rises by one with each sealed exchange"),
    Column("digest", String(64), nullable=False, comment="SHA-256 of the frozen body"),
    Column("body", LargeBinary, nullable=False, comment="exactly the bytes that travel (gzip JSON)"),
    Column("rows", Integer, nullable=False, comment="telemetry rows in it; 0 for a license check alone"),
    Column("from_revision", BigInteger, nullable=False, comment="rows changed after this one"),
    Column("to_revision", BigInteger, nullable=False, comment="up to and with this one"),
    Column("state", String(20), nullable=False, comment="sealed, acknowledged or refused"),
    Column("sealed_at", BigInteger, nullable=False, comment="unix ms"),
    Column("attempts", Integer, nullable=False, comment="how often it was sent"),
    Column("sent_at", BigInteger, comment="last attempt, unix ms"),
    Column("answered_at", BigInteger, comment="unix ms"),
    Column("outcome", Text, comment="what became of the last attempt, in words"),
    Column("receipt_text", Text, comment="the vendor's receipt"),
    Column("receipt_kid", String(20), comment="key that signed it"),
    Column("receipt_signature", String(100), comment="base64url"),
)

catalogues = Table(
    "telemetry_catalogues",
    install,
    Column("since", BigInteger, primary_key=True, autoincrement=False, comment="number of the first report with them"),
    Column("names", Text, nullable=False, comment="fields and counters that can leave, as JSON"),
)

erasures = Table(
    "telemetry_erasures",
    install,
    Column(
        "requested_at", BigInteger, primary_key=True, autoincrement=False, comment="since then nothing leaves, unix ms"
    ),
    Column("body", LargeBinary, nullable=False, comment="the request to the vendor, as it travels"),
    Column("receipt_text", Text, comment="the vendor's erasure receipt"),
    Column("receipt_kid", String(20), comment="key that signed it"),
    Column("receipt_signature", String(100), comment="base64url"),
)

sightings = Table(
    "telemetry_sightings",
    install,
    Column("kind", String(10), primary_key=True, comment="path (a guessed template) or message (of a failure)"),
    Column("subject", String(200), primary_key=True, comment="the template, or the fingerprint of the failure"),
    Column("times", BigInteger, nullable=False, comment="how often it was seen, until it became common"),
    Column("users", Text, nullable=False, comment="keyed hashes of at most three users, until it became common"),
    Column("users_known", Integer, nullable=False, comment="1 where any sighting had a user"),
    Column("common_since", BigInteger, nullable=False, comment="revision from which it may leave; 0 while it is rare"),
    Column("seen_at", BigInteger, nullable=False, comment="last sighting until then, unix ms"),
)

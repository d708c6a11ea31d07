"""The first install tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "install_0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "spool_cursors",
        sa.Column("file_id", sa.String(length=32), nullable=False, comment="the spool file"),
        sa.Column("position", sa.BigInteger(), nullable=False, comment="bytes of it that are in the database"),
        sa.Column("drained_at", sa.BigInteger(), nullable=False, comment="unix ms"),
        sa.PrimaryKeyConstraint("file_id"),
    )
    op.create_table(
        "telemetry_books",
        sa.Column("entry", sa.String(length=80), nullable=False, comment="stored, or dropped: and the reason"),
        sa.Column("events", sa.BigInteger(), nullable=False, comment="events, ever"),
        sa.PrimaryKeyConstraint("entry"),
    )
    op.create_table(
        "telemetry_reports",
        sa.Column("number", sa.Integer(), nullable=False, comment="rises by one with each sealed exchange"),
        sa.Column("digest", sa.String(length=64), nullable=False, comment="SHA-256 of the frozen body"),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="exactly the bytes that travel (gzip JSON)"),
        sa.Column("rows", sa.Integer(), nullable=False, comment="telemetry rows in it; 0 for a license check alone"),
        sa.Column("from_revision", sa.BigInteger(), nullable=False, comment="rows changed after this one"),
        sa.Column("to_revision", sa.BigInteger(), nullable=False, comment="up to and with this one"),
        sa.Column("state", sa.String(length=20), nullable=False, comment="sealed, acknowledged or refused"),
        sa.Column("sealed_at", sa.BigInteger(), nullable=False, comment="unix ms"),
        sa.Column("attempts", sa.Integer(), nullable=False, comment="how often it was sent"),
        sa.Column("sent_at", sa.BigInteger(), nullable=True, comment="last attempt, unix ms"),
        sa.Column("answered_at", sa.BigInteger(), nullable=True, comment="unix ms"),
        sa.Column("outcome", sa.Text(), nullable=True, comment="what became of the last attempt, in words"),
        sa.Column("receipt_text", sa.Text(), nullable=True, comment="the vendor's receipt"),
        sa.Column("receipt_kid", sa.String(length=20), nullable=True, comment="key that signed it"),
        sa.Column("receipt_signature", sa.String(length=100), nullable=True, comment="base64url"),
        sa.PrimaryKeyConstraint("number"),
    )


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("telemetry_reports")
    op.drop_table("telemetry_books")
    op.drop_table("spool_cursors")

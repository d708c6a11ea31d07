"""The first licenses tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "licenses_0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "installs",
        sa.Column("install_id", sa.String(length=32), nullable=False),
        sa.Column(
            "install_key", sa.String(length=50), nullable=False, comment="public key shown at the first verification"
        ),
        sa.Column("license_id", sa.String(length=32), nullable=True, comment="license it last proved"),
        sa.Column("domain", sa.String(length=253), nullable=True),
        sa.Column("lease_number", sa.Integer(), nullable=False),
        sa.Column("app", sa.String(length=80), nullable=False),
        sa.Column("sdk", sa.String(length=80), nullable=False),
        sa.Column("first_seen_at", sa.BigInteger(), nullable=False, comment="unix ms"),
        sa.Column("last_seen_at", sa.BigInteger(), nullable=False, comment="unix ms"),
        sa.Column("last_code", sa.String(length=40), nullable=False, comment="last license decision"),
        sa.PrimaryKeyConstraint("install_id"),
    )
    op.create_table(
        "licenses",
        sa.Column("license_id", sa.String(length=32), nullable=False),
        sa.Column("tier", sa.String(length=20), nullable=False),
        sa.Column("licensee", sa.Text(), nullable=False, comment="who bought it; never in the telemetry database"),
        sa.Column("key", sa.Text(), nullable=False, comment="the license key as issued"),
        sa.Column("issued_at", sa.BigInteger(), nullable=False, comment="unix ms"),
        sa.Column("expires_at", sa.BigInteger(), nullable=True, comment="unix ms; empty: does not expire"),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True, comment="unix ms"),
        sa.Column("revoked_why", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("license_id"),
    )
    op.create_table(
        "nonces",
        sa.Column("nonce", sa.String(length=80), nullable=False, comment="seen within the last 20 minutes"),
        sa.Column("seen_at", sa.BigInteger(), nullable=False, comment="unix ms"),
        sa.PrimaryKeyConstraint("nonce"),
    )


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("nonces")
    op.drop_table("licenses")
    op.drop_table("installs")

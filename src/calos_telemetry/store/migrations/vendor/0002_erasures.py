"""Installs whose telemetry was erased."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "vendor_0002"
down_revision = "vendor_0001"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "erasures",
        sa.Column(
            "install_id",
            sa.String(length=32),
            nullable=False,
            comment="an install whose telemetry is never taken again",
        ),
        sa.Column("erased_at", sa.BigInteger(), nullable=False, comment="unix ms"),
        sa.Column("text", sa.Text(), nullable=False, comment="the erasure receipt"),
        sa.Column("kid", sa.String(length=20), nullable=False),
        sa.Column("signature", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("install_id"),
    )


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("erasures")

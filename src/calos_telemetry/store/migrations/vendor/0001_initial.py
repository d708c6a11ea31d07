"""The first vendor tables."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "vendor_0001"
down_revision = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "receipts",
        sa.Column("log_index", sa.Integer(), autoincrement=True, nullable=False, comment="place in the vendor's log"),
        sa.Column("install_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="number of the report at the install"),
        sa.Column("digest", sa.String(length=64), nullable=False, comment="SHA-256 of the bytes received"),
        sa.Column(
            "chain", sa.String(length=64), nullable=False, comment="link that the next receipt of the install carries"
        ),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("kid", sa.String(length=20), nullable=False),
        sa.Column("signature", sa.String(length=100), nullable=False),
        sa.Column("rejected", sa.Text(), nullable=False, comment="rejected rows by reason, as JSON"),
        sa.Column("received_at", sa.BigInteger(), nullable=False, comment="unix ms"),
        sa.PrimaryKeyConstraint("log_index"),
        sa.UniqueConstraint("install_id", "digest"),
    )


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("receipts")

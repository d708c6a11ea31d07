"""What was asked to be erased at the vendor, and the receipt for it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "install_0005"
down_revision = "install_0004"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "telemetry_erasures",
        sa.Column(
            "requested_at",
            sa.BigInteger(),
            autoincrement=False,
            nullable=False,
            comment="since then nothing leaves, unix ms",
        ),
        sa.Column("body", sa.LargeBinary(), nullable=False, comment="the request to the vendor, as it travels"),
        sa.Column("receipt_text", sa.Text(), nullable=True, comment="the vendor's erasure receipt"),
        sa.Column("receipt_kid", sa.String(length=20), nullable=True, comment="key that signed it"),
        sa.Column("receipt_signature", sa.String(length=100), nullable=True, comment="base64url"),
        sa.PrimaryKeyConstraint("requested_at"),
    )


def downgrade() -> None:
    """Remove the table."""
    op.drop_table("telemetry_erasures")

"""What tells a copied machine from a restored one."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "licenses_0002"
down_revision = "licenses_0001"


def upgrade() -> None:
    """Add the columns."""
    op.add_column(
        "installs",
        sa.Column(
            "shown_number",
            sa.Integer(),
            nullable=False,
            server_default="0",
            comment="lease it had at the last request",
        ),
    )
    op.add_column(
        "installs",
        sa.Column(
            "forked_at",
            sa.BigInteger(),
            nullable=True,
            comment="when it last had a lease that an earlier request had not, unix ms",
        ),
    )


def downgrade() -> None:
    """Remove the columns."""
    op.drop_column("installs", "forked_at")
    op.drop_column("installs", "shown_number")

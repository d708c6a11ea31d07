"""How often a text was seen that no router vouches for: rare ones stay on the install."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "install_0002"
down_revision = "install_0001"


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "telemetry_sightings",
        sa.Column(
            "kind", sa.String(length=10), nullable=False, comment="path (a guessed template) or message (of a failure)"
        ),
        sa.Column(
            "subject", sa.String(length=200), nullable=False, comment="the template, or the fingerprint of the failure"
        ),
        sa.Column("times", sa.BigInteger(), nullable=False, comment="how often it was seen, until it became common"),
        sa.Column(
            "users", sa.Text(), nullable=False, comment="keyed hashes of at most three users, until it became common"
        ),
        sa.Column("users_known", sa.Integer(), nullable=False, comment="1 where any sighting had a user"),
        sa.Column(
            "common_since",
            sa.BigInteger(),
            nullable=False,
            comment="revision from which it may leave; 0 while it is rare",
        ),
        sa.Column("seen_at", sa.BigInteger(), nullable=False, comment="last sighting until then, unix ms"),
        sa.PrimaryKeyConstraint("kind", "subject"),
    )


def downgrade() -> None:
    """Drop the table."""
    op.drop_table("telemetry_sightings")

"""Alembic's entry: run the migrations of one schema on the connection that ``store.migrate`` hands over."""

from __future__ import annotations

from alembic import context

schema = context.config.attributes["schema"]
connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=schema.metadata,
    version_table=schema.version_table,
    transaction_per_migration=True,
    render_as_batch=True,
)
with context.begin_transaction():
    context.run_migrations()

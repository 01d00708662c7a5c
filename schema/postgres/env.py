"""Alembic's entry point; the connection, its transaction and the lock around it come from ``IncidentStore.migrate``."""

from alembic import context

# Not "alembic_version": Prefect keeps its own under that name, and both may live in one database.
context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    version_table="furrow_schema_version",
)
with context.begin_transaction():
    context.run_migrations()

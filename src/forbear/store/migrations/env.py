"""Alembic's entry: runs the revisions on the connection that `forbear.store.engine.migrate` passes."""

from alembic import context

from forbear.store.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()

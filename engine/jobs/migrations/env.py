"""Alembic's entry: runs the migrations on the connection that ``engine.jobs.database`` hands over."""

from alembic import context

from engine.jobs import tables

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=tables.metadata, render_as_batch=True)
with context.begin_transaction():
    context.run_migrations()

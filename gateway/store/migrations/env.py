"""What Alembic runs: the migrations, on the connection and in the transaction that it is handed."""

from __future__ import annotations

from alembic import context

from gateway.store.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,  # SQLite cannot alter most things of a table in place
    transactional_ddl=True,  # SQLite's tables are made inside transactions; Alembic assumes they are not
)
context.run_migrations()

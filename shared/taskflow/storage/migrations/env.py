"""What Alembic runs: the connection comes from `taskflow.storage.migrations.runner`."""

from collections.abc import Collection, Mapping
from typing import Any

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo

from taskflow.storage.migrations import phases


def _record(
    ctx: MigrationContext,
    step: MigrationInfo,
    heads: Collection[Any],  # noqa: ARG001 - Alembic names it
    run_args: Mapping[str, Any],  # noqa: ARG001 - as above
) -> None:
    """Keep the phase of what is applied, in the transaction that says that it is."""
    # Those before it, too: they may have been applied by code that kept no phases.
    applied = context.script.walk_revisions("base", step.up_revision_ids[0])
    assert ctx.connection is not None  # noqa: S101 - it is given below
    phases.record(ctx.connection, applied)


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=None,
    transaction_per_migration=True,
    on_version_apply=_record,
)
with context.begin_transaction():
    context.run_migrations()

"""Whom a contact went to: what was sent to somebody else opens no harsher step towards the debtor."""

from alembic import op

revision = "0017"
down_revision = "0016"

_STATEMENTS = (
    "ALTER TABLE contact ADD COLUMN to_whom TEXT NOT NULL DEFAULT 'debtor'",
    "UPDATE contact c SET to_whom = r.given ->> 'to_whom' FROM gate_request r WHERE r.id = c.permission_id"
    " AND r.given ->> 'to_whom' <> 'debtor'",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)

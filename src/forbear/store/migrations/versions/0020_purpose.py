"""What a contact was for: what was not made to collect opens no harsher step; new facts of the night."""

from alembic import op

revision = "0020"
down_revision = "0019"

_STATEMENTS = (
    "ALTER TABLE contact ADD COLUMN purpose TEXT NOT NULL DEFAULT 'collect'",
    "UPDATE contact c SET purpose = r.given ->> 'purpose' FROM gate_request r WHERE r.id = c.permission_id"
    " AND r.given ->> 'purpose' <> 'collect'",
    "ALTER TABLE decision ADD COLUMN collection_ended BOOLEAN",
    "ALTER TABLE decision ADD COLUMN notices_today INTEGER",
    "ALTER TABLE decision ADD COLUMN notices_7d INTEGER",
    "ALTER TABLE decision ADD COLUMN answer_due BOOLEAN",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)

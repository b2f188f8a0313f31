"""Loans that a newer whole picture of the book no longer has; new facts of the night."""

from alembic import op

revision = "0019"
down_revision = "0018"

_STATEMENTS = (
    "ALTER TABLE book ADD COLUMN whole_import_id BIGINT REFERENCES import (id)",
    "ALTER TABLE decision ADD COLUMN left_book BOOLEAN",
    "ALTER TABLE decision ADD COLUMN demand_held BOOLEAN",
    "ALTER TABLE decision ADD COLUMN days_since_payment INTEGER",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)

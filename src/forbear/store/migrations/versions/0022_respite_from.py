"""The first day of a statutory respite, where the record tells it."""

from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    op.execute("ALTER TABLE borrower ADD COLUMN respite_from DATE")

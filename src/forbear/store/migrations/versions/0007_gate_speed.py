"""The gate's lookups of what waits of a loan, by whose it is; the rows of its answers kept as they are.

An answer takes about 2.5 kB. Above 2 kB PostgreSQL would pack each row again, which costs more than writing it.
"""

from alembic import op

revision = "0007"
down_revision = "0006"

_BEARS = "settled_at IS NULL OR (settled_how = 'dropped' AND table_name = 'contacts')"


def upgrade() -> None:
    op.execute(f"CREATE INDEX quarantine_of_loan ON quarantine (loan_ref, settled_how, borrower_ref) WHERE {_BEARS}")
    op.execute(f"CREATE INDEX quarantine_of_borrower ON quarantine (borrower_ref) WHERE {_BEARS}")
    op.execute("CREATE INDEX import_unfinished ON import (book_id) WHERE finished_at IS NULL")
    op.execute("ALTER TABLE gate_request SET (toast_tuple_target = 8160)")

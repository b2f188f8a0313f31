"""An index for the console's work list: the contact steps of a run, by days past due."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute(
        "CREATE INDEX decision_work ON decision (run_id, dpd, account_id) WHERE step NOT IN ('hardship_hold', 'none')"
    )

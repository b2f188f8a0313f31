"""Where the ledger goes on with an account after its last event; files of payments, and their rows kept aside."""

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    # By the driver's own cursor, which takes the % of format() as it is where no values are given.
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text("utf-8"))

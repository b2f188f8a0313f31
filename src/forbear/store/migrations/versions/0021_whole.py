"""The journal asks once of a statement what it asked of each row; what is carried is kept in two parts."""

from pathlib import Path

from alembic import op

revision = "0021"
down_revision = "0020"


def upgrade() -> None:
    # By the driver's own cursor, which takes the % of format() as it is where no values are given.
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text("utf-8"))

"""The journal: what happened to an account, its double entries, its state after each; held by the database itself."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    # By the driver's own cursor, which takes the % of format() as it is where no values are given.
    op.get_bind().connection.cursor().execute(Path(__file__).with_suffix(".sql").read_text("utf-8"))

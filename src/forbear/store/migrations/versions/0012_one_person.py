"""The same person under the same key, however its hexadecimal digits are written, and in what waits; what is assumed of a book."""

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0010"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text("utf-8"))

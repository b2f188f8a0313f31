"""Facts that open the way to a harsher step: only what did not fail, in this episode."""

from alembic import op

revision = "0006"
down_revision = "0003"

_DECISION = {
    "tries_made_episode": "INTEGER",
    "letters_made_episode": "INTEGER",
    "plan_offers_made_episode": "INTEGER",
    "days_since_notice_given": "INTEGER",
}


def upgrade() -> None:
    added = ", ".join(f"ADD COLUMN {name} {kind}" for name, kind in _DECISION.items())
    op.execute(f"ALTER TABLE decision {added}")

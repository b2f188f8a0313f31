"""The rulebook of each run is kept whole; the facts that version 2 of the packs reads have columns."""

from alembic import op

revision = "0003"
down_revision = "0002"

_FACTS = {
    "borrower": {
        "unreachable": "BOOLEAN",
        "workplace_forbidden": "BOOLEAN",
        "opted_out_sms": "BOOLEAN",
        "vulnerable": "BOOLEAN",
        "respite_until": "DATE",
    },
    "account": {"validation_sent_on": "DATE"},
    "decision": {
        "unreachable": "BOOLEAN",
        "workplace_forbidden": "BOOLEAN",
        "opted_out_sms": "BOOLEAN",
        "vulnerable": "BOOLEAN",
        "respite_open": "BOOLEAN",
        "validation_sent": "BOOLEAN",
        "days_since_validation": "INTEGER",
        "public_holiday": "BOOLEAN",
        "contacts_7d": "INTEGER",
    },
}


def upgrade() -> None:
    op.execute(
        "CREATE TABLE rulebook (sha256 TEXT PRIMARY KEY, files JSONB NOT NULL,"
        " kept_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL)"
    )
    for table, columns in _FACTS.items():
        added = ", ".join(f"ADD COLUMN {name} {kind}" for name, kind in columns.items())
        op.execute(f"ALTER TABLE {table} {added}")

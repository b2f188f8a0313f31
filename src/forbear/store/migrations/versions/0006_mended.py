"""What a record must show before it permits: imports and rows that wait, until when contacts are recorded, whose row
is newer; and facts of contacts that did not fail. Its views stand beside it.
"""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"

_ADDED = {
    "book": {"recorded_from": "DATE", "recorded_until": "DATE"},
    "import": {"taken_on": "DATE", "tables": "TEXT[] DEFAULT '{}' NOT NULL"},
    "quarantine": {"loan_ref": "TEXT", "borrower_ref": "TEXT", "row_ref": "TEXT"},
    "borrower": {"import_id": 'BIGINT REFERENCES "import"'},
    "account": {"import_id": 'BIGINT REFERENCES "import"', "schedule_import_id": 'BIGINT REFERENCES "import"'},
    "decision": {
        "tries_made_episode": "INTEGER",
        "letters_made_episode": "INTEGER",
        "plan_offers_made_episode": "INTEGER",
        "days_since_notice_given": "INTEGER",
        "rows_waiting": "BOOLEAN",
        "penalty_rate_ppm": "BIGINT",
    },
}


def upgrade() -> None:
    for table, columns in _ADDED.items():
        added = ", ".join(f"ADD COLUMN {name} {kind}" for name, kind in columns.items())
        op.execute(f'ALTER TABLE "{table}" {added}')
    op.get_bind().exec_driver_sql(Path(__file__).with_suffix(".sql").read_text("utf-8"))

"""What the console asks of the gate's answers; events that contradict each other; a respite that was never told of."""

from alembic import op

revision = "0014"
down_revision = "0012"

_STATEMENTS = (
    "CREATE INDEX gate_request_day ON gate_request USING brin (requested_at) WITH (autosummarize = on)",
    # In the runs so far such events counted as rows that wait, which they still do there.
    "ALTER TABLE decision ADD COLUMN events_conflict BOOLEAN DEFAULT false",
    "ALTER TABLE decision ALTER events_conflict DROP DEFAULT",
    "ALTER TABLE book ADD COLUMN respite_untold BOOLEAN NOT NULL DEFAULT false",
    """
    UPDATE book SET respite_untold = true
    WHERE EXISTS (SELECT FROM derivation d WHERE d.book_id = book.id AND d.code = 'respite_until' AND d.of_all)""",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)

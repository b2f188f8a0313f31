"""The gate: requests and their answers, permissions, the outbox; one person over several books; agencies."""

from alembic import op

revision = "0004"
down_revision = "0003"

_STATEMENTS = (
    # The gate's only clock. A worker's clock is never asked; a test may put another body here.
    "CREATE FUNCTION gate_now() RETURNS timestamptz LANGUAGE sql VOLATILE AS 'SELECT clock_timestamp()'",
    "ALTER TABLE borrower ADD COLUMN person_key TEXT, ADD COLUMN same_as BIGINT REFERENCES borrower (id)",
    "ALTER TABLE borrower ADD CONSTRAINT same_as_another CHECK (same_as <> id)",
    "CREATE INDEX borrower_person_key ON borrower (person_key) WHERE person_key IS NOT NULL",
    "CREATE INDEX borrower_same_as ON borrower (same_as) WHERE same_as IS NOT NULL",
    "CREATE INDEX borrower_person ON borrower (coalesce(same_as, id))",
    # A request, its answer, and the permission that the answer gave are one row: none is without the others.
    """
    CREATE TABLE gate_request (
        id UUID PRIMARY KEY,
        account_id BIGINT NOT NULL REFERENCES account (id),
        step TEXT NOT NULL,
        agency TEXT,
        requested_by TEXT NOT NULL,
        text_sha256 TEXT,
        asked_sha256 BYTEA NOT NULL,
        given JSONB NOT NULL,
        requested_at TIMESTAMP WITH TIME ZONE NOT NULL,
        verdict TEXT NOT NULL,
        spoke JSONB NOT NULL,
        facts JSONB NOT NULL,
        rulebook_sha256 TEXT NOT NULL,
        earliest TIMESTAMP WITH TIME ZONE,
        decided_by TEXT,
        reason TEXT,
        expires_at TIMESTAMP WITH TIME ZONE,
        used_at TIMESTAMP WITH TIME ZONE,
        voided_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT verdict_known CHECK (verdict IN ('permitted','forbidden','needs_human')),
        CONSTRAINT overridden_by_someone CHECK ((decided_by IS NULL) = (reason IS NULL)),
        CONSTRAINT only_the_unknown_is_overridden CHECK (decided_by IS NULL OR verdict = 'needs_human'),
        CONSTRAINT granted_if_permitted CHECK (
            (expires_at IS NOT NULL) = (verdict = 'permitted' OR decided_by IS NOT NULL)),
        CONSTRAINT expires_after_grant CHECK (expires_at > requested_at),
        CONSTRAINT only_the_granted_is_used CHECK (expires_at IS NOT NULL OR (used_at IS NULL AND voided_at IS NULL)),
        CONSTRAINT used_in_time CHECK (used_at >= requested_at AND used_at < expires_at),
        CONSTRAINT used_or_voided CHECK (used_at IS NULL OR voided_at IS NULL)
    )""",
    "CREATE INDEX gate_request_account ON gate_request (account_id, expires_at)",
    # Leave for one contact, once, until it expires: the requests that were granted.
    """
    CREATE VIEW permission AS
        SELECT id, account_id, step, agency, text_sha256, requested_at AS granted_at, expires_at, used_at, voided_at
        FROM gate_request WHERE expires_at IS NOT NULL""",
    "ALTER TABLE contact ADD COLUMN agency TEXT, ADD COLUMN permission_id UUID REFERENCES gate_request (id)",
    "CREATE UNIQUE INDEX contact_permission ON contact (permission_id) WHERE permission_id IS NOT NULL",
    "ALTER TABLE contact DROP CONSTRAINT outcome_known, ADD CONSTRAINT outcome_known CHECK"
    " (outcome IN ('pending','connected','conversation','no_answer','delivered','failed'))",
    """
    CREATE TABLE outbox (
        permission_id UUID PRIMARY KEY REFERENCES gate_request (id),
        account_id BIGINT NOT NULL REFERENCES account (id),
        step TEXT NOT NULL,
        text TEXT NOT NULL,
        sent_at TIMESTAMP WITH TIME ZONE NOT NULL
    )""",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)

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
    """
    CREATE TABLE gate_request (
        id UUID PRIMARY KEY,
        account_id BIGINT NOT NULL REFERENCES account (id),
        step TEXT NOT NULL,
        agency TEXT,
        requested_by TEXT NOT NULL,
        asked JSONB NOT NULL,
        requested_at TIMESTAMP WITH TIME ZONE NOT NULL,
        verdict TEXT NOT NULL,
        spoke JSONB NOT NULL,
        facts JSONB NOT NULL,
        rulebook_sha256 TEXT NOT NULL,
        earliest TIMESTAMP WITH TIME ZONE,
        decided_by TEXT,
        reason TEXT,
        CONSTRAINT verdict_known CHECK (verdict IN ('permitted','forbidden','needs_human')),
        CONSTRAINT overridden_by_someone CHECK ((decided_by IS NULL) = (reason IS NULL)),
        CONSTRAINT only_the_unknown_is_overridden CHECK (decided_by IS NULL OR verdict = 'needs_human')
    )""",
    "CREATE INDEX gate_request_account ON gate_request (account_id, requested_at)",
    """
    CREATE TABLE permission (
        id UUID PRIMARY KEY,
        request_id UUID NOT NULL UNIQUE REFERENCES gate_request (id),
        account_id BIGINT NOT NULL REFERENCES account (id),
        step TEXT NOT NULL,
        agency TEXT,
        text_sha256 TEXT,
        granted_at TIMESTAMP WITH TIME ZONE NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
        used_at TIMESTAMP WITH TIME ZONE,
        voided_at TIMESTAMP WITH TIME ZONE,
        CONSTRAINT expires_after_grant CHECK (expires_at > granted_at),
        CONSTRAINT used_in_time CHECK (used_at >= granted_at AND used_at < expires_at),
        CONSTRAINT used_or_voided CHECK (used_at IS NULL OR voided_at IS NULL)
    )""",
    "CREATE INDEX permission_outstanding ON permission (account_id, expires_at)"
    " WHERE used_at IS NULL AND voided_at IS NULL",
    "ALTER TABLE contact ADD COLUMN agency TEXT, ADD COLUMN permission_id UUID REFERENCES permission (id)",
    "CREATE UNIQUE INDEX contact_permission ON contact (permission_id) WHERE permission_id IS NOT NULL",
    "ALTER TABLE contact DROP CONSTRAINT outcome_known, ADD CONSTRAINT outcome_known CHECK"
    " (outcome IN ('pending','connected','conversation','no_answer','delivered','failed'))",
    """
    CREATE TABLE outbox (
        permission_id UUID PRIMARY KEY REFERENCES permission (id),
        account_id BIGINT NOT NULL REFERENCES account (id),
        step TEXT NOT NULL,
        text TEXT NOT NULL,
        sent_at TIMESTAMP WITH TIME ZONE NOT NULL
    )""",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)

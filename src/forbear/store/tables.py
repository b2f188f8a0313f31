"""The tables, as SQLAlchemy sees them. Money is in minor units beside its currency; rates are in
parts per million a year; an instant is a timestamptz, a legal day is a date.

A column that may be NULL may be unknown, and the rulebook never permits on what is unknown.
No name, number or address of a person is kept: nothing sends a message yet, so no step needs one.
"""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

metadata = sa.MetaData()

Text = sa.Text
Money = sa.BigInteger
Ppm = sa.BigInteger
Instant = sa.TIMESTAMP(timezone=True)


def _required(name: str, kind: sa.types.TypeEngine[Any] | type, *args: object, **kw: object) -> sa.Column[object]:
    return sa.Column(name, kind, *args, nullable=False, **kw)  # type: ignore[arg-type]


# ---- what came in -----------------------------------------------------------------------------------

#: One lender's book of loans, under one law, in one currency.
book = sa.Table(
    "book",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _required("name", Text, unique=True),
    _required("jurisdiction", Text),
    _required("lender_type", Text),
    _required("collector", Text),
    _required("currency", Text),
    # Drawn by the generator, no real borrower: said wherever the book is shown.
    _required("synthetic", sa.Boolean, server_default=sa.false()),
    # The day from which every contact is on record; NULL: from the day of import only.
    sa.Column("history_from", sa.Date),
    # The day on which the lender took this picture of its book: what is before that day is in it.
    sa.Column("snapshot_on", sa.Date),
    # The pictures' days of the first and the last import that held contacts. A night of a later day knows of no
    # contact that was made since.
    sa.Column("recorded_from", sa.Date),
    sa.Column("recorded_until", sa.Date),
    # An id of ledger.allocate.ORDERS: in what order payments settle debts, where an account has none of its own.
    _required("allocation_order", Text, server_default="instalments_first"),
    # No file of it ever had the column respite_until, so it has not said that nobody is in a statutory respite.
    _required("respite_untold", sa.Boolean, server_default=sa.false()),
    # The newest import whose file said that it holds every loan of the book: a loan that it lacks has left the book, as
    # far as is known, until a newer file tells of it. NULL: no file said so.
    sa.Column("whole_import_id", sa.BigInteger, sa.ForeignKey("import.id", use_alter=True)),
    # The rulebook by which the book was held to the ceilings on the yearly cost last; NULL: by none yet.
    sa.Column("held_sha256", Text),
)

#: One file (or folder) taken in with one mapping; `rows_done` is where a killed import goes on.
import_ = sa.Table(
    "import",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _required("book_id", sa.BigInteger, sa.ForeignKey("book.id")),
    _required("file_name", Text),
    _required("file_sha256", Text),
    _required("mapping_name", Text),
    _required("mapping_sha256", Text),
    _required("mapping", Text),
    # The day of the picture: the book's snapshot_on, else the day of import in UTC. Of two imports that say different
    # things of one row, that of the later day holds, and of one day the one that came later.
    _required("taken_on", sa.Date),
    _required("tables", ARRAY(Text), server_default=sa.text("'{}'")),
    _required("rows_done", sa.BigInteger, server_default=sa.text("0")),
    _required("rows_bad", sa.BigInteger, server_default=sa.text("0")),
    _required("started_at", Instant, server_default=sa.func.now()),
    sa.Column("finished_at", Instant),
    sa.UniqueConstraint("file_sha256", "mapping_sha256"),
    sa.Index("import_unfinished", "book_id", postgresql_where=sa.text("finished_at IS NULL")),
)

#: How a field that the file does not hold was worked out: shown wherever the field is.
derivation = sa.Table(
    "derivation",
    metadata,
    sa.Column("book_id", sa.BigInteger, sa.ForeignKey("book.id"), primary_key=True),
    sa.Column("code", Text, primary_key=True),
    _required("kind", Text),  # derived: worked out of other fields; assumed: stated by the mapping
    _required("facts", ARRAY(Text)),  # the facts of the vocabulary that rest on it
    _required("text", JSONB),  # {language: sentence}
    # Of every account of the book; else of those that have the code.
    _required("of_all", sa.Boolean, server_default=sa.text("false")),
)

#: Rows that wait, and contacts that were left out.
_BEARS = "settled_at IS NULL OR (settled_how = 'dropped' AND table_name = 'contacts')"

#: Rows kept aside with the reason and the remedy, until they are mended or dropped.
quarantine = sa.Table(
    "quarantine",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _required("import_id", sa.BigInteger, sa.ForeignKey("import.id")),
    _required("table_name", Text),
    _required("row_number", sa.BigInteger),
    _required("field", Text),
    _required("reason", Text),
    _required("remedy", Text),
    _required("row", JSONB),
    # Whose row it is, where that can be read; where neither can, it may be anybody's of the book.
    sa.Column("loan_ref", Text),
    sa.Column("borrower_ref", Text),
    sa.Column("row_ref", Text),  # the row's own number in its table
    sa.Column("person_key", Text),  # the row's own, where it is a borrower's: it holds the person in every book
    sa.Column("settled_at", Instant),
    sa.Column("settled_how", Text),  # mended | dropped | superseded (a newer file brought the row, good)
    sa.Index("quarantine_waiting", "import_id", postgresql_where=sa.text("settled_at IS NULL")),
    # What bears on a contact, by whose it is: the gate looks it up at each request.
    sa.Index("quarantine_of_loan", "loan_ref", "settled_how", "borrower_ref", postgresql_where=sa.text(_BEARS)),
    sa.Index("quarantine_of_borrower", "borrower_ref", postgresql_where=sa.text(_BEARS)),
    sa.Index(
        "quarantine_of_person",
        "person_key",
        postgresql_where=sa.text("settled_at IS NULL AND person_key IS NOT NULL"),
    ),
    sa.UniqueConstraint("import_id", "table_name", "row_number", "field"),
)

# ---- borrowers and loans ----------------------------------------------------------------------------

borrower = sa.Table(
    "borrower",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _required("book_id", sa.BigInteger, sa.ForeignKey("book.id")),
    _required("ref", Text),
    sa.Column("language", Text),
    sa.Column("place", Text),
    # The IANA time zones in which the borrower may be, joined by "|": hours must suit all of them.
    sa.Column("zones", Text),
    sa.Column("can_sms", sa.Boolean),
    sa.Column("can_call", sa.Boolean),
    sa.Column("can_write", sa.Boolean),
    sa.Column("sms_consent", sa.Boolean),
    # Hours agreed with the borrower, in minutes of the local day; both or neither.
    sa.Column("agreed_from_min", sa.SmallInteger),
    sa.Column("agreed_to_min", sa.SmallInteger),
    sa.Column("stop_contact", sa.Boolean),
    sa.Column("attorney", sa.Boolean),
    sa.Column("bankrupt", sa.Boolean),
    sa.Column("incapable", sa.Boolean),
    # Hardship asked for or granted, up to and including this day.
    sa.Column("hardship_until", sa.Date),
    sa.Column("unreachable", sa.Boolean),
    sa.Column("workplace_forbidden", sa.Boolean),
    sa.Column("opted_out_sms", sa.Boolean),
    sa.Column("vulnerable", sa.Boolean),
    # A statutory respite (breathing space, moratorium), up to and including this day.
    sa.Column("respite_until", sa.Date),
    # The lender's keyed hash of who it is: borrowers with the same one are the same person.
    sa.Column("person_key", Text),
    # The first borrower with the same key; NULL: this one. All counts over a person are over these.
    sa.Column("same_as", sa.BigInteger, sa.ForeignKey("borrower.id")),
    sa.Index("borrower_person_key", "person_key", postgresql_where=sa.text("person_key IS NOT NULL")),
    sa.Index("borrower_same_as", "same_as", postgresql_where=sa.text("same_as IS NOT NULL")),
    sa.Index("borrower_person", sa.text("coalesce(same_as, id)")),
    sa.CheckConstraint("same_as <> id", name="same_as_another"),
    # Which import the row is from; NULL: none that is on record, so that any import brings it up to date.
    sa.Column("import_id", sa.BigInteger, sa.ForeignKey("import.id")),
    sa.UniqueConstraint("book_id", "ref"),
    sa.CheckConstraint("(agreed_from_min IS NULL) = (agreed_to_min IS NULL)", name="agreed_both"),
    sa.CheckConstraint(
        "agreed_from_min >= 0 AND agreed_from_min < agreed_to_min AND agreed_to_min <= 1440",
        name="agreed_span",
    ),
)

account = sa.Table(
    "account",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _required("book_id", sa.BigInteger, sa.ForeignKey("book.id")),
    _required("borrower_id", sa.BigInteger, sa.ForeignKey("borrower.id"), index=True),
    _required("ref", Text),
    _required("product", Text),  # instalment | card
    _required("status", Text),  # open | paid_off | charged_off | sold
    _required("opened_on", sa.Date),
    _required("principal_minor", Money),
    sa.Column("annual_rate_ppm", Ppm),
    _required("penalty_rate_ppm", Ppm, server_default=sa.text("0")),
    _required("late_fee_minor", Money, server_default=sa.text("0")),
    _required("late_fee_ppm", Ppm, server_default=sa.text("0")),
    _required("grace_days", sa.SmallInteger, server_default=sa.text("0")),
    # Of the contract, whatever a ceiling removes of it.
    sa.Column("all_in_ppm", Ppm),
    # An id of ledger.allocate.ORDERS; NULL: the book's.
    sa.Column("allocation_order", Text),
    sa.Column("dispute_open", sa.Boolean),
    sa.Column("promise_due_on", sa.Date),
    sa.Column("plan_until", sa.Date),
    sa.Column("validation_sent_on", sa.Date),
    # Which fields of this account were derived or assumed: codes of the table derivation.
    _required("derived", ARRAY(Text), server_default=sa.text("'{}'")),
    sa.Column("import_id", sa.BigInteger, sa.ForeignKey("import.id")),
    sa.Column("schedule_import_id", sa.BigInteger, sa.ForeignKey("import.id")),
    sa.UniqueConstraint("book_id", "ref"),
    sa.CheckConstraint("principal_minor >= 0", name="principal_not_negative"),
    sa.CheckConstraint("status IN ('open','paid_off','charged_off','sold')", name="status_known"),
)

# The lowest ceiling on the yearly cost that is known for a book's loans, or cards, of a day (servicing/demand.py);
# without a row, none is. later: [[day, ppm], ...], what takes its place for what accrues from each day on.
ceiling = sa.Table(
    "ceiling",
    metadata,
    sa.Column("book_id", sa.BigInteger, sa.ForeignKey("book.id"), primary_key=True, autoincrement=False),
    sa.Column("opened_on", sa.Date, primary_key=True),
    sa.Column("ppm", Ppm),
    sa.Column("product", Text, primary_key=True, server_default=sa.text("'instalment'")),
    _required("later", JSONB, server_default=sa.text("'[]'")),
)

#: The contract of a card whose statements the ledger makes of its events; other cards have no row.
card_terms = sa.Table(
    "card_terms",
    metadata,
    sa.Column("account_id", sa.BigInteger, sa.ForeignKey("account.id"), primary_key=True),
    _required("first_statement_on", sa.Date),
    _required("due_days", sa.SmallInteger),
    _required("minimum_ppm", Ppm),
    _required("minimum_floor_minor", Money, server_default=sa.text("0")),
    sa.Column("cash_minimum_ppm", Ppm),
    _required("unpaid_only", sa.Boolean, server_default=sa.text("false")),
    sa.CheckConstraint("due_days BETWEEN 1 AND 27", name="due_before_next"),
    sa.CheckConstraint(
        "minimum_ppm BETWEEN 0 AND 1000000 AND cash_minimum_ppm BETWEEN 0 AND 1000000", name="minimum_is_a_part"
    ),
    sa.CheckConstraint("minimum_floor_minor >= 0", name="floor_not_negative"),
)

instalment = sa.Table(
    "instalment",
    metadata,
    sa.Column("account_id", sa.BigInteger, sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("n", sa.SmallInteger, primary_key=True),
    _required("due_on", sa.Date),
    _required("principal_minor", Money),
    _required("interest_minor", Money),
    # What a ceiling on the yearly cost removes of the interest: demanded is interest_minor less this, by everyone.
    _required("removed_minor", Money, server_default=sa.text("0")),
    sa.CheckConstraint("principal_minor >= 0 AND interest_minor >= 0", name="amounts_not_negative"),
    sa.CheckConstraint("removed_minor >= 0 AND removed_minor <= interest_minor", name="removed_of_interest"),
    sa.Index("instalment_removed", "account_id", postgresql_where=sa.text("removed_minor > 0")),
)

payment = sa.Table(
    "payment",
    metadata,
    sa.Column("account_id", sa.BigInteger, sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("ref", Text, primary_key=True),
    _required("paid_on", sa.Date),
    _required("amount_minor", Money),
    # Counts until the day before: a mistake never counted (the same day), a chargeback did until it came.
    sa.Column("taken_back_on", sa.Date),
    sa.CheckConstraint("amount_minor > 0", name="amount_positive"),
    sa.CheckConstraint("taken_back_on >= paid_on", name="taken_back_later"),
)

#: What was done to reach the borrower about one account, and how it ended.
contact = sa.Table(
    "contact",
    metadata,
    sa.Column("account_id", sa.BigInteger, sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("ref", Text, primary_key=True),
    _required("at", Instant),
    _required("step", Text),
    # pending (made, its end not yet told: counts as the worst) | connected | conversation | no_answer | delivered |
    # failed
    _required("outcome", Text),
    sa.Column("agency", Text),  # who made it; NULL: the creditor itself
    sa.Column("permission_id", UUID(as_uuid=True), sa.ForeignKey("gate_request.id")),
    _required("to_whom", Text, server_default=sa.text("'debtor'")),
    _required("purpose", Text, server_default=sa.text("'collect'")),
    sa.Index("contact_permission", "permission_id", unique=True, postgresql_where=sa.text("permission_id IS NOT NULL")),
    sa.CheckConstraint(
        "outcome IN ('pending','connected','conversation','no_answer','delivered','failed')", name="outcome_known"
    ),
)

# ---- the journal: append-only, held by triggers of the migration 0005 ----------------------------------

#: What happened to an account, payments apart: those are the table payment's. `key` makes it one.
account_event = sa.Table(
    "account_event",
    metadata,
    sa.Column("account_id", sa.BigInteger, sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("key", Text, primary_key=True),
    _required("kind", Text),
    _required("value_on", sa.Date),
    _required("booked_at", Instant, server_default=sa.func.now()),
    _required("detail", JSONB),
)

#: One double-entry transaction: its key within the account, the day it counts from, the instant it was booked.
journal_transaction = sa.Table(
    "journal_transaction",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    _required("account_id", sa.BigInteger, sa.ForeignKey("account.id")),
    _required("key", Text),
    _required("kind", Text),
    _required("value_on", sa.Date),
    _required("booked_at", Instant, server_default=sa.func.now()),
    # The transaction that this one undoes, whole.
    sa.Column("reverses", sa.BigInteger, sa.ForeignKey("journal_transaction.id")),
    sa.Column("memo", Text),
    sa.UniqueConstraint("account_id", "key"),
    sa.Index("journal_reversed_once", "reverses", unique=True, postgresql_where=sa.text("reverses IS NOT NULL")),
)

#: One side of a transaction, in signed minor units: what the lender owns is positive. That there is the transaction, a
#: trigger asks once of a statement (docs/decisions/0005-journal.md).
journal_entry = sa.Table(
    "journal_entry",
    metadata,
    sa.Column("transaction_id", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("line", sa.SmallInteger, primary_key=True),
    _required("ledger_account", Text),
    _required("amount_minor", Money),
    _required("currency", Text),
    sa.CheckConstraint("amount_minor <> 0", name="amount_not_zero"),
)

#: Where an account stood on a day, as it was known when recorded: the newest row is what is known now.
account_state = sa.Table(
    "account_state",
    metadata,
    sa.Column("account_id", sa.BigInteger, sa.ForeignKey("account.id"), primary_key=True),
    sa.Column("id", sa.BigInteger, sa.Identity(always=True), primary_key=True),
    _required("as_of", sa.Date),
    _required("recorded_at", Instant, server_default=sa.func.now()),
    _required("cause", Text),  # the key of the event
    _required("dpd", sa.Integer),
    sa.Column("oldest_due_on", sa.Date),
    _required("bucket", Text),
    _required("class", Text),
    _required("arrears_minor", Money),
    _required("owed_minor", Money),
)

#: Where the ledger goes on with an account after its last event: made from what is on file, dropped by triggers of the
#: migration 0009 when that changes. Losing a row costs a replay, no more.
account_carried = sa.Table(
    "account_carried",
    metadata,
    sa.Column("account_id", sa.BigInteger, sa.ForeignKey("account.id"), primary_key=True),
    _required("terms", sa.JSON),
    _required("carried", sa.JSON),
    _required("far", sa.JSON),
)

#: A bank's file of payments, posted in parts, each the payments of some accounts.
payment_file = sa.Table(
    "payment_file",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _required("book_id", sa.BigInteger, sa.ForeignKey("book.id")),
    _required("file_name", Text),
    _required("file_sha256", Text),
    _required("parts", sa.SmallInteger),
    _required("started_at", Instant, server_default=sa.func.now()),
    sa.Column("finished_at", Instant),
    sa.UniqueConstraint("book_id", "file_sha256"),
)

#: How far a part has come; of its rows, those that are new payments and those that were on file.
payment_file_part = sa.Table(
    "payment_file_part",
    metadata,
    sa.Column("file_id", sa.BigInteger, sa.ForeignKey("payment_file.id"), primary_key=True),
    sa.Column("part", sa.SmallInteger, primary_key=True),
    _required("rows_done", sa.BigInteger, server_default=sa.text("0")),
    _required("posted", sa.BigInteger, server_default=sa.text("0")),
    _required("again", sa.BigInteger, server_default=sa.text("0")),
)

#: Rows that were not posted, each with the reason and the remedy in one line.
payment_file_refused = sa.Table(
    "payment_file_refused",
    metadata,
    sa.Column("file_id", sa.BigInteger, sa.ForeignKey("payment_file.id"), primary_key=True),
    sa.Column("row_number", sa.BigInteger, primary_key=True),
    _required("reason", Text),
    _required("row", JSONB),
)

# ---- what the gate was asked ------------------------------------------------------------------------

#: One contact that the gate was asked for, its answer, and the permission where it was granted; `id` is the asker's
#: own key of the request. The view `permission` shows those granted.
gate_request = sa.Table(
    "gate_request",
    metadata,
    sa.Column("id", UUID(as_uuid=True), primary_key=True),
    _required("account_id", sa.BigInteger, sa.ForeignKey("account.id")),
    _required("step", Text),
    sa.Column("agency", Text),
    _required("requested_by", Text),  # a staff or system number, never a name
    sa.Column("text_sha256", Text),  # of the message's text in UTF-8; NULL: nothing is sent
    _required("asked_sha256", sa.LargeBinary),  # of the whole request, so that the same key is never two requests
    _required("given", JSONB),  # the facts of the contact itself, as the asker gave them
    _required("requested_at", Instant),
    _required("verdict", Text),  # permitted | forbidden | needs_human
    _required("spoke", JSONB),  # {says: [rule id, ...]}
    _required("facts", JSONB),  # what those rules read
    _required("rulebook_sha256", Text),
    sa.Column("earliest", Instant),  # when a refused contact becomes lawful, if nothing else happens
    # Who decided where the rules lacked a fact, and why.
    sa.Column("decided_by", Text),
    sa.Column("reason", Text),
    # Until when the permission is good; NULL: refused.
    sa.Column("expires_at", Instant),
    sa.Column("used_at", Instant),
    sa.Column("voided_at", Instant),
    # What the answer was drawn from besides `facts`, so that it can be asked again; NULL: asked before this was kept.
    sa.Column("jurisdiction", Text),
    sa.Column("zones", Text),
    sa.Column("agreed_from_min", sa.SmallInteger),
    sa.Column("agreed_to_min", sa.SmallInteger),
    sa.Column("other_days", JSONB),  # {day: facts}: where it was several local days at once, those of the others
    # The earlier answer "needs a human" that decided_by decided on: each is lifted once.
    sa.Column("overrides", UUID(as_uuid=True), sa.ForeignKey("gate_request.id")),
    # A refusal when that permission was to be used: the request of then, answered anew.
    sa.Column("at_use_of", UUID(as_uuid=True), sa.ForeignKey("gate_request.id")),
    sa.CheckConstraint("overrides IS NULL OR decided_by IS NOT NULL", name="overrides_by_someone"),
    sa.CheckConstraint("at_use_of IS NULL OR expires_at IS NULL", name="refused_at_use"),
    sa.Index("gate_request_overrides", "overrides", unique=True, postgresql_where=sa.text("overrides IS NOT NULL")),
    sa.Index("gate_request_at_use_of", "at_use_of", postgresql_where=sa.text("at_use_of IS NOT NULL")),
    sa.CheckConstraint("verdict IN ('permitted','forbidden','needs_human')", name="verdict_known"),
    sa.CheckConstraint("(decided_by IS NULL) = (reason IS NULL)", name="overridden_by_someone"),
    sa.CheckConstraint("decided_by IS NULL OR verdict = 'needs_human'", name="only_the_unknown_is_overridden"),
    sa.CheckConstraint(
        "(expires_at IS NOT NULL) = (verdict = 'permitted' OR decided_by IS NOT NULL)", name="granted_if_permitted"
    ),
    sa.CheckConstraint("expires_at > requested_at", name="expires_after_grant"),
    sa.CheckConstraint(
        "expires_at IS NOT NULL OR (used_at IS NULL AND voided_at IS NULL)", name="only_the_granted_is_used"
    ),
    sa.CheckConstraint("used_at >= requested_at AND used_at < expires_at", name="used_in_time"),
    sa.CheckConstraint("used_at IS NULL OR voided_at IS NULL", name="used_or_voided"),
    # The requests of a day stand together, as they came; small, since each request pays for it.
    sa.Index("gate_request_day", "requested_at", postgresql_using="brin", postgresql_with={"autosummarize": "on"}),
    # Also finds what is outstanding: the refused stand outside any span of `expires_at`.
    sa.Index("gate_request_account", "account_id", "expires_at"),
)

#: How a contact ended, as somebody said it: each report that changed it. `contact.outcome` is the gravest.
contact_report = sa.Table(
    "contact_report",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _required("permission_id", UUID(as_uuid=True), sa.ForeignKey("gate_request.id"), index=True),
    _required("outcome", Text),
    _required("reported_by", Text),  # a staff or system number, never a name
    _required("reported_at", Instant),
)

#: The local channel: messages that went no further than this table.
outbox = sa.Table(
    "outbox",
    metadata,
    sa.Column("permission_id", UUID(as_uuid=True), sa.ForeignKey("gate_request.id"), primary_key=True),
    _required("account_id", sa.BigInteger, sa.ForeignKey("account.id")),
    _required("step", Text),
    _required("text", Text),
    _required("sent_at", Instant),
)

# ---- what was decided -------------------------------------------------------------------------------

#: The rulebook of a run, whole: its files as they were read, the vocabulary first.
rulebook = sa.Table(
    "rulebook",
    metadata,
    sa.Column("sha256", Text, primary_key=True),
    _required("files", JSONB),  # [{name, text}, ...], in order: forbear.rulebook.load.read gives it again
    _required("kept_at", Instant, server_default=sa.func.now()),
)

#: One nightly run. Its decisions are committed with it, or neither is.
run = sa.Table(
    "run",
    metadata,
    sa.Column("id", sa.BigInteger, sa.Identity(), primary_key=True),
    _required("as_of", sa.Date),
    _required("rulebook_sha256", Text),
    # {jurisdiction: [rule id, ...]}: the place in the list is the rule's bit in `forbids` and `unknown`.
    _required("rule_bits", JSONB),
    _required("decisions_sha256", Text),
    _required("accounts", sa.BigInteger),
    _required("started_at", Instant),
    _required("finished_at", Instant, server_default=sa.func.now()),
)

FACT_COLUMNS: tuple[sa.Column[object], ...] = (
    sa.Column("law_known", sa.Boolean),
    _required("place_known", sa.Boolean),
    _required("status", Text),
    _required("lender_type", Text),
    _required("collector", Text),
    _required("dpd", sa.Integer),
    _required("arrears", Money),
    _required("owed", Money),
    _required("days_to_due", sa.Integer),
    sa.Column("all_in_ppm", Ppm),
    # NULL: no rule on file covers the type of lender on the day of the contract.
    sa.Column("cap_exists", sa.Boolean),
    sa.Column("cap_ppm", Ppm),
    _required("lead_account", sa.Boolean),
    sa.Column("can_sms", sa.Boolean),
    sa.Column("can_call", sa.Boolean),
    sa.Column("can_write", sa.Boolean),
    sa.Column("sms_consent", sa.Boolean),
    _required("hours_agreed", sa.Boolean),
    sa.Column("stop_contact", sa.Boolean),
    sa.Column("attorney", sa.Boolean),
    sa.Column("bankrupt", sa.Boolean),
    sa.Column("incapable", sa.Boolean),
    sa.Column("dispute_open", sa.Boolean),
    _required("hardship_open", sa.Boolean),
    _required("promise_open", sa.Boolean),
    _required("plan_active", sa.Boolean),
    _required("history_days", sa.Integer),
    _required("connected_today", sa.Integer),
    _required("calls_7d", sa.Integer),
    _required("conversations_7d", sa.Integer),
    _required("sms_episode", sa.Integer),
    _required("calls_episode", sa.Integer),
    _required("letters_episode", sa.Integer),
    _required("plan_offers_episode", sa.Integer),
    _required("days_since_sms", sa.Integer),
    _required("days_since_contact", sa.Integer),
    _required("days_since_letter", sa.Integer),
    _required("days_since_visit_notice", sa.Integer),
    _required("days_since_visit", sa.Integer),
    # From here on: NULL too in runs from before these were facts.
    sa.Column("unreachable", sa.Boolean),
    sa.Column("workplace_forbidden", sa.Boolean),
    sa.Column("opted_out_sms", sa.Boolean),
    sa.Column("vulnerable", sa.Boolean),
    sa.Column("respite_open", sa.Boolean),
    sa.Column("validation_sent", sa.Boolean),
    sa.Column("days_since_validation", sa.Integer),
    sa.Column("public_holiday", sa.Boolean),
    sa.Column("contacts_7d", sa.Integer),
    sa.Column("tries_made_episode", sa.Integer),
    sa.Column("letters_made_episode", sa.Integer),
    sa.Column("plan_offers_made_episode", sa.Integer),
    sa.Column("days_since_notice_given", sa.Integer),
    sa.Column("rows_waiting", sa.Boolean),
    sa.Column("penalty_rate_ppm", Ppm),
    sa.Column("days_since_first_contact", sa.Integer),
    sa.Column("emails_episode", sa.Integer),
    sa.Column("events_conflict", sa.Boolean),
    sa.Column("left_book", sa.Boolean),
    sa.Column("demand_held", sa.Boolean),
    sa.Column("days_since_payment", sa.Integer),
    sa.Column("collection_ended", sa.Boolean),
    sa.Column("notices_today", sa.Integer),
    sa.Column("notices_7d", sa.Integer),
    sa.Column("answer_due", sa.Boolean),
)

#: One decision for one account: the step, its lawful hours, the rules that spoke, the facts they read.
decision = sa.Table(
    "decision",
    metadata,
    # The default lets a run's decisions be written as bytes that do not hold the run's own number.
    sa.Column(
        "run_id",
        sa.BigInteger,
        sa.ForeignKey("run.id"),
        primary_key=True,
        autoincrement=False,
        server_default=sa.text("current_setting('forbear.run_id')::bigint"),
    ),
    sa.Column("account_id", sa.BigInteger, sa.ForeignKey("account.id"), primary_key=True),
    _required("jurisdiction", Text),
    _required("step", Text),
    # The first and the last lawful minute of that step on that day; NULL where the step is no contact.
    sa.Column("earliest", Instant),
    sa.Column("latest", Instant),
    # Bit k: rule k of the run's list forbids, or can't tell, the steps that it governs.
    _required("forbids", sa.BigInteger),
    _required("unknown", sa.BigInteger),
    # Bit s: no lawful minute is left on that day for step s of the vocabulary.
    _required("no_hours", sa.SmallInteger),
    sa.Column("zones", Text),
    sa.Column("agreed_from_min", sa.SmallInteger),
    sa.Column("agreed_to_min", sa.SmallInteger),
    *FACT_COLUMNS,
    # The work list, longest past due first: contact steps only, so that most decisions cost nothing here.
    sa.Index(
        "decision_work",
        "run_id",
        "dpd",
        "account_id",
        postgresql_where=sa.text("step NOT IN ('hardship_hold', 'none')"),
    ),
)

#: The dictionary of a run's bit sets, in words: joined to decision by SQL alone, without our code.
finding = sa.Table(
    "finding",
    metadata,
    sa.Column("run_id", sa.BigInteger, sa.ForeignKey("run.id"), primary_key=True),
    sa.Column("jurisdiction", Text, primary_key=True),
    sa.Column("forbids", sa.BigInteger, primary_key=True),
    sa.Column("unknown", sa.BigInteger, primary_key=True),
    sa.Column("no_hours", sa.SmallInteger, primary_key=True),
    # {step: [{rule, article, instrument, says: forbids|unknown|no_hours}, ...]}
    _required("reasons", JSONB),
)

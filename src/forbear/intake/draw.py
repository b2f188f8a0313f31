"""Turns the rows of one source into rows of Forbear's tables, or into refusals that say what to do."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from pydantic import ValidationError

from forbear.intake.derive import SHAPES, Drawn
from forbear.intake.mapping import OWN_FORMAT, Mapping
from forbear.intake.models import MODELS, OUTCOMES, WRITTEN, Contact, Loan, Refused, known_currency, minor, refusals
from forbear.intake.source import Row

_PPM_IN_PERCENT = 10_000


STANDS_TWICE = Refused("ref", "stands in this file twice", "Keep one of the rows, or give each its own number.")


@dataclass(frozen=True, slots=True)
class Bad:
    """One refused field of one row, with the row as it was read."""

    table: str
    row_number: int
    fields: dict[str, str]
    refused: Refused


@dataclass(slots=True)
class Batch:
    """Rows ready for the database: for each table its tuples, the row's number last; and what was refused."""

    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {name: [] for name in MODELS})
    fields: dict[tuple[str, int], dict[str, str]] = field(default_factory=dict)
    bad: list[Bad] = field(default_factory=list)
    #: What is told of the rows of a table, by its columns in the database; a table that is not here: all.
    told: dict[str, frozenset[str]] = field(default_factory=dict)


def needed_columns(mapping: Mapping, table: str) -> tuple[str, ...]:
    """The columns that a file must have."""
    if mapping.shape == OWN_FORMAT:
        return tuple(name for name, each in MODELS[table].model_fields.items() if each.is_required())
    return tuple(mapping.columns.values())


class Drawer:
    """Draws rows one by one; remembers the numbers seen, since a number may stand in a file but once.

    latest: the instant after which nothing can have happened yet that the picture shows.
    """

    def __init__(self, mapping: Mapping, latest: datetime) -> None:
        self.mapping = mapping
        self.latest = latest
        self.currency = mapping.book.currency
        self.seen: set[tuple[str, ...]] = set()

    def draw(self, table: str, row: Row, batch: Batch) -> None:
        """Add a row to the batch, or its refusals. All refused fields of the row are told."""
        fields = row.fields or {}
        batch.fields[table, row.number] = fields
        try:
            if row.fields is None:
                raise Refused("row", "has more or fewer fields than the heading", "Quote commas within a field.")
            drawn = self._drawn(table, row.fields, batch)
            self._once(table, drawn)
            made = list(self._tuples(drawn))
        except ValidationError as error:
            batch.bad += [Bad(table, row.number, fields, each) for each in refusals(error)]
        except Refused as refused:
            batch.bad.append(Bad(table, row.number, fields, refused))
        else:
            for name, values in made:
                batch.rows[name].append((*values, row.number))

    def _drawn(self, table: str, fields: dict[str, str], batch: Batch) -> Drawn:
        if self.mapping.shape == OWN_FORMAT:
            drawn = Drawn()
            batch.told[table] = frozenset(_STORED_AS.get(name, name) for name in fields)
            if batch.told[table] & _AGREED:
                batch.told[table] |= _AGREED
            given = {name: value for name, value in fields.items() if value.strip() != ""}
            getattr(drawn, table).append(MODELS[table](**given))
            return drawn
        shape = SHAPES[self.mapping.shape]
        raw = {name: fields[column] for name, column in self.mapping.columns.items()}
        snapshot = self.mapping.book.snapshot_on
        if snapshot is None:
            raise Refused("snapshot_on", "is not declared", "Declare it in the mapping's [book].")
        return shape.draw(shape.model(**shape.lay_out(raw)), snapshot)

    def _once(self, table: str, drawn: Drawn) -> None:
        # A shape of one row a loan brings its lines along; the loan's number is then the row's.
        keys: dict[str, list[tuple[str, ...]]] = {
            "borrowers": [(x.ref,) for x in drawn.borrowers],
            "loans": [(x.ref,) for x in drawn.loans],
            "instalments": [(x.loan_ref, str(x.n)) for x in drawn.instalments],
            "payments": [(x.loan_ref, x.ref) for x in drawn.payments],
            "contacts": [(x.loan_ref, x.ref) for x in drawn.contacts],
        }
        for key in ((table, *each) for each in keys[table]):
            if key in self.seen:
                raise STANDS_TWICE
            self.seen.add(key)

    def _tuples(self, drawn: Drawn) -> Iterator[tuple[str, tuple[Any, ...]]]:
        cash = self.currency
        for who in drawn.borrowers:
            if (who.agreed_from_min is None) != (who.agreed_to_min is None):
                raise Refused("agreed_to_min", "stands without its other half", "Give both agreed hours, or neither.")
            if who.agreed_from_min is not None and who.agreed_from_min >= (who.agreed_to_min or 0):
                raise Refused("agreed_to_min", "is not after agreed_from_min", "A span may not cross midnight.")
            yield "borrowers", tuple(getattr(who, name) for name in BORROWER_COLUMNS)
        for loan in drawn.loans:
            yield "loans", self._loan(loan)
        for line in drawn.instalments:
            amounts = minor(line.principal, cash, "principal"), minor(line.interest, cash, "interest")
            yield "instalments", (line.loan_ref, line.n, line.due_on, *amounts)
        for paid in drawn.payments:
            yield "payments", (paid.loan_ref, paid.ref, paid.paid_on, minor(paid.amount, cash, "amount"))
        for done in drawn.contacts:
            self._possible(done)
            yield "contacts", (done.loan_ref, done.ref, done.at, done.step, done.outcome, done.agency)

    def _possible(self, x: Contact) -> None:
        if x.at > self.latest:
            raise Refused("at", "lies after the day of the picture", "Send what was done, not what is planned.")
        if x.outcome not in (possible := OUTCOMES.get(x.step, WRITTEN)):
            raise Refused("outcome", f"is no end of a {x.step}", f"Use one of {', '.join(possible)}.")

    def _loan(self, x: Loan) -> tuple[Any, ...]:
        if x.currency is not None and x.currency != self.currency:
            known = "is another currency than the book's" if known_currency(x.currency) else "is no currency"
            raise Refused("currency", known, f"This book is in {self.currency}; keep others in a book of their own.")
        if x.opened_on > date(2200, 1, 1) or x.opened_on < date(1950, 1, 1):
            raise Refused("opened_on", "is not a day on which a loan was opened", "Write the day as YYYY-MM-DD.")

        def ppm(rate: Any) -> int | None:
            return None if rate is None else round(rate * _PPM_IN_PERCENT)

        return (
            x.ref,
            x.borrower_ref,
            x.product,
            x.status,
            x.opened_on,
            minor(x.principal, self.currency, "principal"),
            ppm(x.annual_rate),
            ppm(x.penalty_rate),
            minor(x.late_fee, self.currency, "late_fee"),
            ppm(x.late_fee_rate),
            x.grace_days,
            x.dispute_open,
            x.promise_due_on,
            x.plan_until,
            x.validation_sent_on,
            list(x.derived),
        )


_AGREED = frozenset({"agreed_from_min", "agreed_to_min"})
#: Columns of the format that have another name in the database.
_STORED_AS = {
    "principal": "principal_minor",
    "annual_rate": "annual_rate_ppm",
    "penalty_rate": "penalty_rate_ppm",
    "late_fee": "late_fee_minor",
    "late_fee_rate": "late_fee_ppm",
}
BORROWER_COLUMNS = (
    "ref",
    "language",
    "place",
    "zones",
    "can_sms",
    "can_call",
    "can_write",
    "sms_consent",
    "agreed_from_min",
    "agreed_to_min",
    "stop_contact",
    "attorney",
    "bankrupt",
    "incapable",
    "hardship_until",
    "unreachable",
    "workplace_forbidden",
    "opted_out_sms",
    "vulnerable",
    "respite_until",
    "person_key",
)
ACCOUNT_COLUMNS = (
    "ref",
    "borrower_ref",
    "product",
    "status",
    "opened_on",
    "principal_minor",
    "annual_rate_ppm",
    "penalty_rate_ppm",
    "late_fee_minor",
    "late_fee_ppm",
    "grace_days",
    "dispute_open",
    "promise_due_on",
    "plan_until",
    "validation_sent_on",
    "derived",
)

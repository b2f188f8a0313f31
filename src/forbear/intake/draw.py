"""Turns the rows of one source into rows of Forbear's tables, or into refusals that say what to do."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from pydantic import ValidationError

from forbear.intake.derive import AHEAD, SHAPES, Drawn, named
from forbear.intake.mapping import OWN_FORMAT, Mapping
from forbear.intake.models import (
    MODELS,
    OUTCOMES,
    WRITTEN,
    Borrower,
    CardEntry,
    Contact,
    Loan,
    Refused,
    known_currency,
    minor,
    refusals,
)
from forbear.intake.place import suits
from forbear.intake.source import Row
from forbear.ledger.filed import detail, kind_of
from forbear.ledger.models import Charged, Event, Kind, Purchased
from forbear.locale import N_

_PPM_IN_PERCENT = 10_000
#: What rows of loans tell of cards: no table of any file.
CARDS = "cards"


STANDS_TWICE = Refused("ref", N_("stands in this file twice"), N_("Keep one of the rows, or give each its own number."))


def of_number(refused: Refused, mapping: Mapping, table: str) -> Refused:
    """A refusal of a row's own number, by the column that holds it."""
    if mapping.shape != OWN_FORMAT:
        return Refused(mapping.columns["ref"], refused.reason, refused.remedy)
    return Refused("n" if table == "instalments" else "ref", refused.reason, refused.remedy)


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

    rows: dict[str, list[tuple[Any, ...]]] = field(default_factory=lambda: {name: [] for name in (*MODELS, CARDS)})
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

    latest: the instant after which nothing can have happened yet that the picture shows; last_day: the same as a day.
    """

    def __init__(self, mapping: Mapping, latest: datetime, last_day: date) -> None:
        self.mapping = mapping
        self.latest, self.last_day = latest, last_day
        self.currency = mapping.book.currency
        self.seen: set[tuple[str, ...]] = set()

    def draw(self, table: str, row: Row, batch: Batch) -> None:
        """Add a row to the batch, or its refusals. All refused fields of the row are told."""
        fields = row.fields or {}
        batch.fields[table, row.number] = fields
        # Known before the row is looked at: of two rows of one number that of which nothing is wrong may be the false.
        bad = [] if self._first(table, fields) else [of_number(STANDS_TWICE, self.mapping, table)]
        try:
            if row.fields is None:
                raise Refused(
                    "row", N_("has more or fewer fields than the heading"), N_("Quote commas within a field.")
                )
            made = list(self._tuples(self._drawn(table, row.fields, batch)))
        except ValidationError as error:
            bad += refusals(error, named)
        except Refused as refused:
            bad.append(refused)
        if bad:
            columns = self.mapping.columns
            for each in bad:
                field = columns.get(each.field, each.field)
                batch.bad.append(Bad(table, row.number, fields, Refused(field, each.reason, each.remedy)))
            return
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
            raise Refused("snapshot_on", N_("is not declared"), N_("Declare it in the mapping's [book]."))
        return shape.draw(shape.model(**shape.lay_out(raw)), snapshot)

    def _first(self, table: str, fields: dict[str, str]) -> bool:
        """Is it the first row of its number in this file? A row without a number is none of any other's."""
        key = (table, *key_of(self.mapping, table, fields))
        if "" in key:
            return True
        again = key in self.seen
        self.seen.add(key)
        return not again

    def _tuples(self, drawn: Drawn) -> Iterator[tuple[str, tuple[Any, ...]]]:
        cash = self.currency
        for who in drawn.borrowers:
            self._reachable(who)
            yield "borrowers", tuple(getattr(who, name) for name in BORROWER_COLUMNS)
        for loan in drawn.loans:
            yield "loans", self._loan(loan)
            if (card := self._card(loan)) is not None:
                yield CARDS, card
        for line in drawn.instalments:
            amounts = minor(line.principal, cash, "principal"), minor(line.interest, cash, "interest")
            yield "instalments", (line.loan_ref, line.n, line.due_on, *amounts)
        for entry in drawn.card_entries:
            self._done(entry.posted_on, "posted_on")
            yield "card_entries", (entry.loan_ref, entry.ref, *self._event(entry))
        for paid in drawn.payments:
            self._done(paid.paid_on, "paid_on")
            yield "payments", (paid.loan_ref, paid.ref, paid.paid_on, minor(paid.amount, cash, "amount"))
        for done in drawn.contacts:
            self._possible(done)
            yield "contacts", (done.loan_ref, done.ref, done.at, done.step, done.outcome, done.agency)

    def _reachable(self, x: Borrower) -> None:
        if (x.agreed_from_min is None) != (x.agreed_to_min is None):
            reason = N_("stands without its other half")
            raise Refused("agreed_to_min", reason, N_("Give both agreed hours, or neither."))
        if x.agreed_from_min is not None and x.agreed_from_min >= (x.agreed_to_min or 0):
            raise Refused("agreed_to_min", N_("is not after agreed_from_min"), N_("A span may not cross midnight."))
        if x.zones and not suits(x.zones, x.place, self.mapping.book.jurisdiction, self.last_day.year):
            reason = N_("has another clock than the borrower's place")
            raise Refused("zones", reason, N_("Give the place's own time zone too, joined by |, or mend the place."))
        if x.respite_from is not None and x.respite_until is None:
            reason = N_("stands without respite_until")
            raise Refused("respite_from", reason, N_("Give the last day of the respite too, as far as it is known."))
        if x.respite_from is not None and x.respite_until is not None and x.respite_from > x.respite_until:
            reason = N_("lies after respite_until")
            raise Refused("respite_from", reason, N_("Mend the first day of the respite, or its last."))

    def _done(self, day: date | None, field: str) -> None:
        if day is not None and day > self.last_day:
            raise Refused(field, *AHEAD)

    def _possible(self, x: Contact) -> None:
        if x.at > self.latest:
            raise Refused("at", *AHEAD)
        if x.outcome not in (possible := OUTCOMES.get(x.step, WRITTEN)):
            reason = N_("is no end of such a contact")
            raise Refused("outcome", f"{reason}: {x.step}", f"{N_('Use one of these')}: {', '.join(possible)}")

    def _loan(self, x: Loan) -> tuple[Any, ...]:
        if x.currency is not None and x.currency != self.currency:
            reason = N_("is another currency than the book's") if known_currency(x.currency) else N_("is no currency")
            remedy = N_("Keep loans in another currency in a book of their own; this book is in")
            raise Refused("currency", reason, f"{remedy}: {self.currency}")
        self._done(x.opened_on, "opened_on")
        self._done(x.validation_sent_on, "validation_sent_on")

        return (
            x.ref,
            x.borrower_ref,
            x.product,
            x.status,
            x.opened_on,
            minor(x.principal, self.currency, "principal"),
            _ppm(x.annual_rate),
            _ppm(x.penalty_rate),
            minor(x.late_fee, self.currency, "late_fee"),
            _ppm(x.late_fee_rate),
            x.grace_days,
            x.dispute_open,
            x.promise_due_on,
            x.plan_until,
            x.validation_sent_on,
            list(x.derived),
        )

    def _card(self, x: Loan) -> tuple[Any, ...] | None:
        """A row of card_terms, by the loan's number; None of a loan, and of a card whose statements are not told."""
        told = {"first_statement_on": x.first_statement_on, "due_days": x.due_days, "minimum_rate": x.minimum_rate}
        given = [name for name, value in told.items() if value is not None]
        if given and x.product != "card":
            reason = N_("is of a card's statements, and the loan is none")
            raise Refused(given[0], reason, N_("Leave it empty, or mend the product."))
        if given and (missing := [name for name in told if name not in given]):
            reason = N_("is missing, though other terms of the statements are told")
            raise Refused(
                missing[0], reason, N_("Give first_statement_on, due_days and minimum_rate, or none of them.")
            )
        if not given:
            return None
        return (
            x.ref,
            x.first_statement_on,
            x.due_days,
            _ppm(x.minimum_rate),
            minor(x.minimum_floor, self.currency, "minimum_floor"),
            _ppm(x.cash_minimum_rate),
            x.interest_on == "unpaid",
        )

    def _event(self, x: CardEntry) -> tuple[Any, ...]:
        """Kind, value date and detail of the event that an entry is, as account_event keeps them."""
        amount = minor(x.amount, self.currency, "amount")
        event: Event = Charged(x.ref, x.posted_on, Kind.FEE, amount)
        if x.kind != "fee":
            event = Purchased(x.ref, x.posted_on, amount, x.kind == "cash")
        return kind_of(event), event.on, json.dumps(detail(event))


def _ppm(rate: Decimal | None) -> int | None:
    return None if rate is None else round(rate * _PPM_IN_PERCENT)


def key_of(mapping: Mapping, table: str, fields: dict[str, str]) -> tuple[str, ...]:
    """What makes a row one of its table: its number, within its loan where it belongs to one; '' for what is not there.

    Of a row of a public data set, which is a loan with all that belongs to it, the loan's number.
    """
    if mapping.shape != OWN_FORMAT:
        return (fields.get(mapping.columns["ref"], "").strip(),)
    if table in ("borrowers", "loans"):
        return (fields.get("ref", "").strip(),)
    own = fields.get("n" if table == "instalments" else "ref", "").strip()
    if table == "instalments":
        with suppress(InvalidOperation, ValueError, OverflowError):
            own = str(int(Decimal(own)))  # 1, 01 and 1.0 are one number
    return fields.get("loan_ref", "").strip(), own


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
    "respite_from",
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

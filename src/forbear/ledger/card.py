"""A revolving card: its statements, minimum payments and interest, from purchases and payments.

Interest runs by days on each purchase from the day on which it was posted. Where the whole balance of a
statement is paid by its due date, its purchases bear none; otherwise what has run on them since their
posting is charged, with the next statement, and goes on until they are paid (全额计息, the usual contract of
Chinese issuers; the rate is theirs to agree: 银发〔2016〕111号, 银发〔2020〕327号).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from dateutil.relativedelta import relativedelta

from forbear.ledger import accrual
from forbear.ledger.models import PPM, DayCount, Kind, Late, LedgerError, Line, half_up

_NEVER_LATE = Late()


@dataclass(frozen=True, slots=True)
class CardTerms:
    """A card's contract; rates in ppm a year.

    first_statement_on: statements come on its day of each month. due_days: from a statement to its due date.
    minimum_ppm: of the unpaid purchases, at least `minimum_floor` minor units; interest and fees charged and what is
    unpaid of the last minimum are added. late: the late fee is on what is unpaid of a minimum; penalty interest is not
    charged on cards.
    """

    currency: str
    annual_rate_ppm: int
    first_statement_on: date
    due_days: int
    minimum_ppm: int = 100_000
    minimum_floor: int = 0
    day_count: DayCount = DayCount.ACT_365
    late: Late = _NEVER_LATE


@dataclass(frozen=True, slots=True)
class Statement:
    """A month's statement; amounts in minor units, all that is owed on its day.

    lines: the interest and late fees that it charges. purchases, charges: what is unpaid of either.
    """

    on: date
    due_on: date
    purchases: int
    charges: int
    minimum: int
    lines: tuple[Line, ...]

    @property
    def balance(self) -> int:
        """All that is owed."""
        return self.purchases + self.charges


@dataclass(frozen=True, slots=True)
class Card:
    """A card at the end of `as_of`. past_due_since: the oldest due date whose minimum is not yet paid."""

    as_of: date
    statements: tuple[Statement, ...]
    purchases: int
    charges: int
    credit: int
    past_due_since: date | None

    @property
    def dpd(self) -> int:
        """Days past due."""
        return 0 if self.past_due_since is None else (self.as_of - self.past_due_since).days


@dataclass(slots=True)
class _Purchase:
    left: int
    since: date
    ran: list[Line]  # interest that has run, and is not yet charged


def statements(
    terms: CardTerms, purchases: Sequence[tuple[date, int]], payments: Sequence[tuple[date, int]], as_of: date
) -> Card:
    """The card's statements up to `as_of`, from (day, minor units) in any order.

    On one day: a purchase, then a payment, then the statement; a due date has passed at its end. A payment settles
    charges, then purchases, the oldest first. Raises LedgerError for an amount that is not positive.
    """
    if any(amount <= 0 for _, amount in (*purchases, *payments)):
        raise LedgerError("card: a purchase and a payment are more than nothing; a refund is a payment")
    made: list[Statement] = []
    lots: list[_Purchase] = []
    lines: list[Line] = []
    charges = credit = 0
    bearing = 0  # lots before this one have lost their interest-free days
    billed = 0  # lots before this one stand on a statement
    met = True  # the last statement's minimum was paid in time, or no due date has passed since

    def pay(day: date, amount: int) -> int:
        nonlocal charges
        part = min(amount, charges)
        charges -= part
        amount -= part
        for lot in lots:
            part = min(amount, lot.left)
            if part:
                _run(terms, lot, day)
                lot.left -= part
                amount -= part
        return amount

    days = sorted({as_of, *(day for day, _ in (*purchases, *payments)), *_calendar(terms, as_of)})
    for day in (day for day in days if day <= as_of):
        for on, amount in purchases:
            if on == day:
                lots.append(_Purchase(amount, day, []))
        credit += sum(amount for on, amount in payments if on == day)
        credit = pay(day, credit)
        last = made[-1] if made else None
        if last and day == last.due_on:
            paid = _paid(payments, last.on, day)
            met = paid >= last.minimum
            if paid < last.balance:
                bearing = billed
            else:
                for lot in lots[bearing:billed]:
                    lot.ran = []
        if last and not met and day == accrual.fee_day(terms.late, last.due_on):
            unpaid = last.minimum - _paid(payments, last.on, day - timedelta(days=1))
            if unpaid > 0:
                lines.append(accrual.late_fee(terms.late, len(made), last.due_on, unpaid))
        if _is_statement(terms, day):
            for lot in lots[:bearing]:
                _run(terms, lot, day)
                lines += lot.ran
                lot.ran = []
            # Of the last minimum what is unpaid beyond its charges, which are among the charges still.
            overdue = max(last.minimum - _paid(payments, last.on, day) - charges, 0) if last else 0
            charges += sum(line.amount for line in lines)
            left = sum(lot.left for lot in lots)
            share = max(half_up(left * terms.minimum_ppm, PPM), terms.minimum_floor)
            minimum = min(share + overdue + charges, left + charges)
            made.append(Statement(day, day + timedelta(days=terms.due_days), left, charges, minimum, tuple(lines)))
            lines, billed, met = [], len(lots), True
            credit = pay(day, credit)
    open_ = [s.due_on for s in made if s.due_on < as_of and _paid(payments, s.on, as_of) < s.minimum]
    return Card(as_of, tuple(made), sum(lot.left for lot in lots), charges, credit, min(open_, default=None))


def _calendar(terms: CardTerms, as_of: date) -> list[date]:
    """The days on which something happens of itself: statements, due dates, the days of late fees."""
    days = []
    for k in range((as_of.year - terms.first_statement_on.year + 1) * 12 + 12):
        on = terms.first_statement_on + relativedelta(months=k)
        due_on = on + timedelta(days=terms.due_days)
        days += [on, due_on, accrual.fee_day(terms.late, due_on)]
    return days


def _is_statement(terms: CardTerms, day: date) -> bool:
    first = terms.first_statement_on
    months = 12 * (day.year - first.year) + day.month - first.month
    return months >= 0 and first + relativedelta(months=months) == day


def _paid(payments: Sequence[tuple[date, int]], after: date, until: date) -> int:
    return sum(amount for on, amount in payments if after < on <= until)


def _run(terms: CardTerms, lot: _Purchase, to: date) -> None:
    """Let interest run on a purchase up to `to`."""
    line = accrual.by_days(Kind.INTEREST, 0, lot.left, terms.annual_rate_ppm, terms.day_count, lot.since, to)
    if line.amount:
        lot.ran.append(line)
    lot.since = to

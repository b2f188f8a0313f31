"""Where an account stands on a day: days past due, arrears, penalty interest, late fee, next due date.

The same figures for one account (`position`, plain Python) and for a book (`positions`, Ibis); a test
holds them equal. Payments settle the oldest instalment first, in it interest before principal
(China: Civil Code art. 561; elsewhere the usual term of contract). Past due begins the day after
the due date.

Late fee and penalty interest are those of the instalments still unpaid; what was charged on
instalments paid late is not yet kept (the journal of the ledger's own issue).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import ibis
import ibis.expr.types as ir

#: Days ahead for which the next due date is looked up; beyond, it counts as `never`.
HORIZON_DAYS = 31
_PPM = 1_000_000
_YEAR = 365  # actual/365
#: Bounds within which the whole-number arithmetic of the batch can't overflow 64 bits.
MAX_MINOR = 10**12
MAX_PPM = 4_000_000
MAX_DAYS = 36_500


@dataclass(frozen=True, slots=True)
class Instalment:
    """One line of a schedule; amounts in minor units."""

    due_on: date
    principal: int
    interest: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What the contract charges for being late: rates in ppm a year (penalty) or of the unpaid amount (fee)."""

    penalty_rate_ppm: int = 0
    late_fee_minor: int = 0
    late_fee_ppm: int = 0
    grace_days: int = 0


@dataclass(frozen=True, slots=True)
class Position:
    """Where an account stands; amounts in minor units, `days_to_due` None where nothing falls due soon."""

    dpd: int
    oldest_due_on: date | None
    arrears: int
    late_fee: int
    penalty: int
    days_to_due: int | None

    @property
    def owed(self) -> int:
        """All that is due now."""
        return self.arrears + self.late_fee + self.penalty


def position(schedule: Sequence[Instalment], paid: int, terms: Terms, as_of: date) -> Position:
    """Where one account stands on `as_of`, having paid `paid` minor units in all. Schedule in date order."""
    left = paid
    oldest: date | None = None
    next_due: date | None = None
    arrears = late_fee = penalty = 0
    for line in schedule:
        amount = line.principal + line.interest
        unpaid = amount - min(left, amount)
        left -= amount - unpaid
        if unpaid == 0:
            continue
        if line.due_on >= as_of:
            next_due = next_due or line.due_on
            continue
        days = (as_of - line.due_on).days
        oldest = oldest or line.due_on
        arrears += unpaid
        if days > terms.grace_days:
            late_fee += max(terms.late_fee_minor, _half_up(unpaid * terms.late_fee_ppm, _PPM))
        penalty += _half_up(min(unpaid, line.principal) * terms.penalty_rate_ppm * days, _YEAR * _PPM)
    ahead = None if next_due is None else (next_due - as_of).days
    return Position(
        dpd=0 if oldest is None else (as_of - oldest).days,
        oldest_due_on=oldest,
        arrears=arrears,
        late_fee=late_fee,
        penalty=penalty,
        days_to_due=ahead if ahead is not None and ahead <= HORIZON_DAYS else None,
    )


def positions(instalments: ir.Table, paid: ir.Table, accounts: ir.Table, as_of: date) -> ir.Table:
    """Where each account of a book stands on `as_of`.

    Args:
        instalments: account_id, n, due_on, principal_minor, interest_minor; lines due later than
            HORIZON_DAYS after `as_of` may be left out.
        paid: account_id, paid_minor (one row an account; none where nothing was paid).
        accounts: account_id, penalty_rate_ppm, late_fee_minor, late_fee_ppm, grace_days.

    Returns: account_id, dpd, oldest_due_on, arrears, late_fee, penalty, next_due_on; a row for each account
        that has an instalment in `instalments`.
    """
    today = ibis.literal(as_of)
    lines = instalments.mutate(amount=instalments.principal_minor + instalments.interest_minor)
    running = ibis.window(group_by="account_id", order_by="n", following=0)
    lines = lines.mutate(through=lines.amount.sum().over(running).cast("int64"))
    lines = lines.left_join(paid, "account_id").drop("account_id_right")
    # What of a line is unpaid: all that is due through it, less all that was paid, within 0 and the line.
    gap = lines.through - lines.paid_minor.fill_null(0)
    lines = lines.mutate(unpaid=ibis.greatest(0, ibis.least(gap, lines.amount)))
    lines = lines.filter(lines.unpaid > 0).inner_join(accounts, "account_id")
    late = lines.due_on < today
    days = ibis.ifelse(late, today.delta(lines.due_on, unit="day"), 0).cast("int64")
    fee = ibis.greatest(lines.late_fee_minor, _half_up_ibis(lines.unpaid * lines.late_fee_ppm, _PPM))
    # unpaid * rate * days may pass 64 bits, so the days come in after the division: exact, since what
    # is left of the division is carried along.
    yearly = ibis.least(lines.unpaid, lines.principal_minor) * lines.penalty_rate_ppm
    year = _YEAR * _PPM
    penalty = (yearly // year) * days + _half_up_ibis((yearly % year) * days, year)
    lines = lines.mutate(
        late=late,
        late_fee=ibis.ifelse(late & (days > lines.grace_days), fee, 0).cast("int64"),
        penalty=ibis.ifelse(late, penalty, 0).cast("int64"),
    )
    grouped = lines.group_by("account_id").aggregate(
        oldest_due_on=lines.due_on.min(where=lines.late),
        next_due_on=lines.due_on.min(where=~lines.late),
        arrears=lines.unpaid.sum(where=lines.late).fill_null(0).cast("int64"),
        late_fee=lines.late_fee.sum().cast("int64"),
        penalty=lines.penalty.sum().cast("int64"),
    )
    return grouped.mutate(dpd=today.delta(grouped.oldest_due_on, unit="day").fill_null(0).cast("int32"))


def _half_up(numerator: int, denominator: int) -> int:
    """The nearest whole number to a fraction of whole numbers that are not negative; a half goes up."""
    return (2 * numerator + denominator) // (2 * denominator)


def _half_up_ibis(numerator: ir.IntegerValue, denominator: int) -> ir.IntegerValue:
    return (2 * numerator + denominator) // (2 * denominator)

"""Schedules: what falls due when, for each product that was lent.

Rounding: each line half up to the minor unit; the last instalment takes the rest, so that the principal of
the lines is the principal lent, to the cent. Interest runs by the days between the unmoved due dates, so
that a holiday moves the day of payment and never the amount.
"""

from collections.abc import Callable, Sequence
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from itertools import pairwise

from dateutil.relativedelta import relativedelta

from forbear.ledger.daycount import YEAR, units
from forbear.ledger.models import PPM, DayCount, Instalment, LedgerError, Product, Terms, half_up
from forbear.ledger.roll import adjust

#: Significant digits of the annuity: more than enough for 10^12 minor units over 1200 periods.
_DIGITS = 50


def schedule(terms: Terms) -> tuple[Instalment, ...]:
    """The instalments of a contract in the order in which they fall due.

    Raises LedgerError for REVOLVING: a card's instalments are the minimum payments of its statements (card.py).
    """
    if terms.product is Product.REVOLVING:
        raise LedgerError("terms, product: a revolving card has no schedule; ask card.fold")
    days = due_dates(terms)
    lines = _SHAPES[terms.product](terms, parts_of_year(terms))
    moved = [adjust(day, terms.roll, terms.calendar) for day in days]
    if terms.product in (Product.BULLET, Product.DAILY):
        moved = moved[-1:]
    return tuple(Instalment(day, *line) for day, line in zip(moved, lines, strict=True))


def due_dates(terms: Terms) -> list[date]:
    """The due dates before they are moved to business days: the first one's day of the month, or the month's last."""
    return [terms.first_due_on + relativedelta(months=k * terms.months) for k in range(terms.count)]


def parts_of_year(terms: Terms) -> list[tuple[int, int]]:
    """Of each period its units, and how many make a year. MONTHLY takes the first period as whole too."""
    if terms.day_count is DayCount.MONTHLY:
        return [(terms.months, 12)] * terms.count
    days = [terms.opened_on, *due_dates(terms)]
    return [(units(start, end, terms.day_count), YEAR[terms.day_count]) for start, end in pairwise(days)]


def annuity(principal: int, rate_ppm: int, parts: Sequence[tuple[int, int]]) -> int:
    """The equal instalment, half up: principal / sum over k of the product of 1 / (1 + rate * part) through k.

    With equal parts this is the usual r * P / (1 - (1 + r)^-n).
    """
    with localcontext() as context:
        context.prec = _DIGITS
        discount, worth = Decimal(1), Decimal(0)
        for part, year in parts:
            discount /= 1 + Decimal(rate_ppm * part) / (year * PPM)
            worth += discount
        return int((principal / worth).quantize(Decimal(1), ROUND_HALF_UP))


def amortise(principal: int, rate_ppm: int, parts: Sequence[tuple[int, int]], share: int) -> list[tuple[int, int]]:
    """(principal, interest) of each period where `share` is paid in each: interest first, the last takes the rest."""
    lines = []
    left = principal
    for k, (part, year) in enumerate(parts):
        interest = half_up(left * rate_ppm * part, year * PPM)
        paid = left if k == len(parts) - 1 else min(max(share - interest, 0), left)
        lines.append((paid, interest))
        left -= paid
    return lines


_Parts = Sequence[tuple[int, int]]


def _equal_instalments(terms: Terms, parts: _Parts) -> list[tuple[int, ...]]:
    share = annuity(terms.principal, terms.annual_rate_ppm, parts)
    return [*amortise(terms.principal, terms.annual_rate_ppm, parts, share)]


def _equal_principal(terms: Terms, parts: _Parts) -> list[tuple[int, ...]]:
    left, lines = terms.principal, []
    for share, (part, year) in zip(_shares(terms.principal, len(parts)), parts, strict=True):
        lines.append((share, half_up(left * terms.annual_rate_ppm * part, year * PPM)))
        left -= share
    return [*lines]


def _bullet(terms: Terms, parts: _Parts) -> list[tuple[int, ...]]:
    whole, year = sum(part for part, _ in parts), parts[0][1]
    return [(terms.principal, half_up(terms.principal * terms.annual_rate_ppm * whole, year * PPM))]


def _interest_only(terms: Terms, parts: _Parts) -> list[tuple[int, ...]]:
    return [*amortise(terms.principal, terms.annual_rate_ppm, parts, 0)]


def _flat_fee(terms: Terms, parts: _Parts) -> list[tuple[int, ...]]:
    fee = half_up(terms.principal * terms.fee_ppm, PPM)
    return [(share, 0, fee) for share in _shares(terms.principal, len(parts))]


def _daily(terms: Terms, parts: _Parts) -> list[tuple[int, ...]]:
    return [(terms.principal, 0)]  # interest accrues day by day on what is outstanding (state.py)


def _shares(principal: int, count: int) -> list[int]:
    """`principal` in `count` equal parts, half up; the last takes the rest."""
    share, left = half_up(principal, count), principal
    shares = []
    for k in range(count):
        shares.append(left if k == count - 1 else min(share, left))
        left -= shares[-1]
    return shares


_SHAPES: dict[Product, Callable[[Terms, _Parts], list[tuple[int, ...]]]] = {
    Product.EQUAL_INSTALMENTS: _equal_instalments,
    Product.EQUAL_PRINCIPAL: _equal_principal,
    Product.BULLET: _bullet,
    Product.INTEREST_ONLY: _interest_only,
    Product.FLAT_FEE: _flat_fee,
    Product.DAILY: _daily,
}

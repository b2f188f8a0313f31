"""What is owed on each of many loans at once: the figures of state.fold, to the cent, by whole arrays.

For schedules and dated payments; payments that were reversed are left out by the caller. Loans with other
events (plans, chargebacks, waivers, freezes) are few, and are folded one by one. Most loans were never late,
and their figures are sums; the others are walked from the first instalment that was late, all of them one
payment at a time.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from forbear.ledger.allocate import SCHEDULED, Order, Stage
from forbear.ledger.daycount import YEAR, units_of
from forbear.ledger.models import PPM, DayCount, Kind, LedgerError, Product
from forbear.ledger.products import annuity

Ints = npt.NDArray[np.int64]
#: The day of what never happens.
NEVER = np.iinfo(np.int64).max
#: Loans restated at a time: as many as keep their arrays in the processor's cache.
CHUNK = 25_000


@dataclass(frozen=True)
class Book:
    """Loans, their instalments and their payments. Amounts in minor units, days since 1970-01-01.

    first, paid_first: one more than there are loans; loan k has the instalments from first[k] to first[k + 1],
    in the order of their due dates, and the payments from paid_first[k] on, in the order of their days. ceiling_ppm:
    as in Late, NEVER where there is none.
    """

    first: Ints
    due_on: Ints
    principal: Ints
    interest: Ints
    fee: Ints
    paid_first: Ints
    paid_on: Ints
    paid: Ints
    penalty_rate_ppm: Ints
    late_fee_minor: Ints
    late_fee_ppm: Ints
    grace_days: Ints
    ceiling_ppm: Ints

    def part(self, lo: int, hi: int) -> "Book":
        """The loans from `lo` to `hi`."""
        rows = slice(self.first[lo], self.first[hi])
        paid = slice(self.paid_first[lo], self.paid_first[hi])
        return Book(
            self.first[lo : hi + 1] - self.first[lo],
            self.due_on[rows],
            self.principal[rows],
            self.interest[rows],
            self.fee[rows],
            self.paid_first[lo : hi + 1] - self.paid_first[lo],
            self.paid_on[paid],
            self.paid[paid],
            self.penalty_rate_ppm[lo:hi],
            self.late_fee_minor[lo:hi],
            self.late_fee_ppm[lo:hi],
            self.grace_days[lo:hi],
            self.ceiling_ppm[lo:hi],
        )


@dataclass(frozen=True)
class Owed:
    """One value for each loan. oldest_due_on: of what is past due, NEVER where nothing is.

    principal, interest, fee: unpaid of instalments that have fallen due; to_come: principal that has not.
    """

    dpd: Ints
    oldest_due_on: Ints
    arrears: Ints
    principal: Ints
    interest: Ints
    fee: Ints
    penalty: Ints
    late_fee: Ints
    to_come: Ints
    credit: Ints


def restate(
    book: Book,
    as_of: int,
    order: Order,
    count: DayCount,
    compounding: bool = False,
    more: npt.NDArray[np.bool_] | None = None,
) -> Owed:
    """What is owed at the end of `as_of`; loans whose contract counts or allocates otherwise go in another call.

    more: loans that have instalments still to come which the book leaves out (for an order with `ahead`).
    """
    loans = len(book.first) - 1
    more = np.zeros(loans, dtype=np.bool_) if more is None else more
    edges = [*range(0, loans, CHUNK), loans]
    parts = [_restate(book.part(lo, hi), as_of, order, count, compounding, more[lo:hi]) for lo, hi in pairwise(edges)]
    names = Owed.__dataclass_fields__
    return Owed(**{name: np.concatenate([getattr(part, name) for part in parts] or [_NONE]) for name in names})


_NONE: Ints = np.zeros(0, dtype=np.int64)


def _restate(
    book: Book, as_of: int, order: Order, count: DayCount, compounding: bool, more: npt.NDArray[np.bool_]
) -> Owed:
    loans = len(book.first) - 1
    owner = np.repeat(np.arange(loans), np.diff(book.first))
    has_due = book.due_on <= as_of
    due_until = book.first[:-1] + _sums(has_due.astype(np.int64), book.first)
    through = _running(book.principal + book.interest + book.fee)
    paid_through = _running(book.paid)
    # Payments up to a day: those before the loan's place in one line of (loan, day).
    line = 1 << 32
    payer = np.repeat(np.arange(loans), np.diff(book.paid_first))
    places = payer * line + book.paid_on
    by_due = np.searchsorted(places, owner * line + np.minimum(book.due_on, as_of), side="right")
    base, paid_base = through[book.first[:-1]], paid_through[book.paid_first[:-1]]
    short = has_due & (paid_through[by_due] - paid_base[owner] < through[1:] - base[owner])
    paid_until = np.searchsorted(places, np.arange(loans) * line + as_of, side="right")
    to_come = _sums(book.principal * ~has_due, book.first)
    credit = np.maximum(paid_through[paid_until] - paid_base - (through[due_until] - base), 0)
    dpd, arrears, principal, interest, fee, penalty, late_fee = np.zeros((7, loans), dtype=np.int64)
    oldest = np.full(loans, NEVER)
    owed = Owed(dpd, oldest, arrears, principal, interest, fee, penalty, late_fee, to_come, credit)
    late = np.flatnonzero(_sums(short.astype(np.int64), book.first))
    if len(late):
        # The first instalment that was short on its due date, and the first payment that came no sooner.
        begin = np.flatnonzero(short)[np.searchsorted(owner[short], late)]
        paid_before = np.searchsorted(places, late * line + book.due_on[begin], side="left")
        held = paid_through[paid_before] - paid_base[late] - (through[begin] - base[late])
        walk = _Walk(book, late, begin, paid_before, paid_until[late], held, order, count, compounding, more)
        walk.go(as_of)
        walk.fill(owed, late, as_of)
    return owed


@dataclass(frozen=True)
class Lines:
    """Principal and interest in minor units, a row for each period and a column for each loan."""

    principal: Ints
    interest: Ints


def schedules(product: Product, principal: Ints, rate_ppm: Ints, periods: Ints, parts: Ints, year: int) -> Lines:
    """Many schedules at once: those of products.schedule, to the cent.

    product: EQUAL_INSTALMENTS, EQUAL_PRINCIPAL or INTEREST_ONLY (LedgerError). parts: of each period (row) of each
    loan (column) the units of which `year` make a year; whole months have 1 and 12. The result has their shape.
    """
    rows, loans = parts.shape
    share = np.zeros(loans, dtype=np.int64)
    if product is Product.EQUAL_INSTALMENTS:
        share = _annuities(principal, rate_ppm, periods, parts, year)
    elif product is Product.EQUAL_PRINCIPAL:
        share = (2 * principal + periods) // (2 * periods)
    elif product is not Product.INTEREST_ONLY:
        raise LedgerError(f"batch: schedules of {product} are made one by one")
    left = principal.copy()
    repaid, interest = np.zeros((2, rows, loans), dtype=np.int64)
    for k in range(rows):
        interest[k] = _by_days(left, rate_ppm, parts[k], year)
        to_principal = share - interest[k] if product is Product.EQUAL_INSTALMENTS else share
        repaid[k] = np.where(periods == k + 1, left, np.minimum(np.maximum(to_principal, 0), left))
        left -= repaid[k]
    return Lines(repaid, interest)


def _annuities(principal: Ints, rate_ppm: Ints, periods: Ints, parts: Ints, year: int) -> Ints:
    discount = np.cumprod(1 / (1 + rate_ppm * parts / (year * PPM)), axis=0)
    worth = np.where(np.arange(len(parts))[:, None] < periods, discount, 0).sum(axis=0)
    exact = principal / worth
    share: Ints = np.floor(exact + 0.5).astype(np.int64)
    # Where a float can't tell on which side of a half cent the instalment lies, whole numbers tell.
    doubt = np.abs(exact + 0.5 - np.rint(exact + 0.5)) <= exact * periods * _FLOAT_ERROR
    for k in np.flatnonzero(doubt):
        share[k] = annuity(int(principal[k]), int(rate_ppm[k]), [(int(part), year) for part in parts[: periods[k], k]])
    return share


#: More than the relative error that one period adds to a product and to a sum of floats.
_FLOAT_ERROR = 1e-15


def _by_days(base: Ints, rate_ppm: Ints, units: Ints, year: int) -> Ints:
    """half_up(base * rate * units / (year * 10^6)); within the bounds of models.py it can't pass 64 bits."""
    # The product may: so divide first, and carry what is left of the division along.
    whole, rest = np.divmod(base * rate_ppm, year * PPM)
    amount: Ints = whole * units + _half_up(rest * units, year * PPM)
    return amount


class _Walk:
    """Loans on their way through their payments, all at once; `at` names places in the arrays of instalments."""

    def __init__(
        self,
        book: Book,
        loans: Ints,
        begin: Ints,
        paid_from: Ints,
        paid_until: Ints,
        credit: Ints,
        order: Order,
        count: DayCount,
        compounding: bool,
        more: npt.NDArray[np.bool_],
    ) -> None:
        size = book.first[loans + 1] - begin
        self.first = np.concatenate([[0], np.cumsum(size)])
        rows = np.arange(self.first[-1]) - np.repeat(self.first[:-1] - begin, size)
        owner = np.repeat(np.arange(len(loans)), size)
        # One more place at the end, so that "the one after the last" can be asked.
        self.due_on = np.append(book.due_on[rows], NEVER)
        self.left = {
            Kind.PRINCIPAL: book.principal[rows],
            Kind.INTEREST: book.interest[rows],
            Kind.FEE: book.fee[rows],
            Kind.PENALTY: np.zeros(len(rows), dtype=np.int64),
            Kind.LATE_FEE: np.zeros(len(rows), dtype=np.int64),
        }
        self.since = book.due_on[rows]
        ceiling = book.ceiling_ppm[loans][owner]
        self.rate = np.minimum(book.penalty_rate_ppm[loans][owner], ceiling)
        #: Under a ceiling, what comes of a late fee day by day: how fast, and how much of it has not come yet.
        self.room = np.where(ceiling == NEVER, 0, ceiling - self.rate)
        self.by_days = ceiling != NEVER
        self.fee_left = np.zeros(len(rows), dtype=np.int64)
        self.fees = bool(self.by_days.any() and (book.late_fee_minor[loans] | book.late_fee_ppm[loans]).any())
        self.book, self.loans = book, loans
        self.paid_from, self.paid_until = paid_from.copy(), paid_until
        self.credit = credit.copy()
        self.order, self.count, self.compounding = order, count, compounding
        self.more = more[loans]
        begin_at, self.end = self.first[:-1], self.first[1:]
        self.next_due = begin_at.copy()  # the first that has not fallen due
        self.next_fee = begin_at.copy()  # the first whose days of grace have not ended
        self.oldest = begin_at.copy()  # none before it is unpaid
        #: For each stage: nothing of it is left, or can come, before this place.
        self.reached: dict[Stage, Ints] = {}
        for stage in (*order.stages, *(order.beyond[1] if order.beyond else ())):
            self.reached.setdefault(stage, begin_at.copy())

    def go(self, as_of: int) -> None:
        """Through all payments, and on to the end of `as_of`."""
        who = np.arange(len(self.loans))
        while True:
            who = who[self.paid_from[who] < self.paid_until[who]]
            if not len(who):
                break
            on = self.book.paid_on[self.paid_from[who]]
            amount = self.book.paid[self.paid_from[who]]
            self.paid_from[who] += 1
            self._advance(who, on)
            self.credit[who] += self._allocate(who, amount, on)
        everyone = np.arange(len(self.loans))
        self._advance(everyone, np.full(len(everyone), as_of))

    def fill(self, owed: Owed, loans: Ints, as_of: int) -> None:
        """Put what the loans owe at the end of `as_of` into their places."""
        at = np.arange(self.first[-1])
        owner = np.repeat(np.arange(len(loans)), np.diff(self.first))
        due = at < self.next_due[owner]
        past = self.due_on[:-1] < as_of
        unpaid = self._unpaid(at)
        today = np.full(len(at), as_of)
        penalty = self.left[Kind.PENALTY] + self._running(Kind.PENALTY, at, today)
        late_fee = self.left[Kind.LATE_FEE] + self._running(Kind.LATE_FEE, at, today)
        starts = self.first[:-1]
        oldest = np.minimum.reduceat(np.where(due & past & (unpaid > 0), self.due_on[:-1], NEVER), starts)
        for name, values in (
            ("arrears", unpaid * (due & past)),
            ("principal", self.left[Kind.PRINCIPAL] * due),
            ("interest", self.left[Kind.INTEREST] * due),
            ("fee", self.left[Kind.FEE] * due),
            ("penalty", penalty * due),
            ("late_fee", late_fee),
        ):
            getattr(owed, name)[loans] = np.add.reduceat(values, starts)
        owed.oldest_due_on[loans] = oldest
        owed.dpd[loans] = np.where(oldest == NEVER, 0, as_of - oldest)
        owed.credit[loans] = self.credit

    def _unpaid(self, at: Ints) -> Ints:
        unpaid: Ints = self.left[Kind.PRINCIPAL][at] + self.left[Kind.INTEREST][at] + self.left[Kind.FEE][at]
        return unpaid

    def _advance(self, who: Ints, to: Ints) -> None:
        """Let what falls due by `to` fall due, and charge the late fees of days of grace that ended before it."""
        ask, on = who, to
        while len(ask):
            at = self.next_due[ask]
            now = (at < self.end[ask]) & (self.due_on[at] <= on)
            ask, on, at = ask[now], on[now], at[now]
            self.next_due[ask] += 1
            has = self.credit[ask] > 0
            if has.any():
                some = ask[has]
                self.credit[some] = self._allocate(some, self.credit[some], self.due_on[at[has]])
        ask, on = who, to
        while len(ask):
            at = self.next_fee[ask]
            loan = self.loans[ask]
            now = (at < self.next_due[ask]) & (self.due_on[at] + self.book.grace_days[loan] < on)
            ask, on, at, loan = ask[now], on[now], at[now], loan[now]
            self.next_fee[ask] += 1
            unpaid = self._unpaid(at)
            fee = np.maximum(self.book.late_fee_minor[loan], _half_up(unpaid * self.book.late_fee_ppm[loan], PPM))
            fee = np.where(unpaid > 0, fee, 0)
            self.left[Kind.LATE_FEE][at] = np.where(self.by_days[at], 0, fee)
            self.fee_left[at] = np.where(self.by_days[at], fee, 0)

    def _running(self, kind: Kind, at: Ints, to: Ints) -> Ints:
        """Penalty interest, or the late fee by days, of the stretch that is still open, as it stands on `to`."""
        if kind is Kind.LATE_FEE and not self.fees:
            return np.zeros(len(at), dtype=np.int64)
        base = self.left[Kind.PRINCIPAL][at]
        if self.compounding:
            base = base + self.left[Kind.INTEREST][at]
        units = units_of(self.since[at], np.maximum(to, self.since[at]), self.count)
        if kind is Kind.PENALTY:
            return _by_days(base, self.rate[at], units, YEAR[self.count])
        fee: Ints = np.minimum(_by_days(base, self.room[at], units, YEAR[self.count]), self.fee_left[at])
        return fee

    def _allocate(self, who: Ints, amount: Ints, on: Ints) -> Ints:
        """Settle debts with `amount`, the order's stages one after the other; what is left over."""
        amount = amount.copy()
        beyond = np.zeros(len(who), dtype=np.bool_)
        if self.order.beyond:
            beyond = self._dpd(who, on) > self.order.beyond[0]
        waits = ((self.next_due[who] < self.end[who]) | self.more[who]) & bool(self.order.ahead)
        for stages, chosen in ((self.order.stages, ~beyond), (self.order.beyond and self.order.beyond[1], beyond)):
            for stage in stages or ():
                these = chosen if set(stage) <= set(SCHEDULED) else chosen & ~waits
                self._settle(stage, who, amount, on, np.flatnonzero(these & (amount > 0)))
        return amount

    def _settle(self, stage: Stage, who: Ints, amount: Ints, on: Ints, rows: Ints) -> None:
        """One stage for the `rows` of who, amount and on: the oldest instalment first. Changes `amount`."""
        reached = self.reached[stage]
        at = reached[who[rows]]
        while True:
            inside = at < self.next_due[who[rows]]
            rows, at = rows[inside], at[inside]
            if not len(rows):
                return
            left = np.zeros(len(rows), dtype=np.int64)
            for kind in stage:
                if kind is not Kind.COST:
                    left += self._pay(kind, rows, at, amount, on)
            done = (left == 0) & (self._unpaid(at) == 0 if Kind.PENALTY in stage or Kind.LATE_FEE in stage else True)
            done &= reached[who[rows]] == at
            reached[who[rows[done]]] += 1
            more = amount[rows] > 0
            rows, at = rows[more], at[more] + 1

    def _pay(self, kind: Kind, rows: Ints, at: Ints, amount: Ints, on: Ints) -> Ints:
        """Pay one kind at the places `at`, from the `rows` of amount; what is still left of it."""
        owed = self.left[kind][at]
        if kind in (Kind.PENALTY, Kind.LATE_FEE):
            owed = owed + self._running(kind, at, on[rows])
        part = np.minimum(amount[rows], owed)
        if kind is Kind.PRINCIPAL or (kind is Kind.INTEREST and self.compounding):
            paid = part > 0
            places, days = at[paid], on[rows[paid]]
            fee = self._running(Kind.LATE_FEE, places, days)
            self.left[Kind.PENALTY][places] += self._running(Kind.PENALTY, places, days)
            self.left[Kind.LATE_FEE][places] += fee
            self.fee_left[places] -= fee
            self.since[places] = days
        self.left[kind][at] -= part
        amount[rows] -= part
        left: Ints = owed - part
        return left

    def _dpd(self, who: Ints, on: Ints) -> Ints:
        ask = who
        while len(ask):  # what is paid before the oldest that is unpaid stays paid
            at = self.oldest[ask]
            ask = ask[(at < self.next_due[ask]) & (self._unpaid(np.minimum(at, self.first[-1] - 1)) == 0)]
            self.oldest[ask] += 1
        at = self.oldest[who]
        return np.where(at < self.next_due[who], on - self.due_on[at], 0)


def _running(values: Ints) -> Ints:
    """Sums of all values before each place, and after the last."""
    return np.concatenate([[0], np.cumsum(values)])


def _sums(values: Ints, first: Ints) -> Ints:
    """The sum of each loan's values."""
    running = _running(values)
    return running[first[1:]] - running[first[:-1]]


def _half_up(numerator: Ints, denominator: int) -> Ints:
    return (2 * numerator + denominator) // (2 * denominator)

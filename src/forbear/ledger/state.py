"""From what happened to what is owed: events in, transactions, lines and balances out.

Everything is worked out anew from the events each time, in the order of their value dates, so that a
payment that comes to light late, or a reversal, restates all that came after it, and the order in which
events became known leaves no trace. On one day: instalments fall due, then the events in the order of
`_RANK`, then of their keys. An instalment due today is not past due; money paid on a day has been lent
through that day.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from functools import singledispatchmethod
from types import MappingProxyType
from typing import NamedTuple

from forbear.ledger import accrual
from forbear.ledger.allocate import SCHEDULED, allocate, order_of
from forbear.ledger.excess import Line as Cut
from forbear.ledger.excess import Part, held, lawful, of_schedule, spare
from forbear.ledger.models import (
    MAX_PPM,
    Account,
    Charged,
    ChargedBack,
    Disbursed,
    Entry,
    Event,
    Forborne,
    Instalment,
    Kind,
    LedgerError,
    Line,
    Paid,
    Product,
    Purchased,
    RateChanged,
    Reason,
    Refunded,
    Rescheduled,
    Reversed,
    Sold,
    Terms,
    Transaction,
    Waived,
    WrittenOff,
    half_up,
)
from forbear.locale import N_

_INTEREST, _FEE, _PRINCIPAL = SCHEDULED

_RANK: dict[type[Event], int] = {
    kind: rank
    for rank, kind in enumerate(
        (
            Disbursed,
            Purchased,
            RateChanged,
            Rescheduled,
            Charged,
            Forborne,
            Waived,
            Paid,
            ChargedBack,
            Refunded,
            WrittenOff,
            Sold,
        )
    )
}


class Debt(NamedTuple):
    """An instalment, or (n = 0) a charge of its own, with what is owed of it on the day asked about.

    aged_from: the day after which it is past due. due: it has fallen due; of an instalment to come only the
    principal is owed, and `to_come` is the interest and the fee that will fall due with it, which run from the end of
    `begun` on; `agreed` is the same were no day of it frozen. held_back: what the ceiling keeps from being owed of the
    contract's late fee on that day.
    """

    n: int
    due_on: date
    aged_from: date
    due: bool
    owed: Mapping[Kind, int]
    to_come: Mapping[Kind, int]
    held_back: int = 0
    begun: date = date.max
    agreed: Mapping[Kind, int] = MappingProxyType({})

    @property
    def unpaid(self) -> int:
        """What is unpaid of the instalment itself, without penalty interest and late fee."""
        return _scheduled(self.owed)


class Span(NamedTuple):
    """An instalment was unpaid at the end of each day from `start` on, and before `end` (None: still is)."""

    aged_from: date
    start: date
    end: date | None


@dataclass(frozen=True, slots=True)
class Frozen:
    """Days on which nothing accrues: those after `on` through `until`; `rule` as in Forborne."""

    on: date
    until: date
    rule: str


@dataclass(frozen=True, slots=True)
class Plan:
    """A schedule that took the place of what was to come, as it is demanded; its first line has the number `first`.

    ppm: the yearly rate of the contract, no higher than the ceiling of that day. carried: interest and fees that were
    unpaid, which fall due with its first line. replaced: those that were to come of the lines it took the place of.
    """

    key: str
    on: date
    reason: Reason
    first: int
    lines: tuple[Instalment, ...]
    ppm: int
    carried: int
    replaced: int = 0

    @property
    def charge(self) -> int:
        """The interest and fees of its lines."""
        return sum(line.interest + line.fee for line in self.lines)

    @property
    def principal(self) -> int:
        """The principal that its lines repay."""
        return sum(line.principal for line in self.lines)


@dataclass(frozen=True, slots=True)
class Refused:
    """What of a fee or cost that was charged is not owed: `amount` was asked, `lawful` is owed of it.

    frozen: nothing was to be charged on that day; else the ceiling left room for no more.
    """

    key: str
    on: date
    kind: Kind
    amount: int
    lawful: int
    frozen: bool


def _scheduled(owed: Mapping[Kind, int]) -> int:
    """What is owed of an instalment itself: of the kinds SCHEDULED, written out as it is asked for most."""
    return owed.get(_INTEREST, 0) + owed.get(_FEE, 0) + owed.get(_PRINCIPAL, 0)


@dataclass(frozen=True, slots=True)
class State:
    """What is owed at the end of `as_of`, and how it came to be. Amounts in minor units.

    credit: paid ahead, held for what falls due next. sold: what was owed when the debt was sold. cuts: the lines of new
    schedules that the ceiling cut, each with its number. spared: the same of instalments, for the days on which nothing
    accrues (`freezes`).
    """

    as_of: date
    debts: tuple[Debt, ...]
    credit: int
    lines: tuple[Line, ...]
    transactions: tuple[Transaction, ...]
    spans: tuple[Span, ...]
    forborne_until: date | None
    written_off_on: date | None
    sold_on: date | None
    sold: int
    cuts: tuple[tuple[int, Cut], ...]
    spared: tuple[tuple[int, Cut], ...]
    freezes: tuple[Frozen, ...]
    plans: tuple[Plan, ...]
    refused: tuple[Refused, ...]

    @property
    def dpd(self) -> int:
        """Days past due: of all instalments that are open, the one overdue longest."""
        return dpd_on(self.spans, self.as_of)

    @property
    def arrears(self) -> int:
        """What is unpaid of the instalments that are past due."""
        return sum(debt.unpaid for debt in self.debts if debt.n and debt.due and debt.due_on < self.as_of)

    @property
    def due(self) -> int:
        """All that is owed now: instalments that have fallen due, and every charge."""
        return sum(sum(debt.owed.values()) for debt in self.debts if debt.due)

    @property
    def outstanding(self) -> int:
        """All that is owed, principal that is not yet due included."""
        return sum(sum(debt.owed.values()) for debt in self.debts)

    def owed(self, kind: Kind) -> int:
        """What is owed of one kind."""
        return sum(debt.owed.get(kind, 0) for debt in self.debts)

    @property
    def whole(self) -> int:
        """All that is owed or will fall due if the loan runs on: nothing, where it has ended."""
        return self.outstanding + sum(sum(debt.to_come.values()) for debt in self.debts)

    def asked(self, lines: Sequence[Instalment], first: int = 1) -> tuple[Instalment, ...]:
        """The lines of a schedule, the first of that number, with the interest and the fee that are asked for.

        That is less what frozen days spare and what went with principal that was given up. A line whose place another
        schedule took stays as it was agreed.
        """
        found = {debt.n: dict(debt.to_come) for debt in self.debts if debt.n}
        for line in self.lines:
            if line.n and not line.year and line.kind in (_INTEREST, _FEE):
                found.setdefault(line.n, {})[line.kind] = line.amount
        return tuple(
            replace(line, interest=found[n].get(_INTEREST, 0), fee=found[n].get(_FEE, 0)) if n in found else line
            for n, line in enumerate(lines, first)
        )


def dpd_on(spans: Iterable[Span], day: date) -> int:
    """Days past due at the end of `day`."""
    open_ = (span for span in spans if span.start <= day and (span.end is None or day < span.end))
    return max(((day - span.aged_from).days for span in open_), default=0)


def fold(terms: Terms, schedule: Sequence[Instalment], events: Iterable[Event], as_of: date) -> State:
    """The state at the end of `as_of`.

    Args:
        schedule: of products.schedule, or the lender's own; due dates in order.
        events: in any order; those of a later value date are left out, two of one key must be equal.

    Raises LedgerError naming the event's key, for a key used twice, a reversal of nothing, an amount that is not
    positive, a day before the loan, or principal that is not what was lent.
    """
    loan, _, _ = walk(terms, schedule, events, as_of)
    loan.advance(as_of)
    return loan.state(as_of)


def walk(
    terms: Terms, schedule: Sequence[Instalment], events: Iterable[Event], as_of: date, card: "Walked | None" = None
) -> tuple["Walked", Event | None, bool]:
    """A loan as the last of its events through `as_of` left it, that event, and whether later ones are on file.

    Arguments and errors are those of `fold`; a card (card.py) brings itself, and has no schedule.
    """
    if as_of < terms.opened_on:
        raise LedgerError(
            N_("as of %(day)s: the loan was opened on %(opened)s; ask about that day or a later one"),
            day=as_of,
            opened=terms.opened_on,
        )
    timeline = _timeline(events)
    lent = sum(event.amount for event in timeline if isinstance(event, Disbursed))
    if card is None and terms.product is not Product.DAILY and lent != sum(line.principal for line in schedule):
        raise LedgerError(
            f"disbursed: {lent} was lent in all, but the schedule's principal differs; correct one of them"
        )
    loan, last = card or Walked(terms, schedule), None
    for event in timeline:
        if event.on > as_of:
            return loan, last, True
        if event.on < terms.opened_on:
            raise LedgerError(
                N_("event %(event)s: %(on)s lies before the loan was opened, %(opened)s"),
                event=event.key,
                on=event.on,
                opened=terms.opened_on,
            )
        loan.advance(event.on)
        if loan.sold_on and not isinstance(event, Paid | ChargedBack | Refunded):
            raise LedgerError(
                N_(
                    "event %(event)s: the debt was sold on %(sold)s; what follows is the assignee's. If the sale was"
                    " booked by mistake, reverse it first"
                ),
                event=event.key,
                sold=loan.sold_on,
            )
        loan.apply(event)
        last = event
    return loan, last, False


def place(event: Event) -> tuple[date, int, str]:
    """The place of an event among a loan's events: by value date, then kind, then key."""
    return event.on, _RANK[type(event)], event.key


def _timeline(events: Iterable[Event]) -> list[Event]:
    """The events that count, each once, in the order of their value dates."""
    by_key: dict[str, Event] = {}
    for event in events:
        if not _positive(event):
            raise LedgerError(f"event {event.key}: its amount must be more than nothing; reverse what was wrong")
        if by_key.setdefault(event.key, event) != event:
            raise LedgerError(f"event {event.key}: its key was used for something else; give each event its own key")
    gone = set()
    for event in by_key.values():
        if isinstance(event, Reversed | ChargedBack):
            of = by_key.get(event.of)
            wanted = Event if isinstance(event, Reversed) else Paid
            if not isinstance(of, wanted) or isinstance(of, Reversed):
                raise LedgerError(
                    N_("event %(event)s: there is nothing of key '%(of)s' that it could take back"),
                    event=event.key,
                    of=event.of,
                )
            if event.on < of.on:
                raise LedgerError(
                    N_("event %(event)s: its day %(on)s lies before %(made)s, the day of %(of)s that it takes back"),
                    event=event.key,
                    on=event.on,
                    made=of.on,
                    of=event.of,
                )
            if isinstance(event, Reversed):
                gone |= {event.key, event.of}
    gone |= {e.key for e in by_key.values() if isinstance(e, ChargedBack) and e.of in gone}
    kept = sorted((event for event in by_key.values() if event.key not in gone), key=place)
    once: set[object] = set()
    for event in kept:
        what = event.of if isinstance(event, ChargedBack) else type(event)
        if isinstance(event, ChargedBack | WrittenOff | Sold) and what in once:
            raise LedgerError(
                N_(
                    "event %(event)s: that happens once, and has happened; if the first was a mistake, reverse it first"
                ),
                event=event.key,
            )
        once.add(what)
    return kept


def _positive(event: Event) -> bool:
    match event:
        case Paid(amount=amount) | Charged(amount=amount) | Waived(amount=amount) | Purchased(amount=amount):
            return amount > 0
        case Refunded(amount=amount):
            return amount > 0
        case Disbursed(amount=amount) | Sold(price=amount):
            return amount >= 0
    return True


@dataclass(slots=True, eq=False)
class Claim:
    """A debt as it changes. `left` may fall below zero by what was paid of a stretch of days not yet closed."""

    n: int
    due_on: date
    aged_from: date
    left: dict[Kind, int]
    to_come: dict[Kind, int]
    due: bool = False
    since: date | None = None  # accrues for the days after this one
    fee_asked: bool = False
    unpaid_from: date | None = None
    fee_left: int = 0  # of a late fee that the ceiling lets come day by day: what has not come yet
    begun: date = date.max  # from this day runs the interest that falls due with it

    @property
    def unpaid(self) -> int:
        return _scheduled(self.left)


@dataclass(slots=True)
class Walked:
    """One loan on its way through its events."""

    terms: Terms
    schedule: Sequence[Instalment]
    claims: list[Claim] = field(default_factory=list)
    credit: int = 0
    lines: list[Line] = field(default_factory=list)
    transactions: list[Transaction] = field(default_factory=list)
    spans: list[Span] = field(default_factory=list)
    #: What was settled, the latest last: a chargeback takes it back from the end.
    settled: list[tuple[Claim, Kind, int]] = field(default_factory=list)
    paid: dict[str, int] = field(default_factory=dict)
    penalty_ppm: int = 0
    daily_ppm: int = 0
    forborne_until: date | None = None
    freezes: list[Frozen] = field(default_factory=list)
    written_off_on: date | None = None
    sold_on: date | None = None
    sold: int = 0
    numbered: int = 0
    cuts: list[tuple[int, Cut]] = field(default_factory=list)
    spared: list[tuple[int, Cut]] = field(default_factory=list)
    plans: list[Plan] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    #: Kinds of which something may have come that is not charged yet.
    BY_DAYS = frozenset({Kind.LATE_FEE})

    def __post_init__(self) -> None:
        self.penalty_ppm = self.terms.late.penalty_rate_ppm
        daily = self.terms.product is Product.DAILY
        self.daily_ppm = self.terms.annual_rate_ppm if daily else 0
        self._schedule(self.schedule, self.terms.opened_on)
        if daily:  # its principal comes with what is drawn
            self.claims[0].left[Kind.PRINCIPAL] = 0

    def _schedule(self, schedule: Sequence[Instalment], begun: date) -> list[Claim]:
        made = []
        for line in schedule:
            self.numbered += 1
            to_come = {Kind.INTEREST: line.interest, Kind.FEE: line.fee}
            left = {Kind.PRINCIPAL: line.principal}
            made.append(Claim(self.numbered, line.due_on, line.due_on, left, to_come, begun=begun))
            begun = line.due_on
        self.claims += made
        self.claims.sort(key=lambda claim: (claim.due_on, claim.n))
        return made

    # ---- the passing of days

    def advance(self, to: date) -> None:
        """Let what falls due by `to` fall due, and charge the late fees of days of grace that ended before it."""
        if self.sold_on:
            return
        for claim in self.claims:
            if not claim.due and claim.due_on <= to:
                self._fall_due(claim)
        for claim in self.claims:
            if claim.n and claim.due and not claim.fee_asked:
                on = accrual.fee_day(self.terms.late, claim.due_on)
                if on <= to:
                    claim.fee_asked = True
                    if claim.unpaid and not self._is_frozen(on):
                        line = accrual.late_fee(self.terms.late, claim.n, claim.due_on, claim.unpaid)
                        if self.terms.late.ceiling_on(on) is None:
                            self._charge(claim, line)
                        else:
                            claim.fee_left = line.amount

    def _fall_due(self, claim: Claim) -> None:
        self._close(claim, claim.due_on)
        claim.due = True
        claim.since = max(claim.due_on, self._frozen_until())
        coming = self._to_come(claim)
        if coming is not claim.to_come:
            whole, left = (claim.left[Kind.PRINCIPAL] + sum(each.values()) for each in (claim.to_come, coming))
            self.spared.append((claim.n, Cut(claim.due_on, claim.left[Kind.PRINCIPAL], whole, left)))
        for kind, amount in coming.items():
            self._charge(claim, accrual.at_once(kind, claim.n, claim.due_on, amount))
        claim.to_come = {}
        if claim.unpaid and claim.unpaid_from is None:
            claim.unpaid_from = claim.due_on
        self._use_credit(f"credit:{claim.n}", claim.due_on)

    def _frozen_until(self) -> date:
        return max((each.until for each in self.freezes), default=date.min)

    def _is_frozen(self, day: date) -> bool:
        return any(each.on < day <= each.until for each in self.freezes)

    def _to_come(self, claim: Claim) -> dict[Kind, int]:
        """What falls due with an instalment, as far as nothing of it would have accrued on days of a freeze."""
        whole = (claim.due_on - claim.begun).days
        frozen = frozen_days(self.freezes, claim.begun, claim.due_on) if self.freezes and claim.to_come else 0
        if not frozen:
            return claim.to_come
        return {kind: half_up(amount * (whole - frozen), whole) for kind, amount in claim.to_come.items()}

    def _running(self, claim: Claim, to: date) -> Sequence[Line]:
        """The lines of the stretch of days that is still open, as they stand on `to`."""
        since, n = claim.since, claim.n
        if since is None or to <= since or not n:
            return ()
        late = self.terms.late
        if not claim.due:
            base, count = claim.left[Kind.PRINCIPAL], self.terms.day_count
            if base <= 0 or self.daily_ppm <= 0:
                return ()
            return [
                accrual.by_days(Kind.INTEREST, n, base, late.held(self.daily_ppm, end), count, start, end)
                for start, end in late.stretches(since, to)
            ]
        base = claim.left[Kind.PRINCIPAL] + (claim.left.get(Kind.INTEREST, 0) if late.compounding else 0)
        if base <= 0:
            return ()
        lines, fee_left = [], claim.fee_left
        for start, end in late.stretches(since, to):
            penalty = late.held(self.penalty_ppm, end)
            if penalty > 0:
                lines.append(accrual.by_days(Kind.PENALTY, n, base, penalty, late.day_count, start, end))
            if fee_left and (rate := late.held(MAX_PPM, end) - penalty) > 0:
                fee = accrual.by_days(Kind.LATE_FEE, n, base, rate, late.day_count, start, end, fee_left)
                lines.append(fee)
                fee_left -= fee.amount
        return lines

    def _close(self, claim: Claim, on: date) -> None:
        """End the open stretch of days, because base or rate changes on `on`."""
        for line in self._running(claim, on):
            self._charge(claim, line)
            if line.kind is Kind.LATE_FEE:
                claim.fee_left -= line.amount
        if claim.since is not None:
            claim.since = max(claim.since, on)

    def _close_all(self, on: date) -> None:
        for claim in self.claims:
            self._close(claim, on)

    def _owed(self, claim: Claim, on: date) -> dict[Kind, int]:
        owed = dict(claim.left)
        for line in self._running(claim, on):
            owed[line.kind] = owed.get(line.kind, 0) + line.amount
        return owed

    # ---- entries

    def _charge(self, claim: Claim, line: Line, key: str | None = None) -> None:
        if line.amount == 0:
            return
        self.lines.append(line)
        claim.left[line.kind] = claim.left.get(line.kind, 0) + line.amount
        self._post_line(line, key)

    def _post_line(self, line: Line, key: str | None = None) -> None:
        self._earn(key or f"{line.kind}:{line.n}:{line.start}", line.end, line.kind, line.amount)

    def _earn(self, key: str, on: date, kind: Kind, amount: int) -> None:
        income = Account.ALLOWANCE if self.written_off_on else Account.INCOME
        self._post(key, on, {Account.owed(kind): amount, income: -amount})

    def _post(self, key: str, on: date, entries: Mapping[Account, int]) -> None:
        kept = tuple(Entry(account, amount) for account, amount in entries.items() if amount)
        if kept:
            self.transactions.append(Transaction(key, on, on, kept))

    def _settle(
        self, settled: Sequence[tuple[Claim, Kind, int]], on: date, lost: Account = Account.RECOVERY
    ) -> dict[Account, int]:
        """Take what was settled (or, negative, put it back), and give the entries of it.

        After a write-off what is settled was carried at nothing: the allowance goes, and `lost` gains.
        """
        entries: dict[Account, int] = {}

        def add(account: Account, amount: int) -> None:
            entries[account] = entries.get(account, 0) + amount

        for claim, kind, amount in settled:
            if kind is Kind.PRINCIPAL or (kind is Kind.INTEREST and self.terms.late.compounding):
                self._close(claim, on)
            claim.left[kind] = claim.left.get(kind, 0) - amount
            add(Account.owed(kind), -amount)
            if self.written_off_on:
                add(Account.ALLOWANCE, amount)
                add(lost, -amount)
            if claim.n and claim.due:
                self._note(claim, on)
        return entries

    def _note(self, claim: Claim, on: date) -> None:
        """Keep the days on which an instalment was unpaid."""
        if claim.unpaid and claim.unpaid_from is None:
            claim.unpaid_from = max(claim.due_on, on)
        elif not claim.unpaid and claim.unpaid_from is not None:
            self.spans.append(Span(claim.aged_from, claim.unpaid_from, on))
            claim.unpaid_from = None

    def _allocate(self, amount: int, on: date) -> tuple[dict[Account, int], int]:
        reached = [c for c in self.claims if c.due or self.terms.product is Product.DAILY]
        order = order_of(self.terms.order)
        stages = order.stages_at(self._dpd(on) if order.beyond else 0, any(not claim.due for claim in self.claims))
        found, rest = allocate(amount, [self._owed(claim, on) for claim in reached], stages)
        settled = [(reached[k], kind, part) for k, kind, part in found]
        self.settled += settled
        return self._settle(settled, on), rest

    def _use_credit(self, key: str, on: date) -> None:
        if self.credit:
            entries, rest = self._allocate(self.credit, on)
            self._post(key, on, {Account.CREDIT: self.credit - rest, **entries})
            self.credit = rest

    def _dpd(self, on: date) -> int:
        return max(((on - c.aged_from).days for c in self.claims if c.n and c.unpaid_from is not None), default=0)

    # ---- events

    @singledispatchmethod
    def apply(self, event: Event) -> None:
        """What an event does; the days before it have passed."""
        raise LedgerError(f"event {event.key}: {type(event).__name__} is none that the ledger knows")

    @apply.register
    def _(self, event: Disbursed) -> None:
        if self.terms.product is Product.DAILY:
            claim = next((claim for claim in self.claims if claim.n and not claim.due), None)
            if claim is None:
                raise LedgerError(f"event {event.key}: drawn on {event.on}, after the line fell due")
            self._close(claim, event.on)
            claim.since = max(event.on, self._frozen_until())
            claim.left[Kind.PRINCIPAL] += event.amount
        self._post(event.key, event.on, {Account.OWED_PRINCIPAL: event.amount, Account.CASH: -event.amount})
        self._use_credit(f"credit:{event.key}", event.on)

    @apply.register
    def _(self, event: Purchased) -> None:
        self.spend(event)

    def spend(self, event: Purchased) -> None:
        """What is drawn on a card."""
        raise LedgerError(N_("event %(event)s: the account is no card, so nothing is drawn on it"), event=event.key)

    @apply.register
    def _(self, event: Paid) -> None:
        entries, rest = ({}, event.amount) if self.sold_on else self._allocate(event.amount, event.on)
        self.credit += rest
        self.paid[event.key] = event.amount
        self._post(event.key, event.on, {Account.CASH: event.amount, Account.CREDIT: -rest, **entries})

    @apply.register
    def _(self, event: ChargedBack) -> None:
        self._give_back(event, self.paid.pop(event.of))

    @apply.register
    def _(self, event: Refunded) -> None:
        self._give_back(event, event.amount)

    def _give_back(self, event: Event, amount: int) -> None:
        """Money leaves: of what is held for the borrower, then of what was settled, the latest first.

        A refund takes no more than is held when it is posted; what comes to light later may leave less of that.
        """
        from_credit = min(amount, self.credit)
        self.credit -= from_credit
        left, undone, bought = amount - from_credit, [], 0
        if self.sold_on:  # the debt that lives again is the assignee's
            bought, left = left, 0
            self.sold += bought
        while left:
            if not self.settled:
                raise LedgerError(
                    N_("event %(event)s: by it more would have gone back to the borrower than was ever paid"),
                    event=event.key,
                )
            claim, kind, part = self.settled.pop()
            taken = min(part, left)
            if taken < part:
                self.settled.append((claim, kind, part - taken))
            undone.append((claim, kind, -taken))
            left -= taken
        self._post(
            event.key,
            event.on,
            {
                Account.CASH: -amount,
                Account.CREDIT: from_credit,
                Account.LOSS: bought,
                **self._settle(undone, event.on),
            },
        )

    @apply.register
    def _(self, event: Charged) -> None:
        frozen = self._is_frozen(event.on)
        owed = 0 if frozen else self.lawful_of(event)
        if owed < event.amount:
            self.refused.append(Refused(event.key, event.on, event.kind, event.amount, owed, frozen))
        if owed:
            self.charge(event, owed)

    def lawful_of(self, event: Charged) -> int:
        """What of a fee is owed beside what was paid, is owed and is to come: as much as the ceiling leaves room for.

        Of several ceilings that followed each other the lowest. Costs of enforcement are no cost of the loan, and what
        is past due leaves no more room by being so. On a line of credit nothing is to come that would tell the room:
        there it is what the days so far leave.
        """
        lines = self._lines(event.on)
        ends = max([event.on, *(line.due_on for line in lines)])
        known = [
            ppm for since, ppm in self.terms.late.ceilings(self.terms.opened_on) if since <= ends and ppm is not None
        ]
        if event.kind is not Kind.FEE or not known:
            return event.amount
        try:
            return min(event.amount, max(spare_of(self.transactions, lines, min(known), event.on), 0))
        except LedgerError:  # nothing was lent: no time in which it could be lawful
            return 0

    def _lines(self, on: date) -> list[Part]:
        """What would repay all as it falls due, a line of credit on a day: what is owed then, and what is to come."""
        lines = []
        for claim in self.claims:
            daily = not claim.due and self.terms.product is Product.DAILY
            owed = sum(self._owed(claim, on).values()) - claim.left.get(Kind.COST, 0)
            more = 0 if daily else sum(self._to_come(claim).values())
            lines.append(Part(on if daily else claim.due_on, owed, more))
        return lines

    def _give_back_what_is_above(self, event: Rescheduled) -> None:
        """Give the borrower what was charged above the ceiling, now that the loan runs for another time.

        A plan that makes it due sooner gives back no more than the fees that were charged; its interest is held.
        """
        fees = sum(line.amount for line in self.lines if line.kind is Kind.FEE and not line.n)
        lines = [replace(line, due_on=max(line.due_on, event.on)) for line in self._lines(event.on)]
        above = above_of(self.terms, self.transactions, lines, event.on)
        given = above if event.reason is Reason.PREPAYMENT else min(above, fees)
        if not given:
            return
        gains = Account.RECOVERY if self.written_off_on else Account.INCOME
        self.credit += given
        self._post(f"ceiling:{event.key}", event.on, {Account.CREDIT: -given, gains: given})
        for kind, amount in ((Kind.FEE, min(given, fees)), (Kind.INTEREST, max(given - fees, 0))):
            if amount:
                self.refused.append(Refused(f"ceiling:{event.key}", event.on, kind, amount, 0, frozen=False))

    def charge(self, event: Charged, owed: int) -> None:
        """Let `owed` of a fee or a cost be owed from the event's day on."""
        claim = Claim(0, event.on, event.on, {}, {}, due=True)
        self.claims.append(claim)
        self.claims.sort(key=lambda claim: (claim.due_on, claim.n))
        self._charge(claim, accrual.at_once(event.kind, 0, event.on, owed), event.key)
        self._use_credit(f"credit:{event.key}", event.on)

    @apply.register
    def _(self, event: Waived) -> None:
        if event.kind in self.BY_DAYS:  # what the ceiling holds back still is given up first with what is owed
            self._close_all(event.on)
        debts = [{event.kind: self._owed(claim, event.on).get(event.kind, 0)} for claim in self.claims]
        found, rest = allocate(event.amount, debts, ((event.kind,),))
        settled = [(self.claims[k], kind, part) for k, kind, part in found]
        if event.kind is Kind.PRINCIPAL:
            self._lessen({id(claim): part for claim, _, part in settled})
        entries = self._settle(settled, event.on, Account.LOSS)
        self._post(event.key, event.on, {Account.WAIVED: sum(part for *_, part in settled), **entries})
        for claim in self.claims if event.kind is Kind.LATE_FEE else ():
            given = min(claim.fee_left, rest)
            claim.fee_left, rest = claim.fee_left - given, rest - given

    def _lessen(self, given: Mapping[int, int]) -> None:
        """Of instalments to come lessen interest and fee as the principal of their period is about to be.

        given: what is given up of a claim's principal, by the claim's id. The running period is lessened whole: what is
        given up has cost nothing since it began, so that what ends the loan on a day (early.py) is no less than is due.
        """
        base = left = 0
        for claim in reversed(self.claims):  # the principal of a period is what falls due with it or later
            if claim.due or not claim.n:
                continue
            base += claim.left[Kind.PRINCIPAL]
            left += claim.left[Kind.PRINCIPAL] - given.get(id(claim), 0)
            if left < base:
                claim.to_come = {kind: half_up(amount * left, base) for kind, amount in claim.to_come.items()}

    @apply.register
    def _(self, event: RateChanged) -> None:
        self._close_all(event.on)
        if event.penalty_rate_ppm is not None:
            self.penalty_ppm = event.penalty_rate_ppm
        if event.annual_rate_ppm is not None and self.terms.product is Product.DAILY:
            self.daily_ppm = event.annual_rate_ppm

    @apply.register
    def _(self, event: Forborne) -> None:
        if not event.rule:  # what the law gives is told by the person's record
            self.forborne_until = max(event.until, self.forborne_until or event.until)
        if event.freezes:
            self._close_all(event.on)
            self.freezes.append(Frozen(event.on, event.until, event.rule))
            until = self._frozen_until()
            for claim in self.claims:
                if claim.since is not None:
                    claim.since = max(claim.since, until)

    @apply.register
    def _(self, event: Rescheduled) -> None:
        whole = event.reason in (Reason.PLAN, Reason.REAGE)
        moved = [claim for claim in self.claims if claim.n and (whole or not claim.due)]
        oldest = min((claim.aged_from for claim in moved if claim.unpaid_from is not None), default=None)
        replaced = sum(sum(claim.to_come.values()) for claim in moved)
        sums = dict.fromkeys(SCHEDULED, 0)
        overdue = bearing = 0  # of the principal: what was due already, and since then bears interest anew
        for claim in moved:
            self._close(claim, event.on)
            overdue += claim.unpaid if claim.due else 0
            bearing += claim.left[Kind.PRINCIPAL] if claim.due else 0
            for kind in SCHEDULED:
                sums[kind] += claim.left.get(kind, 0)
                claim.left[kind] = 0
            if claim.due:
                self._note(claim, event.on)
        self.claims = [claim for claim in self.claims if claim.due]
        begun = event.on if whole else self._running_since()
        lines = self._held(event, fit(event, sums[Kind.PRINCIPAL]), bearing)
        ppm = self.terms.late.held(self.terms.annual_rate_ppm, event.on)
        carried = sums[Kind.INTEREST] + sums[Kind.FEE]
        self.plans.append(
            Plan(event.key, event.on, event.reason, self.numbered + 1, tuple(lines), ppm, carried, replaced)
        )
        made = self._schedule(lines, begun)
        for claim in made:
            if event.reason is Reason.PREPAYMENT and claim.due_on <= event.on:
                claim.begun = claim.due_on  # its interest is that of the days so far already
        self.settled = [(claim if claim.due else made[0], kind, part) for claim, kind, part in self.settled]
        # Unpaid interest and fees go with the first new instalment, without becoming principal.
        for kind in (Kind.INTEREST, Kind.FEE):
            made[0].left[kind] = sums[kind]
        for claim in made:
            if self.terms.product is Product.DAILY:
                claim.since = max(event.on, self._frozen_until())
            if oldest and event.reason is Reason.PLAN and overdue > 0:
                claim.aged_from, claim.unpaid_from = oldest, event.on
                overdue -= claim.unpaid
        self._give_back_what_is_above(event)
        self.advance(event.on)

    def _running_since(self) -> date:
        """The day with which the running period began."""
        return max([self.terms.opened_on, *(claim.due_on for claim in self.claims if claim.n)])

    def _held(self, event: Rescheduled, lines: Sequence[Instalment], bearing: int) -> Sequence[Instalment]:
        """A new schedule held to the ceiling, as the contract's is (excess.py).

        Principal that was not due bears the new interest since its running period began, `bearing` since the event.
        What an early repayment owes for the days so far comes of what is demanded already; the lines after it are held.
        """
        now = [line for line in lines if event.reason is Reason.PREPAYMENT and line.due_on <= event.on]
        then = lines[len(now) :]
        if not any(line.interest or line.fee for line in then):
            return lines
        whole = sum(line.principal for line in then)
        if now:
            bearing = whole
        begun = self._running_since()
        ceilings = self.terms.late.ceilings(begun)
        if all(ppm is None for _, ppm in ceilings):
            return lines
        advances = [(begun, whole - bearing), (event.on, bearing)]
        try:
            found = held([(on, minor) for on, minor in advances if minor], of_schedule(then), ceilings)
        except LedgerError:  # no time passes, or the rate is beyond all sense: none of it is lawful
            cuts = tuple(Cut(line.due_on, line.principal, line.amount, line.principal) for line in then)
        else:
            if found is None:
                return lines
            cuts = found.lines
        self.cuts += [(self.numbered + len(now) + k, cut) for k, cut in enumerate(cuts, 1)]
        return (*now, *lawful(then, cuts))

    @apply.register
    def _(self, event: WrittenOff) -> None:
        self._close_all(event.on)
        owed = sum(sum(claim.left.values()) for claim in self.claims)
        self._post(event.key, event.on, {Account.LOSS: owed, Account.ALLOWANCE: -owed})
        self.written_off_on = event.on

    @apply.register
    def _(self, event: Sold) -> None:
        self._close_all(event.on)
        entries: dict[Account, int] = {}
        for claim in self.claims:
            for kind, amount in claim.left.items():
                entries[Account.owed(kind)] = entries.get(Account.owed(kind), 0) - amount
            if claim.unpaid_from is not None:
                self.spans.append(Span(claim.aged_from, claim.unpaid_from, event.on))
        self.sold = -sum(entries.values())
        self.sold_on = event.on
        self.claims = []
        allowance = self.sold if self.written_off_on else 0
        loss = self.sold - allowance - event.price
        given = {Account.PROCEEDS: event.price, Account.ALLOWANCE: allowance, Account.LOSS: loss}
        self._post(event.key, event.on, {**entries, **given})

    def state(self, as_of: date) -> State:
        """What is owed at the end of `as_of`, to which the days must have been let pass."""
        debts = []
        for claim in self.claims:
            owed, held_back = dict(claim.left), claim.fee_left
            for line in self._running(claim, as_of):
                owed[line.kind] = owed.get(line.kind, 0) + line.amount
                if line.kind is Kind.LATE_FEE:
                    held_back -= line.amount
                if line.amount:
                    self.lines.append(line)
                    self._post_line(line)
            coming, agreed = dict(self._to_come(claim)), claim.to_come
            debts.append(
                Debt(claim.n, claim.due_on, claim.aged_from, claim.due, owed, coming, held_back, claim.begun, agreed)
            )
            if claim.unpaid_from is not None:
                self.spans.append(Span(claim.aged_from, claim.unpaid_from, None))
        return State(
            as_of=as_of,
            debts=tuple(debts),
            credit=self.credit,
            lines=tuple(self.lines),
            transactions=tuple(self.transactions),
            spans=tuple(span for span in self.spans if span.start != span.end),
            forborne_until=self.forborne_until,
            written_off_on=self.written_off_on,
            sold_on=self.sold_on,
            sold=self.sold,
            cuts=tuple(self.cuts),
            spared=tuple(self.spared),
            freezes=tuple(self.freezes),
            plans=tuple(self.plans),
            refused=tuple(self.refused),
        )


def frozen_days(freezes: Iterable[Frozen], start: date, end: date) -> int:
    """How many of the days after `start` through `end` are days on which nothing accrues."""
    days, reached = 0, start
    for each in sorted(freezes, key=lambda each: each.on):
        first, last = max(each.on, reached), min(each.until, end)
        if first < last:
            days += (last - first).days
            reached = last
    return days


def spare_of(transactions: Iterable[Transaction], lines: Sequence[Part], cap_ppm: int, on: date) -> int:
    """What more a ceiling lets a loan be charged on a day, beside what was paid so far and the lines that repay it.

    Arguments and errors are those of `excess.spare`. What is paid ahead is paid once it settles something; what pays
    costs of enforcement is no cost of the loan.
    """
    advances: list[tuple[date, int]] = []
    paid: list[tuple[date, int]] = []
    for t in transactions:
        sums = dict(t.entries)
        if Account.CASH in sums or Account.CREDIT in sums:
            moved = sum(sums.get(each, 0) for each in (Account.CASH, Account.CREDIT, Account.OWED_COST))
            (paid if moved > 0 else advances).append((t.on, abs(moved)))
    return spare(advances, [*(Part(day, minor, 0) for day, minor in paid), *lines], cap_ppm, on)


def above_of(terms: Terms, transactions: Iterable[Transaction], lines: Sequence[Part], on: date) -> int:
    """What of all that a loan cost and will cost is above the ceiling, as a sum of a day; arguments as `spare_of`.

    Of several ceilings that followed each other the highest. A line of credit is held as it is charged.
    """
    ceilings = [ppm for since, ppm in terms.late.ceilings(terms.opened_on) if since <= on]
    known = [ppm for ppm in ceilings if ppm is not None]
    if terms.product is Product.DAILY or len(known) < len(ceilings):
        return 0
    try:
        return max(-spare_of(transactions, lines, max(known), on), 0)
    except LedgerError:  # nothing was lent
        return 0


def fit(event: Rescheduled, principal: int) -> list[Instalment]:
    """The event's schedule for the principal that is really unpaid: the last instalments give or take the difference.

    An instalment that is left without principal falls away with its interest; the first one stays, for what else
    was unpaid.
    """
    if not event.schedule:
        raise LedgerError(f"event {event.key}: the new schedule is empty; give at least one instalment")
    lines = list(event.schedule)
    spare = sum(line.principal for line in lines) - principal
    while spare >= lines[-1].principal and len(lines) > 1:
        spare -= lines.pop().principal
    if principal == 0:
        return [Instalment(lines[0].due_on, 0, 0)]
    lines[-1] = replace(lines[-1], principal=lines[-1].principal - spare)
    return lines


def corrections(posted: Iterable[Transaction], wanted: Iterable[Transaction], booked_on: date) -> list[Transaction]:
    """What to post so that a journal that holds `posted` agrees with `wanted`; nothing that was posted is edited.

    A transaction that is new is posted as it is. One whose entries are now others gets a correction of its own,
    which holds the difference, has the wanted value date and names the key that it corrects; so does one that
    is no longer wanted. `wanted` holds no corrections; each key of `posted` and `wanted` together stays unique.
    """
    sums: dict[str, dict[Account, int]] = {}
    count: dict[str, int] = {}
    days: dict[str, date] = {}
    for transaction in posted:
        key = transaction.corrects or transaction.key
        count[key] = count.get(key, 0) + 1
        days[key] = transaction.on
        _add(sums.setdefault(key, {}), transaction, 1)
    found = []
    for transaction in wanted:
        key = transaction.key
        if key not in sums:
            found.append(replace(transaction, booked_on=booked_on))
            continue
        _add(sums[key], transaction, -1)
        days[key] = transaction.on
    for key, left in sums.items():
        entries = tuple(Entry(account, -amount) for account, amount in left.items() if amount)
        if entries:
            found.append(Transaction(f"{key}~{count[key]}", days[key], booked_on, entries, corrects=key))
    return found


def _add(sums: dict[Account, int], transaction: Transaction, sign: int) -> None:
    for entry in transaction.entries:
        sums[entry.account] = sums.get(entry.account, 0) + sign * entry.amount

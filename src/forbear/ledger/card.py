"""A revolving card: its statements, minimum payments, interest and days past due, out of its events.

The fold is that of state.py: the same events, orders, chargebacks, waivers, write-off and sale. What differs: a
purchase is a debt of its own, each month a statement bills what is owed and demands a minimum of it, and what is paid
settles what is billed before the rest. A minimum is an instalment for all who ask: days past due, arrears and spans
are those of minimums.

Interest runs by days on each purchase from the day on which it was posted. Where all that a statement bills is paid by
its due date, its purchases bear none; otherwise what has run on them since their posting comes with the next
statement, and goes on until they are paid (全额计息); or, where the contract says so, only on what was not paid by the
due date (未清偿部分计息). Cash bears it from its day. Fees, late fees and interest bear no interest. What issuers may
agree on: 银发〔2016〕111号, 银发〔2020〕327号; what is cited where: provisions.toml, concepts card-*.

On one day: the statement is made, of all until the evening before; then come the events, as in state.py. A due date has
passed at its end.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from itertools import pairwise

from dateutil.relativedelta import relativedelta

from forbear.ledger import accrual
from forbear.ledger.allocate import SCHEDULED, allocate, order_of
from forbear.ledger.models import (
    MAX_PPM,
    PPM,
    Account,
    CardTerms,
    Charged,
    Disbursed,
    Event,
    Forborne,
    Kind,
    LedgerError,
    Line,
    Purchased,
    RateChanged,
    Rescheduled,
    Reversed,
    half_up,
)
from forbear.ledger.state import Claim, Debt, Span, State, Walked, place, walk
from forbear.locale import N_

#: Events that change what interest runs.
_CHANGES = (RateChanged, Forborne)
#: What a minimum asks for whole, beside its share of the principal.
_CHARGES = (Kind.INTEREST, Kind.FEE)
#: What is owed at once and is no part of a minimum, so that no late fee comes of an earlier one.
_AT_ONCE = (Kind.LATE_FEE, Kind.COST, Kind.PENALTY)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Statement:
    """A month's statement, of all until the evening before `on`; in minor units.

    balance: all that is owed. minimum: what is to be paid by `due_on`: the demand, and late fees and costs. lines: the
    interest, the fees and late fees that it charges. contracted: what these would be by the contract, without any
    ceiling.
    """

    n: int
    on: date
    due_on: date
    balance: int
    minimum: int
    lines: tuple[Line, ...]
    contracted: int

    @property
    def charged(self) -> int:
        """What its lines come to."""
        return sum(line.amount for line in self.lines)


@dataclass(frozen=True, slots=True)
class CardState(State):
    """A State whose debts with a number are minimums.

    running: interest and late fees so far that the next statement bills; running_contracted: what they would be without
    any ceiling. minimum: what is still to be paid of the newest statement's.
    """

    statements: tuple[Statement, ...]
    running: tuple[Line, ...]
    running_contracted: int
    minimum: int

    @property
    def unbilled(self) -> int:
        """What the running lines come to."""
        return sum(line.amount for line in self.running)

    @property
    def payoff(self) -> int:
        """What ends the debt at the end of the day."""
        return max(self.outstanding + self.unbilled - self.credit, 0)

    @property
    def overpaid(self) -> int:
        """What is held for the borrower beyond all that is owed, what has accrued and is not yet billed among it."""
        return max(self.credit - self.outstanding - self.unbilled, 0)

    @property
    def whole(self) -> int:
        return self.outstanding + self.unbilled


def fold(terms: CardTerms, events: Iterable[Event], as_of: date) -> CardState:
    """The card at the end of `as_of`; arguments and errors are those of state.fold."""
    kept = list(events)
    for event in kept:
        if isinstance(event, Rescheduled | Disbursed):
            raise LedgerError(
                N_("event %(event)s: a card has no schedule; what is agreed on instead is a loan of its own"),
                event=event.key,
            )
    card = _Card(terms, kept)
    walk(terms, (), kept, as_of, card)
    card.advance(as_of)
    return card.state(as_of)


@dataclass(slots=True)
class _Lot:
    """A purchase or cash: its debt, and the interest that has run on it (by the contract) and is not yet charged."""

    claim: Claim
    cash: bool
    bears: bool
    since: date
    ran: list[Line] = field(default_factory=list)

    @property
    def left(self) -> int:
        return self.claim.left[Kind.PRINCIPAL]


class _Card(Walked):
    """A card on its way through its events. Of a claim, `due` says that a statement has billed it."""

    def __init__(self, terms: CardTerms, events: Sequence[Event]) -> None:
        super().__init__(terms, ())
        self.card = terms
        gone = {event.of for event in events if isinstance(event, Reversed)}
        live = sorted((event for event in events if event.key not in gone and type(event) in _CHANGES), key=place)
        #: (day, ppm a year from then on), and (first day, last day) of what is frozen: the day itself is before either.
        self.rates = [(date.min, terms.annual_rate_ppm)]
        self.frozen: list[tuple[date, date]] = []
        for event in live:
            if isinstance(event, RateChanged) and event.annual_rate_ppm is not None:
                self.rates.append((event.on, event.annual_rate_ppm))
            elif isinstance(event, Forborne) and event.freezes:
                self.frozen.append((event.on, event.until))
        limits = (*(last for last, _ in terms.rate_limits), *(day - _DAY for day, _ in terms.late.later))
        #: The days with which what interest is charged ends or begins.
        self.turns = sorted({*(day for day, _ in self.rates), *limits, *(day for span in self.frozen for day in span)})
        self.lots: dict[Claim, _Lot] = {}
        self.made: list[Statement] = []
        #: The minimums, each as far as it goes beyond what was demanded before it.
        self.demands: list[Claim] = []
        #: The late fees and costs of the newest statement, which its minimum asks for beside the demands.
        self.beside = Claim(0, date.max, date.max, {Kind.PRINCIPAL: 0}, {})
        #: What payments met of which demand, the latest last (None: of none), as `settled` has the debts.
        self.met: list[tuple[Claim | None, int]] = []
        self.to_pass: Statement | None = None
        self.to_fine: list[Statement] = []
        self.fines: list[Line] = []
        #: What was charged since the last statement, and what it would be by the contract.
        self.charged: list[Line] = []
        self.contracted = 0

    #: A fee that is charged under a ceiling comes with the next statement, as a late fee does.
    BY_DAYS = frozenset({Kind.LATE_FEE, Kind.FEE})

    # ---- the passing of days

    def advance(self, to: date) -> None:
        while not self.sold_on:
            statement_on = self.card.first_statement_on + relativedelta(months=len(self.made))
            passed_on = self.to_pass.due_on + _DAY if self.to_pass else date.max
            fine_on = accrual.fee_day(self.terms.late, self.to_fine[0].due_on) if self.to_fine else date.max
            day = min(statement_on, passed_on, fine_on)
            if day > to:
                return
            if day == passed_on:
                self._pass()
            elif day == fine_on:
                self._fine(day)
            else:
                self._statement(day)

    def _pass(self) -> None:
        """A due date has passed: was all paid that the statement billed, and the minimum?"""
        statement, self.to_pass = self.to_pass, None
        assert statement is not None
        demand = self.demands[-1]
        if demand.unpaid:
            demand.unpaid_from = statement.due_on
        whole = not any(any(claim.left.values()) for claim in self.claims if claim.due)
        for lot in self.lots.values():
            if not lot.claim.due or lot.bears:
                continue
            if whole:
                lot.ran = []
            elif self.card.unpaid_only:
                lot.ran, lot.since = [], lot.claim.due_on
            lot.bears = not whole

    def _fine(self, day: date) -> None:
        """A statement's days of grace have ended: the late fee is on what is unpaid of its minimum."""
        statement = self.to_fine.pop(0)
        unpaid = sum(demand.unpaid for demand in self.demands if demand.due_on <= statement.due_on)
        if unpaid and not self._is_frozen(day):
            self.fines.append(accrual.late_fee(self.terms.late, statement.n, statement.due_on, unpaid))

    def _statement(self, day: date) -> None:
        terms, n = self.card, len(self.made) + 1
        before = self._billed(_CHARGES)
        self._bill(day)
        for lot in self.lots.values():
            if not lot.claim.due and not lot.bears:  # what was paid before it was billed is not billed
                lot.ran, lot.since = [], lot.claim.due_on
        for claim in self.claims:
            claim.due = True
        self._use_credit(f"credit:{n}", day)
        demanded = sum(demand.unpaid for demand in self.demands)
        principal, charges, at_once = (self._billed(kinds) for kinds in ((Kind.PRINCIPAL,), _CHARGES, _AT_ONCE))
        cash = sum(lot.left for lot in self.lots.values() if lot.cash)
        of_cash = terms.minimum_ppm if terms.cash_minimum_ppm is None else terms.cash_minimum_ppm
        share = max(half_up((principal - cash) * terms.minimum_ppm + cash * of_cash, PPM), terms.minimum_floor)
        # What is demanded already beyond the charges of before is principal, and overdue beside the new share.
        overdue = max(demanded - before, 0)
        own = max(min(share + overdue, principal) + charges - demanded, 0)
        due_on = day + timedelta(days=terms.due_days)
        self.demands.append(Claim(n, due_on, due_on, {Kind.PRINCIPAL: own}, {}))
        self.beside.left[Kind.PRINCIPAL] = at_once
        made = Statement(
            n,
            day,
            due_on,
            principal + charges + at_once,
            demanded + own + at_once,
            tuple(self.charged),
            self.contracted,
        )
        self.charged, self.contracted = [], 0
        self.made.append(made)
        self.to_pass = made
        if self.terms.late.late_fee_minor or self.terms.late.late_fee_ppm:
            self.to_fine.append(made)

    def _billed(self, kinds: Sequence[Kind]) -> int:
        """What is owed of these kinds that a statement has billed."""
        return sum(claim.left.get(kind, 0) for claim in self.claims if claim.due for kind in kinds)

    # ---- interest

    def _run(self, lot: _Lot, to: date) -> None:
        """Let interest run on what is left of a purchase, through `to`."""
        turns = [day for day in self.turns if lot.since < day < to]
        for start, end in pairwise([lot.since, *turns, to]) if lot.left and to > lot.since else ():
            if not any(first <= start and end <= last for first, last in self.frozen):
                rate = next(ppm for day, ppm in reversed(self.rates) if day <= start)
                count = self.terms.day_count
                lot.ran.append(accrual.by_days(Kind.INTEREST, 0, lot.left, rate, count, start, end))
        lot.since = max(lot.since, to)

    def _run_bearing(self, to: date) -> None:
        for lot in self.lots.values():
            if lot.bears:
                self._run(lot, to)

    def _charges(self) -> tuple[list[Line], int]:
        """What is to be charged now, as far as it is lawful; what it would be by the contract."""
        ran = [line for lot in self.lots.values() if lot.bears for line in lot.ran]
        late, n = self.card.late, len(self.made) + 1
        lawful = [self._at(line, self._most(line))._replace(n=n) for line in ran]
        room = None
        if self._capped():
            # For the days and the principal for which interest is charged, all together costs no more than the ceiling.
            most = (self._at(line, late.held(MAX_PPM, line.end)).amount for line in ran)
            room = sum(most) - sum(line.amount for line in lawful)
        for fine in self.fines:
            kept = fine
            if room is not None and fine.amount > room:
                kept = accrual.at_once(fine.kind, fine.n, fine.start, room)._replace(base=fine.amount)
            room = None if room is None else room - kept.amount
            lawful.append(kept)
        # A fee of which the ceiling leaves nothing is told of all the same.
        return [line for line in lawful if line.amount or (line.base and not line.year)], sum(
            line.amount for line in (*ran, *self.fines)
        )

    def _most(self, line: Line) -> int:
        """The highest lawful rate for the days of a line."""
        limits = [ppm for last, ppm in self.card.rate_limits if line.end <= last]
        return min(self.card.late.held(line.rate_ppm, line.end), *limits, MAX_PPM)

    def _capped(self) -> bool:
        return any(ppm is not None for _, ppm in self.card.late.ceilings(date.min))

    def _at(self, line: Line, ppm: int) -> Line:
        return accrual.by_days(line.kind, line.n, line.base, ppm, self.terms.day_count, line.start, line.end)

    def _bill(self, day: date) -> None:
        """Charge the interest that has run on what bears it, and the late fees."""
        self._run_bearing(day)
        lines, contracted = self._charges()
        for lot in self.lots.values():
            lot.ran = [] if lot.bears else lot.ran
        self.fines = []
        self.lines += lines
        self.charged += lines
        self.contracted += contracted
        for kind in (Kind.INTEREST, Kind.FEE, Kind.LATE_FEE):
            if amount := sum(line.amount for line in lines if line.kind is kind):
                self._owe(Claim(0, day, day, {kind: amount}, {}))
                self._earn(f"{kind}:{day}", day, kind, amount)

    def _running(self, claim: Claim, to: date) -> Sequence[Line]:
        return ()

    def _close(self, claim: Claim, on: date) -> None:
        if lot := self.lots.get(claim):
            self._run(lot, on)

    def _close_all(self, on: date) -> None:
        for lot in self.lots.values():
            self._run(lot, on)
        self._bill(on)

    # ---- what happens

    def spend(self, event: Purchased) -> None:
        if self.written_off_on:
            raise LedgerError(
                N_("event %(event)s: the debt was written off on %(off)s; nothing is drawn on it any more"),
                event=event.key,
                off=self.written_off_on,
            )
        claim = Claim(0, event.on, event.on, {Kind.PRINCIPAL: event.amount}, {})
        self.lots[claim] = _Lot(claim, event.cash, event.cash, event.on)
        self._owe(claim)
        self._post(event.key, event.on, {Account.OWED_PRINCIPAL: event.amount, Account.CASH: -event.amount})
        self._use_credit(f"credit:{event.key}", event.on)

    def lawful_of(self, event: Charged) -> int:
        return event.amount  # the statement that bills it holds it, with interest and late fees

    def charge(self, event: Charged, owed: int) -> None:
        if event.kind is Kind.FEE and self._capped():
            self.fines.append(accrual.at_once(Kind.FEE, 0, event.on, owed))
        else:
            super().charge(event, owed)

    def _owe(self, claim: Claim) -> None:
        self.claims.append(claim)
        self.claims.sort(key=lambda claim: claim.due_on)

    def _charge(self, claim: Claim, line: Line, key: str | None = None) -> None:
        super()._charge(claim, line, key)
        claim.due = False  # until a statement bills it

    def _allocate(self, amount: int, on: date) -> tuple[dict[Account, int], int]:
        stages = order_of(self.terms.order).stages_at(self._dpd(on), to_come=False)
        settled: list[tuple[Claim, Kind, int]] = []
        for billed in (True, False):
            claims = [claim for claim in self.claims if claim.due is billed]
            found, amount = allocate(amount, [claim.left for claim in claims], stages)
            settled += [(claims[k], kind, part) for k, kind, part in found]
        self.settled += settled
        return self._settle(settled, on), amount

    def _settle(
        self, settled: Sequence[tuple[Claim, Kind, int]], on: date, lost: Account = Account.RECOVERY
    ) -> dict[Account, int]:
        entries = super()._settle(settled, on, lost)
        if self.sold_on:
            return entries
        waived = lost is Account.LOSS
        amount = sum(part for _, kind, part in settled if not waived or kind in SCHEDULED)
        if amount < 0:
            self._bring_back(-amount)
        else:
            self._meet(amount, keep=not waived)
        # Nothing is demanded that is not owed.
        demanded, billed = sum(demand.unpaid for demand in self.demands), self._billed((*SCHEDULED, *_AT_ONCE))
        self._meet(max(demanded - self._billed(SCHEDULED), 0), keep=False)
        demanded = sum(demand.unpaid for demand in self.demands)
        self.beside.left[Kind.PRINCIPAL] = min(self.beside.unpaid, billed - demanded)
        for demand in self.demands:
            if demand.due_on < on or demand.unpaid_from:
                self._note(demand, on)
        return entries

    def _meet(self, amount: int, keep: bool) -> None:
        """What is paid or given up counts towards the minimums, the oldest first, whatever it settles.

        Then it counts towards what the newest asks for beside them, so that a late fee makes no arrears.
        """
        parts: list[tuple[Claim | None, int]] = []
        for demand in (*self.demands, self.beside):
            if part := min(amount, demand.unpaid):
                demand.left[Kind.PRINCIPAL] -= part
                amount -= part
                parts.append((demand, part))
        if keep:
            self.met += [*parts, (None, amount)]

    def _bring_back(self, amount: int) -> None:
        while amount:
            demand, part = self.met.pop()
            taken = min(part, amount)
            if taken < part:
                self.met.append((demand, part - taken))
            if demand:
                demand.left[Kind.PRINCIPAL] += taken
            amount -= taken

    def _dpd(self, on: date) -> int:
        return max(((on - each.aged_from).days for each in self.demands if each.unpaid_from is not None), default=0)

    # ---- what has come of it

    def state(self, as_of: date) -> CardState:
        self._run_bearing(as_of)
        whole = super().state(as_of)
        spans = [Span(each.aged_from, each.unpaid_from, self.sold_on) for each in self.demands if each.unpaid_from]
        lines, contracted = ([], 0) if self.sold_on else self._charges()
        return CardState(
            as_of=as_of,
            debts=() if self.sold_on else tuple(self._debts(as_of)),
            credit=whole.credit,
            lines=whole.lines,
            transactions=whole.transactions,
            spans=tuple(span for span in (*whole.spans, *spans) if span.start != span.end),
            forborne_until=whole.forborne_until,
            written_off_on=whole.written_off_on,
            sold_on=whole.sold_on,
            sold=whole.sold,
            cuts=whole.cuts,
            spared=whole.spared,
            freezes=whole.freezes,
            plans=whole.plans,
            refused=whole.refused,
            statements=tuple(self.made),
            running=tuple(lines),
            running_contracted=contracted,
            minimum=0 if self.sold_on else sum(each.unpaid for each in (*self.demands, self.beside)),
        )

    def _debts(self, as_of: date) -> Iterable[Debt]:
        """Each minimum with what it is made of, charges first; what is owed beside them; what is not demanded yet."""
        left = {kind: sum(claim.left.get(kind, 0) for claim in self.claims) for kind in Kind}

        def made_of(demand: Claim, kinds: Iterable[Kind]) -> dict[Kind, int]:
            owed, unpaid = {}, demand.unpaid
            for kind in kinds:
                if part := min(unpaid, left[kind]):
                    owed[kind] = part
                    left[kind] -= part
                    unpaid -= part
            assert not unpaid, f"minimum {demand.n}: more is demanded than is owed"
            return owed

        for demand in self.demands:
            owed = made_of(demand, SCHEDULED)
            yield Debt(demand.n, demand.due_on, demand.aged_from, demand.due_on <= as_of, owed, {})
        if owed := made_of(self.beside, (*_AT_ONCE, *SCHEDULED)):
            yield Debt(0, as_of, as_of, True, owed, {})
        if owed := {kind: amount for kind, amount in left.items() if amount}:
            yield Debt(0, as_of, as_of, False, owed, {})

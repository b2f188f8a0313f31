"""Works out a statement: the ledger's fold of what is demanded, and beside it what a ceiling removed of the contract.

What is demanded is on file (servicing/demand.py), the same for journal, night and statement. Nothing is written.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import psycopg

from forbear.check.ceilings import Ceiling, ceilings
from forbear.ledger import accrual
from forbear.ledger.allocate import Order, order_of
from forbear.ledger.arrears import Category, Stretch, category_on, classing_of, stretches
from forbear.ledger.card import CardState
from forbear.ledger.card import Statement as Bill
from forbear.ledger.early import overpaid, payoff
from forbear.ledger.excess import Line as Cut
from forbear.ledger.filed import CARD, event_ref, fold, payment_ref
from forbear.ledger.models import (
    CardTerms,
    DayCount,
    Instalment,
    Kind,
    LedgerError,
    Line,
    Paid,
    Purchased,
    Reason,
    Refunded,
    Rescheduled,
    Sold,
    Waived,
)
from forbear.ledger.provisions import Provision, provision
from forbear.ledger.state import Frozen, Plan, Refused, State
from forbear.locale import N_
from forbear.rulebook.cap import Steps, find_cap, lowest_known
from forbear.rulebook.load import Rulebook
from forbear.rulebook.models import Rule
from forbear.servicing.demand import ceiling_of
from forbear.servicing.loan import Loan, read
from forbear.servicing.owing import held, the_borrowers
from forbear.servicing.reschedule import cancelled
from forbear.statement.errors import StatementError

#: The place whose provisions are on file, and the concept that each kind of charge rests on there.
_PROVISIONS = {
    "cn": {
        Kind.INTEREST: "loan-contract",
        Kind.PENALTY: "overdue-interest",
        Kind.LATE_FEE: "agreed-damages",
        Kind.COST: "order-of-settlement",
    }
}
#: The same of cards, where they have texts of their own.
_OF_CARDS = {"cn": {Kind.INTEREST: "card-interest", Kind.LATE_FEE: "card-late-fee"}}
_EARLY = {"cn": ("early-repayment",)}
#: The concepts that an order of settlement rests on, where its law was replaced.
_ORDERS = {"cn_civil_code": ("order-of-debts", "order-of-settlement")}


@dataclass(frozen=True, slots=True)
class Charge:
    """A charge with its formula (see `Line`) and what it rests on; None: the contract alone.

    excess: what the ceiling removed of it, spared: what of it would have accrued on frozen days, both in minor units
    and not in the line's amount; given_up: what of it went with principal that was given up. plan: the schedule whose
    instalment it comes with, where that is not the contract's.
    worked: of a plan's interest, the line by which anyone can work it out, where the plan's terms give it.
    """

    line: Line
    basis: Provision | None
    excess: int
    spared: int = 0
    plan: Plan | None = None
    worked: Line | None = None
    given_up: int = 0


@dataclass(frozen=True, slots=True)
class Freeze:
    """Days on which nothing accrues, the first and the last; `rule`: by which the law gives it, None: granted."""

    first: date
    last: date
    rule: Rule | None


@dataclass(frozen=True, slots=True)
class Waiver:
    """What the lender gave up of what was owed of a kind, in minor units."""

    on: date
    kind: Kind
    amount: int


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment and what it settled, in minor units; `credit` is held for what falls due next."""

    ref: str
    on: date
    amount: int
    settled: tuple[tuple[Kind, int], ...]
    credit: int
    taken_back: bool


@dataclass(frozen=True, slots=True)
class Refund:
    """What was paid back to the borrower, in minor units."""

    ref: str
    on: date
    amount: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """A purchase of a card, or cash, in minor units."""

    ref: str
    on: date
    cash: bool
    amount: int


@dataclass(frozen=True, slots=True)
class Day:
    """What would be owed at the end of a day if nothing more were paid before; in minor units.

    due: what is due by then, less what was paid ahead. payoff: what would end the loan; overpaid: what is held beyond
    that. Of a card both are all that is
    owed, with what has accrued and is not yet billed (`unbilled`); minimum: what is still to be paid of its newest one.
    """

    on: date
    owed: tuple[tuple[Kind, int], ...]
    credit: int
    due: int
    payoff: int
    dpd: int
    overpaid: int
    unbilled: int = 0
    minimum: int = 0


@dataclass(frozen=True, slots=True)
class Replacing:
    """A schedule that took the place of what was to come, and what of it is not asked for, in minor units.

    plan: its interest and fees are those that are demanded. less: what its lines were less what they are, for frozen
    days and with principal that was given up. cancelled: what it gave up of the running period (reschedule.cancelled).
    """

    plan: Plan
    less: int
    cancelled: int


@dataclass(frozen=True, slots=True)
class Statement:
    """All that a statement tells of an account; amounts in minor units of `currency`.

    ceilings: all on file for the loan's day and place. removed: each instalment's part that is not demanded, empty
    where nothing is; replaced: the same of the lines of new schedules, late_fees: of late fees as far as they have
    come, each with its instalment's number; spared: of instalments, for the days of `freezes`; refused: of fees that
    were charged; ceiling_ppm: by which all is held on the day, None where no figure is on file.
    changed: by the rulebook of today it would be others; the next night writes them. unknown: a ceiling that may bind
    can't be told; uncovered: no rule on file covers the type of lender on the day of the contract. plans: the schedules
    that took the place of the contract's, the oldest first. status: of the account. written_off_on: by an event on
    file. sold: the sale by then, after which nothing is owed here, and held: what is the borrower's still. arrears: the
    history of days past due since the loan was made. order_basis: where the order of settlement stood in the law on the
    day. bills, drawn: of a card its monthly statements and what was drawn, `removed` being of bills; None of a loan.
    """

    account_id: int
    ref: str
    book: str
    synthetic: bool
    jurisdiction: str
    currency: str
    opened_on: date
    lent: int
    today: Day
    then: Day
    category: str
    arrears: tuple[Stretch, ...]
    charges: tuple[Charge, ...]
    waivers: tuple[Waiver, ...]
    payments: tuple[Payment, ...]
    refunds: tuple[Refund, ...]
    order: Order
    order_basis: tuple[Provision, ...]
    early: Provision | None
    ceilings: tuple[Ceiling, ...]
    removed: tuple[Cut, ...]
    replaced: tuple[tuple[int, Cut], ...]
    spared: tuple[tuple[int, Cut], ...]
    refused: tuple[Refused, ...]
    freezes: tuple[Freeze, ...]
    plans: tuple[Replacing, ...]
    status: str
    written_off_on: date | None
    sold: Sold | None
    held: int
    late_fees: tuple[tuple[int, Cut], ...]
    ceiling_ppm: int | None
    penalty_rate_ppm: int
    changed: bool
    unknown: bool
    uncovered: bool
    bills: tuple[Bill, ...] | None = None
    drawn: tuple[Drawn, ...] = ()


def statement(
    connection: psycopg.Connection[Any], account_id: int, as_of: date, pay_on: date, rulebook: Rulebook
) -> Statement:
    """The statement of an account at the end of `as_of`, and what it would owe if it paid on `pay_on`.

    Raises StatementError where there is no such account, no schedule, or a day that can't be.
    """
    if pay_on < as_of:
        raise StatementError(
            N_("The day of paying, %(pay_on)s, lies before %(day)s. Choose that day or a later one."),
            pay_on=pay_on,
            day=as_of,
        )
    loan = read(connection, [account_id]).get(account_id)
    row = connection.execute(
        "SELECT b.name, b.synthetic, b.jurisdiction, b.lender_type, a.opened_on,"
        " a.penalty_rate_ppm FROM account a"
        " JOIN book b ON b.id = a.book_id WHERE a.id = %s",
        (account_id,),
    ).fetchone()
    if loan is None or row is None:
        raise StatementError(N_("There is no such account. The console's work list shows those on file."))
    if loan.product == CARD and loan.terms is None:
        raise StatementError(
            N_(
                "The account is a card, and the terms of its statements are not on file: its issuer's own statement"
                " says what it owes."
            )
        )
    if loan.terms is None:
        raise StatementError(
            N_("The account has no instalment on file, so what it owes is not known. Import them first.")
        )
    book, synthetic, jurisdiction, lender_type, opened_on, penalty = row
    if as_of < loan.terms.opened_on:
        raise StatementError(
            N_("The loan was opened on %(opened)s, after %(day)s. Choose a later day."),
            opened=loan.terms.opened_on,
            day=as_of,
        )
    found = ceilings(rulebook, jurisdiction, lender_type, opened_on, as_of, loan.product)
    steps = lowest_known(rulebook, jurisdiction, lender_type, opened_on, loan.product)
    cap = find_cap(rulebook, jurisdiction, lender_type, opened_on, loan.product, as_of)
    uncovered = cap is not None and cap.exists is None
    try:
        now, then = _fold(loan, as_of), _fold(loan, pay_on)
    except LedgerError as error:
        raise StatementError(N_("account %(id)s: %(why)s."), id=account_id, why=error) from error
    excess = {n: minor for n, minor in enumerate(loan.removed, 1)} | {n: cut.excess for n, cut in now.cuts}
    cuts = tuple(
        Cut(line.due_on, line.principal, line.amount + minor, line.amount)
        for line, minor in zip(loan.schedule, loan.removed, strict=True)
    )
    card = now if isinstance(now, CardState) else None
    if card:
        running = Cut(as_of, 0, card.running_contracted, card.unbilled)
        cuts = tuple(Cut(bill.on, 0, bill.contracted, bill.charged) for bill in card.statements)
        cuts += (running,) if running.excess else ()
    drawn = tuple(_drawn(loan, now))
    posted = {t.key for t in now.transactions}
    early = () if card else _EARLY.get(jurisdiction, ())
    return Statement(
        account_id=account_id,
        ref=loan.ref,
        book=book,
        synthetic=synthetic,
        jurisdiction=jurisdiction,
        currency=loan.currency,
        opened_on=opened_on,
        lent=sum(each.amount for each in drawn) if card else loan.terms.principal,
        today=_day(loan, now),
        then=_day(loan, then),
        category=Category(category_on(now, as_of, classing_of(now))).name.lower(),
        arrears=_arrears(now, opened_on, jurisdiction),
        charges=tuple(_charge(line, jurisdiction, now, excess, loan.schedule) for line in _lines(now, as_of)),
        waivers=tuple(_waivers(loan, now)),
        payments=tuple(_payments(loan, now)),
        refunds=tuple(_refunds(loan, now)),
        order=order_of(loan.terms.order),
        order_basis=_on(_ORDERS.get(loan.terms.order, ()), as_of),
        early=next(iter(_on(early, as_of)), None),
        ceilings=found,
        removed=cuts if any(line.excess for line in cuts) else (),
        replaced=now.cuts,
        spared=now.spared,
        refused=tuple(each for each in now.refused if each.on <= as_of),
        freezes=tuple(_freezes(now.freezes, rulebook)),
        # An early repayment of all has one line, which leaves nothing to come.
        plans=tuple(
            _replacing(each, loan, now)
            for each in now.plans
            if each.reason is not Reason.PREPAYMENT or len(each.lines) > 1
        ),
        status=loan.status,
        written_off_on=now.written_off_on,
        sold=next((e for e in loan.events if isinstance(e, Sold) and now.sold_on and e.key in posted), None),
        held=held(fold(loan.terms, loan.schedule, the_borrowers(loan.events), as_of)) if now.sold_on else now.credit,
        late_fees=tuple(_late_fees(now)),
        ceiling_ppm=loan.terms.late.ceiling_on(as_of),
        penalty_rate_ppm=0 if card else penalty,  # none is charged on a card
        changed=_changed(loan, opened_on, steps),
        unknown=uncovered or any(each.binds is not False and each.ppm is None for each in found),
        uncovered=uncovered,
        bills=card.statements if card else None,
        drawn=drawn,
    )


def arrears(connection: psycopg.Connection[Any], account_id: int, as_of: date) -> tuple[Stretch, ...]:
    """The history of an account's days past due through a day; empty where the ledger can't tell it."""
    loan = read(connection, [account_id]).get(account_id)
    row = connection.execute(
        "SELECT b.jurisdiction, a.opened_on FROM account a JOIN book b ON b.id = a.book_id WHERE a.id = %s",
        (account_id,),
    ).fetchone()
    if loan is None or row is None or loan.terms is None or as_of < loan.terms.opened_on:
        return ()
    try:
        return _arrears(_fold(loan, as_of), row[1], row[0])
    except LedgerError:  # what happened to it contradicts itself: a person is to see to it
        return ()


def _arrears(state: State, opened_on: date, jurisdiction: str) -> tuple[Stretch, ...]:
    # The five categories are China's; no other place is classed by them.
    return stretches(state, min(opened_on, state.as_of), classing=classing_of(state) if jurisdiction == "cn" else None)


def _fold(loan: Loan, as_of: date) -> State:
    assert loan.terms is not None
    return fold(loan.terms, loan.schedule, loan.events, as_of)


def _changed(loan: Loan, opened_on: date, steps: Steps) -> bool:
    """Would the ceilings on file now remove something else than what is on file as removed?"""
    assert loan.terms is not None
    late = loan.terms.late
    kept = tuple(each for each in ((opened_on, late.ceiling_ppm), *late.later) if each != (opened_on, None))
    if isinstance(loan.terms, CardTerms) or steps != kept:
        return steps != kept
    held = ceiling_of(loan, steps)
    return loan.removed != (tuple(line.excess for line in held.lines) if held else (0,) * len(loan.schedule))


def _freezes(freezes: Sequence[Frozen], rulebook: Rulebook) -> Iterator[Freeze]:
    rules = {rule.id: rule for rule in rulebook.rules}
    for each in freezes:
        yield Freeze(each.on + timedelta(days=1), each.until, rules.get(each.rule))


def _late_fees(state: State) -> Iterator[tuple[int, Cut]]:
    """The late fees that the ceiling holds back, whole or in part."""
    for debt in state.debts:
        if debt.held_back:
            came = sum(line.amount for line in state.lines if (line.kind, line.n) == (Kind.LATE_FEE, debt.n))
            yield debt.n, Cut(debt.due_on, 0, came + debt.held_back, came)


def _lines(state: State, as_of: date) -> list[Line]:
    """The charges that have arisen by the day, the oldest first, those that are still running among them."""
    running = state.running if isinstance(state, CardState) else ()
    return sorted(
        (line for line in (*state.lines, *running) if line.start <= as_of),
        key=lambda each: (each.start, each.n, each.end),
    )


def _replacing(plan: Plan, loan: Loan, state: State) -> Replacing:
    """A new schedule as it is asked for."""
    assert loan.terms is not None
    made = replace(plan, lines=state.asked(plan.lines, plan.first))
    event = next(e for e in loan.events if isinstance(e, Rescheduled) and e.key == plan.key)
    return Replacing(made, plan.charge - made.charge, cancelled(loan.terms, loan.schedule, loan.events, event))


def _charge(
    line: Line, jurisdiction: str, state: State, excess: Mapping[int, int], schedule: Sequence[Instalment]
) -> Charge:
    """A charge with what it rests on. excess: what the ceiling removed of each instalment's interest."""
    card = state if isinstance(state, CardState) else None
    concepts = _PROVISIONS.get(jurisdiction, {}) | (_OF_CARDS.get(jurisdiction, {}) if card else {})
    concept = concepts.get(line.kind)
    basis = next(iter(_on((concept,) if concept else (), line.end)), None)
    if card:
        return Charge(line, basis, 0 if line.year else line.base - line.amount)
    plan = next((each for each in reversed(state.plans) if each.first <= line.n < each.first + len(each.lines)), None)
    if line.kind is not Kind.INTEREST:
        return Charge(line, basis, 0, plan=plan)
    if plan and plan.reason is Reason.PREPAYMENT and line.end == plan.on:  # for the days until it was repaid
        basis = next(iter(_on(_EARLY.get(jurisdiction, ()), line.end)), basis)
    spared = next((cut.excess for n, cut in state.spared if n == line.n), 0)
    cut = excess.get(line.n, 0)
    worked = None if plan is None or spared else _worked(plan, line, cut)
    agreed = plan.lines[line.n - plan.first] if plan else schedule[line.n - 1] if 0 < line.n <= len(schedule) else None
    given_up = 0 if agreed is None or line.year else max(agreed.interest - line.amount - spared, 0)
    return Charge(line, basis, cut, spared, plan, worked, given_up)


def _worked(plan: Plan, line: Line, cut: int) -> Line | None:
    """A plan's interest by its terms: principal still unpaid by the plan × rate × days / 365, where that gives it."""
    k = line.n - plan.first
    start = plan.lines[k - 1].due_on if k else plan.on
    left = plan.principal - sum(each.principal for each in plan.lines[:k])
    whole = accrual.by_days(Kind.INTEREST, line.n, left, plan.ppm, DayCount.ACT_365, start, line.end)
    return whole if whole.amount == line.amount + cut else None


def _on(concepts: Sequence[str], day: date) -> tuple[Provision, ...]:
    """What holds each concept on a day; one that nothing held then is left out."""
    found = []
    for concept in concepts:
        with contextlib.suppress(LedgerError):
            found.append(provision(concept, day))
    return tuple(found)


def _drawn(loan: Loan, state: State) -> Iterator[Drawn]:
    """What was drawn and not taken back, the oldest first."""
    posted = {t.key for t in state.transactions}
    for event in sorted((e for e in loan.events if isinstance(e, Purchased)), key=lambda e: (e.on, e.key)):
        if event.key in posted:
            yield Drawn(event_ref(event.key), event.on, event.cash, event.amount)


def _refunds(loan: Loan, state: State) -> Iterator[Refund]:
    """What was paid back and not taken back, the oldest first."""
    posted = {t.key for t in state.transactions}
    for event in sorted((e for e in loan.events if isinstance(e, Refunded)), key=lambda e: (e.on, e.key)):
        if event.key in posted:
            yield Refund(event_ref(event.key), event.on, event.amount)


def _waivers(loan: Loan, state: State) -> list[Waiver]:
    """What each waiver that stands has really taken, which may be less than its amount; the oldest first."""
    kinds = {event.key: event.kind for event in loan.events if isinstance(event, Waived)}
    made = [(t, -sum(e.amount for e in t.entries if e.amount < 0)) for t in state.transactions if t.key in kinds]
    return [Waiver(t.on, kinds[t.key], amount) for t, amount in sorted(made, key=lambda each: each[0].on) if amount]


def _payments(loan: Loan, state: State) -> list[Payment]:
    back = {of for event in loan.events if (of := getattr(event, "of", None)) is not None}
    made = {t.key: t for t in state.transactions}
    found = []
    for event in sorted((e for e in loan.events if isinstance(e, Paid)), key=lambda e: (e.on, e.key)):
        if event.on > state.as_of:
            continue
        sums = {str(e.account): -e.amount for e in made[event.key].entries} if event.key in made else {}
        settled = tuple((kind, sums[f"owed:{kind}"]) for kind in Kind if sums.get(f"owed:{kind}", 0) > 0)
        credit = sums.get("credit", 0)
        found.append(Payment(payment_ref(event.key), event.on, event.amount, settled, credit, event.key in back))
    return found


def _day(loan: Loan, state: State) -> Day:
    assert loan.terms is not None
    if isinstance(state, CardState):
        whole = tuple((kind, amount) for kind in Kind if (amount := state.owed(kind)))
        ends = state.payoff
        return Day(
            state.as_of, whole, state.credit, ends, ends, state.dpd, state.overpaid, state.unbilled, state.minimum
        )
    owed: dict[Kind, int] = {}
    for debt in state.debts:
        if debt.due:
            for kind, amount in debt.owed.items():
                owed[kind] = owed.get(kind, 0) + amount
    listed = tuple((kind, owed[kind]) for kind in Kind if owed.get(kind))
    due = max(state.due - state.credit, 0)
    ends, over = payoff(loan.terms, state), overpaid(loan.terms, state)
    return Day(state.as_of, listed, state.credit, due, ends, state.dpd, over)

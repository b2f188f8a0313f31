"""The laws of the ledger, held over drawn loans: conservation of money, order, replay, no cent lost."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from forbear.ledger.allocate import ORDERS
from forbear.ledger.arrears import category_on
from forbear.ledger.card import CardState
from forbear.ledger.carry import Carried, replay, resume
from forbear.ledger.filed import fold
from forbear.ledger.models import (
    Account,
    CardTerms,
    Charged,
    ChargedBack,
    DayCount,
    Disbursed,
    Event,
    Forborne,
    Instalment,
    Kind,
    Late,
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
    balances,
)
from forbear.ledger.products import schedule
from forbear.ledger.state import State, corrections, walk

OPENED = date(2024, 1, 31)
DAYS = st.integers(0, 500).map(lambda k: OPENED + timedelta(days=k))
AMOUNT = st.integers(1, 400_000)
BY_DAYS = st.sampled_from([DayCount.ACT_365, DayCount.ACT_360, DayCount.THIRTY_360, DayCount.ACT_ACT])
#: Ceilings that follow on the first for what accrues from a day on.
LATER = st.just(()) | st.just(
    ((OPENED + timedelta(days=45), 90_000), (OPENED + timedelta(days=80), None), (OPENED + timedelta(days=100), 60_000))
)
TERMS = st.builds(
    Terms,
    product=st.sampled_from([product for product in Product if product is not Product.REVOLVING]),
    currency=st.sampled_from(["CNY", "USD", "JPY", "KWD"]),
    principal=st.integers(1, 1_000_000),
    annual_rate_ppm=st.integers(0, 400_000),
    opened_on=st.just(OPENED),
    first_due_on=st.integers(1, 60).map(lambda k: OPENED + timedelta(days=k)),
    count=st.integers(1, 8),
    months=st.sampled_from([1, 1, 3]),
    day_count=BY_DAYS,
    fee_ppm=st.integers(0, 20_000),
    late=st.builds(
        Late,
        penalty_rate_ppm=st.integers(0, 500_000),
        late_fee_minor=st.integers(0, 3_000),
        late_fee_ppm=st.integers(0, 60_000),
        grace_days=st.integers(0, 10),
        compounding=st.booleans(),
        day_count=BY_DAYS,
        ceiling_ppm=st.sampled_from([None, 120_000, 240_000, 2_000_000]),
        later=LATER,
    ),
    order=st.sampled_from(sorted(ORDERS)),
)
PLANS = st.lists(st.tuples(st.integers(0, 40), AMOUNT, st.integers(0, 2_000)), min_size=1, max_size=4)


@st.composite
def histories(draw: st.DrawFn) -> tuple[Terms, list[Event]]:
    """A contract and what happened to it, in no order."""
    terms = draw(TERMS)
    events: list[Event] = [Disbursed("lent", OPENED, terms.principal)]
    payments = [Paid(f"paid{k}", draw(DAYS), draw(AMOUNT)) for k in range(draw(st.integers(0, 8)))]
    events += payments
    for k, payment in enumerate(payments):
        after = payment.on + timedelta(days=draw(st.integers(0, 90)))
        match draw(st.integers(0, 5)):
            case 0:
                events.append(Reversed(f"reversed{k}", after, payment.key))
            case 1:
                events.append(ChargedBack(f"back{k}", after, payment.key))
    if draw(st.booleans()):
        events.append(Charged("cost", draw(DAYS), draw(st.sampled_from([Kind.COST, Kind.FEE])), draw(AMOUNT)))
    if draw(st.booleans()):
        events.append(Waived("waived", draw(DAYS), draw(st.sampled_from(list(Kind))), draw(AMOUNT)))
    if draw(st.booleans()):
        day = draw(DAYS)
        events.append(Forborne("forborne", day, day + timedelta(days=draw(st.integers(0, 90))), draw(st.booleans())))
    if draw(st.booleans()):
        rate = st.integers(0, 500_000)
        events.append(RateChanged("rate", draw(DAYS), draw(rate), draw(rate)))
    if draw(st.booleans()):
        day = due = draw(DAYS)
        lines = []
        for gap, principal, interest in draw(PLANS):
            due += timedelta(days=gap)
            lines.append(Instalment(due, principal, interest))
        events.append(Rescheduled("plan", day, tuple(lines), draw(st.sampled_from(list(Reason)))))
    if draw(st.booleans()):
        events.append(WrittenOff("written-off", draw(DAYS)))
    if draw(st.integers(0, 3)) == 0:
        # After a sale there are payments still, and what takes them back; all else came before.
        last = max((e.on for e in events if not isinstance(e, Paid | ChargedBack | Reversed)), default=OPENED)
        events.append(Sold("sold", last + timedelta(days=draw(st.integers(0, 90))), draw(AMOUNT), "an assignee"))
    return terms, draw(st.permutations(events))


CARD_TERMS = st.builds(
    CardTerms,
    product=st.just(Product.REVOLVING),
    currency=st.sampled_from(["CNY", "JPY"]),
    principal=st.just(0),
    annual_rate_ppm=st.integers(0, 400_000),
    opened_on=st.just(OPENED),
    first_due_on=st.just(OPENED + timedelta(days=60)),
    count=st.just(1),
    day_count=BY_DAYS,
    late=st.builds(
        Late,
        late_fee_minor=st.integers(0, 3_000),
        late_fee_ppm=st.integers(0, 60_000),
        grace_days=st.sampled_from([0, 3, 40]),
        ceiling_ppm=st.none() | st.integers(0, 400_000),
        later=LATER,
    ),
    order=st.sampled_from(sorted(ORDERS)),
    first_statement_on=st.integers(1, 60).map(lambda k: OPENED + timedelta(days=k)),
    due_days=st.integers(1, 27),
    minimum_ppm=st.integers(0, 1_000_000),
    minimum_floor=st.integers(0, 5_000),
    cash_minimum_ppm=st.none() | st.just(1_000_000),
    unpaid_only=st.booleans(),
    rate_limits=st.just(()) | st.just(((OPENED + timedelta(days=90), 182_500),)),
)


@st.composite
def cards(draw: st.DrawFn) -> tuple[Terms, list[Event]]:
    """A card and what happened to it, in no order."""
    events: list[Event] = [
        Purchased(f"bought{k}", draw(DAYS), draw(AMOUNT), draw(st.booleans())) for k in range(draw(st.integers(1, 5)))
    ]
    taken = [*events]
    payments = [Paid(f"paid{k}", draw(DAYS), draw(AMOUNT)) for k in range(draw(st.integers(0, 8)))]
    for k, event in enumerate([*taken, *payments]):
        after = event.on + timedelta(days=draw(st.integers(0, 90)))
        match draw(st.integers(0, 5)):
            case 0:
                events.append(Reversed(f"reversed{k}", after, event.key))
            case 1 if isinstance(event, Paid):
                events.append(ChargedBack(f"back{k}", after, event.key))
    events += payments
    if draw(st.booleans()):
        events.append(Charged("fee", draw(DAYS), draw(st.sampled_from(list(Kind))), draw(AMOUNT)))
    for k in range(draw(st.integers(0, 2))):
        events.append(Waived(f"waived{k}", draw(DAYS), draw(st.sampled_from(list(Kind))), draw(AMOUNT)))
    if draw(st.booleans()):
        day = draw(DAYS)
        events.append(Forborne("forborne", day, day + timedelta(days=draw(st.integers(0, 90))), draw(st.booleans())))
    if draw(st.booleans()):
        events.append(RateChanged("rate", draw(DAYS), None, draw(st.integers(0, 500_000))))
    last = max(event.on for event in taken)
    if draw(st.booleans()):
        events.append(WrittenOff("written-off", last + timedelta(days=draw(st.integers(0, 90)))))
    if draw(st.integers(0, 3)) == 0:
        last = max(e.on for e in events if not isinstance(e, Paid | ChargedBack | Reversed))
        events.append(Sold("sold", last + timedelta(days=draw(st.integers(0, 90))), draw(AMOUNT), "an assignee"))
    return draw(CARD_TERMS), draw(st.permutations(events))


def _fold(terms: Terms, events: Sequence[Event], as_of: date) -> State:
    return fold(terms, () if isinstance(terms, CardTerms) else schedule(terms), events, as_of)


def _drawn(events: Sequence[Event], as_of: date) -> int:
    """What was lent, told from the events alone."""
    reversed_ = {event.of for event in events if isinstance(event, Reversed)}
    return sum(
        event.amount
        for event in events
        if isinstance(event, Disbursed | Purchased) and event.on <= as_of and event.key not in reversed_
    )


def _received(events: Sequence[Event], as_of: date) -> int:
    """The borrower's money that stayed, told from the events alone."""
    reversed_ = {event.of for event in events if isinstance(event, Reversed)}
    back = {event.of for event in events if isinstance(event, ChargedBack) and event.on <= as_of}
    return sum(
        event.amount
        for event in events
        if isinstance(event, Paid) and event.on <= as_of and event.key not in reversed_ | back
    )


@settings(max_examples=300, deadline=None)
@given(histories() | cards(), DAYS)
def test_money_is_conserved(case: tuple[Terms, list[Event]], as_of: date) -> None:
    # What was lent and charged is what was paid, waived, given back above the ceiling, is still owed, or was sold.
    terms, events = case
    state = _fold(terms, events, as_of)
    sums = balances(state.transactions)
    charged = sum(line.amount for line in state.lines)
    waived = sums.get(Account.WAIVED, 0)
    paid = _received(events, as_of)
    lent = _drawn(events, as_of)
    given_back = sum(each.amount for each in state.refused if each.key.startswith("ceiling:"))
    assert lent + charged - given_back == paid - state.credit + waived + state.outstanding + state.sold
    # The accounts say the same as the debts, kind by kind.
    for kind in Kind:
        assert sums.get(Account.owed(kind), 0) == state.owed(kind) >= 0
    assert sums.get(Account.CREDIT, 0) == -state.credit <= 0
    assert sums.get(Account.CASH, 0) == paid - lent
    assert sum(sums.values()) == 0
    # Written off is carried at nothing, and still owed.
    if state.written_off_on:
        assert state.outstanding + sums.get(Account.ALLOWANCE, 0) == 0
    assert len({transaction.key for transaction in state.transactions}) == len(state.transactions)


@settings(max_examples=200, deadline=None)
@given(TERMS, st.lists(st.tuples(DAYS, AMOUNT), min_size=1, max_size=5), DAYS, st.integers(1, 100), DAYS, AMOUNT)
def test_what_goes_back_to_the_borrower_is_no_more_paid(
    terms: Terms, paid: list[tuple[date, int]], day: date, share: int, as_of: date, more: int
) -> None:
    # Given payments of which a part went back, however early that was, what was lent, charged and given back
    # is what was paid, is held, or is owed; and a payment after it goes on as the whole fold has it.
    events: list[Event] = [Disbursed("lent", OPENED, terms.principal)]
    events += [Paid(f"{k}", *each) for k, each in enumerate(paid)]
    received = sum(amount for on, amount in paid if on <= day)
    if back := received * share // 100:
        events.append(Refunded("back", day, back))
    back = back if day <= as_of else 0
    state = _fold(terms, events, as_of)
    sums = balances(state.transactions)
    charged = sum(line.amount for line in state.lines)
    came = sum(amount for on, amount in paid if on <= as_of)
    assert terms.principal + charged + back == came - state.credit + state.outstanding
    assert sums.get(Account.CASH, 0) == came - back - terms.principal
    assert sums.get(Account.CREDIT, 0) == -state.credit <= 0
    later = max(as_of, *(event.on for event in events))
    _, carried = replay(terms, schedule(terms), events, later)
    if carried is not None:
        payment = Paid("zlater", later + timedelta(days=1), more)  # of the refund's own day it would come before it
        later = payment.on
        now, _ = resume(carried, [payment], later)
        whole = _fold(terms, [*events, payment], later)
        assert (now.due, now.credit, now.dpd, now.arrears) == (whole.due, whole.credit, whole.dpd, whole.arrears)


@settings(max_examples=200, deadline=None)
@given(histories() | cards(), DAYS, st.randoms(use_true_random=False))
def test_the_order_in_which_events_become_known_leaves_no_trace(
    case: tuple[Terms, list[Event]], as_of: date, random: object
) -> None:
    terms, events = case
    shuffled = list(events)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert _fold(terms, shuffled, as_of) == _fold(terms, events, as_of)


@settings(max_examples=200, deadline=None)
@given(
    TERMS | CARD_TERMS,
    st.lists(st.tuples(DAYS, AMOUNT, st.booleans()), max_size=4),
    st.lists(st.tuples(DAYS, AMOUNT, AMOUNT), max_size=5),
    DAYS,
)
def test_two_payments_of_one_day_are_as_their_sum(
    terms: Terms, bought: list[tuple[date, int, bool]], pairs: list[tuple[date, int, int]], as_of: date
) -> None:
    # Commuting events: whichever of a day's payments is booked first, and whether they come as one.
    lent: list[Event] = [Disbursed("lent", OPENED, terms.principal)]
    if isinstance(terms, CardTerms):
        lent = [Purchased(f"bought{k}", *each) for k, each in enumerate(bought)]
    one = [Paid(f"{k}", on, a + b) for k, (on, a, b) in enumerate(pairs)]
    two = [Paid(f"{k}{side}", on, x) for k, (on, a, b) in enumerate(pairs) for side, x in (("a", a), ("b", b))]
    swapped = [Paid(f"{k}{side}", on, x) for k, (on, a, b) in enumerate(pairs) for side, x in (("a", b), ("b", a))]
    owed = [_fold(terms, [*lent, *events], as_of) for events in (one, two, swapped)]
    if terms.order != "cn_credit_card":  # its order follows days past due, which the first of two may change
        assert owed[0].debts == owed[1].debts == owed[2].debts
        assert owed[0].spans == owed[1].spans == owed[2].spans
    elif isinstance(terms, CardTerms):
        return  # what is settled first bears no more interest
    assert owed[0].outstanding + owed[1].credit == owed[1].outstanding + owed[0].credit


@settings(max_examples=150, deadline=None)
@given(histories() | cards(), st.lists(DAYS, min_size=1, max_size=4))
def test_the_journal_replayed_gives_the_same_balances(case: tuple[Terms, list[Event]], days: list[date]) -> None:
    # Given events that become known one by one, with accruals posted in between, when the journal, to which
    # things were only ever added, is summed, then it is what the events give when all are known from the start.
    terms, events = case
    takes = [event for event in events if isinstance(event, Reversed | ChargedBack)]
    others = [event for event in events if event not in takes]
    known: list[Event] = [event for event in others if isinstance(event, Disbursed)]
    arrivals = [event for event in others if event not in known] + takes
    journal: list[Transaction] = []
    for k, event in enumerate(arrivals):
        known.append(event)
        journal += corrections(journal, _fold(terms, known, days[k % len(days)]).transactions, max(days))
    final = _fold(terms, events, max(days))
    journal += corrections(journal, final.transactions, max(days))
    assert balances(journal) == balances(final.transactions)
    assert len({transaction.key for transaction in journal}) == len(journal)
    assert corrections(journal, final.transactions, max(days)) == []


@settings(max_examples=200, deadline=None)
@given(TERMS)
def test_a_schedule_repays_what_was_lent_to_the_cent(terms: Terms) -> None:
    lines = schedule(terms)
    assert sum(line.principal for line in lines) == terms.principal
    assert all(line.principal >= 0 and line.interest >= 0 and line.fee >= 0 for line in lines)
    assert [line.due_on for line in lines] == sorted(line.due_on for line in lines)


@settings(max_examples=300, deadline=None)
@given(cards(), DAYS)
def test_a_card_demands_no_more_than_is_owed_and_charges_no_more_than_is_lawful(
    case: tuple[Terms, list[Event]], as_of: date
) -> None:
    terms, events = case
    found = _fold(terms, events, as_of)
    assert isinstance(terms, CardTerms) and isinstance(found, CardState)
    assert 0 <= found.arrears <= found.due <= found.outstanding <= found.payoff + found.credit
    assert found.minimum <= found.outstanding and all(s.minimum <= s.balance for s in found.statements)
    # The minimum is what its parts come to, wherever it is told.
    assert found.minimum == sum(sum(debt.owed.values()) for debt in found.debts if debt.due or debt.n)
    # Days past due and arrears say the same.
    assert bool(found.dpd) == bool(found.arrears)
    for line in found.lines:
        if line.kind is Kind.INTEREST and line.year:
            exact = line.base * line.rate_ppm * line.days / (line.year * 10**6)
            assert abs(line.amount - exact) <= 0.5 + 1e-6
            assert (most := terms.late.ceiling_on(line.end)) is None or line.rate_ppm <= most
    assert all(statement.charged <= statement.contracted for statement in found.statements)


@settings(max_examples=150, deadline=None)
@given(TERMS, st.lists(st.tuples(DAYS, AMOUNT), max_size=5), DAYS)
def test_each_line_is_its_own_formula(terms: Terms, paid: list[tuple[date, int]], as_of: date) -> None:
    # What a borrower finds with paper and pencil: base * rate * days / year, half up.
    events = [Disbursed("lent", OPENED, terms.principal), *(Paid(f"{k}", *one) for k, one in enumerate(paid))]
    for line in _fold(terms, events, as_of).lines:
        if line.year:
            exact = line.base * line.rate_ppm * line.days / (line.year * 10**6)
            if line.at_most is not None:
                exact = min(exact, line.at_most)
            assert abs(line.amount - exact) <= 0.5 + 1e-6
        else:
            assert line.amount == line.base


@settings(max_examples=400, deadline=None)
@given(histories(), DAYS, st.lists(st.tuples(st.integers(0, 90), AMOUNT), min_size=1, max_size=6), st.integers(0, 400))
def test_a_loan_that_was_set_down_goes_on_as_if_it_had_been_replayed(
    case: tuple[Terms, list[Event]], day: date, later: list[tuple[int, int]], ahead: int
) -> None:
    # Given a history known through a day, when payments follow one by one, each going on from where the one before
    # it left the loan, then the transactions and where the loan stands are those of the whole fold.
    terms, events = case
    takes = [event for event in events if isinstance(event, Reversed | ChargedBack)]
    kept = {event.key for event in events if event.on <= day and event not in takes}
    known = [e for e in events if e.on <= day and (e.of in kept if isinstance(e, Reversed | ChargedBack) else True)]
    state, carried = replay(terms, schedule(terms), known, day)
    assert state == _fold(terms, known, day)
    if carried is None:
        assert terms.product is Product.DAILY or not known
        return
    made, far = len(_walked(terms, known, day)), carried.far
    for k, (gap, amount) in enumerate(later):
        day += timedelta(days=gap + (k == 0))
        payment = Paid(f"zlater{k}", day, amount)
        assert carried.precedes(payment)
        known.append(payment)
        posted_to = day + timedelta(days=ahead if k == len(later) - 1 else 0)
        # What is far stays as it was kept last, and is read where the loan asks for it.
        far = far if carried.far is None else carried.far
        values = [getattr(carried, name) for name in Carried.__slots__ if name not in ("terms", "far")]
        told = Carried(terms, *json.loads(json.dumps(values)))
        told = replace(told, far=far) if told.wants_far(posted_to) else told
        now, carried = resume(told, [payment], posted_to)
        whole = _fold(terms, known, posted_to)
        assert now.transactions == whole.transactions[made:]
        assert now.lines == whole.lines[len(whole.lines) - len(now.lines) :]
        made = len(_walked(terms, known, day))
        for name in ("dpd", "arrears", "due", "credit", "sold", "forborne_until", "written_off_on", "sold_on"):
            assert getattr(now, name) == getattr(whole, name), name
        assert category_on(now, posted_to) == category_on(whole, posted_to)


def _walked(terms: Terms, events: Sequence[Event], day: date) -> list[Transaction]:
    """The transactions through the last event, before what accrues after it."""
    return walk(terms, schedule(terms), events, day)[0].transactions


def test_what_belongs_before_the_last_event_does_not_go_on() -> None:
    # Given a payment of 10 February, then one of an earlier day, or of that day with a key before it, replays.
    terms = Terms(Product.BULLET, "CNY", 1_000, 0, OPENED, OPENED + timedelta(days=30), 1)
    lent, paid = Disbursed("lent", OPENED, 1_000), Paid("m", date(2024, 2, 10), 1)
    _, carried = replay(terms, schedule(terms), [lent, paid], date(2024, 2, 10))
    assert carried is not None
    after = [carried.precedes(Paid(key, day, 1)) for key, day in (("n", paid.on), ("a", paid.on), ("z", OPENED))]
    assert after == [True, False, False]
    assert not carried.precedes(Charged("n", date(2024, 3, 1), Kind.FEE, 1))
    # Nor does a loan with an event on file that is still to come.
    assert replay(terms, schedule(terms), [lent, paid], OPENED)[1] is None

"""The facts of one contact on one local day, out of the record: as `nightly.facts` has them for a book. Pure."""

import bisect
import functools
from collections.abc import Callable, Iterable, Mapping
from datetime import date, timedelta
from typing import NamedTuple

from forbear.calendars import public_holiday
from forbear.contact.models import (
    CALLS,
    COLLECT,
    CONNECTED,
    CONVERSED,
    HEARD,
    MADE,
    NOTICES,
    OF_LOAN,
    OTHERS,
    OWED,
    TEXTS,
    TRIES,
    Loan,
    Record,
)
from forbear.ledger.filed import CARD, Stood, stood
from forbear.ledger.models import LedgerError
from forbear.ledger.position import HORIZON_DAYS, Position, Standing, position, settled, standing
from forbear.rulebook.book import Rulebook
from forbear.rulebook.cap import find_cap
from forbear.rulebook.compile import Compiled, compile_for
from forbear.rulebook.earliest import local_date
from forbear.rulebook.hours import LocalDay, local_day, zones_of_place
from forbear.rulebook.models import Facts, FactValue

#: Facts of the record that stay, whatever day it is.
_FIXED = frozenset(
    {
        "status", "lender_type", "collector", "all_in_ppm", "penalty_rate_ppm", "can_sms", "can_call", "can_write",
        "sms_consent", "hours_agreed", "stop_contact", "attorney", "bankrupt", "incapable", "dispute_open",
        "unreachable", "workplace_forbidden", "opted_out_sms", "vulnerable", "left_book",
    }
)  # fmt: skip
#: Facts that days alone never change for the better: where only these stand against a contact, waiting does not
#: help. An episode's counts are of contacts since the oldest unpaid due date, which stays while nothing is paid.
STILL = _FIXED | {
    "place_known", "cap_exists", "cap_ppm", "sms_episode", "calls_episode", "letters_episode", "plan_offers_episode",
    "emails_episode", "tries_made_episode", "letters_made_episode", "plan_offers_made_episode",
    "days_since_first_contact", "rows_waiting", "events_conflict", "demand_held", "collection_ended",
}  # fmt: skip
#: What besides days changes a fact: a contact; also its leaving a week or a month; or, of a loan past due, a payment.
#: Nothing changes other facts of the contact asked for; and anything may, of all others of the record.
_CHANGED_BY: Mapping[str, str] = {
    **dict.fromkeys(_FIXED, "nothing"),
    **dict.fromkeys(
        (
            "connected_today", "notices_today", "days_since_contact", "days_since_sms", "days_since_letter",
            "days_since_visit_notice", "days_since_visit", "days_since_first_contact", "history_days",
            "third_party_before", "days_since_notice",
        ),
        "contact",
    ),
    "notices_30d": "month",
    **dict.fromkeys(("contacts_7d", "calls_7d", "conversations_7d", "notices_7d"), "week"),
    **dict.fromkeys(
        (
            "dpd", "sms_episode", "calls_episode", "letters_episode", "plan_offers_episode", "emails_episode",
            "tries_made_episode", "letters_made_episode", "plan_offers_made_episode", "days_since_notice_given",
        ),
        "payment",
    ),
}  # fmt: skip
_EPOCH = date(1970, 1, 1).toordinal()
_DAY_SECONDS = 86_400
_ANY_DAY = date(2000, 1, 1)


class Setting(NamedTuple):
    """What the law of a place is on one day."""

    compiled: Compiled
    written_for: frozenset[tuple[str, str]] | None  # None: no law of the place is on file
    public_holiday: bool | None
    reads_owed: bool
    respite: bool  # does the law of the place know a respite from collection?
    notice: bool  # does it say on file when it demands a notice of a loan past due?
    of_loan: Compiled  # the night's rules on a loan by itself

    def known(self, lender_type: str, collector: str) -> bool | None:
        """Is there law for such a lender and collector? None: of the place, but not written for them."""
        return self.written_for is not None and ((lender_type, collector) in self.written_for or None)


@functools.lru_cache(maxsize=8192)
def setting(book: Rulebook, jurisdiction: str, day: date) -> Setting:
    """The gate's rules of a place on a day, compiled once. Raises PackError."""
    compiled = compile_for(book, jurisdiction, day, "gate")
    read = frozenset().union(*(rule.facts_read() for rule in compiled.rules))
    holiday = public_holiday(book.calendars, jurisdiction, day) if "public_holiday" in read else None
    respite = jurisdiction in book.places_of("respite_open", day)
    notice = jurisdiction in book.places_of("days_since_notice", day)
    of_loan = compile_for(book, jurisdiction, day).of_loan(OF_LOAN)
    return Setting(compiled, book.law_for(day).get(jurisdiction), holiday, "owed" in read, respite, notice, of_loan)


_cap = functools.lru_cache(maxsize=65_536)(find_cap)
#: A function of what was agreed and paid alone; a loan is asked about several times between two payments.
_settled = functools.lru_cache(maxsize=16_384)(settled)


def place(zones: str | None, day: date) -> LocalDay | None:
    """The local day in these zones; None where the place is not known or no such zone exists."""
    if zones is None:
        return None
    try:
        return local_day(zones, day)
    except ValueError:
        return None


def zones_or_all(zones: str | None, jurisdiction: str) -> str:
    """Zones by which it may be one day or another for a person: their own, or, where unknown, all of the place."""
    return zones if zones is not None and place(zones, _ANY_DAY) is not None else zones_of_place(jurisdiction)


def facts_by_day(
    record: Record, given: Mapping[str, FactValue], agency: bool, book: Rulebook, charges: bool = False
) -> Callable[[date], dict[str, FactValue]]:
    """Every fact of the vocabulary on a local day, if nothing else happens until then; worked out once a day.

    Args:
        given: the facts of the contact itself.
        agency: does somebody else than the creditor make the contact?
        charges: work out what is owed with late fees and penalty interest, even where no rule in force reads it;
            it takes the whole of a loan's history.
    """
    asked, never = record.asked, book.vocabulary.never
    owes = asked.status in OWED
    collector = "agency" if agency else asked.collector
    kept_up = _kept_up(record)
    sent_on = asked.days["validation_sent_on"]
    # Of a day's payments, few days have others than the day before.
    gone: dict[tuple[int, _Paid], int | None] = {}
    found: dict[date, dict[str, FactValue]] = {}
    always: dict[str, FactValue] = {
        **asked.plain,
        **_terms(asked),
        "collector": collector,
        "hours_agreed": asked.hours_agreed and given.get("to_whom", "debtor") == "debtor",
        "is_card": asked.product == CARD,
        "their_texts_unwanted": None,
        "their_clock_differs": None,
    }

    def on(day: date) -> dict[str, FactValue]:
        if day not in found:
            found[day] = anew(day)
        return found[day]

    def anew(day: date) -> dict[str, FactValue]:
        apart = _apart(record, day)
        where = {x.account_id: _position(x, day, apart, gone) for x in record.loans if x.opened_on <= day}
        # What was done to a person is on record as far as it is in the shortest of the books.
        kept = [x for x in record.loans if x.account_id in where or x is asked]
        begins = [x.history_from for x in kept if x.history_from is not None]
        recorded = len(begins) == len(kept) and all(x.account_id in kept_up for x in kept)
        own = where.get(asked.account_id) or _position(asked, day, apart, gone)
        law = setting(book, asked.jurisdiction, day)
        sent = sent_on is not None and sent_on <= day
        facts: dict[str, FactValue] = {
            **always,
            **_counts(record, own.oldest_due_on, day, never),
            **_of_loan(asked, own, apart, collector, day, book),
            "place_known": place(asked.zones, day) is not None,
            "days_to_due": own.days_to_due if owes and own.days_to_due is not None else never,
            "lead_account": len(where) < 2 or _lead(record, where, apart, book, day) == asked.account_id,
            # Forbearance that was granted on any loan holds the person, as the hardship on their record does.
            "hardship_open": _still(asked, "hardship_until", day)
            or any(_through(each.forborne_until, day) for each in apart.values() if each),
            # Whose word is given for one loan is not called about another; a plan is of its loan alone.
            "promise_open": any(_still(x, "promise_due_on", day) for x in kept if x is asked or x.status == "open"),
            "respite_open": _still(asked, "respite_until", day)
            or (None if asked.respite_untold and law.respite else False),
            "history_days": max(0, (day - max(begins)).days) if recorded else 0,
            "rows_waiting": any(x.waits for x in kept),
            "events_conflict": any(x.account_id in apart and not apart[x.account_id] for x in kept),
            "validation_sent": True if sent else None,
            "days_since_validation": (day - sent_on).days if sent and sent_on else never,
            "public_holiday": law.public_holiday,
            "notice_law": law.notice or None,
            "payments_behind": _payments_behind(asked, own.arrears, day),
        }
        if not recorded or max(begins) > asked.opened_on:
            facts["days_since_first_contact"] = None  # there may have been one before those on record
        if charges or law.reads_owed:
            told = asked.schedule or apart.get(asked.account_id)
            facts["owed"] = _whole(asked, day, apart).owed if owes and told else 0
        # An answer ends what it answers. What is not on record as asked, or was asked anew since, may have been asked
        # all the same: a person finds out.
        of_loan, of_person = _answered([asked], day), _answered(record.loans, day)
        asks = (facts["dispute_open"] and not of_loan) or (facts["hardship_open"] and not of_person)
        facts["answer_due"] = bool(asks) or None
        facts.update(given)
        # The record's word goes before the asker's: it can't tell one such person from another.
        if given.get("to_whom") in OTHERS and _asked_before(record, day):
            facts["third_party_before"] = True
        return facts

    return on


def _terms(loan: Loan) -> dict[str, FactValue]:
    """What the contract is."""
    return {
        "status": loan.status,
        "lender_type": loan.lender_type,
        "all_in_ppm": loan.plain["all_in_ppm"],
        "penalty_rate_ppm": loan.plain["penalty_rate_ppm"],
        "dispute_open": loan.plain["dispute_open"],
        "left_book": loan.plain["left_book"],
    }


def _of_loan(
    loan: Loan, at: Standing, apart: Mapping[int, Stood | None], collector: str, day: date, book: Rulebook
) -> dict[str, FactValue]:
    """What days change of models.OF_LOAN, the others of which `_terms` has.

    With the ceiling of the day; and is what is demanded held to it (servicing/demand.py)?
    """
    cap = _cap(book, loan.jurisdiction, loan.lender_type, loan.opened_on, loan.product, day)
    ppm = None if cap is None else cap.ppm
    ceiling, cost = loan.late.ceiling_on(day), loan.plain["all_in_ppm"]
    cheap = isinstance(cost, int) and ppm is not None and cost <= ppm
    granted = apart.get(loan.account_id)
    law = setting(book, loan.jurisdiction, day)
    # Whoever asks, the law must be known for whom the book names too: no asker makes it known.
    known = {law.known(loan.lender_type, each) for each in (loan.collector, collector)}
    last = max((on for on, _ in _paid(loan, day)), default=None)
    return {
        # Where the borrower's country is not the book's, it is not known whose law binds.
        "law_known": loan.country in (None, loan.jurisdiction) and False not in known and (None not in known or None),
        "cap_exists": cap is not None and cap.exists,
        "cap_ppm": ppm,
        "demand_held": ppm is not None and ceiling is not None and ceiling <= ppm and (loan.cut or cheap),
        "dpd": at.dpd if loan.status in OWED else 0,
        "arrears": at.arrears if loan.status in OWED else 0,
        "plan_active": _still(loan, "plan_until", day) or _through(granted.plan_until if granted else None, day),
        "days_since_payment": book.vocabulary.never if last is None else (day - last).days,
        "collection_ended": _ended(loan, day),
    }


def _asked_before(record: Record, day: date) -> bool:
    """Was anybody outside of the debt contacted before about any loan of the debtor's, by whatever word?"""
    ends = (day.toordinal() - _EPOCH + 2) * _DAY_SECONDS  # by any clock, as the night reads it
    return any(t.to_whom in OTHERS and t.second < ends for loan in record.loans for t in loan.touches)


def _answered(loans: Iterable[Loan], day: date) -> bool:
    """Was an answer given about one of these loans, by `day` on its earlier possible reading?"""
    return any(
        touch.purpose == "answer"
        and touch.outcome != "failed"
        and _local_day(loan, touch.second, day) <= day.toordinal()
        for loan in loans
        for touch in loan.touches
    )


def _local_day(loan: Loan, second: int, day: date) -> int:
    local = place(loan.zones, day)
    return (second + (local.earliest_date * 60 if local else 0)) // _DAY_SECONDS + _EPOCH


def _payments_behind(loan: Loan, arrears: int, day: date) -> int | None:
    """Of the last payments due before `day`, the newest first, how many the arrears make up whole.

    Consumer Credit Act 1974, s. 86B(1)(c). None where the schedule does not tell: of a card, or of a loan that had
    more than payments.
    """
    if not loan.schedule or loan.apart is not None:
        return None
    behind = 0
    for line in sorted(loan.schedule, key=lambda line: line.due_on, reverse=True):
        if line.due_on < day:
            arrears -= line.principal + line.interest
            if arrears < 0:
                break
            behind += 1
    return behind


def _ended(loan: Loan, day: date) -> bool:
    """Was it said, by `day`, that collecting this loan ends?"""
    told = [t.second for t in loan.touches if t.purpose == "end_of_collection" and t.outcome != "failed"]
    return any(_local_day(loan, second, day) <= day.toordinal() for second in told)


def _kept_up(record: Record) -> frozenset[int]:
    """The loans whose contacts are on record until now: later days take it that the record is kept up."""
    zones = record.asked.zones
    today = local_date(zones if place(zones, record.at.date()) is not None else None, record.at)
    loans = record.loans
    return frozenset(x.account_id for x in loans if x.recorded_until is not None and x.recorded_until >= today)


def quiet_days(record: Record, book: Rulebook, ahead: int) -> Callable[[date, Facts], Callable[[str], int]]:
    """For how many days after a day, at most `ahead`, a fact of a record changes by the passing of days alone.

    That is until the day before something that it counts falls due or is paid, a time agreed ends, a contact of before
    leaves a week, and so on. Not foreseen (0): days where the record is not kept up, where offsets of the zones change;
    what is owed, which grows by day; where a loan had more than payments, such as a plan; and which loan is the one to
    speak of, where another may become barred.
    """
    loans, facts_of = record.loans, book.vocabulary.facts
    steady = len(_kept_up(record)) == len(loans) and all(loan.apart is None for loan in loans)
    places = {loan.zones: place(loan.zones, record.at.date()) for loan in loans}
    events: dict[str, list[int]] = {"nothing": []}

    def after(day: date, facts: Facts) -> Callable[[str], int]:
        today, overdue, then = day.toordinal(), facts["dpd"] != 0, day + timedelta(days=ahead)
        if not steady or any(place(zones, each) != local for zones, local in places.items() for each in (day, then)):
            return lambda _: 0

        def quiet(name: str) -> int:
            by = _CHANGED_BY.get(name) or ("nothing" if facts_of[name].asked == "gate" else "all")
            if by == "payment" and not overdue:
                by = "all"
            if name == "owed" or (name == "lead_account" and len(loans) > 1 and _may_be_barred(book, record, day)):
                return 0
            if by not in events:
                events[by] = _events(record, places, by)
            k = bisect.bisect_right(events[by], today)
            return min(ahead, events[by][k] - today - 1) if k < len(events[by]) else ahead

        return quiet

    return after


def _events(record: Record, places: Mapping[str | None, LocalDay | None], by: str) -> list[int]:
    """The days on which something else than days changes a fact that is changed by `by`, in order."""
    days: set[int] = set()
    for loan in record.loans:
        days.add(loan.opened_on.toordinal())
        local = places[loan.zones]
        for shift in {local.latest_date, local.earliest_date} if local else (0,):
            made = {(touch.second + shift * 60) // _DAY_SECONDS + _EPOCH for touch in loan.touches}
            days |= made
            if by in ("week", "all"):
                days |= {day + 7 for day in made}
            if by in ("month", "all"):
                days |= {day + 30 for day in made}
        if by in ("payment", "all"):
            for on, _, back in loan.paid:
                days.add(on.toordinal())
                if back is not None:
                    days.add(back.toordinal())
        if by == "all":
            for line in loan.schedule:
                due = line.due_on.toordinal()
                days |= {due + 1, due - HORIZON_DAYS}
            for name in ("promise_due_on", "plan_until"):
                if (until := loan.days[name]) is not None:
                    days.add(until.toordinal() + 1)
    if by == "all":
        for name, until in record.asked.days.items():
            if until is not None:
                days.add(until.toordinal() + (name != "validation_sent_on"))
    return sorted(days)


def _may_be_barred(book: Rulebook, record: Record, day: date) -> bool:
    places = {loan.jurisdiction for loan in record.loans}
    rules = (rule for each in places for rule in setting(book, each, day).of_loan.rules)
    return any("days_since_payment" in rule.facts_read() for rule in rules)


def _still(loan: Loan, name: str, day: date) -> bool:
    return _through(loan.days[name], day)


def _through(until: date | None, day: date) -> bool:
    return until is not None and until >= day


def _paid(loan: Loan, day: date) -> list[tuple[date, int]]:
    """The payments that count on `day`."""
    return [(on, amount) for on, amount, back in loan.paid if on <= day and (back is None or back > day)]


def _apart(record: Record, day: date) -> dict[int, Stood | None]:
    """Where the loans stand that had more than payments, as `nightly.apart` has it; None: the ledger can't tell."""
    found: dict[int, Stood | None] = {}
    for loan in record.loans:
        if loan.apart is not None and loan.opened_on <= day:
            try:
                found[loan.account_id] = stood(loan.apart.terms, loan.schedule, loan.apart.events, day)
            except LedgerError:
                found[loan.account_id] = None
    return found


_Paid = tuple[tuple[date, int], ...]


def _position(
    loan: Loan,
    day: date,
    apart: Mapping[int, Stood | None],
    gone: dict[tuple[int, _Paid], int | None],
) -> Standing:
    folded = apart.get(loan.account_id)
    if folded is not None:
        at = folded.position
        return Standing(at.dpd, at.oldest_due_on, at.arrears, at.days_to_due)
    paid = tuple(_paid(loan, day))
    if (loan.account_id, paid) not in gone:
        gone[loan.account_id, paid] = _settled(loan.schedule, paid, loan.late, loan.order)
    to_instalments = gone[loan.account_id, paid]
    if to_instalments is None:
        found = _whole(loan, day, apart)
        return Standing(found.dpd, found.oldest_due_on, found.arrears, found.days_to_due)
    return standing(loan.schedule, to_instalments, day)


def _whole(loan: Loan, day: date, apart: Mapping[int, Stood | None]) -> Position:
    """With every charge: by the loan's whole history."""
    folded = apart.get(loan.account_id)
    if folded is not None:
        return folded.position
    return position(loan.schedule, _paid(loan, day), loan.late, day, loan.order)


def _lead(
    record: Record, where: Mapping[int, Standing], apart: Mapping[int, Stood | None], book: Rulebook, day: date
) -> int:
    """The loan to speak of: open, held by no rule on the loan alone, longest past due, most in arrears, next due."""

    def rank(loan: Loan) -> tuple[bool, bool, int, int, int, int]:
        at = where[loan.account_id]
        ahead = at.days_to_due if at.days_to_due is not None else 1 << 30
        facts = {
            **_terms(loan),
            **_of_loan(loan, at, apart, loan.collector, day, book),
            "collector": loan.collector,
        }
        held = any(setting(book, loan.jurisdiction, day).of_loan.ask_one(facts))
        return loan.status != "open", held, -at.dpd, -at.arrears, ahead, loan.account_id

    return min((x for x in record.loans if x.account_id in where), key=rank).account_id


def _counts(record: Record, episode: date | None, day: date, never: int) -> dict[str, FactValue]:
    """What was done to the person, over all loans, and about the loan asked about. See `nightly.facts.contact_days`.

    A contact counts on its later possible local date, but never after `day`; it counts at all if by its
    earlier possible date it is of `day` or before.
    """
    today = day.toordinal() - _EPOCH
    begun = episode.toordinal() - _EPOCH if episode is not None else today + 1
    connected_today = contacts_7d = calls_7d = conversations_7d = sms = calls = letters = offers = emails = 0
    tries_made = letters_made = offers_made = notices_today = notices_7d = notices_30d = 0
    noticed: int | None = None
    demanded: int | None = None
    heard: int | None = None
    newest: dict[str, int] = {}
    last = None
    for loan in record.loans:
        local = place(loan.zones, day)
        latest, earliest = (local.latest_date * 60, local.earliest_date * 60) if local else (0, 0)
        for touch in loan.touches:
            first = (touch.second + earliest) // _DAY_SECONDS
            if first > today:
                continue
            on = min((touch.second + latest) // _DAY_SECONDS, today)
            in_week, call = today - on < 7, touch.step in CALLS
            connected_today += call and on == today and touch.outcome in CONNECTED
            contacts_7d += in_week
            notices_today += on == today and touch.purpose in NOTICES
            notices_7d += in_week and touch.purpose in NOTICES
            notices_30d += today - on < 30 and touch.purpose in NOTICES
            last = on if last is None else max(last, on)
            if loan is not record.asked:
                continue
            calls_7d += call and in_week
            conversations_7d += call and in_week and touch.outcome in CONVERSED
            if touch.purpose == "required_notice" and touch.outcome != "failed":
                demanded = on if demanded is None else max(demanded, on)
            kind = TEXTS[0] if touch.step in TEXTS else touch.step
            newest[kind] = max(newest.get(kind, on), on)
            if touch.outcome in HEARD and touch.to_whom == "debtor":
                heard = first if heard is None else min(heard, first)
            if on >= begun:
                sms += touch.step == "sms"
                calls += call
                letters += touch.step == "letter"
                offers += touch.step == "plan_offer"
                emails += touch.step == "email"
            if first > begun and touch.outcome in MADE and touch.to_whom == "debtor" and touch.purpose == COLLECT:
                tries_made += touch.step in TRIES
                letters_made += touch.step == "letter"
                offers_made += touch.step == "plan_offer"
                if touch.step == "visit_notice":
                    noticed = on if noticed is None else max(noticed, on)

    def since(step: str) -> int:
        return today - newest[step] if step in newest else never

    return {
        "connected_today": connected_today,
        "contacts_7d": contacts_7d,
        "notices_today": notices_today,
        "notices_7d": notices_7d,
        "notices_30d": notices_30d,
        "days_since_notice": never if demanded is None else today - demanded,
        "tries_made_episode": tries_made,
        "letters_made_episode": letters_made,
        "plan_offers_made_episode": offers_made,
        "days_since_notice_given": never if noticed is None else today - noticed,
        "days_since_contact": never if last is None else today - last,
        "calls_7d": calls_7d,
        "conversations_7d": conversations_7d,
        "sms_episode": sms,
        "calls_episode": calls,
        "letters_episode": letters,
        "plan_offers_episode": offers,
        "emails_episode": emails,
        "days_since_first_contact": never if heard is None else today - heard,
        "days_since_sms": since(TEXTS[0]),
        "days_since_letter": since("letter"),
        "days_since_visit_notice": since("visit_notice"),
        "days_since_visit": since("visit"),
    }

"""Turns the rows of a book into the facts of the vocabulary, one row an account, as Ibis expressions."""

from collections.abc import Collection, Mapping
from datetime import date

import ibis
import ibis.expr.types as ir

from forbear.contact.models import (
    CALLS,
    COLLECT,
    CONNECTED,
    CONVERSED,
    HEARD,
    MADE,
    NOTICES,
    OF_LOAN,
    OWED,
    TEXTS,
    TRIES,
)
from forbear.contact.reads import DAYS_OF_PERSON, OF_PERSON, ONLY_IF_ALL
from forbear.rulebook.compile import Compiled

#: The facts that stand in the record as they are; all others are computed from it.
RECORDED = frozenset(
    {
        "status", "lender_type", "collector", "can_sms", "can_call", "can_write", "sms_consent", "stop_contact",
        "attorney", "bankrupt", "incapable", "dispute_open", "unreachable", "workplace_forbidden", "opted_out_sms",
        "vulnerable", "penalty_rate_ppm",
    }
)  # fmt: skip


def one_person(borrowers: ir.Table) -> ir.Table:
    """The borrowers, each with what all records of the person say: the law protects the person, not a book's row.

    As the gate's GATHER has it: what one record says holds; what one does not know is not known, unless another
    says so; days are the latest; the hour must be lawful in the zones of all, and where a record lacks them the place
    is unknown, and lie within the hours agreed in any. Consent to texts is each record's own, a refusal of them the
    person's. Only persons of several records are summed up.
    """
    names = [*OF_PERSON, "respite_untold", *DAYS_OF_PERSON, "zones", "country"]
    spans = ["agreed_from_min", "agreed_to_min", "sms_consent"]
    borrowers = borrowers.mutate(hours_agreed=borrowers.agreed_from_min.notnull())
    many = borrowers.filter(borrowers.person_id != borrowers.borrower_id).select("person_id").distinct()
    several = borrowers.semi_join(many, "person_id")

    def of_all(name: str) -> ir.Value:
        column = several[name]
        if name in DAYS_OF_PERSON:
            return column.max()
        if name == "zones":
            listed = column.group_concat("|", order_by=several.borrower_id)
            return ibis.ifelse(column.notnull().all(), listed, ibis.null("string"))
        if name == "country":
            return ibis.ifelse(column.nunique() > 1, "", column.min())
        decides = name not in ONLY_IF_ALL  # the word of one that is the word for all
        return ibis.cases(((column == decides).any(), decides), (column.notnull().all(), not decides))

    said = several.group_by("person_id").aggregate(
        **{name: of_all(name) for name in names},
        agreed_from_min=several.agreed_from_min.max(),
        agreed_to_min=several.agreed_to_min.min(),
        refused=(~several.sms_consent).any().fill_null(False),
    )
    own = several.rename(own_consent="sms_consent").drop(*names, *spans[:2]).inner_join(said, "person_id")
    own = own.mutate(sms_consent=ibis.ifelse(own.refused, False, own.own_consent))
    return borrowers.anti_join(many, "person_id").union(own.select(*borrowers.columns))


def contact_days(contacts: ir.Table, accounts: ir.Table, as_of: date) -> ir.Table:
    """Each contact up to `as_of` with its local date, as the borrower's clock had it.

    Where the borrower may be in several zones, the later date counts, so that a contact is never
    taken for older than it is; one that is still of `as_of` in any of them belongs to `as_of`.

    Args:
        contacts: account_id, at (UTC timestamp), step, outcome, to_debtor, purpose.
        accounts: account_id, borrower_id, latest_date, earliest_date (minutes, see `LocalDay`).
    """
    placed = accounts.select("account_id", "borrower_id", "latest_date", "earliest_date")
    joined = contacts.inner_join(placed, "account_id")
    today = ibis.literal(as_of)

    def local(shift: ir.IntegerValue) -> ir.DateValue:
        return (joined["at"] + shift.fill_null(0).as_interval("m")).date()

    kept = joined.mutate(on=ibis.least(local(joined.latest_date), today), first_on=local(joined.earliest_date))
    return kept.filter(kept.first_on <= today)


def by_account(contacts: ir.Table, positions: ir.Table, as_of: date, never: int) -> ir.Table:
    """What was done about each account: counts in this episode, counts in seven days, days since.

    What limits counts every contact, from the due date on, by its later date. What opens the way to a harsher
    step (`*_made_*`, days_since_notice_given) counts only what went to the debtor to collect, did not fail and was
    surely made in this episode: after the due date by the earlier date too.
    """
    joined = contacts.left_join(positions.select("account_id", "oldest_due_on"), "account_id").drop("account_id_right")
    today = ibis.literal(as_of)
    in_week = today.delta(joined.on, unit="day") < 7
    in_episode = (joined.on >= joined.oldest_due_on).fill_null(False)
    made = (joined.first_on > joined.oldest_due_on).fill_null(False) & joined.outcome.isin(MADE) & joined.to_debtor
    made = made & (joined.purpose == COLLECT)
    ended = (joined.purpose == "end_of_collection") & (joined.outcome != "failed")
    answered = (joined.purpose == "answer") & (joined.outcome != "failed")
    heard = joined.outcome.isin(HEARD) & joined.to_debtor
    texts = joined.step.isin(TEXTS)
    calls = joined.step.isin(CALLS)

    def of(step: str) -> ir.BooleanValue:
        return joined.step == step

    def since(which: ir.BooleanValue) -> ir.IntegerValue:
        return today.delta(joined.on.max(where=which), unit="day").fill_null(never).cast("int32")

    def count(which: ir.BooleanValue) -> ir.IntegerValue:
        return which.sum().fill_null(0).cast("int32")

    return joined.group_by("account_id").aggregate(
        calls_7d=count(calls & in_week),
        conversations_7d=count(calls & in_week & joined.outcome.isin(CONVERSED)),
        sms_episode=count(of("sms") & in_episode),
        calls_episode=count(calls & in_episode),
        letters_episode=count(of("letter") & in_episode),
        plan_offers_episode=count(of("plan_offer") & in_episode),
        emails_episode=count(of("email") & in_episode),
        # By the earliest reading of the clock: what follows a first contact is due the sooner.
        days_since_first_contact=today.delta(joined.first_on.min(where=heard), unit="day"),
        days_since_sms=since(texts),
        days_since_letter=since(of("letter")),
        days_since_visit_notice=since(of("visit_notice")),
        days_since_visit=since(of("visit")),
        tries_made_episode=count(joined.step.isin(TRIES) & made),
        letters_made_episode=count(of("letter") & made),
        plan_offers_made_episode=count(of("plan_offer") & made),
        days_since_notice_given=since(of("visit_notice") & made),
        collection_ended=ended.any(),
        answered=answered.any(),
    )


def by_borrower(contacts: ir.Table, as_of: date, never: int) -> ir.Table:
    """What was done to each person, over all loans: connected calls and notices today, days since any contact."""
    today = ibis.literal(as_of)
    notices = contacts.purpose.isin(NOTICES)
    connected = contacts.step.isin(CALLS) & contacts.outcome.isin(CONNECTED) & (contacts.on == today)
    return contacts.group_by("borrower_id").aggregate(
        connected_today=connected.sum().fill_null(0).cast("int32"),
        days_since_contact=today.delta(contacts.on.max(), unit="day").fill_null(never).cast("int32"),
        contacts_7d=(today.delta(contacts.on, unit="day") < 7).sum().fill_null(0).cast("int32"),
        notices_today=(notices & (contacts.on == today)).sum().fill_null(0).cast("int32"),
        notices_7d=(notices & (today.delta(contacts.on, unit="day") < 7)).sum().fill_null(0).cast("int32"),
        person_answered=((contacts.purpose == "answer") & (contacts.outcome != "failed")).any(),
    )


def lead_accounts(accounts: ir.Table, positions: ir.Table, held: ir.Table) -> ir.Table:
    """The account to speak of, for each borrower with more than one: open, longest past due, most owed.

    An account of `held` (account_id), which a rule on the loan alone holds, is it only where all are held.

    Returns: borrower_id, lead_id. Borrowers of one account have no row.
    """
    joined = accounts.left_join(positions, "account_id").drop("account_id_right")
    joined = joined.mutate(held=joined.account_id.isin(held.account_id))
    rank = ibis.row_number().over(
        group_by="borrower_id",
        order_by=[
            (joined.status == "open").desc(),
            joined.held.asc(),
            joined.dpd.fill_null(0).desc(),
            joined.arrears.fill_null(0).desc(),
            joined.next_due_on.asc(nulls_first=False),
            joined.account_id,
        ],
    )
    ranked = of_several(joined).mutate(place=rank)
    return ranked.filter(ranked.place == 0).select("borrower_id", lead_id="account_id")


def records(accounts: ir.Table) -> ir.Table:
    """How far back contacts are on record, whether rows wait, until when a promise runs: over all loans of each person.

    Returns: borrower_id, complete_from (NULL where one of the books has no record up to today), person_waits,
    person_conflict (does what was posted to one contradict itself?), person_promise (the last day of a promise to pay
    on any open loan), person_forborne (the last day of the forbearance granted on any).
    """
    gap, begins = accounts.gap_until, accounts.history_from
    since = ibis.ifelse(gap > begins, gap, begins)
    waits = accounts.book_waits | accounts.rows_waiting.fill_null(False)
    return accounts.group_by("borrower_id").aggregate(
        complete_from=ibis.ifelse(since.notnull().all(), since.max(), ibis.null("date")),
        person_waits=waits.any(),
        person_conflict=accounts.in_doubt.fill_null(False).any(),
        person_promise=accounts.promise_due_on.max(where=accounts.status == "open"),
        person_forborne=accounts.forborne_until.max(),
    )


def of_several(accounts: ir.Table) -> ir.Table:
    """The accounts of borrowers who have more than one."""
    many = accounts.group_by("borrower_id").having(accounts.account_id.count() > 1).aggregate()
    return accounts.semi_join(many, "borrower_id")


def held_alone(facts: ir.Table, compiled: Compiled) -> ir.Table:
    """The accounts of a place that a rule on the loan alone holds: account_id."""
    of_loan = compiled.of_loan(OF_LOAN)
    here = facts.filter(facts.jurisdiction == compiled.jurisdiction)
    forbids, unknown = of_loan.masks(here)
    asked = here.mutate(against=forbids | unknown)
    return asked.filter(asked.against != 0).select("account_id")


def facts(
    accounts: ir.Table,
    positions: ir.Table,
    contacts_by_account: ir.Table,
    contacts_by_borrower: ir.Table,
    leads: ir.Table,
    person_records: ir.Table,
    caps: ir.Table,
    as_of: date,
    never: int,
    law: Mapping[str, frozenset[tuple[str, str]]],
    public_holidays: Mapping[str, bool | None],
    respite_places: Collection[str],
) -> ir.Table:
    """The facts of each account on `as_of`: what `rulebook.compile` and `strategy.ladder` read.

    `public_holidays` says of each place whether `as_of` is one; None where its calendar is not known.
    `respite_places` are those whose law knows a respite: there a book that never tells of one leaves it unknown.
    """
    joined = accounts
    for other, key in (
        (positions, "account_id"),
        (contacts_by_account, "account_id"),
        (contacts_by_borrower, "borrower_id"),
        (leads, "borrower_id"),
        (person_records, "borrower_id"),
        (caps, ["jurisdiction", "lender_type", "opened_on", "product"]),
    ):
        names = key if isinstance(key, list) else [key]
        joined = joined.left_join(other, names).drop(*(f"{name}_right" for name in names))
    today = ibis.literal(as_of)
    t = joined
    owes = t.status.isin(OWED)

    def still(day: ir.DateValue) -> ir.BooleanValue:
        return (day >= today).fill_null(False)

    def amount(value: ir.IntegerValue) -> ir.IntegerValue:
        return ibis.ifelse(owes, value.fill_null(0), 0).cast("int64")

    def counted(name: str) -> ir.IntegerValue:
        return t[name].fill_null(0).cast("int32")

    def since(name: str) -> ir.IntegerValue:
        return t[name].fill_null(never).cast("int32")

    # Forbearance that was granted on any loan (apart.py) holds the person, as the hardship on their record does.
    hardship = still(t.hardship_until) | still(t.person_forborne)

    return t.select(
        "account_id",
        "jurisdiction",
        "zones",
        "agreed_from_min",
        "agreed_to_min",
        "first_min",
        "last_min",
        # Where the borrower's country is not the book's, it is not known whose law binds.
        law_known=known_law(t, (t.country == t.jurisdiction).fill_null(True), law),
        place_known=t.first_min.notnull(),
        status=t.status,
        lender_type=t.lender_type,
        collector=t.collector,
        dpd=ibis.ifelse(owes, t.dpd.fill_null(0), 0).cast("int32"),
        arrears=amount(t.arrears),
        owed=amount(t.arrears + t.late_fee + t.penalty),
        days_to_due=ibis.ifelse(owes, t.next_due_on.delta(today, unit="day").fill_null(never), never).cast("int32"),
        all_in_ppm=t.all_in_ppm,
        cap_exists=t.cap_exists,
        cap_ppm=t.cap_ppm,
        lead_account=(t.lead_id == t.account_id).fill_null(True),
        can_sms=t.can_sms,
        can_call=t.can_call,
        can_write=t.can_write,
        sms_consent=t.sms_consent,
        hours_agreed=t.hours_agreed,
        stop_contact=t.stop_contact,
        attorney=t.attorney,
        bankrupt=t.bankrupt,
        incapable=t.incapable,
        dispute_open=t.dispute_open,
        hardship_open=hardship,
        promise_open=still(t.promise_due_on) | still(t.person_promise),
        plan_active=still(t.plan_until) | still(t.planned_until),
        history_days=ibis.greatest(0, today.delta(t.complete_from, unit="day").fill_null(0)).cast("int32"),
        connected_today=counted("connected_today"),
        calls_7d=counted("calls_7d"),
        conversations_7d=counted("conversations_7d"),
        sms_episode=counted("sms_episode"),
        calls_episode=counted("calls_episode"),
        letters_episode=counted("letters_episode"),
        plan_offers_episode=counted("plan_offers_episode"),
        days_since_sms=since("days_since_sms"),
        days_since_contact=since("days_since_contact"),
        days_since_letter=since("days_since_letter"),
        days_since_visit_notice=since("days_since_visit_notice"),
        days_since_visit=since("days_since_visit"),
        unreachable=t.unreachable,
        workplace_forbidden=t.workplace_forbidden,
        opted_out_sms=t.opted_out_sms,
        vulnerable=t.vulnerable,
        respite_open=ibis.cases(
            (still(t.respite_until), True),
            (t.respite_untold & t.jurisdiction.isin(sorted(respite_places)), ibis.null("boolean")),
            else_=False,
        ),
        # Without a day on file it is not known whether the notice was sent.
        validation_sent=ibis.ifelse(t.validation_sent_on <= today, True, None),
        days_since_validation=ibis.ifelse(
            t.validation_sent_on <= today, today.delta(t.validation_sent_on, unit="day"), never
        )
        .fill_null(never)
        .cast("int32"),
        public_holiday=_by_place(t.jurisdiction, public_holidays),
        contacts_7d=counted("contacts_7d"),
        tries_made_episode=counted("tries_made_episode"),
        letters_made_episode=counted("letters_made_episode"),
        plan_offers_made_episode=counted("plan_offers_made_episode"),
        days_since_notice_given=since("days_since_notice_given"),
        rows_waiting=t.person_waits,
        penalty_rate_ppm=t.penalty_rate_ppm,
        # Unknown where there may have been one before those on record.
        days_since_first_contact=ibis.ifelse(t.complete_from <= t.opened_on, since("days_since_first_contact"), None),
        emails_episode=counted("emails_episode"),
        events_conflict=t.person_conflict,
        left_book=t.left_book,
        # Its ceiling is on file, and what it removes is off what is demanded: servicing/demand.py, ledger/card.py.
        demand_held=(
            (t.ceiling_ppm <= t.cap_ppm).fill_null(False) & (t.cut | (t.all_in_ppm <= t.cap_ppm).fill_null(False))
        ),
        days_since_payment=today.delta(t.last_paid_on, unit="day").fill_null(never).cast("int32"),
        collection_ended=t.collection_ended.fill_null(False),
        notices_today=counted("notices_today"),
        notices_7d=counted("notices_7d"),
        # An answer ends what it answers. What is not on record as asked, or was asked anew since, may have been asked
        # all the same: a person finds out.
        answer_due=ibis.ifelse(
            (t.dispute_open.fill_null(False) & ~t.answered.fill_null(False))
            | (hardship & ~t.person_answered.fill_null(False)),
            True,
            ibis.null("boolean"),
        ),
    )


def known_law(t: ir.Table, of_the_place: ir.BooleanValue, law: Mapping[str, frozenset[tuple[str, str]]]) -> ir.Value:
    """Is there law for the lender and collector of each account? NULL: of the place, but not written for them.

    Args:
        of_the_place: is the borrower of the book's place?
        law: as `Rulebook.law_for` has it.
    """
    cases = [(~(of_the_place & t.jurisdiction.isin(sorted(law))) if law else ibis.literal(True), ibis.literal(False))]
    for place, written in sorted(law.items()):
        for who in sorted({collector for _, collector in written}):
            lenders = sorted(lender for lender, collector in written if collector == who)
            bound = (t.jurisdiction == place) & (t.collector == who) & t.lender_type.isin(lenders)
            cases.append((bound, ibis.literal(True)))
    return ibis.cases(*cases)


def _by_place(place: ir.StringValue, known: Mapping[str, bool | None]) -> ir.BooleanValue:
    """What is known of each place; NULL where nothing is."""
    cases = [(place == name, value) for name, value in known.items() if value is not None]
    return ibis.cases(*cases) if cases else ibis.null("boolean")

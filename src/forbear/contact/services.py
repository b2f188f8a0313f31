"""The gate: asked for one contact, it locks the person, reads the record, asks the rulebook, and keeps the answer.

What makes it safe: every grant and every use of a permission holds the person's lock, the record is read by a
statement that begins once the lock is held, and the database's clock (`gate_now()`) alone says what time it is.
"""

import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, cast
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import psycopg
from pydantic_core import to_json

from forbear.contact import reads
from forbear.contact.errors import Misasked, NoSuchPermission, NotUsable
from forbear.contact.facts import STILL, facts_by_day, place, quiet_days, setting, zones_or_all
from forbear.contact.models import (
    OUTCOMES,
    OUTCOMES_OF_A_CALL,
    PENDING,
    WRITTEN,
    Basis,
    Decision,
    Outcome,
    Permission,
    Record,
    Request,
    same_number,
)
from forbear.contact.together import Together
from forbear.locale import N_
from forbear.rulebook.answer import Answer, Verdict, bits
from forbear.rulebook.book import Rulebook
from forbear.rulebook.compile import Compiled
from forbear.rulebook.earliest import earliest_lawful
from forbear.rulebook.hours import instant
from forbear.rulebook.models import Fact, Facts, FactValue, Hours, Vocabulary
from forbear.store.engine import engine
from forbear.store.errors import one_line

Connection = psycopg.Connection[Any]

#: How long a permission may wait for its contact.
LIFETIME = timedelta(minutes=5)
#: How long a refusal for want of a fact may be decided on: what is known changes from day to day.
OVERRIDE_WITHIN = timedelta(hours=24)
#: Times that a request is begun again because its borrower was found to be another person meanwhile.
_TRIES = 5
#: Transactions in which a process asks for all who wait: more of them at a time make each smaller, and all slower.
PLACES = 2
#: Requests in one, for so long that a person is held for some milliseconds.
MOST_TOGETHER = 32
_GRAVER: dict[Verdict, int] = {"permitted": 0, "needs_human": 1, "forbidden": 2}


@dataclass(frozen=True, slots=True)
class Made:
    """A contact that a permission was used for, at `at` of the database's clock."""

    permission_id: UUID
    account_id: int
    step: str
    at: datetime


@contextmanager
def connected() -> Iterator[Connection]:
    """A connection of the gate's pool, in a transaction of its own. Raises StoreError."""
    with one_line():
        pooled = engine(reads.OPTIONS).raw_connection()
        try:
            yield cast(Connection, pooled.driver_connection)
        finally:
            pooled.close()  # rolls back what was not committed


# ---- ask --------------------------------------------------------------------------------------------


def ask(book: Rulebook, request: Request) -> Decision:
    """Ask for one contact now, together with others who wait. Raises Misasked (nothing is kept) and StoreError."""
    return together(book).ask(request)


@functools.cache
def together(book: Rulebook, places: int = PLACES) -> Together[Request, Decision]:
    """Where the askers of this process meet, `places` transactions at a time."""

    def many(requests: Sequence[Request]) -> list[Decision | None]:
        with connected() as connection:
            keep_rulebook(connection, book)
            return ask_many_on(connection, book, requests)

    def alone(request: Request) -> Decision:
        with connected() as connection:
            keep_rulebook(connection, book)
            return ask_on(connection, book, request)

    return Together(many, alone, places, MOST_TOGETHER)


def ask_many(book: Rulebook, requests: Sequence[Request]) -> list[Decision | Misasked]:
    """Ask for many contacts now, as who sends many messages does: answers in the order of the requests.

    A request that is misasked has its error in its place, and nothing of it is kept; the others are answered. Raises
    StoreError: ask again by the same keys, what was answered before is answered the same.
    """
    with connected() as connection:
        keep_rulebook(connection, book)
        return ask_all_on(connection, book, requests)


def ask_all_on(connection: Connection, book: Rulebook, requests: Sequence[Request]) -> list[Decision | Misasked]:
    """As `ask_many`, on a connection as for `ask_on`: a group in a transaction, then alone who has to be."""
    found: list[Decision | Misasked] = []
    for start in range(0, len(requests), MOST_TOGETHER):
        group = requests[start : start + MOST_TOGETHER]
        for request, answer in zip(group, ask_many_on(connection, book, group), strict=True):
            try:
                found.append(answer or ask_on(connection, book, request))
            except Misasked as error:
                found.append(error)
    return found


def ask_many_on(connection: Connection, book: Rulebook, requests: Sequence[Request]) -> list[Decision | None]:
    """Ask about several persons in one transaction, on a connection as for `ask_on`. Nobody's lock is waited for.

    None stands for a request that `ask_on` has to be asked, which finds its answer or its error: it is misasked, lifts
    a refusal, its key was used before; its person is held elsewhere, or asked about twice here. Where this raises,
    nothing is kept of any, and each is to be asked alone.
    """
    answers: dict[int, Decision] = {}
    plain = {k: request for k, request in enumerate(requests) if request.overrides is None and _sound(book, request)}
    # All lock keys in one order: two groups that share some never wait for each other's.
    turn = sorted(plain, key=lambda k: plain[k].key)
    accounts = {"account_ids": [plain[k].account_id for k in turn], "mine": None}
    with connection.pipeline() as pipeline:
        cursor = connection.cursor(binary=True)
        lock = connection.execute(reads.LOCK_FREE, accounts, prepare=True)
        cursor.execute(reads.GATHER_MANY, accounts, prepare=True)
        pipeline.sync()  # as in ask_on
        records = reads.records(cursor.fetchall())
        held = {person for (person,) in lock}
        for k in turn:
            record = records.get(plain[k].account_id)
            if record is not None and record.person in held:
                held.remove(record.person)  # who is asked about twice waits for what is granted now
                answers[k] = decide(book, plain[k], record)
        kept = _keep(connection, [_row(plain[k], _asked(plain[k]), answer) for k, answer in answers.items()])
        connection.commit()
        # Of two contacts under one key, one is answered.
        answered = set(kept)
    return [
        answers[k] if k in answers and (request.key, request.account_id) in answered else None
        for k, request in enumerate(requests)
    ]


def ask_on(connection: Connection, book: Rulebook, request: Request) -> Decision:
    """As `ask`, on a connection opened with reads.OPTIONS, in no transaction. The rulebook must have been kept."""
    _check(book, request)
    asked = _asked(request)
    for _ in range(_TRIES):
        with connection.pipeline() as pipeline:
            cursor = connection.cursor(binary=True)
            lock = connection.execute(reads.LOCK, {"account_id": request.account_id}, prepare=True)
            cursor.execute(reads.GATHER, {"account_id": request.account_id, "mine": None}, prepare=True)
            pipeline.sync()  # from here on the server counts how long this worker does not answer
            rows = cursor.fetchall()
            locked = lock.fetchone()
            record = reads.record(rows, request.account_id)
            if locked is None or record is None:
                connection.rollback()
                raise Misasked("account_id", N_("is no account on file"), N_("Give the number that the console shows"))
            if record.person != locked[0]:
                connection.rollback()  # the borrower was joined to another meanwhile: that person is to be locked
                continue
            lacked = _lacked(connection, request, record.at) if request.overrides is not None else None
            decision = decide(book, request, record)
            if decision.decided_by is not None and lacked is not None and not _lacking(decision) <= lacked:
                connection.rollback()
                raise Misasked(
                    "overrides", N_("lacked less than is lacking now"), N_("Ask anew, and decide on that answer")
                )
            kept = _keep(connection, [_row(request, asked, decision)])
            connection.commit()  # before the result is looked at, so that both are one round trip
            return decision if kept.fetchone() else _kept(connection, request, asked)
    raise Misasked("account_id", N_("keeps changing hands"), N_("Ask again once the import has ended"))


def _asked(request: Request) -> bytes:
    """What tells one request from another under the same key."""
    return hashlib.sha256(request.model_dump_json().encode()).digest()


def _lacked(connection: Connection, request: Request, at: datetime) -> frozenset[str] | None:
    """The rules that lacked a fact in the answer that is to be lifted; None where this key was answered before.

    It must be of this very contact, not lifted before, and asked for by another than who decides. Raises Misasked.
    """
    [again] = connection.execute(reads.ANSWERED, (request.key,)).fetchone() or (False,)
    if again:
        return None
    row = connection.execute(reads.EARLIER, {"id": request.overrides, "mine": request.key}).fetchone()
    wrong = None
    if row is None:
        wrong = N_("is no request on file")
    else:
        *contact, verdict, granted, requested_by, requested_at, lacked, lifted = row
        if contact != [request.account_id, request.step, request.agency, request.text_sha256, request.facts]:
            wrong = N_("is of another contact: account, step, agency, text or facts differ")
        elif verdict != "needs_human" or granted:
            wrong = N_("was not answered with needs_human")
        elif lifted:
            wrong = N_("was decided on before")
        elif not requested_at <= at <= requested_at + OVERRIDE_WITHIN:
            wrong = N_("is not of the last %(hours)s hours")
        elif same_number(requested_by, request.decided_by or ""):
            wrong = N_("was asked for by who decides now")
    if wrong is not None:
        connection.rollback()
        raise Misasked(
            "overrides",
            wrong,
            N_("Ask without a decision; on that answer another person may decide once"),
            hours=f"{OVERRIDE_WITHIN.total_seconds() / 3600:g}",
        )
    return frozenset(lacked)


def _lacking(decision: Decision) -> frozenset[str]:
    return frozenset(decision.spoke.get("unknown", ()))


def answers_of(book: Rulebook, request: Request, record: Record) -> tuple[list[Answer], Callable[[date], Facts]]:
    """What the rules say of a request on each local day that it may be now; and the facts of any later day. Pure."""
    given: dict[str, FactValue] = {**_unsaid(book), **request.facts}
    agency = request.agency is not None
    known = facts_by_day(record, given, agency, book)
    jurisdiction, zones, agreed = record.asked.jurisdiction, zones_of(record), agreed_with(request, record)
    # Around midnight in one of several possible zones it may be two days at once: both must permit.
    answers = [
        setting(book, jurisdiction, day).compiled.answer(request.step, known(day), record.at, zones, agreed)
        for day in days_of(zones_or_all(zones, jurisdiction), record.at)
    ]
    return answers, known


def agreed_with(request: Request, record: Record) -> Hours | None:
    """The hours agreed with who is contacted: those on record are the debtor's."""
    return record.asked.agreed if request.facts["to_whom"] == "debtor" else None


def zones_of(record: Record) -> str | None:
    """Where the borrower may be; None where that is not known, or no such zone exists."""
    zones = record.asked.zones
    return zones if place(zones, record.at.date()) is not None else None


def gravest(answers: list[Answer]) -> Answer:
    """The answer that holds where it may be two days at once."""
    return max(answers, key=lambda each: _GRAVER[each.verdict])


def decide(book: Rulebook, request: Request, record: Record) -> Decision:
    """The answer to a request over a record. Pure. A permission has its request's number."""
    answers, known = answers_of(book, request, record)
    answer, zones, agreed = gravest(answers), zones_of(record), agreed_with(request, record)
    possible = zones_or_all(zones, record.asked.jurisdiction)
    days = [each.compiled.day for each in answers]
    overridden = request.decided_by is not None and all(
        each.verdict == "permitted" or may_be_lifted(book, each) for each in answers
    )
    overridden = overridden and answer.verdict == "needs_human"
    permission = earliest = None
    if answer.verdict == "permitted" or overridden:
        permission = Permission(request.key, _expires(answers, record.at, possible))
    elif not _for_good(book, answer.compiled, answer.forbids | answer.unknown, days[-1]):
        earliest = _earliest(book, request.step, record, zones, agreed, days, known)
    others = {each.compiled.day.isoformat(): each.facts for each in answers if each is not answer}
    return Decision(
        request_id=request.key,
        account_id=request.account_id,
        step=request.step,
        requested_at=record.at,
        verdict=answer.verdict,
        spoke=answer.said.ids,
        facts=answer.facts,
        rulebook_sha256=book.sha256,
        permission=permission,
        earliest=earliest,
        decided_by=request.decided_by if overridden else None,
        basis=Basis(record.asked.jurisdiction, zones, agreed, others),
    )


def days_of(zones: str, at: datetime) -> list[date]:
    """The local days that it is in these zones."""
    return sorted({at.astimezone(ZoneInfo(zone)).date() for zone in zones.split("|")})


#: Facts whose absence nobody lifts: whether the person may be contacted at all, and where and when it is.
_NEVER_LIFTED = frozenset({"stop_contact", "incapable", "law_known", "place_known"})


def may_be_lifted(book: Rulebook, answer: Answer) -> bool:
    """Do the rules lack only facts of the record that a person may find out elsewhere?"""
    if answer.verdict != "needs_human" or answer.local is None:
        return False
    lacking = {
        name
        for each in answer.spoke
        if each.says == "unknown"
        for name, value in each.read(answer.record).items()
        if value is None
    }
    return not lacking & (_NEVER_LIFTED | _of_contact(book).keys())


def _expires(answers: list[Answer], at: datetime, zones: str) -> datetime:
    """Minutes from now, but never after the lawful hours end, nor on a day whose law and counts were not asked."""
    ends = [answer.window[1] for answer in answers if answer.window is not None]
    ends = [end for end in ends if end > at]
    # The lawful hours end by both readings of a day on which clocks change; the day itself by the one that is so.
    for zone in map(ZoneInfo, zones.split("|")):
        tomorrow = at.astimezone(zone).date() + timedelta(days=1)
        ends.append(datetime.combine(tomorrow, time(), zone).astimezone(UTC))
    return min([at + LIFETIME, *ends])


@functools.lru_cache(maxsize=4096)
def _for_good(book: Rulebook, compiled: Compiled, against: int, day: date) -> bool:
    """Is one of the rules whose bits stand against a contact such that neither days nor a law on file will move it?"""
    still = STILL | _of_contact(book).keys()
    return any(
        rule.facts_read() <= still and max(rule.changes()) <= day
        for rule in (compiled.rules[bit] for bit in bits(against))
        if rule.forbid is not None
    )


def _earliest(
    book: Rulebook,
    step: str,
    record: Record,
    zones: str | None,
    agreed: Hours | None,
    days: list[date],
    known: Callable[[date], Facts],
) -> datetime | None:
    at, place_ = record.at, record.asked.jurisdiction
    possible = zones_or_all(zones, place_)
    if len(days) > 1:
        local = place(possible, days[-1])
        assert local is not None
        at = max(at, instant(days[-1], local.first))  # from when it is one day everywhere
        if days_of(possible, at) != days[-1:]:
            return None  # their clocks are a day or more apart: it never is
    quiet = quiet_days(record, book, reads.AHEAD_DAYS)
    return earliest_lawful(book, place_, step, known, at, zones, agreed, reads.AHEAD_DAYS, quiet, possible)


def _keep(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> psycopg.Cursor[Any]:
    """Keep answers by one statement; its cursor tells whose key was not used before."""
    return connection.execute(reads.KEEP, (to_json(rows).decode(),), prepare=True)


def _row(request: Request, asked: bytes, decision: Decision, at_use_of: UUID | None = None) -> dict[str, Any]:
    """An answer as reads.KEEP takes it; what is left out is NULL."""
    permission, basis = decision.permission, decision.basis
    assert basis is not None
    agreed = basis.agreed
    row = {
        "id": decision.request_id,
        "account_id": request.account_id,
        "step": request.step,
        "agency": request.agency,
        "requested_by": request.requested_by,
        "text_sha256": request.text_sha256,
        "asked_sha256": f"\\x{asked.hex()}",
        "requested_at": decision.requested_at,
        "verdict": decision.verdict,
        "spoke": decision.spoke,
        "facts": decision.facts,
        "rulebook_sha256": decision.rulebook_sha256,
        "earliest": decision.earliest,
        "expires_at": permission and permission.expires_at,
        "given": request.facts,
        "jurisdiction": basis.jurisdiction,
        "zones": basis.zones,
        "agreed_from_min": agreed and agreed.opens,
        "agreed_to_min": agreed and agreed.closes,
        "other_days": basis.other_days or None,
        "at_use_of": at_use_of,
    }
    if decision.decided_by:
        row |= {"decided_by": decision.decided_by, "reason": request.reason, "overrides": request.overrides}
    return row


def _kept(connection: Connection, request: Request, asked: bytes) -> Decision:
    """The answer that this key got before. Raises Misasked where the key was that of another request."""
    row = connection.execute(reads.KEPT, (request.key,)).fetchone()
    connection.rollback()
    assert row is not None
    if row[0] != asked:
        raise Misasked("key", N_("was used for another request"), N_("Give each request a new key"))
    return Decision(
        request_id=request.key,
        account_id=row[1],
        step=row[2],
        requested_at=row[3],
        verdict=row[4],
        spoke={says: tuple(ids) for says, ids in row[5].items()},
        facts=row[6],
        rulebook_sha256=row[7],
        permission=None if row[8] is None else Permission(request.key, row[8]),
        earliest=row[9],
        decided_by=row[10],
    )


_TYPES = {"bool": (bool,), "int": (int,), "money": (int,), "enum": (str,)}


@functools.cache
def _of_contact(book: Rulebook) -> dict[str, Fact]:
    """The facts of a contact itself, which the asker gives."""
    return {fact.id: fact for fact in book.vocabulary.facts.values() if fact.asked == "gate"}


@functools.cache
def _unsaid(book: Rulebook) -> dict[str, FactValue]:
    """What the facts of a contact are taken for where the asker does not say: unknown, but for a few."""
    return {fact.id: fact.otherwise for fact in _of_contact(book).values()}


def misworded(book: Rulebook, step: object, facts: object, text_sha256: object) -> list[Misasked]:
    """What of a request is none of the vocabulary's words, a field each; what is of another type is passed over."""
    steps, of_contact, wrong = book.vocabulary.steps, _of_contact(book), []
    if isinstance(step, str) and not (step in steps and steps[step].contact):
        words = ", ".join(each.id for each in steps.values() if each.contact)
        wrong.append(Misasked("step", N_("is no contact"), N_("Give one of %(known)s"), known=words))
    if step in WRITTEN and text_sha256 is None:
        remedy = N_("This step sends a text: give the SHA-256 of its UTF-8 bytes")
        wrong.append(Misasked("text_sha256", N_("is missing"), remedy))
    if not isinstance(facts, Mapping):
        return wrong
    if facts.keys() - of_contact.keys():
        known = ", ".join(of_contact)
        reason = N_("hold one that is none of the contact itself")
        wrong.append(Misasked("facts", reason, N_("Give only %(known)s"), known=known))
    for fact in of_contact.values():
        if (misfits := _misfits(fact, facts)) is not None:
            reason, remedy = misfits
            known = ", ".join(fact.values)
            wrong.append(Misasked(f"facts.{fact.id}", reason, remedy, known=known, type=fact.type))
    return wrong


def _misfits(fact: Fact, facts: Mapping[str, object]) -> tuple[str, str] | None:
    """Why what was said of a fact can't be taken, and the remedy."""
    if fact.id not in facts:
        needed = fact.known and fact.otherwise is None
        return (N_("is missing"), N_("Give one of %(known)s")) if needed else None
    value = facts[fact.id]
    if type(value) not in _TYPES[fact.type]:
        return N_("is no %(type)s"), N_("Give a value of that type, or leave it out")
    if fact.values and value not in fact.values:
        return N_("is no word of the vocabulary"), N_("Give one of %(known)s")
    if isinstance(value, int) and not 0 <= value < 1 << 31:
        return N_("is out of bounds"), N_("Give a number from 0 up")
    return None


def _check(book: Rulebook, request: Request) -> None:
    """The words of a request are the vocabulary's. Raises Misasked."""
    if wrong := misworded(book, request.step, request.facts, request.text_sha256):
        wrong[0].all = tuple(wrong)
        raise wrong[0]


def _sound(book: Rulebook, request: Request) -> bool:
    try:
        _check(book, request)
    except Misasked:
        return False
    return True


def keep_rulebook(connection: Connection, book: Rulebook) -> None:
    """Keep the rulebook whole, so that an answer can be asked again by the rules of its day. Commits."""
    key = (connection.info.dsn, book.sha256)
    if key in _rulebooks_kept:
        return
    files = json.dumps([{"name": f.name, "text": f.content.decode("utf-8")} for f in book.sources], ensure_ascii=False)
    connection.execute(
        "INSERT INTO rulebook (sha256, files) VALUES (%s, %s) ON CONFLICT DO NOTHING", (book.sha256, files)
    )
    connection.commit()
    _rulebooks_kept.add(key)


_rulebooks_kept: set[tuple[str, str]] = set()

# ---- use, report, void ------------------------------------------------------------------------------


def use(
    book: Rulebook,
    permission_id: UUID,
    *,
    account_id: int | None = None,
    step: str | None = None,
    text_sha256: str | None = None,
) -> Made:
    """Use a permission, once: its contact is on record from now on. See `use_on`."""
    with connected() as connection:
        made = use_on(connection, book, permission_id, account_id=account_id, step=step, text_sha256=text_sha256)
        connection.commit()
    return made


def use_on(
    connection: Connection,
    book: Rulebook,
    permission_id: UUID,
    *,
    account_id: int | None = None,
    step: str | None = None,
    text_sha256: str | None = None,
) -> Made:
    """Use a permission in a transaction that the caller commits, if the contact is still lawful.

    The gate decides anew, over the record as it is now: a stop, an attorney, a payment or a dispute that came since
    voids the permission. Where it refuses, the transaction is rolled back.

    Args:
        account_id, step, text_sha256: what is about to be done. The permission must be for exactly that; without
            account_id it is not compared.

    Raises NoSuchPermission, NotUsable, StoreError.
    """
    mine = {"id": permission_id}
    with connection.pipeline():
        cursor = connection.cursor(binary=True)
        lock = connection.execute(reads.LOCK_OF_PERMISSION, mine, prepare=True)
        granted = connection.execute(reads.GRANTED, mine, prepare=True)
        cursor.execute(reads.GATHER_OF_PERMISSION, mine, prepare=True)
        rows, row, locked = cursor.fetchall(), granted.fetchone(), lock.fetchone()
    if row is None:
        connection.rollback()
        raise NoSuchPermission
    account, of_step, agency, requested_by, text, given, decided_by, reason, overrides, asked, lacked, *state = row
    same = account_id is None or (account, of_step, text) == (account_id, step, text_sha256)
    if any(state) or not same:
        connection.rollback()
        raise _unusable(*state)
    record = reads.record(rows, account)
    assert record is not None and locked is not None
    if record.person != locked[0]:
        connection.rollback()
        raise NotUsable("joined")
    # What was right when it was granted is not checked again for its form.
    request = Request.model_construct(
        key=permission_id,
        account_id=account,
        step=of_step,
        requested_by=requested_by,
        agency=agency,
        text_sha256=text,
        facts=given,
        decided_by=decided_by,
        reason=reason,
        overrides=overrides,
    )
    decision = decide(book, request, record)
    if decision.granted and lacked is not None and not _lacking(decision) <= frozenset(lacked):
        decision = replace(decision, permission=None, decided_by=None)  # what was decided on was less
    if not decision.granted:
        # The refusal is kept as a request of its own, with its reasons; the work of the caller is taken back.
        connection.rollback()
        keep_rulebook(connection, book)
        connection.execute(reads.VOID, mine)
        decision = replace(decision, request_id=uuid4())
        _keep(connection, [_row(request, asked, decision, at_use_of=permission_id)])
        connection.commit()
        raise NotUsable("unlawful", decision)
    made = connection.execute(reads.USE, mine, prepare=True).fetchone()
    if made is None:  # its last moment passed meanwhile, or it was given back
        now = connection.execute(reads.GRANTED, mine).fetchone()
        connection.rollback()
        raise _unusable(*(now[-3:] if now and any(now[-3:]) else (False, False, True)))
    return Made(permission_id, *made)


def text_hash(text: str) -> str:
    """What a permission holds of a message: the SHA-256 of its UTF-8 bytes, in hexadecimal."""
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _unusable(used: bool, void: bool, expired: bool) -> NotUsable:
    if used:
        return NotUsable("used")
    if void:
        return NotUsable("void")
    if expired:
        return NotUsable("expired")
    return NotUsable("another")


def void(permission_id: UUID) -> None:
    """Give back a permission that will not be used, so that it counts no more. Raises NoSuchPermission, NotUsable."""
    with connected() as connection:
        if connection.execute(reads.VOID, {"id": permission_id}).rowcount == 0:
            known = connection.execute(reads.GRANTED, {"id": permission_id}).fetchone()
            if known is None:
                raise NoSuchPermission
            raise _unusable(True, False, False)
        connection.commit()


def report(book: Rulebook, permission_id: UUID, outcome: Outcome, by: str) -> None:
    """Say how a contact ended. A later report may only be graver; the same one again changes nothing.

    Args:
        by: the number of who says so; kept with what was said. Until an end is told, the contact counts as the worst.

    Raises NoSuchPermission, NotUsable where the permission was not used, Misasked for an end that such a
    contact can't have, or a milder one than was reported; StoreError.
    """
    with connected() as connection:
        report_on(connection, book, permission_id, outcome, by)


def report_on(connection: Connection, book: Rulebook, permission_id: UUID, outcome: Outcome, by: str) -> None:
    """As `report`, on a connection that is in no transaction."""
    with connection.transaction():
        row = connection.execute(reads.END, {"id": permission_id}, prepare=True).fetchone()
        if row is None:
            raise NoSuchPermission
        step, before = row
        allowed = outcomes_of(book.vocabulary, step)
        if before is None:
            raise NotUsable("unused")
        if outcome not in allowed:
            raise Misasked(
                "outcome",
                N_("is no end of a %(step)s"),
                N_("Give one of %(known)s"),
                step=step,
                known=", ".join(allowed),
            )
        if before != PENDING and allowed.index(outcome) < allowed.index(before):
            raise Misasked(
                "outcome",
                N_("is milder than %(before)s, which was reported"),
                N_("A report may only be graver"),
                before=before,
            )
        if outcome != before:
            connection.execute(reads.REPORT, {"id": permission_id, "outcome": outcome, "by": by}, prepare=True)


def outcomes_of(vocabulary: Vocabulary, step: str) -> tuple[Outcome, ...]:
    """The ends that a step can come to, mildest first."""
    return OUTCOMES_OF_A_CALL if step == "call" else OUTCOMES[vocabulary.steps[step].channel or ""]

"""Askers who wait are served in one transaction: each gets exactly what it would have got alone."""

import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from forbear.contact import reads, services
from forbear.contact.errors import Misasked
from forbear.contact.models import Decision, Request
from forbear.contact.services import ask, ask_many_on, ask_on, keep_rulebook
from forbear.contact.together import Together
from forbear.rulebook.book import Rulebook

Wanted = Callable[..., Request]
PATIENCE = 10.0


def until(true: Callable[[], bool]) -> None:
    """Wait for what other threads do."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < PATIENCE, "it did not come to that"
        time.sleep(0.001)


# ---- the room, whatever is asked in it ----------------------------------------------------------------


class Desk:
    """Answers numbers with their doubles and keeps the groups; the first group is held until `open`."""

    def __init__(self, places: int = 1, most: int = 4) -> None:
        self.groups: list[list[int]] = []
        self.alone: list[tuple[int, str]] = []
        self.open = threading.Event()
        self.room: Together[int, int] = Together(self.many, self.one, places, most)

    def many(self, asked: Sequence[int]) -> list[int | None]:
        self.groups.append(list(asked))
        assert self.open.wait(PATIENCE)
        if 13 in asked:
            raise RuntimeError("one of them is at fault")
        return [None if x % 5 == 0 else 2 * x for x in asked]

    def one(self, asked: int) -> int:
        self.alone.append((asked, threading.current_thread().name))
        if asked == 13:
            raise ValueError("13 is at fault")
        return 2 * asked


@contextmanager
def queued(desk: Desk, first: int, *others: int) -> Iterator[dict[int, "Future[int]"]]:
    """Askers in this order, each on a thread of its own; all others wait while the first is served."""
    with ThreadPoolExecutor(1 + len(others)) as threads:
        asked = {first: threads.submit(desk.room.ask, first)}
        until(lambda: len(desk.groups) == 1)
        for n, other in enumerate(others, start=1):
            asked[other] = threads.submit(desk.room.ask, other)
            until(lambda n=n: len(desk.room._waiting) == n)  # type: ignore[misc]
        desk.open.set()
        yield asked


def test_who_comes_alone_is_served_at_once_and_by_itself() -> None:
    desk = Desk()
    desk.open.set()
    assert [desk.room.ask(n) for n in (1, 2, 3)] == [2, 4, 6]
    assert desk.groups == [[1], [2], [3]] and desk.alone == []


def test_those_who_wait_are_served_in_groups_in_the_order_in_which_they_came() -> None:
    desk = Desk(most=4)
    with queued(desk, 1, 2, 3, 4, 6, 7, 8) as asked:
        assert {n: told.result(PATIENCE) for n, told in asked.items()} == {n: 2 * n for n in asked}
    assert desk.groups == [[1], [2, 3, 4, 6], [7, 8]]


def test_as_many_groups_are_served_at_a_time_as_there_are_places() -> None:
    desk = Desk(places=2)
    with ThreadPoolExecutor(3) as threads:
        asked = [threads.submit(desk.room.ask, n) for n in (1, 2, 3)]
        until(lambda: len(desk.groups) == 2 and len(desk.room._waiting) == 1)
        desk.open.set()
        assert sorted(told.result(PATIENCE) for told in asked) == [2, 4, 6]


def test_a_further_group_begins_as_soon_as_it_is_no_smaller_than_what_is_being_served() -> None:
    begun: list[list[int]] = []
    ends = [threading.Event() for _ in range(4)]

    def many(asked: Sequence[int]) -> list[int | None]:
        begun.append(list(asked))
        assert ends[len(begun) - 1].wait(PATIENCE)
        return list(asked)

    room: Together[int, int] = Together(many, lambda n: n, places=2, most=4)
    with ThreadPoolExecutor(8) as threads:
        told = []

        def ask(*numbers: int, waiting: int) -> None:
            for n in numbers:
                told.append(threads.submit(room.ask, n))
                until(lambda n=n: n in room_of(begun, room))  # type: ignore[misc]
            assert len(room._waiting) == waiting

        # Given one who is served, who comes beside is not delayed; three wait, and get the place that is free next.
        ask(1, waiting=0)
        ask(2, waiting=0)
        ask(3, 4, 5, waiting=3)
        ends[0].set()
        until(lambda: begun == [[1], [2], [3, 4, 5]])
        # When that group is all that is served, two who come wait for the third, or for its end.
        ends[1].set()
        until(lambda: room._free == 1)
        ask(6, 7, waiting=2)
        ask(8, waiting=0)
        assert begun[3:] == [[6, 7, 8]]
        for end in ends:
            end.set()
        assert [each.result(PATIENCE) for each in told] == [1, 2, 3, 4, 5, 6, 7, 8]


def room_of(begun: list[list[int]], room: "Together[int, int]") -> set[int]:
    """Who is served or waits."""
    return {*(n for group in begun for n in group), *(each.asked for each in list(room._waiting))}


def test_one_that_can_t_be_served_in_a_group_is_served_alone_by_its_own_thread() -> None:
    desk = Desk()
    with queued(desk, 1, 2, 5, 10) as asked:
        assert [told.result(PATIENCE) for told in asked.values()] == [2, 4, 10, 20]
    assert desk.groups == [[1], [2, 5, 10]]
    assert {n for n, _ in desk.alone} == {5, 10} and len({thread for _, thread in desk.alone}) == 2


def test_the_fault_of_one_is_its_own_and_no_place_is_lost(caplog: pytest.LogCaptureFixture) -> None:
    desk = Desk()
    with queued(desk, 1, 2, 13, 3) as asked:
        assert [asked[n].result(PATIENCE) for n in (1, 2, 3)] == [2, 4, 6]
        with pytest.raises(ValueError, match="13 is at fault"):
            asked[13].result(PATIENCE)
    assert {n for n, _ in desk.alone} == {2, 13, 3}
    # What went wrong is logged by its kind alone.
    assert [record.getMessage() for record in caplog.records] == ["A group of 3 is asked one by one: RuntimeError"]
    assert desk.room.ask(4) == 8 and desk.groups[-1] == [4]


class _Interrupted(BaseException):
    """As a KeyboardInterrupt."""


def test_an_asker_who_is_interrupted_while_it_waits_takes_no_place_with_it() -> None:
    # Given one who is interrupted while it waits, and one who is when the place was handed to it with two others.
    desk = Desk()

    class Box:
        def __init__(self, handed: bool) -> None:
            self.handed, self.came, self.group = handed, threading.Event(), []

        def put(self, group: Any) -> None:
            self.group = group
            self.came.set()

        def get(self) -> Any:
            if self.handed or self.came.is_set():
                assert self.came.wait(PATIENCE)
            if not self.handed and self.came.is_set():
                return self.group
            self.handed = False
            raise _Interrupted

    def interrupted(handed: bool) -> None:
        from forbear.contact import together

        mine: Any = together._Asker(99 if handed else 98)
        mine.told = Box(handed)
        desk.room._waiting.append(mine)
        with pytest.raises(_Interrupted):
            desk.room._wait(mine)

    with ThreadPoolExecutor(4) as threads:
        first = threads.submit(desk.room.ask, 1)
        until(lambda: len(desk.groups) == 1)
        interrupted(handed=False)
        assert not desk.room._waiting
        handed = threads.submit(interrupted, True)
        until(lambda: len(desk.room._waiting) == 1)
        others = [threads.submit(desk.room.ask, n) for n in (2, 3)]
        until(lambda: len(desk.room._waiting) == 3)
        desk.open.set()
        handed.result(PATIENCE)
        assert [first.result(PATIENCE), *(told.result(PATIENCE) for told in others)] == [2, 4, 6]
    assert desk.groups == [[1], [99, 2, 3]]
    assert desk.room.ask(4) == 8


# ---- the gate, asked by many --------------------------------------------------------------------------


@pytest.fixture
def many(store: Any, law: Rulebook) -> Iterator["Many"]:
    """`ask_many_on`, on a connection of the gate's."""
    with psycopg.connect(store.url, options=reads.OPTIONS) as connection:
        keep_rulebook(connection, law)
        yield lambda requests, book=law: ask_many_on(connection, book, requests)


Many = Callable[..., list[Decision | None]]


def _alone(store: Any, law: Rulebook, request: Request) -> Decision:
    with psycopg.connect(store.url, options=reads.OPTIONS) as connection:
        return ask_on(connection, law, request)


def _kept(store: Any) -> list[Any]:
    columns = (
        "id, account_id, step, agency, requested_by, text_sha256, asked_sha256, requested_at, verdict, spoke, facts,"
        " rulebook_sha256, earliest, expires_at, given, jurisdiction, zones, agreed_from_min, agreed_to_min, other_days"
    )
    return list(store.sql(f"SELECT {columns} FROM gate_request ORDER BY id"))


def test_a_group_is_one_transaction_and_each_gets_and_keeps_what_it_would_have_got_alone(
    store: Any, book: Rulebook, wanted: Wanted, many: Many
) -> None:
    # Given persons to whom all different things apply, one with two loans in two books, and one whose day is two days.
    loans = [
        store.lend(),
        store.lend(stop_contact=True),
        store.lend(dispute_open=None),
        store.lend(agreed_from_min=600, agreed_to_min=660),
        store.lend(store.book("us"), zones="America/New_York|America/Chicago", place="US-NY"),
        store.lend(),
    ]
    joined = store.lend(store.book(name="another"), dpd=40)
    store.sql("UPDATE borrower SET same_as = %s WHERE id = %s", store.borrower_of(loans[-1]), store.borrower_of(joined))
    for hour in (9, 10, 11):
        store.contacted(joined, "call", f"2026-06-30T{hour:02}:00:00+08:00")
    steps = ("call", "sms", "call", "call", "letter", "call")
    requests = [wanted(loan, step) for loan, step in zip(loans, steps, strict=True)]
    together = many(requests, book)
    kept = _kept(store)
    assert len(store.sql("SELECT DISTINCT xmin::text FROM gate_request")) == 1
    assert {answer.verdict for answer in together if answer} == {"permitted", "forbidden", "needs_human"}
    store.sql("DELETE FROM gate_request")
    assert [_alone(store, book, request) for request in requests] == together
    assert _kept(store) == kept


def test_two_requests_about_one_person_never_share_a_turn(
    store: Any, law: Rulebook, wanted: Wanted, many: Many
) -> None:
    # GB/T 45251-2025: two calls were connected today, a third may be; both loans are one debtor's.
    one = store.lend()
    other, joined = store.lend(borrower=store.borrower_of(one)), store.lend(store.book(name="another"))
    store.sql("UPDATE borrower SET same_as = %s WHERE id = %s", store.borrower_of(one), store.borrower_of(joined))
    for hour in (9, 10):
        store.contacted(one, "call", f"2026-06-30T{hour:02}:00:00+08:00")
    requests = [wanted(loan) for loan in (one, other, joined, one)]
    together = many(requests)
    assert sum(answer is not None for answer in together) == sum(bool(a and a.granted) for a in together) == 1
    rest = [_alone(store, law, r) for r, answer in zip(requests, together, strict=True) if answer is None]
    assert [answer.spoke["forbids"] for answer in rest] == 3 * [("cn.call.daily",)]


def test_the_same_key_twice_in_a_group_is_one_request_or_misasked(
    store: Any, law: Rulebook, wanted: Wanted, many: Many
) -> None:
    loan, other = store.lend(), store.lend()
    request = wanted(loan)
    first, again = many([request, request])
    assert first is not None and first.granted and again is None
    assert _alone(store, law, request) == first  # the same key, the same answer
    assert many([request]) == [None] and _alone(store, law, request) == first  # also in a later group
    # One key for two contacts with two persons, in one group: only one of them is that request.
    key = uuid.uuid4()
    misused = [wanted(loan, key=key), wanted(other, key=key)]
    answers = many(misused)
    assert sorted(answer is None for answer in answers) == [False, True]
    with pytest.raises(Misasked, match="another request"):
        _alone(store, law, misused[answers.index(None)])
    assert store.sql("SELECT count(*), count(*) FILTER (WHERE id = %s) FROM permission", key) == [(2, 1)]


@pytest.mark.parametrize(
    "given",
    [{"step": "smoke_signal"}, {"account_id": 999_999}, {"facts": {}}, {"text_sha256": None, "step": "sms"}],
)
def test_one_misasked_harms_none_of_its_group(
    store: Any, law: Rulebook, wanted: Wanted, many: Many, given: dict[str, Any]
) -> None:
    good = [wanted(store.lend()) for _ in range(3)]
    bad = wanted(**{"account_id": good[0].account_id, **given})
    answers = many([good[0], bad, *good[1:]])
    assert answers[1] is None and all(a is not None and a.granted for k, a in enumerate(answers) if k != 1)
    with pytest.raises(Misasked):
        _alone(store, law, bad)
    assert store.sql("SELECT count(*) FROM gate_request") == [(3,)]


def test_what_lifts_a_refusal_is_asked_alone(store: Any, book: Rulebook, wanted: Wanted, many: Many) -> None:
    loan, other = store.lend(dispute_open=None), store.lend()
    [refused] = many([wanted(loan, requested_by="clerk")], book)
    assert refused is not None and refused.verdict == "needs_human"
    lifts = wanted(loan, decided_by="staff-7", reason="seen", overrides=refused.request_id)
    twice = lifts.model_copy(update={"key": uuid.uuid4()})
    answers = many([lifts, twice, wanted(other)], book)
    assert answers[:2] == [None, None] and answers[2] is not None and answers[2].granted
    assert _alone(store, book, lifts).granted
    with pytest.raises(Misasked, match="decided on before"):
        _alone(store, book, twice)


def test_a_person_held_by_another_is_not_waited_for(store: Any, book: Rulebook, wanted: Wanted, many: Many) -> None:
    held, free, other = store.lend(), store.lend(), store.lend()
    with psycopg.connect(store.url) as stranger:
        stranger.execute(reads.LOCK, {"account_id": held})
        answers = many([wanted(held), wanted(free)], book)
        assert answers[0] is None and answers[1] is not None and answers[1].granted
        # Who asks for that person waits; who asks for another meanwhile does not, though they ask together.
        with _asked_together(book, [wanted(held), wanted(other)]) as asked:
            assert asked[1].result(PATIENCE).granted
            time.sleep(0.05)
            assert not asked[0].done()
            stranger.execute("UPDATE borrower SET stop_contact = true WHERE id = %s", (store.borrower_of(held),))
            stranger.commit()
            # And it is answered by what the other has left behind.
            assert asked[0].result(PATIENCE).verdict == "forbidden"


def test_a_borrower_who_is_found_to_be_another_person_meanwhile_is_left_for_a_turn_of_its_own(
    store: Any, law: Rulebook, wanted: Wanted, many: Many, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a loan of the first person, which turns out to be the second's after the group has locked the first.
    loan, first, second, bystander = (store.lend() for _ in range(4))
    store.sql("UPDATE borrower SET same_as = %s WHERE id = %s", store.borrower_of(first), store.borrower_of(loan))
    for hour in (9, 10, 11):
        store.contacted(second, "call", f"2026-06-30T{hour:02}:00:00+08:00")
    slow = f"SELECT p.id FROM ({reads.LOCK_FREE}) p WHERE pg_sleep(0.5) IS NOT NULL"
    monkeypatch.setattr(reads, "LOCK_FREE", slow)
    with ThreadPoolExecutor(1) as thread:
        asked = thread.submit(many, [wanted(loan), wanted(bystander)])
        until(lambda: bool(store.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'")))
        store.sql("UPDATE borrower SET same_as = %s WHERE id = %s", store.borrower_of(second), store.borrower_of(loan))
        left, other = asked.result(PATIENCE)
    assert left is None and other is not None and other.granted
    assert _alone(store, law, wanted(loan)).spoke["forbids"] == ("cn.call.daily",)


@contextmanager
def _asked_together(book: Rulebook, requests: Sequence[Request]) -> Iterator[list["Future[Decision]"]]:
    """`ask` on a thread each, all in one group: the room's places are taken until all of them wait."""
    room = services.together(book)
    taken, room._free = room._free, 0
    try:
        with ThreadPoolExecutor(len(requests)) as threads:
            asked = []
            for n, request in enumerate(requests, start=1):
                asked.append(threads.submit(ask, book, request))
                until(lambda n=n: len(room._waiting) == n)  # type: ignore[misc]
            with room._lock:
                room._free = 1
                room._begin()
            yield asked
    finally:
        assert room._free == 1
        room._free = taken


def test_those_who_ask_at_the_same_moment_share_a_transaction_and_each_has_its_own_answer(
    store: Any, book: Rulebook, wanted: Wanted
) -> None:
    loans = [store.lend() for _ in range(4)]
    lent = store.lend(stop_contact=True)
    requests = [wanted(loan) for loan in loans]
    bad = wanted(999_999)
    with _asked_together(book, [*requests, bad, wanted(lent), requests[0]]) as asked:
        assert [told.result(PATIENCE).granted for told in asked[:4]] == 4 * [True]
        with pytest.raises(Misasked, match="no account on file"):
            asked[4].result(PATIENCE)
        assert asked[5].result(PATIENCE).verdict == "forbidden"
        assert asked[6].result(PATIENCE) == asked[0].result(PATIENCE)
    assert store.sql("SELECT count(*), count(DISTINCT xmin::text) FROM gate_request") == [(5, 1)]


def test_a_fault_in_deciding_on_one_leaves_the_others_their_answers(
    store: Any, law: Rulebook, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    loans = [store.lend() for _ in range(3)]
    decide = services.decide

    def fails(book: Rulebook, request: Request, record: Any) -> Decision:
        if request.account_id == loans[1]:
            raise RuntimeError("a fault of Forbear's")
        return decide(book, request, record)

    monkeypatch.setattr(services, "decide", fails)
    with _asked_together(law, [wanted(loan) for loan in loans]) as asked:
        assert asked[0].result(PATIENCE).granted and asked[2].result(PATIENCE).granted
        with pytest.raises(RuntimeError, match="a fault of Forbear's"):
            asked[1].result(PATIENCE)
    assert store.sql("SELECT count(*) FROM permission") == [(2,)]


def test_a_group_that_stops_answering_loses_its_persons_and_grants_nothing(
    store: Any, law: Rulebook, wanted: Wanted, monkeypatch: pytest.MonkeyPatch
) -> None:
    loans, decide = [store.lend() for _ in range(3)], services.decide
    released: list[bool] = []

    def stops(book: Rulebook, request: Request, record: Any) -> Decision:
        if len(released) < 1:
            time.sleep(0.8)
            released.append(len(store.sql("SELECT 1 FROM borrower FOR UPDATE NOWAIT")) == 3)
        return decide(book, request, record)

    monkeypatch.setattr(services, "decide", stops)
    requests = [wanted(loan) for loan in loans]
    with psycopg.connect(store.url, options=reads.OPTIONS.replace("10s", "200ms")) as connection:
        keep_rulebook(connection, law)
        with pytest.raises(psycopg.OperationalError):
            ask_many_on(connection, law, requests)
    assert released == [True] and store.sql("SELECT 1 FROM gate_request") == []
    # Asked through the room, the group that was lost is asked one by one, on connections that are alive.
    released.clear()
    monkeypatch.setattr(reads, "OPTIONS", reads.OPTIONS.replace("10s", "200ms"))
    with _asked_together(law, requests) as asked:
        assert all(told.result(PATIENCE).granted for told in asked)
    assert released == [True] and store.sql("SELECT count(DISTINCT xmin::text) FROM gate_request") == [(3,)]


_ASKS = """
import sys, time, psycopg
from uuid import UUID
sys.path.insert(0, sys.argv.pop(1))
from conftest import FACTS
from racer import law_alone
from forbear.contact import reads, services
from forbear.contact.models import Request
at, url, *loans = sys.argv[1:]
law, decide, kept = law_alone(), services.decide, []

def stops(*given):
    # In the middle: it holds all persons, and has decided on some of the requests.
    kept.append(decide(*given))
    if at == "deciding" and len(kept) == 3:
        hold()
    return kept[-1]

def hold():
    print("held", flush=True)
    time.sleep(60)

class Slow(psycopg.Connection):
    def commit(self):
        # All answers are on their way, or written.
        if at == "committing" and kept:
            self.execute("SELECT 1").fetchone()
            hold()
        super().commit()

services.decide = stops
with Slow.connect(url, options=reads.OPTIONS) as connection:
    services.keep_rulebook(connection, law)
    services.ask_many_on(connection, law, [
        Request(key=UUID(int=n), account_id=int(loan), step="call", requested_by="w", facts=FACTS)
        for n, loan in enumerate(loans)])
"""


@pytest.mark.parametrize("at", ["deciding", "committing"])
def test_a_group_killed_in_the_middle_holds_nobody_and_has_granted_nothing(
    store: Any, law: Rulebook, wanted: Wanted, at: str
) -> None:
    loans = [store.lend() for _ in range(5)]
    here = str(Path(__file__).parent)
    command = [sys.executable, "-c", _ASKS, here, at, store.url, *map(str, loans)]
    worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None and worker.stdout.readline() == "held\n"
    with psycopg.connect(store.url) as other, pytest.raises(psycopg.errors.LockNotAvailable):
        other.execute("SELECT FROM borrower FOR NO KEY UPDATE NOWAIT")
    worker.kill()
    worker.wait()
    # Whoever asks again, by the same keys too, is answered as if nothing had been.
    again = [ask(law, wanted(loan, key=uuid.UUID(int=n))) for n, loan in enumerate(loans)]
    assert all(answer.granted for answer in again)
    assert store.sql("SELECT count(*) FROM gate_request") == [(5,)]


# ---- in bulk --------------------------------------------------------------------------------------------


def test_who_asks_in_bulk_is_answered_in_order_and_a_mistake_is_its_own(
    store: Any, book: Rulebook, wanted: Wanted
) -> None:
    """Given 40 borrowers, one misasked contact among them and one asked about twice, all others are granted."""
    loans = [store.lend(dpd=9) for _ in range(40)]
    asked = [wanted(loan, "sms") for loan in loans]
    asked[7] = wanted(10**9, "sms")
    asked.append(wanted(loans[0], "sms"))

    answers = services.ask_many(book, asked)

    assert isinstance(answers[7], Misasked) and answers[7].field == "account_id"
    given = [answer for answer in answers if isinstance(answer, Decision)]
    assert [answer.account_id for answer in given] == [r.account_id for r in asked if r is not asked[7]]
    # Guideline on spacing: the second text to the same person is refused, since the first is outstanding.
    assert [answer.granted for answer in given] == [True] * 39 + [False]
    assert store.sql("SELECT count(*) FROM permission") == [(39,)]
    # The same keys again are answered the same, and nothing more is kept.
    again = services.ask_many(book, asked)
    assert [a.permission for a in again if isinstance(a, Decision)] == [a.permission for a in given]
    assert store.sql("SELECT count(*) FROM gate_request") == [(40,)]


@pytest.mark.parametrize("name", ["GATHER", "GATHER_MANY", "GATHER_OF_PERMISSION"])
def test_what_the_gate_reads_by_is_short_enough_for_psycopg_to_keep(name: str) -> None:
    # A longer statement is read anew for each request, which costs as much as the lock.
    assert len(getattr(reads, name)) <= 4096

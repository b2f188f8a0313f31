"""One meaning: the night and the gate see the same facts in the same record, account by account."""

import json
import math
import tempfile
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import ibis
import psycopg
import pytest

from forbear.contact import reads
from forbear.contact.errors import NotUsable
from forbear.contact.facts import facts_by_day
from forbear.contact.models import Request
from forbear.contact.services import ask, use
from forbear.intake.services import import_book
from forbear.ledger.filed import detail
from forbear.ledger.models import (
    Charged,
    ChargedBack,
    Event,
    Forborne,
    Instalment,
    Kind,
    Paid,
    Purchased,
    Reason,
    Rescheduled,
    Reversed,
    Waived,
)  # fmt: skip
from forbear.nightly import run as night
from forbear.rulebook.book import Rulebook
from forbear.servicing.post import Posting, post_one
from forbear.store.engine import copy_connection
from forbear.synth.draw import Request as Draw
from forbear.synth.parameters import parameters
from forbear.synth.write import write

DAY = date(2026, 6, 30)


def _by_night(book: Rulebook) -> dict[int, dict[str, Any]]:
    """The facts of every account as a night on DAY reads them."""
    with tempfile.TemporaryDirectory() as folder, copy_connection() as connection:
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        duck = ibis.duckdb.connect(Path(folder) / "night.duckdb")
        duck.raw_sql("SET TimeZone = 'UTC'")
        night._read(connection, duck, DAY, night.Stages())
        night._sum_up(duck, DAY, book)
        rows = duck.con.sql(duck.compile(night.fact_table(duck, DAY, book))).to_arrow_table().to_pylist()
        duck.disconnect()
    return {row["account_id"]: row for row in rows}


def _by_gate(url: str, account_id: int, book: Rulebook) -> dict[str, Any]:
    with psycopg.connect(url) as connection:
        rows = connection.execute(reads.GATHER, {"account_id": account_id, "mine": None}, binary=True).fetchall()
    record = reads.record(rows, account_id)
    assert record is not None
    return facts_by_day(record, {}, False, book, charges=True)(DAY)


def _compare(url: str, book: Rulebook) -> int:
    known = [fact.id for fact in book.vocabulary.facts.values() if fact.asked == "night"]
    rows = _by_night(book)
    for account_id, row in rows.items():
        gate = _by_gate(url, account_id, book)
        for name in known:
            value = row[name]
            value = None if isinstance(value, float) and math.isnan(value) else value
            assert gate[name] == value, f"account {account_id}, {name}: gate {gate[name]}, night {value}"
            # What is said to be always known is compiled without a question whether it is.
            assert value is not None or not book.vocabulary.facts[name].known, f"account {account_id}, {name}"
    return len(rows)


@pytest.mark.parametrize(("place", "accounts"), [("cn", 150), ("us", 100)])
def test_the_gate_and_the_night_see_the_same_facts(store: Any, book: Rulebook, place: str, accounts: int) -> None:
    # Given a synthetic book in which every fifth borrower is the same person as the one before.
    write(Draw(accounts, 11, DAY, parameters(place)))
    store.clock("2026-06-30T12:00:00+08:00" if place == "cn" else "2026-06-30T12:00:00-04:00")
    store.sql("UPDATE borrower SET same_as = id - 1 WHERE id % 5 = 0")
    store.sql("UPDATE borrower SET zones = zones || '|America/Anchorage' WHERE id % 7 = 0 AND zones IS NOT NULL")
    store.sql("UPDATE contact SET outcome = 'pending' WHERE step = 'call' AND account_id % 3 = 0")
    assert _compare(store.url, book) == accounts


def test_a_person_in_two_books_is_counted_once_and_over_both(store: Any, book: Rulebook) -> None:
    one, other = store.lend(), store.lend(store.book(name="an agency's book"), dpd=40)
    store.sql("UPDATE borrower SET same_as = %s WHERE id = %s", store.borrower_of(one), store.borrower_of(other))
    store.contacted(other, "call", "2026-06-30T09:00:00+08:00")
    assert _compare(store.url, book) == 2
    facts = _by_gate(store.url, one, book)
    # The loan longer past due is the one to speak of, though it lies in the other book.
    assert (facts["connected_today"], facts["lead_account"], facts["calls_7d"]) == (1, False, 0)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"stop_contact": True, "attorney": None}, {"bankrupt": True, "vulnerable": None}),
        ({"incapable": None, "place": "CN"}, {"incapable": True, "place": "TW"}),
        ({"opted_out_sms": None}, {"opted_out_sms": None, "workplace_forbidden": True, "unreachable": True}),
        ({"hardship_until": "2026-01-01"}, {"hardship_until": "2026-12-01", "respite_until": "2026-07-01"}),
        ({"zones": None}, {"zones": "America/Los_Angeles"}),
        ({"zones": "Asia/Shanghai"}, {"zones": "Nowhere/AtAll"}),
        ({"place": "Shanghai"}, {"place": None}),
        ({"place": "CN"}, {"place": None}),
    ],
)
def test_what_one_book_says_of_a_person_the_other_sees_too_by_night_and_at_the_gate(
    store: Any, book: Rulebook, one: dict[str, Any], other: dict[str, Any]
) -> None:
    first, second = store.lend(**one), store.lend(store.book(name="another"), dpd=40, **other)
    store.lend(**other)  # a third loan, of somebody else, who keeps what is their own
    store.sql("UPDATE borrower SET same_as = %s WHERE id = %s", store.borrower_of(first), store.borrower_of(second))
    store.contacted(second, "call", "2026-06-30T02:00:00+08:00")
    store.set_aside(second, "2026-06-20")
    store.sql("UPDATE book SET history_from = '2026-06-01' WHERE name = 'another'")
    assert _compare(store.url, book) == 3
    assert _by_gate(store.url, first, book)["history_days"] == 10


@pytest.mark.parametrize(
    ("given", "held"),
    [
        ({"promise_due_on": "2026-07-02"}, True),
        ({"promise_due_on": "2026-06-29"}, False),
        ({"promise_due_on": "2026-07-02", "status": "paid_off"}, False),
        ({"plan_until": "2026-12-31"}, False),
    ],
)
def test_a_promise_on_one_loan_holds_the_others_of_the_person_and_a_plan_does_not(
    store: Any, book: Rulebook, wanted: Callable[..., Request], given: dict[str, Any], held: bool
) -> None:
    # Given loan B, which leads by its days past due, and what was agreed for loan A; then policy.promise.
    a, b = store.lend(dpd=10, **given), store.lend(store.book(name="another"), dpd=40)
    store.sql("UPDATE borrower SET same_as = %s WHERE id = %s", store.borrower_of(a), store.borrower_of(b))
    assert _compare(store.url, book) == 2
    answer = ask(book, wanted(b, "letter"))
    assert ("policy.promise" in answer.spoke.get("forbids", ())) is held


def test_intake_joins_borrowers_of_one_key_and_parts_them_again(
    store: Any, law: Rulebook, wanted: Callable[..., Request], tmp_path: Path
) -> None:
    def take_in(name: str, people: dict[str, str]) -> None:
        folder = tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / "book.toml").write_text(
            f'name = "{name}"\njurisdiction = "cn"\nlender_type = "bank"\ncollector = "creditor"\ncurrency = "CNY"\n'
            "history_from = 2024-01-01\n",
            "utf-8",
        )
        lines = [f"{ref},Asia/Shanghai,true,false,{key}" for ref, key in people.items()]
        (folder / "borrowers.csv").write_text("ref,zones,can_call,incapable,person_key\n" + "\n".join(lines) + "\n")
        loans = [f"L{ref},{ref},instalment,open,2026-01-01,1000" for ref in people]
        (folder / "loans.csv").write_text(
            "ref,borrower_ref,product,status,opened_on,principal\n" + "\n".join(loans) + "\n"
        )
        assert import_book(folder, "forbear").bad == 0

    def persons() -> list[tuple[Any, ...]]:
        return store.sql(
            "SELECT ref, coalesce(same_as, id) = min(id) OVER (), same_as IS NULL FROM borrower ORDER BY ref"
        )

    key, own = "ab" * 32, "cd" * 32
    take_in("first", {"B1": key, "B2": own})
    take_in("second", {"C1": key})
    assert persons() == [("B1", True, True), ("B2", False, True), ("C1", True, False)]
    # One person: three calls about the loan of the one book close the day for the loan of the other.
    (one,), (other,) = (store.sql("SELECT id FROM account WHERE ref = %s", ref)[0] for ref in ("LB1", "LC1"))
    for hour in (9, 10, 11):
        store.contacted(one, "call", f"2026-06-30T{hour:02}:00:00+08:00")
    assert ask(law, wanted(other)).spoke["forbids"] == ("cn.call.daily",)
    # Where the first turns out to be somebody else, the other stands alone again.
    take_in("first", {"B1": own, "B2": own})
    assert persons() == [("B1", True, True), ("B2", True, False), ("C1", False, True)]
    assert "cn.call.daily" not in ask(law, wanted(other)).spoke.get("forbids", ())


def _people(folder: Path, name: str, people: str, place: str = "cn") -> Path:
    """A book whose borrowers are these rows, each with one loan of the same number; not yet taken in."""
    folder.mkdir(exist_ok=True)
    (folder / "book.toml").write_text(
        f'name = "{name}"\njurisdiction = "{place}"\nlender_type = "bank"\ncollector = "creditor"\ncurrency = "CNY"\n'
        "history_from = 2024-01-01\n",
        "utf-8",
    )
    (folder / "borrowers.csv").write_text(people, "utf-8")
    refs = [line.split(",")[0] for line in people.splitlines()[1:]]
    loans = "".join(f"L{ref},{ref},instalment,open,2026-01-01,1000\n" for ref in refs)
    (folder / "loans.csv").write_text("ref,borrower_ref,product,status,opened_on,principal\n" + loans, "utf-8")
    return folder


HEX, BASE64 = "ab12" * 16, "aB+/" * 11


@pytest.mark.parametrize(("key", "one"), [(HEX, True), (BASE64, False)])
def test_a_hexadecimal_key_is_the_same_person_in_either_case_and_base64_is_not(
    store: Any, law: Rulebook, wanted: Callable[..., Request], tmp_path: Path, key: str, one: bool
) -> None:
    # Given two lenders' books that write the same keyed hash, one in capitals, and a stop (policy.stop) in the other.
    heading = "ref,zones,can_call,stop_contact,person_key\n"
    for name, stop, written in (("first", "false", key), ("second", "true", key.upper())):
        import_book(_people(tmp_path / name, name, f"{heading}{name},Asia/Shanghai,true,{stop},{written}\n"), "forbear")
    assert (store.sql("SELECT count(DISTINCT coalesce(same_as, id)) FROM borrower") == [(1,)]) is one
    ((loan,),) = store.sql("SELECT id FROM account WHERE ref = 'Lfirst'")
    assert _by_gate(store.url, loan, law)["stop_contact"] is one


@pytest.mark.parametrize(
    ("other", "held"),
    [
        # A row that waits, with a stop and a key that can be read, of a borrower who is on file nowhere.
        (f"other,Asia/Shanghai,true,2026-13-01,true,{HEX.upper()}", True),
        (f"other,Asia/Shanghai,true,2026-13-01,true,{'cd34' * 16}", False),
        ("other,Asia/Shanghai,true,2026-13-01,true,13800000000", False),
    ],
)
def test_a_row_that_waits_holds_the_person_whose_key_it_has_in_every_book(
    store: Any, book: Rulebook, wanted: Callable[..., Request], tmp_path: Path, other: str, held: bool
) -> None:
    # policy.rows-waiting: nobody is contacted of whom a row waits, since it may hold a stop.
    heading = "ref,zones,can_call,hardship_until,stop_contact,person_key\n"
    mine = f"{heading}mine,Asia/Shanghai,true,,false,{HEX}\n"
    import_book(_people(tmp_path / "a", "first", mine), "forbear")
    assert import_book(_people(tmp_path / "b", "second", f"{heading}{other}\n"), "forbear").bad > 0
    ((loan,),) = store.sql("SELECT id FROM account WHERE ref = 'Lmine'")
    assert _by_gate(store.url, loan, book)["rows_waiting"] is held
    assert ("policy.rows-waiting" in ask(book, wanted(loan)).spoke["forbids"]) is held
    _compare(store.url, book)


def test_a_row_that_waits_of_a_record_without_a_loan_holds_the_person(store: Any, book: Rulebook) -> None:
    # Given another lender's record of the person, of whose loans none is on file, and a row of it that waits.
    one, other, alone = store.lend(), store.lend(store.book(name="second")), store.lend()
    store.sql("UPDATE borrower SET same_as = %s WHERE id = %s", store.borrower_of(one), store.borrower_of(other))
    store.sql("DELETE FROM instalment WHERE account_id = %s", other)
    store.sql("DELETE FROM account WHERE id = %s", other)
    import_id = store.sql(
        "INSERT INTO import (book_id, file_name, file_sha256, mapping_name, mapping_sha256, mapping, taken_on,"
        " finished_at) SELECT id, 'f', 'f', 'm', 'm', 'm', '2026-06-20', now() FROM book WHERE name = 'second'"
        " RETURNING id"
    )[0][0]
    store.sql(
        "INSERT INTO quarantine (import_id, table_name, row_number, field, reason, remedy, row, borrower_ref)"
        " SELECT %s, 'borrowers', 1, 'x', 'r', 'r', '{}', ref FROM borrower WHERE book_id <>"
        " (SELECT book_id FROM account WHERE id = %s)",
        import_id, one,
    )  # fmt: skip
    assert _by_gate(store.url, one, book)["rows_waiting"] is True
    assert _by_gate(store.url, alone, book)["rows_waiting"] is False
    assert _compare(store.url, book) == 2


def test_a_key_that_looks_like_a_number_of_a_person_is_refused(store: Any, tmp_path: Path) -> None:
    (tmp_path / "book.toml").write_text(
        'name = "x"\njurisdiction = "cn"\nlender_type = "bank"\ncollector = "creditor"\ncurrency = "CNY"\n', "utf-8"
    )
    (tmp_path / "borrowers.csv").write_text("ref,person_key\nB1,110101199003070000\n")
    (tmp_path / "loans.csv").write_text("ref,borrower_ref,product,status,opened_on,principal\n")
    assert import_book(tmp_path, "forbear").bad == 1
    assert store.sql("SELECT field FROM quarantine") == [("person_key",)]


def _happened(store: Any, account_id: int, *events: Event) -> None:
    """Each is posted as any event is, and in the journal from then on."""
    for event in events:
        post_one(Posting(account_id, event), DAY)


def test_the_gate_knows_what_the_journal_knows_so_nobody_is_pressed_for_what_was_waived(
    store: Any, book: Rulebook, wanted: Callable[..., Request]
) -> None:
    # Given loans 20 days past due, with all that was due waived on one, a part on the next; the
    # third is charged a fee; of the fourth a payment is charged back; of the fifth a waiver was itself reversed.
    waived, in_part, charged, back, undone, plain = (store.lend() for _ in range(6))
    store.sql("UPDATE account SET late_fee_minor = 500, penalty_rate_ppm = 100000 WHERE id = %s", in_part)
    on = DAY - timedelta(days=5)
    both = Waived("W1", on, Kind.PRINCIPAL, 10_000), Waived("W2", on, Kind.INTEREST, 500)
    _happened(store, waived, *both)
    _happened(store, in_part, both[1], Waived("W3", on, Kind.PENALTY, 10))
    _happened(store, charged, Charged("C1", on, Kind.COST, 700), Paid("P1", on, 900))
    _happened(store, back, Paid("P1", on - timedelta(days=3), 10_500), ChargedBack("X1", on, "P1"))
    _happened(store, undone, *both, Reversed("R1", on, "W1"))
    # When the night and the gate look at the same day, then they see the same.
    assert _compare(store.url, book) == 6
    facts = {id_: _by_gate(store.url, id_, book) for id_ in (waived, in_part, charged, back, undone, plain)}
    assert {id_: (f["dpd"], f["arrears"]) for id_, f in facts.items()} == {
        waived: (0, 0), in_part: (20, 10_000), charged: (20, 9_600), back: (20, 10_500), undone: (20, 10_000),
        plain: (20, 10_500),
    }  # fmt: skip
    # Civil Code (cn) art. 575: what the creditor gave up is owed no more, and the house collects what is past due.
    assert "policy.in-arrears" in ask(book, wanted(waived, "sms")).spoke["forbids"]
    assert "policy.in-arrears" not in ask(book, wanted(in_part, "sms")).spoke.get("forbids", ())


def test_a_waiver_between_the_grant_and_the_use_voids_the_permission(
    store: Any, book: Rulebook, wanted: Callable[..., Request]
) -> None:
    account = store.lend(store.book(collector="creditor"), dpd=3)
    asked = wanted(account, "sms")
    granted = ask(book, asked)
    assert granted.permission is not None, granted.spoke
    _happened(store, account, Waived("W1", DAY, Kind.PRINCIPAL, 10_000), Waived("W2", DAY, Kind.INTEREST, 500))
    with pytest.raises(NotUsable) as refused:
        use(book, granted.permission.id, account_id=account, step="sms", text_sha256=asked.text_sha256)
    assert refused.value.decision is not None and refused.value.decision.facts["dpd"] == 0


def test_forbearance_that_was_granted_holds_collection_until_its_last_day_by_night_and_at_the_gate(
    store: Any, book: Rulebook, wanted: Callable[..., Request]
) -> None:
    # Given two loans past due: forbearance is granted on one through tomorrow, on the other it ended yesterday.
    # (FCA CONC 7.3.4: forbearance for who is in arrears difficulties; policy.hardship: nobody is pressed meanwhile.)
    held, ended, taken_back = store.lend(), store.lend(), store.lend()
    on, tomorrow = DAY - timedelta(days=10), DAY + timedelta(days=1)
    _happened(store, held, Forborne("F1", on, tomorrow))
    _happened(store, ended, Forborne("F1", on, DAY - timedelta(days=1)))
    _happened(store, taken_back, Forborne("F1", on, tomorrow), Reversed("R1", DAY, "F1"))
    store.set_aside(held)  # a row that waits of the same loan does not hide what was granted
    assert _compare(store.url, book) == 3
    facts = [_by_gate(store.url, id_, book) for id_ in (held, ended, taken_back)]
    assert [each["hardship_open"] for each in facts] == [True, False, False]
    assert "policy.hardship" in ask(book, wanted(held, "sms")).spoke["forbids"]
    assert "policy.hardship" not in ask(book, wanted(ended, "sms")).spoke.get("forbids", ())


def test_forbearance_on_one_loan_holds_the_person_by_night_and_at_the_gate(
    store: Any, book: Rulebook, wanted: Callable[..., Request]
) -> None:
    # Given forbearance granted on loan A through tomorrow, and loan B of the same person in another book, longer past
    # due. (FCA CONC 7.3.11R: nobody in difficulties is pressed; policy.hardship.)
    a, b, stranger = store.lend(dpd=10), store.lend(store.book(name="another"), dpd=40), store.lend()
    store.sql("UPDATE borrower SET same_as = %s WHERE id = %s", store.borrower_of(a), store.borrower_of(b))
    _happened(store, a, Forborne("F1", DAY - timedelta(days=10), DAY + timedelta(days=1)))
    assert _compare(store.url, book) == 3
    assert "policy.hardship" in ask(book, wanted(b, "letter")).spoke["forbids"]
    assert "policy.hardship" not in ask(book, wanted(stranger, "letter")).spoke.get("forbids", ())


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [(True, True, True), (True, False, False), (True, None, None), (None, False, False), (None, None, None)],
)
def test_who_can_be_reached_by_one_record_is_not_unreachable(
    store: Any, book: Rulebook, one: bool | None, other: bool | None, said: bool | None
) -> None:
    # 15 U.S.C. 1692b, 1692c(b): others are asked only while the debtor can't be reached at all. It is the one flag of a
    # person that opens a way, so that the word of one record is not enough.
    first, second = store.lend(unreachable=one), store.lend(store.book(name="another"), unreachable=other)
    store.sql("UPDATE borrower SET same_as = %s WHERE id = %s", store.borrower_of(first), store.borrower_of(second))
    assert _compare(store.url, book) == 2
    assert _by_gate(store.url, first, book)["unreachable"] is said


def test_what_went_to_somebody_else_opens_no_harsher_step_towards_the_debtor(store: Any, book: Rulebook) -> None:
    # Given a notice of visit and a letter that were delivered to a guarantor (FCA CONC 7.9.12R; policy.visit-notice),
    # when the ladder looks at what was done, then both limit what may follow, and neither counts as told to the debtor.
    loan, told = store.lend(dpd=40), store.lend(dpd=40)
    for step, day in (("letter", "2026-06-15"), ("visit_notice", "2026-06-24")):
        for id_ in (loan, told):
            store.contacted(id_, step, f"{day}T10:00:00+08:00", "delivered")
    store.sql("UPDATE contact SET to_whom = 'guarantor' WHERE account_id = %s", loan)
    assert _compare(store.url, book) == 2
    names = ("letters_episode", "letters_made_episode", "days_since_visit_notice", "days_since_notice_given")
    never = book.vocabulary.never
    assert [_by_gate(store.url, loan, book)[name] for name in names] == [1, 0, 6, never]
    assert [_by_gate(store.url, told, book)[name] for name in names] == [1, 1, 6, 6]


def test_a_plan_that_is_kept_holds_collection_and_one_that_is_broken_no_longer(
    store: Any, book: Rulebook, wanted: Callable[..., Request]
) -> None:
    # Given loans put on a plan (cn: Measures on Credit Card Business 2011 art. 70, collection stops unless the plan is
    # not kept). The first line was due ten days ago: one borrower paid it, the other one did not.
    kept, broken, reaged = store.lend(), store.lend(), store.lend()
    on = DAY - timedelta(days=15)
    lines = (Instalment(DAY - timedelta(days=10), 5_000, 0), Instalment(DAY + timedelta(days=20), 15_000, 0))
    for account in (kept, broken):
        _happened(store, account, Rescheduled("S1", on, lines, Reason.PLAN))
    _happened(store, kept, Paid("P1", DAY - timedelta(days=11), 5_500))
    _happened(store, reaged, Rescheduled("S1", on, lines, Reason.PLAN))
    # On file since before re-ageing had its limits (65 FR 36903), beyond which none can be posted now.
    store.sql(
        "INSERT INTO account_event (account_id, key, kind, value_on, detail) VALUES (%s, 'S2', 'rescheduled', %s, %s)",
        reaged, DAY, json.dumps(detail(Rescheduled("S2", DAY, lines[1:], Reason.REAGE))),
    )  # fmt: skip
    # When both are looked at, then the night and the gate see the same: one is held, the other is not.
    assert _compare(store.url, book) == 3
    assert [_by_gate(store.url, id_, book)["plan_active"] for id_ in (kept, broken, reaged)] == [True, False, False]
    assert "policy.plan-kept" in ask(book, wanted(kept, "sms")).spoke["forbids"]
    assert "policy.plan-kept" not in ask(book, wanted(broken, "sms")).spoke.get("forbids", ())


def test_a_loan_whose_events_contradict_each_other_is_held_for_a_person_by_night_and_at_the_gate(
    store: Any, book: Rulebook, wanted: Callable[..., Request]
) -> None:
    # Given a loan of which a payment is charged back that is not on file, written past the posting, which refuses it:
    # where it stands is not known. House rule 1.11: what was posted is mended before any contact. No row waits (1.8).
    loan, other = store.lend(), store.lend()
    store.sql(
        "INSERT INTO account_event (account_id, key, kind, value_on, detail)"
        " VALUES (%s, 'X1', 'charged_back', %s, '{\"of\": \"payment:P9\"}')",
        loan, DAY,
    )  # fmt: skip
    # When the night and the gate look at it, then both hold it, and the other loan is held by neither.
    assert _compare(store.url, book) == 2
    assert [_by_gate(store.url, id_, book)["events_conflict"] for id_ in (loan, other)] == [True, False]
    held = ask(book, wanted(loan, "sms"))
    assert "policy.events-conflict" in held.spoke["forbids"] and "policy.rows-waiting" in held.spoke["permits"]
    assert "policy.events-conflict" not in ask(book, wanted(other, "sms")).spoke.get("forbids", ())


def test_fees_and_plans_under_a_ceiling_are_owed_alike_by_night_and_at_the_gate(store: Any, book: Rulebook) -> None:
    # 法发〔2017〕22号 art. 2: given loans 20 days past due with a late fee beside penalty interest, and on one
    # of them a dear plan, under a ceiling of 24%, when night and gate look, then both see the same, below the
    # contract's sums.
    plain, planned, free = (store.lend() for _ in range(3))
    store.sql(
        "UPDATE account SET late_fee_minor = 5000, penalty_rate_ppm = 180000 WHERE id = ANY(%s)", [plain, planned]
    )
    for id_ in (plain, planned):
        store.sql(
            "INSERT INTO ceiling SELECT book_id, opened_on, 240000 FROM account WHERE id = %s ON CONFLICT DO NOTHING",
            id_,
        )
    on = DAY - timedelta(days=10)
    _happened(store, planned, Rescheduled("A1", on, (Instalment(DAY, 10_000, 9_000),), Reason.PLAN))
    assert _compare(store.url, book) == 3
    owed = {id_: _by_gate(store.url, id_, book)["owed"] for id_ in (plain, planned, free)}
    assert owed[free] < owed[plain] < owed[free] + 5_000
    assert owed[planned] < 10_500 + 9_000


@pytest.mark.parametrize(
    ("place", "zones", "until", "open_"),
    [
        ("gb", "Europe/London", None, None),  # SI 2020/1311, regulation 11: nobody said that there is none
        ("gb", "Europe/London", "2026-06-30", True),
        ("gb", "Europe/London", "2026-06-29", None),  # the last that was told of has ended; is there another?
        ("tw", "Asia/Taipei", None, None),  # Debt Clearance Act, article 19
        ("cn", "Asia/Shanghai", None, False),  # no law of the place knows a respite
        ("us", "America/New_York", None, False),
    ],
)
def test_a_book_that_never_told_of_a_respite_leaves_it_unknown_where_the_law_knows_one(
    store: Any, book: Rulebook, place: str, zones: str, until: str | None, open_: bool | None
) -> None:
    loan = store.lend(store.book(place), zones=zones, respite_until=until)
    told = store.lend(store.book(place, name="told"), zones=zones)
    store.sql("UPDATE book SET respite_untold = true WHERE name = %s", place)
    assert _compare(store.url, book) == 2
    assert _by_gate(store.url, loan, book)["respite_open"] is open_
    assert _by_gate(store.url, told, book)["respite_open"] is False
    # What one record of a person lacks, the person's record lacks.
    store.sql("UPDATE borrower SET same_as = %s WHERE id = %s", store.borrower_of(loan), store.borrower_of(told))
    assert _compare(store.url, book) == 2
    assert _by_gate(store.url, told, book)["respite_open"] is open_


def test_what_is_owed_on_a_card_is_told_alike_by_night_and_at_the_gate(store: Any, book: Rulebook) -> None:
    # 商业银行信用卡业务监督管理办法 (2011): given a card, which has no schedule, of which the minimum payment of a
    # statement has fallen due.
    card = store.lend(product="card", opened_on=DAY - timedelta(days=120))
    store.sql("DELETE FROM instalment")
    store.sql("UPDATE account SET annual_rate_ppm = 180000")
    store.sql(
        "INSERT INTO card_terms (account_id, first_statement_on, due_days, minimum_ppm)"
        " SELECT id, opened_on + 30, 20, 100000 FROM account"
    )
    _happened(store, card, Purchased("D1", DAY - timedelta(days=100), 500_000))
    assert _compare(store.url, book) == 1
    assert _by_gate(store.url, card, book)["owed"] > 0

"""What the record does not show is never taken for done, and never for not done: findings of a compliance officer."""

from datetime import date, datetime
from pathlib import Path

import psycopg
import psycopg.rows
import pytest
import sqlalchemy as sa
from tests.nightly.test_night import BOOK, DAY, contacted, decided, lend, ref_of

from forbear.intake.services import drop, import_book, mend, quarantined
from forbear.nightly.explain import explain
from forbear.nightly.run import nightly
from forbear.nightly.why import why
from forbear.store.engine import engine


def escalated(url: str, dpd: int = 20, letter: str = "delivered", notice: str | None = None, **given: object) -> int:
    """A loan after texts, calls, a letter and a plan offer; and notice of a visit four days ago, with that outcome."""
    loan = lend(url, dpd=dpd, **given)
    for day, step in ((12, "sms"), (14, "sms"), (16, "call"), (18, "call"), (20, "call")):
        contacted(url, loan, step, f"2026-06-{day}T10:00:00+08:00", "no_answer" if step == "call" else "delivered")
    contacted(url, loan, "letter", "2026-06-22T10:00:00+08:00", letter)
    contacted(url, loan, "plan_offer", "2026-06-24T10:00:00+08:00")
    if notice:
        contacted(url, loan, "visit_notice", "2026-06-26T10:00:00+08:00", notice)
    return loan


# ---- what failed was not done -----------------------------------------------------------------------


@pytest.mark.parametrize(("notice", "step"), [("delivered", "visit"), ("failed", "none")])
def test_a_notice_that_failed_is_no_notice(fresh_db: str, notice: str, step: str) -> None:
    # Given notice of a visit four days ago, then a visit only if it arrived; a failed one still spaces the next.
    row = decided(fresh_db, escalated(fresh_db, notice=notice))
    assert (row["step"], row["days_since_visit_notice"]) == (step, 4)


def test_steps_that_failed_were_not_tried_but_still_count_against_the_limit(fresh_db: str) -> None:
    # Given three calls that failed, then they are the three of the episode, and no milder step for a visit.
    loan = lend(fresh_db, dpd=20)
    for day in (16, 18, 20):
        contacted(fresh_db, loan, "call", f"2026-06-{day}T10:00:00+08:00", "failed")
    row = decided(fresh_db, loan)
    assert (row["calls_episode"], row["tries_made_episode"]) == (3, 0)


def test_from_thirty_days_a_letter_that_failed_has_stated_nothing(fresh_db: str) -> None:
    told, untold = (lend(fresh_db, dpd=40, can_sms=False) for _ in range(2))
    contacted(fresh_db, told, "letter", "2026-06-22T10:00:00+08:00", "delivered")
    contacted(fresh_db, untold, "letter", "2026-06-22T10:00:00+08:00", "failed")
    assert decided(fresh_db, told)["step"] == "call"
    assert decided(fresh_db, untold)["step"] == "plan_offer"


def test_a_notice_of_an_earlier_episode_allows_no_visit(fresh_db: str) -> None:
    # Given notice twenty-eight days ago, and arrears that began fifteen days ago, then nobody comes.
    loan = lend(fresh_db, dpd=15)
    done = ((16, "sms"), (17, "sms"), (18, "call"), (19, "call"), (20, "call"), (22, "letter"), (24, "plan_offer"))
    for day, step in done:
        contacted(fresh_db, loan, step, f"2026-06-{day}T10:00:00+08:00")
    contacted(fresh_db, loan, "visit_notice", "2026-06-02T10:00:00+08:00")
    row = decided(fresh_db, loan)
    assert (row["step"], row["days_since_visit_notice"], row["days_since_notice_given"]) == ("none", 28, 9999)


def test_the_due_date_itself_is_no_day_of_the_episode_by_any_clock(fresh_db: str) -> None:
    # Past due begins the day after the due date, 2026-06-10: a text at 23:30 of that day in Chicago, which is the
    # 11th in New York where the borrower may also be, opens no way to a harsher step; it still counts as a text.
    loan = lend(fresh_db, "us", dpd=20, zones="America/New_York|America/Chicago")
    contacted(fresh_db, loan, "sms", "2026-06-10T23:30:00-05:00")
    contacted(fresh_db, loan, "sms", "2026-06-11T12:00:00-05:00")
    row = decided(fresh_db, loan)
    assert (row["sms_episode"], row["tries_made_episode"]) == (2, 1)


def test_a_call_of_which_it_is_not_said_that_it_was_a_conversation_counts_as_one(fresh_db: str) -> None:
    # 12 CFR 1006.14(b)(2)(i)(B): no call within seven days after a conversation; `connected` may have been one.
    loan = lend(fresh_db, "us", dpd=9, zones="America/New_York", can_sms=False)
    contacted(fresh_db, loan, "call", "2026-06-26T12:00:00-04:00", "connected")
    row = decided(fresh_db, loan)
    assert (row["step"], row["conversations_7d"]) == ("none", 1)


# ---- what waits -------------------------------------------------------------------------------------

AT = "2026-06-30"
#: Three loans, B1's two and B2's one, each past due since 20 June; every contact is on record until 30 June.
BOOK_TOML = f"""name = "own"
jurisdiction = "cn"
lender_type = "bank"
collector = "agency"
currency = "CNY"
history_from = 2026-01-01
snapshot_on = {AT}
"""
PEOPLE = "ref,zones,place,can_sms,can_call,can_write,sms_consent,stop_contact,attorney,bankrupt,incapable\n"
PEOPLE += "".join(f"B{n},Asia/Shanghai,CN,true,true,true,true,false,false,false,false\n" for n in (1, 2))
LOANS = "ref,borrower_ref,product,status,opened_on,principal,dispute_open\n"
LOANS += "".join(f"L{n},B{b},instalment,open,2026-05-20,1000.00,false\n" for n, b in ((1, 1), (2, 1), (3, 2)))
DUE = "loan_ref,n,due_on,principal,interest\n"
DUE += "".join(f"L{n},1,2026-06-20,500.00,5.00\nL{n},2,2026-07-20,500.00,5.00\n" for n in (1, 2, 3))
TABLES = {
    "borrowers": PEOPLE,
    "loans": LOANS,
    "instalments": DUE,
    "payments": "loan_ref,ref,paid_on,amount\n",
    "contacts": "loan_ref,ref,at,step,outcome\n",
}


def sent(folder: Path, book: str = BOOK_TOML, **changed: str | None) -> Path:
    """The book's folder with these tables, or without those that are None; not yet taken in."""
    folder.mkdir(exist_ok=True)
    (folder / "book.toml").write_text(book, "utf-8")
    for table, text in (TABLES | changed).items():
        (folder / f"{table}.csv").unlink(missing_ok=True)
        if text is not None:
            (folder / f"{table}.csv").write_text(text, "utf-8")
    return folder


def steps(url: str, as_of: date = DAY, **facts: object) -> dict[str, str]:
    """Each loan's step that night; `facts` must be those of every decision."""
    night = nightly(as_of, BOOK)
    with psycopg.connect(url, row_factory=psycopg.rows.dict_row) as connection:
        rows = connection.execute(
            "SELECT a.ref, d.* FROM decision d JOIN account a ON a.id = d.account_id WHERE d.run_id = %s ORDER BY 1",
            (night.run_id,),
        ).fetchall()
    assert all(row[name] == value for row in rows for name, value in facts.items()), rows
    return {row["ref"]: row["step"] for row in rows}


ALL = {"L1": "sms", "L2": "none", "L3": "sms"}  # B1 hears of one loan
NOBODY = dict.fromkeys(ALL, "none")
ONLY_B2 = ALL | {"L1": "none"}


def test_a_book_that_is_whole_is_worked(fresh_db: str, tmp_path: Path) -> None:
    import_book(sent(tmp_path / "b"), "forbear")
    assert steps(fresh_db, rows_waiting=False, history_days=180) == ALL


@pytest.mark.parametrize(
    ("table", "row", "worked"),
    [
        ("contacts", "L2,C1,2026-06-27T10:00:00+08:00,call,Conversation", ONLY_B2),
        ("payments", "L2,P1,2026-06-29,515", ALL),
        ("payments", 'L2,P1,2026-06-29,"1,000.00"', ONLY_B2),
        ("payments", ",P1,2026-06-29,1000", NOBODY),
        ("contacts", "L2,C1", NOBODY),
    ],
)
def test_a_row_that_waits_holds_its_borrower_and_one_that_may_be_anybodys_holds_the_book(
    fresh_db: str, tmp_path: Path, table: str, row: str, worked: dict[str, str]
) -> None:
    text = TABLES[table] + row + "\n"
    if row == "L2,C1":  # not the last row of the file: that would be a file that is cut
        text += "L3,C9,2026-01-27T10:00:00+08:00,sms,delivered\n"
    import_book(sent(tmp_path / "b", **{table: text}), "forbear")
    assert steps(fresh_db) == worked


@pytest.mark.parametrize(
    ("table", "old", "new"),
    [
        ("borrowers", "B1,Asia/Shanghai,CN", "B1,Asia/Shangai,CN"),
        ("loans", "L1,B1,instalment,open", "L1,B1,instalment,settled"),
        ("loans", "L1,B1", "L1,B9"),
        ("instalments", "L1,2,2026-07-20", "L1,2,2026-06-20"),
    ],
)
def test_a_newer_row_that_waits_holds_what_the_older_permitted(
    fresh_db: str, tmp_path: Path, table: str, old: str, new: str
) -> None:
    # Given a book that is worked, when the next file has a bad row of B1's, then B1 is held until it is mended.
    import_book(sent(tmp_path / "b"), "forbear")
    import_book(sent(tmp_path / "b", **{table: TABLES[table].replace(old, new, 1)}), "forbear")
    assert steps(fresh_db) == ONLY_B2
    with psycopg.connect(fresh_db) as connection:
        [kept] = quarantined(connection)
    field, good = {"borrowers": ("zones", "Asia/Shanghai"), "instalments": ("due_on", "2026-07-20")}.get(
        table, ("status", "open") if "settled" in new else ("borrower_ref", "B1")
    )
    assert mend(kept.id, {field: good}) == []
    assert steps(fresh_db) == ALL


def test_a_contact_that_was_dropped_leaves_a_gap_in_the_record(fresh_db: str, tmp_path: Path) -> None:
    # Given a contact that can't be read and is dropped, then B1's contacts are on record from that picture on only:
    # two days later (policy 3.2) there may be a text again.
    row = "L2,C1,2026-06-27T10:00:00+08:00,call,Conversation\n"
    import_book(sent(tmp_path / "b", contacts=TABLES["contacts"] + row), "forbear")
    with psycopg.connect(fresh_db) as connection:
        drop(quarantined(connection)[0].id)
    assert steps(fresh_db, rows_waiting=False) == ONLY_B2
    import_book(sent(tmp_path / "b", BOOK_TOML.replace(AT, "2026-07-02")), "forbear")
    assert steps(fresh_db, date(2026, 7, 2)) == ALL


def test_a_book_that_is_half_taken_in_is_not_worked(fresh_db: str, tmp_path: Path) -> None:
    # Given a book that is worked, when the next import is stopped after its first chunk, then nobody of the book is
    # contacted until the same command has ended, or a newer file with the same tables is in.
    import_book(sent(tmp_path / "b"), "forbear")
    other = lend(fresh_db, dpd=3)  # of another book
    half = sent(tmp_path / "b", payments="loan_ref,ref,paid_on,amount\nL3,P1,2026-06-29,505.00\n")

    def stop(done: int, rows: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        import_book(half, "forbear", stop)
    assert steps(fresh_db) == NOBODY | {ref_of(fresh_db, other): "sms"}
    import_book(half, "forbear")
    assert steps(fresh_db) == ALL | {"L3": "none", ref_of(fresh_db, other): "sms"}


# ---- until when contacts are on record --------------------------------------------------------------


def test_beyond_the_last_picture_of_contacts_nobody_is_contacted(fresh_db: str, tmp_path: Path) -> None:
    # Given a night that planned texts, when the next nights have no newer contacts, then they plan nothing: what was
    # planned may have been done. A file of payments alone changes nothing about that; one with contacts does.
    import_book(sent(tmp_path / "b"), "forbear")
    assert steps(fresh_db) == ALL
    later = date(2026, 7, 2)
    assert steps(fresh_db, later, history_days=0) == NOBODY
    newer = BOOK_TOML.replace(AT, str(later))
    import_book(sent(tmp_path / "b", newer, borrowers=None, loans=None, instalments=None, contacts=None), "forbear")
    assert steps(fresh_db, later, history_days=0) == NOBODY
    import_book(sent(tmp_path / "b", newer), "forbear")
    assert steps(fresh_db, later) == ALL


def test_without_a_table_of_contacts_nobody_is_contacted(fresh_db: str, tmp_path: Path) -> None:
    assert import_book(sent(tmp_path / "b", contacts=None), "forbear").recorded_until is None
    assert steps(fresh_db) == NOBODY


def test_the_clock_of_the_server_changes_no_decision(
    fresh_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a book that states neither day, taken in a minute before midnight in UTC: its day is that of UTC.
    plain = "".join(line for line in BOOK_TOML.splitlines(True) if not line.startswith(("history", "snapshot")))
    import_book(sent(tmp_path / "b", plain), "forbear")
    with psycopg.connect(fresh_db) as connection:
        taken = connection.execute("SELECT taken_on = (started_at AT TIME ZONE 'UTC')::date, taken_on FROM import")
        same, day = taken.fetchone() or (None, None)
    assert same and day is not None
    found = set()
    for zone in ("UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago"):
        monkeypatch.setenv("PGTZ", zone)
        found.add(nightly(day, BOOK).decisions_sha256)
    assert len(found) == 1


def test_a_contact_asked_about_for_later_takes_it_that_the_record_is_kept_up(fresh_db: str, tmp_path: Path) -> None:
    texts = "".join(f"L3,C{day},2026-06-{day}T10:00:00+08:00,sms,delivered\n" for day in (28, 29))
    import_book(sent(tmp_path / "b", contacts=TABLES["contacts"] + texts), "forbear")
    with psycopg.connect(fresh_db) as connection:
        [[loan]] = connection.execute("SELECT id FROM account WHERE ref = 'L3'").fetchall()
    noon = datetime.fromisoformat("2026-06-30T12:00:00+08:00")
    # All that China's rules ask of a call itself.
    fair = ("message_identifies", "recorded", "staff_trained", "agent_announced")
    foul = (
        "message_false", "message_threat", "discloses_debt", "at_workplace", "public_view", "bad_occasion",
        "contact_refused", "third_party_refused", "staff_violent_record", "enters_uninvited",
    )  # fmt: skip
    given = {"to_whom": "debtor"} | dict.fromkeys(fair, True) | dict.fromkeys(foul, False)
    found = why(loan, "call", noon, given, BOOK)
    assert found.answer.verdict == "forbidden"  # one day after the last contact
    assert found.earliest == datetime.fromisoformat("2026-07-01T08:00:00+08:00")


# ---- whose law, which cap, which hours --------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "known"), [("CN", True), ("cn-31", True), ("上海", False), (None, True), ("GB", False)]
)
def test_a_borrower_of_another_country_than_the_books_is_under_no_known_law(
    fresh_db: str, place: str | None, known: bool
) -> None:
    row = decided(fresh_db, lend(fresh_db, dpd=3, place=place))
    assert (row["law_known"], row["step"]) == (known, "sms" if known else "none")


@pytest.mark.parametrize(
    ("given", "step"),
    [
        # A lender of no known type in China: some ceiling binds, and which is for a person to say.
        ({"lender_type": "other"}, "none"),
        # A penalty rate above the ceiling: the ledger holds what is owed to it, and that much is asked for (1.7).
        ({"penalty_rate_ppm": 4_000_000}, "sms"),
    ],
)
def test_a_lender_whom_no_cap_names_demands_nothing_and_a_penalty_is_held_to_the_cap(
    fresh_db: str, given: dict[str, object], step: str
) -> None:
    loan = lend(fresh_db, dpd=3)
    [[name, value]] = given.items()
    with psycopg.connect(fresh_db) as connection:
        table = "book" if name == "lender_type" else "account"
        connection.execute(f"UPDATE {table} SET {name} = %s", (value,))
    row = decided(fresh_db, loan)
    assert (row["cap_exists"], row["step"]) == (True, step)


def test_no_agreement_opens_the_night(fresh_db: str) -> None:
    # Given agreed hours of the whole day, then the house still keeps to 07:00 to 22:00.
    row = decided(fresh_db, lend(fresh_db, dpd=1, agreed_from_min=0, agreed_to_min=1440))
    assert [row["earliest"].isoformat(), row["latest"].isoformat()] == [
        "2026-06-29T23:00:00+00:00",
        "2026-06-30T14:00:00+00:00",
    ]


# ---- what was seen and what was worked out ----------------------------------------------------------


def test_an_explanation_says_which_facts_stand_in_the_record_and_which_were_computed(
    fresh_db: str, tmp_path: Path
) -> None:
    import_book(sent(tmp_path / "b"), "forbear")
    night = nightly(DAY, BOOK)
    with engine().connect() as connection:
        [loan] = connection.execute(sa.text("SELECT id FROM account WHERE ref = 'L3'")).scalars()
        how = {fact.id: fact.how for fact in explain(connection, loan, night.run_id, "en", BOOK).facts}
    assert [how[name] for name in ("status", "can_sms", "stop_contact", "penalty_rate_ppm")] == ["observed"] * 4
    assert [how[name] for name in ("dpd", "all_in_ppm", "place_known", "history_days", "calls_7d", "law_known")] == [
        "computed"
    ] * 6
    # The book has no column of promises, plans, hardship or respite: that there are none is assumed.
    assumed = {name for name, said in how.items() if said == "assumed"}
    assert assumed == {"hardship_open", "promise_open", "plan_active", "respite_open"}
    assert set(how.values()) == {"observed", "computed", "assumed"}

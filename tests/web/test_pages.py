"""The pages over a real database and a real night: what they say is what the database holds."""

import logging
import re
from collections.abc import Callable
from datetime import date
from html import unescape
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from forbear.locale import LANGUAGES
from forbear.rulebook.load import load
from forbear.store.engine import engine
from forbear.store.errors import StoreDown
from forbear.web import app as pages
from forbear.web import reads
from forbear.web.app import console

Asked = Callable[..., list[Any]]

FIRST_NIGHT = date(2018, 6, 30)
SYNTHETIC = "synthetic-cn-small"
CONTACT = [step.id for step in load().vocabulary.steps.values() if step.contact and step.asked == "night"]


def text(html: str) -> str:
    """What a reader sees of a page, in one line."""
    shown = re.sub(r"<script.*?</script>|<head.*?</head>", "", html, flags=re.DOTALL)
    return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "\n", shown)))


def in_english(reader: TestClient, address: str) -> str:
    answer = reader.get(address, headers={"Accept-Language": "en"})
    assert answer.status_code == 200, answer.text
    return text(answer.text)


# ---- tonight ----------------------------------------------------------------------------------------


def test_tonight_counts_every_account_once(nights: tuple[int, int], reader: TestClient, asked: Asked) -> None:
    page = in_english(reader, "/")

    [(accounts, contact, hold)] = asked(
        "SELECT count(*), count(*) FILTER (WHERE step = ANY(:contact)), count(*) FILTER (WHERE step = 'hardship_hold')"
        " FROM decision WHERE run_id = :run",
        run=nights[1],
        contact=CONTACT,
    )
    assert accounts == 403
    assert "Jun 30, 2026" in page
    assert f"{accounts} accounts decided {contact} To contact {hold} On hardship hold" in page


def test_each_cell_of_the_steps_is_what_the_database_counts(
    nights: tuple[int, int], reader: TestClient, asked: Asked
) -> None:
    page = in_english(reader, "/")

    for step in (step for step in load().vocabulary.steps.values() if step.asked == "night"):
        [cells] = asked(
            "SELECT count(*) FILTER (WHERE dpd = 0), count(*) FILTER (WHERE dpd BETWEEN 1 AND 30),"
            " count(*) FILTER (WHERE dpd BETWEEN 31 AND 60), count(*) FILTER (WHERE dpd BETWEEN 61 AND 90),"
            " count(*) FILTER (WHERE dpd BETWEEN 91 AND 120), count(*) FILTER (WHERE dpd BETWEEN 121 AND 150),"
            " count(*) FILTER (WHERE dpd BETWEEN 151 AND 180), count(*) FILTER (WHERE dpd > 180)"
            " FROM decision WHERE run_id = :run AND step = :step",
            run=nights[1],
            step=step.id,
        )
        words = [str(n) if n else "·" for n in cells]
        assert " ".join([step.name["en"], *words, str(sum(cells))]) in page


def test_the_choice_of_run_and_book_narrows_the_figures(
    nights: tuple[int, int], reader: TestClient, asked: Asked
) -> None:
    [(drawn,)] = asked("SELECT id FROM book WHERE synthetic")

    assert "3 accounts decided" in in_english(reader, f"/?run={nights[0]}")
    assert "400 accounts decided" in in_english(reader, f"/?book={drawn}")


def test_why_others_were_held_back_is_told_by_rule(nights: tuple[int, int], reader: TestClient, asked: Asked) -> None:
    """The three real loans have no consent to texts on file: the rule on consent held each from a text."""
    [(real,)] = asked("SELECT id FROM book WHERE NOT synthetic")

    page = in_english(reader, f"/?book={real}")

    consent = load().by_id["us.sms.consent"]
    assert f"{consent.text['en']} {consent.instrument.title['en']}, {consent.article} law" in page
    assert "a fact is missing held from: text message 3" in page


def test_a_book_whose_record_of_contacts_ends_before_the_night_is_named(
    nights: tuple[int, int], reader: TestClient, asked: Asked
) -> None:
    """Given contacts on record until the day before, the page says why nobody of that book is contacted."""
    [(real,)] = asked("SELECT id FROM book WHERE NOT synthetic")
    assert "contacts are on record until" not in in_english(reader, "/")
    with engine().begin() as connection:
        connection.execute(sa.text("UPDATE book SET recorded_until = '2026-06-29' WHERE id = :id"), {"id": real})

    for address in ("/", f"/?book={real}"):
        page = in_english(reader, address)
        assert "contacts are on record until Jun 29, 2026, so nobody is contacted to collect on Jun 30, 2026" in page

    assert "contacts are on record until" not in in_english(reader, f"/?run={nights[0]}"), "that night is within it"


@pytest.mark.parametrize("address", ["/", "/work", "/accounts/{drawn}"])
def test_a_synthetic_book_is_called_so_on_every_page(
    nights: tuple[int, int], reader: TestClient, address: str, asked: Asked
) -> None:
    [(drawn,)] = asked("SELECT max(account_id) FROM decision JOIN account a ON a.id = account_id WHERE step = 'sms'")

    for tag, word in {"en": "synthetic", "zh-Hans": "合成数据", "zh-Hant": "合成資料"}.items():
        html = reader.get(address.format(drawn=drawn), params={"lang": tag}).text
        assert SYNTHETIC in html
        assert f'<span class="tag caution">{word}</span>' in html


# ---- the work list ----------------------------------------------------------------------------------


def walked(reader: TestClient, address: str) -> list[tuple[int, str]]:
    """Every line of a work list over all its pages: account number and step."""
    lines: list[tuple[int, str]] = []
    more: str | None = address
    while more:
        html = reader.get(more, headers={"Accept-Language": "en"}).text
        found = re.findall(r'/accounts/(\d+)\?run=.*?data-label="Next step">([^<]+)<', html, re.DOTALL)
        lines += [(int(number), step) for number, step in found]
        link = re.search(r'id="more".*?href="([^"]+)"', html, re.DOTALL)
        more = unescape(link[1]) if link else None
    return lines


def test_the_work_list_holds_each_contact_once_longest_past_due_first(
    nights: tuple[int, int], reader: TestClient, monkeypatch: pytest.MonkeyPatch, asked: Asked
) -> None:
    monkeypatch.setattr(pages, "PAGE_LINES", 6)
    names = {step.id: step.name["en"] for step in load().vocabulary.steps.values()}

    lines = walked(reader, "/work")

    expected = asked(
        "SELECT account_id, step FROM decision WHERE run_id = :run AND step = ANY(:contact)"
        " ORDER BY dpd DESC, account_id DESC",
        run=nights[1],
        contact=CONTACT,
    )
    assert len(expected) > 3 * 6
    assert lines == [(row.account_id, names[row.step]) for row in expected]


@pytest.mark.parametrize(
    ("choice", "where"),
    [
        ("step=sms", "d.step = 'sms'"),
        ("bucket=1-30", "d.dpd BETWEEN 1 AND 30"),
        ("bucket=over-180", "d.dpd > 180"),
        ("jurisdiction=us", "d.jurisdiction = 'us'"),
        ("book={drawn}&bucket=current&step=reminder", "b.synthetic AND d.dpd = 0 AND d.step = 'reminder'"),
    ],
)
def test_a_choice_narrows_the_list_and_its_count(
    nights: tuple[int, int], reader: TestClient, choice: str, where: str, asked: Asked
) -> None:
    [(drawn,)] = asked("SELECT id FROM book WHERE synthetic")
    expected = {
        row.account_id
        for row in asked(
            "SELECT d.account_id FROM decision d JOIN account a ON a.id = d.account_id JOIN book b ON b.id = a.book_id"
            f" WHERE d.run_id = :run AND d.step = ANY(:contact) AND {where}",
            run=nights[1],
            contact=CONTACT,
        )
    }
    address = f"/work?{choice.format(drawn=drawn)}"

    assert expected
    assert {number for number, _ in walked(reader, address)} == expected
    assert re.search(rf"\b{len(expected)} accounts? to contact", in_english(reader, address))


def test_lawful_hours_are_told_on_each_clock_the_borrower_may_keep(nights: tuple[int, int], reader: TestClient) -> None:
    """Kentucky has two clocks, so the day that is lawful by both is an hour shorter on each."""
    page = in_english(reader, f"/work?run={nights[1]}&step=letter&jurisdiction=us")

    assert "01:00–24:00 Eastern Daylight Time 00:00–23:00 Central Daylight Time" in page
    assert "00:00–24:00 Pacific Daylight Time" in page


# ---- an account -------------------------------------------------------------------------------------


def account_of(asked: Asked, loan: int) -> int:
    """The number here of one of the three real loans."""
    [(number,)] = asked(
        "SELECT a.id FROM account a JOIN book b ON b.id = a.book_id WHERE NOT b.synthetic AND a.ref = :ref",
        ref=str(loan),
    )
    return int(str(number))


def test_an_account_tells_its_step_and_why_no_other(nights: tuple[int, int], reader: TestClient, asked: Asked) -> None:
    rules = load().by_id
    page = in_english(reader, f"/accounts/{account_of(asked, 3)}?run={nights[0]}")

    assert "Decided for Jun 30, 2018, run" in page
    # each other step, with what stands against it, its source, its dates and its standing
    assert "? text message can't be told: a fact is missing" in page
    consent = rules["us.sms.consent"]
    assert consent.text["en"] in page
    assert f"{consent.instrument.title['en']}, {consent.article}; in force from Oct 16, 2013 law" in page
    assert f"a fact is missing : {consent.text['en']}" in page
    assert "✗ visit not allowed" in page
    visit = rules["policy.visit-not-before"]
    assert visit.text["en"] in page or rules["policy.visit-after-milder"].text["en"] in page
    assert "lender's policy" in page


@pytest.mark.parametrize("tag", LANGUAGES)
def test_what_a_mapping_worked_out_says_so_in_each_language(
    nights: tuple[int, int], reader: TestClient, tag: str, asked: Asked
) -> None:
    number = account_of(asked, 2)
    sentences = asked(
        "SELECT d.kind, d.text FROM derivation d JOIN account a ON a.book_id = d.book_id AND d.code = ANY(a.derived)"
        " WHERE a.id = :number AND cardinality(d.facts) > 0",
        number=number,
    )

    page = text(reader.get(f"/accounts/{number}?run={nights[0]}&lang={tag}").text)

    words = {
        "derived": {"en": "derived", "zh-Hans": "推算", "zh-Hant": "推算"},
        "assumed": {"en": "assumed", "zh-Hans": "假定", "zh-Hant": "假定"},
    }
    assert sentences
    for row in sentences:
        sentence = re.sub(r"\s+", " ", dict(row.text)[tag])
        assert f"{words[str(row.kind)][tag]} {sentence}" in page


def test_the_timeline_holds_what_is_on_file(nights: tuple[int, int], reader: TestClient, asked: Asked) -> None:
    """Given a drawn account with payments and contacts, when its page is read, then each stands there."""
    [(number, dues, paid, reached)] = asked(
        "SELECT a.id, (SELECT count(*) FROM instalment WHERE account_id = a.id),"
        " (SELECT count(*) FROM payment WHERE account_id = a.id),"
        " (SELECT count(*) FROM contact WHERE account_id = a.id) FROM account a"
        " ORDER BY 4 DESC, 3 DESC, 1 LIMIT 1"
    )

    html = reader.get(f"/accounts/{number}").text

    assert reached and paid
    kinds = [kind for kind in re.findall(r'<li class="(\w+)">\s*<time', html)]
    assert {kind: kinds.count(kind) for kind in set(kinds)} == {
        "due": dues,
        "happened": paid,
        "reached": reached,
        "decided": 1,
    }


def test_an_older_run_is_shown_on_demand_and_called_older(
    nights: tuple[int, int], reader: TestClient, asked: Asked
) -> None:
    number = account_of(asked, 2)

    assert "Decided for Jun 30, 2026" in in_english(reader, f"/accounts/{number}")
    older = in_english(reader, f"/accounts/{number}?run={nights[0]}")
    assert "Decided for Jun 30, 2018" in older
    assert "A newer decision is on file." in older


def test_after_a_change_of_rules_a_run_speaks_by_its_own_and_nothing_is_made_up(
    nights: tuple[int, int], tmp_path: Path, fresh_db: str, asked: Asked
) -> None:
    own = tmp_path / "own.toml"
    policy = (Path(reads.__file__).parents[1] / "rulebook" / "packs" / "policy" / "ladder.toml").read_text("utf-8")
    own.write_text(policy[: policy.index("[[rule]]")].replace("policy.ladder", "policy.own"), "utf-8")
    changed = TestClient(console(load(own)), base_url="http://127.0.0.1")

    assert "Why no other step" in in_english(changed, f"/accounts/{account_of(asked, 3)}")
    # Given a rulebook that was not kept, then no reason is shown.
    with engine().begin() as connection:
        connection.execute(sa.text("DELETE FROM rulebook"))
    page = in_english(changed, f"/accounts/{account_of(asked, 3)}")

    assert "The rules have changed since this run" in page
    assert "Why no other step" not in page


def test_an_account_that_no_run_has_decided_says_what_to_do(books: None, reader: TestClient, asked: Asked) -> None:
    page = in_english(reader, f"/accounts/{account_of(asked, 1)}")

    assert "No run has decided this account yet." in page
    assert "forbear nightly --as-of" in page


def test_an_account_is_found_by_the_lenders_number_which_no_address_holds(
    nights: tuple[int, int], reader: TestClient, asked: Asked
) -> None:
    [(number, ref)] = asked(
        "SELECT a.id, a.ref FROM account a JOIN book b ON b.id = a.book_id WHERE b.synthetic LIMIT 1"
    )

    answer = reader.post("/find", data={"ref": f" {ref} "}, follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (303, f"/accounts/{number}")
    none = reader.post("/find", data={"ref": "no<such"})
    assert none.status_code == 404
    assert "no&lt;such" in none.text
    assert reader.post("/find", content=b"ref=" + b"9" * 5_000).status_code == 413


def test_a_number_that_two_books_use_leaves_the_choice_to_the_reader(
    nights: tuple[int, int], reader: TestClient, fresh_db: str
) -> None:
    with psycopg.connect(fresh_db) as connection:
        connection.execute("UPDATE account SET ref = '1' WHERE id = (SELECT max(id) FROM account)")

    page = text(reader.post("/find", data={"ref": "1"}, headers={"Accept-Language": "en"}).text)

    assert f"Several books have an account numbered 1: lendingclub-2018 {SYNTHETIC} synthetic" in page


# ---- nothing to show, and errors --------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/", "/work"])
def test_before_the_first_run_the_page_says_what_to_do(fresh_db: str, reader: TestClient, address: str) -> None:
    page = in_english(reader, address)

    assert "No run yet" in page
    assert "forbear import FILE --mapping MAPPING forbear nightly --as-of YYYY-MM-DD" in page


def test_with_a_book_and_no_run_only_the_night_is_asked_for(books: None, reader: TestClient) -> None:
    page = in_english(reader, "/")

    assert "forbear nightly --as-of" in page
    assert "forbear import" not in page


@pytest.mark.parametrize(
    "address",
    [
        "/nothing",
        "/accounts/999999",
        "/accounts/0",
        "/accounts/x",
        "/accounts/99999999999999999999",
        "/?run=999",
        "/?run=x",
        "/?book=999",
        "/work?step=none",
        "/work?step=shout",
        "/work?bucket=7-9",
        "/work?after=1.2.3",
        "/work?run=-1",
    ],
)
@pytest.mark.parametrize(
    ("tag", "words"), [("en", "There is no such page"), ("zh-Hans", "没有此页"), ("zh-Hant", "沒有此頁")]
)
def test_an_address_that_no_page_has_is_refused_in_words(
    fresh_db: str, reader: TestClient, address: str, tag: str, words: str
) -> None:
    with psycopg.connect(fresh_db) as connection:
        connection.execute(
            "INSERT INTO run (as_of, rulebook_sha256, rule_bits, decisions_sha256, accounts, started_at)"
            " VALUES (%s, '', '{}', '', 0, now())",
            (FIRST_NIGHT,),
        )

    answer = reader.get(address, headers={"Accept-Language": tag})

    assert answer.status_code == 404
    assert words in answer.text


@pytest.mark.parametrize(
    ("tag", "words"),
    [("en", "The database does not answer"), ("zh-Hans", "数据库没有应答"), ("zh-Hant", "資料庫沒有回應")],
)
def test_a_database_that_is_down_is_said_without_details(
    reader: TestClient, monkeypatch: pytest.MonkeyPatch, tag: str, words: str
) -> None:
    monkeypatch.setenv("FORBEAR_DATABASE_URL", "postgresql://someone:secret@127.0.0.1:1/nowhere")

    answer = reader.get("/", headers={"Accept-Language": tag})

    assert answer.status_code == 503
    assert words in answer.text
    assert "secret" not in answer.text and "127.0.0.1:1" not in answer.text


def test_a_fault_of_ours_gives_a_page_and_a_log_line_without_values(
    nights: tuple[int, int], reader: TestClient, fresh_db: str, caplog: pytest.LogCaptureFixture
) -> None:
    with psycopg.connect(fresh_db) as connection:
        connection.execute("ALTER TABLE contact RENAME COLUMN outcome TO other")

    with caplog.at_level(logging.ERROR):
        answer = reader.get("/accounts/2", headers={"Accept-Language": "en"})

    assert answer.status_code == 500
    assert "Something went wrong on our side" in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert "SELECT" not in answer.text + caplog.text
    assert "ProgrammingError at " in caplog.text


# ---- what every answer carries ----------------------------------------------------------------------


@pytest.mark.parametrize("address", ["/", "/work", "/accounts/1", "/nothing"])
def test_no_answer_is_kept_and_none_runs_what_stands_in_a_page(
    nights: tuple[int, int], reader: TestClient, address: str
) -> None:
    answer = reader.get(address)

    assert answer.headers["cache-control"] == "no-store"
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    for script in re.findall(r"<script(.*?)>(.*?)</script>", answer.text, re.DOTALL):
        assert "src=" in script[0] or 'type="application/json"' in script[0]
    assert not re.search(r"<style|\son\w+=|\sstyle=|https?://", answer.text)


def test_only_this_machines_names_are_answered(fresh_db: str, reader: TestClient) -> None:
    """A page elsewhere that points its own name at 127.0.0.1 gets nothing (DNS rebinding)."""
    for name in ("127.0.0.1:8018", "localhost:8018", "[::1]:8018"):
        assert reader.get("/", headers={"Host": name}).status_code == 200
    assert reader.get("/", headers={"Host": "elsewhere.example"}).status_code == 400


def test_a_page_can_read_and_never_write(fresh_db: str) -> None:
    with reads.reading() as connection, pytest.raises(sa.exc.DBAPIError, match="read-only transaction"):
        connection.execute(sa.text("DELETE FROM run"))


def test_a_lost_database_is_told_as_such_to_whoever_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORBEAR_DATABASE_URL", "postgresql://127.0.0.1:1/nowhere")
    with pytest.raises(StoreDown), reads.reading():
        pass


def test_the_newest_day_is_tonight_though_an_older_day_was_run_again(nights: tuple[int, int], fresh_db: str) -> None:
    with psycopg.connect(fresh_db) as connection:
        connection.execute(
            "INSERT INTO run (as_of, rulebook_sha256, rule_bits, decisions_sha256, accounts, started_at)"
            " VALUES (%s, '', '{}', '', 0, now())",
            (date(2020, 1, 1),),
        )

    with reads.reading() as connection:
        tonight = reads.run(connection, None)

    assert tonight is not None and tonight.id == nights[1]


@pytest.mark.parametrize(
    "address",
    ["/law?on=2026-13-01", "/law?on=soon", "/law/rules/us.hours?on=1500-01-01", "/accounts/{call}/statement?as_of=abc",
     "/accounts/{call}/statement?as_of=2026-02-30", "/accounts/{call}/statement.pdf?pay_on=abc"],
)  # fmt: skip
def test_a_day_that_is_none_is_told_so(
    nights: tuple[int, int], reader: TestClient, asked: Callable[..., list[Any]], address: str
) -> None:
    [(call,)] = asked("SELECT max(account_id) FROM decision")
    answer = reader.get(address.format(call=call), headers={"Accept-Language": "zh-TW"})
    assert answer.status_code == 404
    assert "請將日期寫作 2026-01-31" in answer.text

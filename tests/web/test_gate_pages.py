"""The gate's pages: what they list and tell of a request is what the gate kept, whole, on the borrower's clock."""

import re
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tests.contact.conftest import FACTS

from forbear.contact.errors import NotUsable
from forbear.contact.models import Decision, Request
from forbear.contact.services import ask, report, use, void
from forbear.rulebook.book import Rulebook
from forbear.rulebook.load import load
from forbear.web import gate_pages
from forbear.web.app import console

Wanted = Callable[..., Request]
EN = {"Accept-Language": "en"}
NOBODY = "00000000-0000-4000-8000-000000000000"
OWN = """
[instrument]
id = "own"
jurisdiction = "cn"
kind = "policy"
citation = "own"
from = 2020-01-01
title = { zh-Hans = "a", zh-Hant = "b", en = "The house's own" }

[[rule]]
id = "own.wait"
governs = "contact"
article = "7"
steps = ["call"]
forbid = "dpd < 30"
verified = true
source = "the house"
text = { zh-Hans = "a", zh-Hant = "b", en = "Nobody is rung in the first month past due." }
examples = [{ facts = { dpd = 29 }, says = "forbids" }, { facts = { dpd = 30 }, says = "permits" }]
"""


def text(html: str) -> str:
    """What a reader sees of a page's main part, in one line."""
    main = html[html.index("<main") : html.index("</main>")]
    spaced = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "\n", main))
    return unescape(re.sub(r" (?=[:.,;]( |$))", "", spaced)).strip()


def seen(reader: TestClient, address: str) -> str:
    answer = reader.get(address, headers=EN)
    assert answer.status_code == 200, answer.text
    return text(answer.text)


def listed(reader: TestClient, address: str) -> list[str]:
    """The requests that a list shows, in its order, over all its pages."""
    found: list[str] = []
    more: str | None = address
    while more:
        html = reader.get(more, headers=EN).text
        found += re.findall(r'rowheader" scope="row"><a href="/requests/([0-9a-f-]{36})"', html)
        link = re.search(r'class="button" href="(/requests\?[^"]*after=[^"]*)"', html)
        more = unescape(link[1]) if link else None
    return found


def ids(*answers: Decision) -> list[str]:
    return [str(answer.request_id) for answer in answers]


def granted(answer: Decision) -> uuid.UUID:
    assert answer.permission is not None
    return answer.permission.id


# ---- the list -----------------------------------------------------------------------------------------


def test_a_day_s_requests_are_told_with_their_answers_and_what_became_of_them(
    store: Any, book: Rulebook, wanted: Wanted, reader: TestClient
) -> None:
    # Given a call that was made, one refused for want of a fact, and one forbidden while a dispute is open.
    made = ask(book, wanted(store.lend(), agency="alpha"))
    use(book, granted(made))
    report(book, granted(made), "no_answer", "staff-3")
    store.clock("2026-06-30T12:01:00+08:00")
    unsure = ask(book, wanted(store.lend(dispute_open=None), requested_by="clerk-2"))
    store.clock("2026-06-30T12:02:00+08:00")
    disputed = ask(book, wanted(store.lend(dispute_open=True)))

    page = seen(reader, "/requests?on=2026-06-30")

    assert listed(reader, "/requests?on=2026-06-30") == ids(disputed, unsure, made)
    assert "3 requests, newest first" in page
    assert "Permitted 1" in page and "Forbidden 1" in page and "Needs a human 1" in page
    assert "Jun 30, 2026 12:00 (China Standard Time)" in page
    assert "dialer-1 for agency alpha used no answer" in page
    assert "clerk-2 not granted –" in page
    quiet = sum(len(disputed.spoke[says]) for says in ("hours", "permits"))
    assert f"✗ Forbidden {len(disputed.spoke['forbids'])} rule" in page and f"{quiet} do not forbid" in page


def test_the_list_is_narrowed_by_answer_step_account_and_what_became_of_the_permission(
    store: Any, law: Rulebook, wanted: Wanted, reader: TestClient
) -> None:
    one, other = store.lend(), store.lend(stop_contact=True, dispute_open=True)
    call, sms = ask(law, wanted(one)), ask(law, wanted(one, "sms"))
    refused = ask(law, wanted(other, facts=FACTS | {"message_threat": True}))
    void(granted(sms))

    def of(choice: str) -> set[str]:
        return set(listed(reader, f"/requests?on=2026-06-30&{choice}"))

    assert of("") == set(ids(call, sms, refused))
    assert of("verdict=permitted") == set(ids(call, sms)) and of("verdict=forbidden") == set(ids(refused))
    assert of("step=sms") == set(ids(sms)) and of(f"account={one}") == set(ids(call, sms))
    assert of("state=void") == set(ids(sms)) and of("state=none") == set(ids(refused))
    assert of("state=outstanding&step=call") == set(ids(call)) and of("state=expired") == set()
    # By an account alone, of every day.
    store.clock("2026-07-02T12:00:00+08:00")
    later = ask(law, wanted(one))
    assert listed(reader, f"/requests?account={one}")[0] == str(later.request_id)
    assert set(listed(reader, f"/requests?account={one}")) == set(ids(call, sms, later))


def test_a_day_is_the_borrower_s_own(store: Any, law: Rulebook, wanted: Wanted, reader: TestClient) -> None:
    # 2026-06-30 16:30 UTC is 1 July in Shanghai and 30 June in New York; where no zone is known, the day of UTC.
    here, there = store.lend(), store.lend(store.book("us"), zones="America/New_York")
    nowhere = store.lend(store.book("us"), zones=None)
    store.clock("2026-06-30T16:30:00+00:00")
    shanghai, new_york, unplaced = (ask(law, wanted(loan)) for loan in (here, there, nowhere))
    assert listed(reader, "/requests?on=2026-07-01") == ids(shanghai)
    assert set(listed(reader, "/requests?on=2026-06-30")) == set(ids(new_york, unplaced))
    assert "Jul 1, 2026 00:30 (China Standard Time)" in seen(reader, "/requests?on=2026-07-01")


@pytest.mark.parametrize(
    ("clock", "day"),
    [
        ("2026-03-08T23:30:00-04:00", "2026-03-08"),  # clocks went forward: the day has 23 hours
        ("2026-11-01T23:30:00-05:00", "2026-11-01"),  # back: it has 25
        ("2028-02-29T23:59:59-05:00", "2028-02-29"),
        ("2028-03-01T00:00:00-05:00", "2028-03-01"),
    ],
)
def test_days_of_clock_change_and_the_leap_day_end_at_their_own_midnight(
    store: Any, law: Rulebook, wanted: Wanted, reader: TestClient, clock: str, day: str
) -> None:
    at = datetime.fromisoformat(clock)
    loan = store.lend(store.book("us"), zones="America/New_York", day=at.date())
    store.clock(clock)
    asked = ask(law, wanted(loan))
    for shift in (-1, 0, 1):
        found = listed(reader, f"/requests?on={at.date() + timedelta(days=shift)}")
        assert found == (ids(asked) if shift == 0 else [])
    assert day == at.date().isoformat()


def test_what_is_outstanding_is_listed_until_it_is_used_given_back_or_expired(
    store: Any, law: Rulebook, wanted: Wanted, reader: TestClient
) -> None:
    answers = [ask(law, wanted(store.lend(), step)) for step in ("call", "sms", "letter", "call")]
    outstanding = "/requests?state=outstanding"
    assert set(listed(reader, outstanding)) == set(ids(*answers))
    use(law, granted(answers[0]))
    void(granted(answers[1]))
    assert set(listed(reader, outstanding)) == set(ids(*answers[2:]))
    assert answers[3].permission is not None
    store.clock(answers[3].permission.expires_at)
    assert listed(reader, outstanding) == []
    assert "Outstanding permissions 0 requests" in seen(reader, outstanding)
    assert listed(reader, "/requests?on=2026-06-30&state=expired") == [
        each for each in listed(reader, "/requests?on=2026-06-30") if each in ids(*answers[2:])
    ]


def test_pages_of_the_list_leave_nothing_out(
    store: Any, law: Rulebook, wanted: Wanted, reader: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given requests of the same instant, which the clock alone does not put in order.
    monkeypatch.setattr(gate_pages, "PAGE_LINES", 2)
    asked = [ask(law, wanted(store.lend())) for _ in range(7)]
    found = listed(reader, "/requests?on=2026-06-30&verdict=permitted")
    assert len(found) == 7 and set(found) == set(ids(*asked))


def test_where_the_borrower_s_day_has_begun_before_the_gate_s_it_is_shown(
    store: Any, book: Rulebook, wanted: Wanted, reader: TestClient
) -> None:
    # Given a request at half past one in the morning in China, which is the evening before by UTC.
    store.clock("2026-07-01T01:30:00+08:00")
    early = ask(book, wanted(store.lend()))
    assert listed(reader, "/requests") == ids(early)


def test_without_a_choice_the_gate_s_own_day_is_shown(
    store: Any, law: Rulebook, wanted: Wanted, reader: TestClient
) -> None:
    asked = ask(law, wanted(store.lend()))
    assert listed(reader, "/requests") == ids(asked)
    store.clock("2026-07-09T12:00:00+08:00")
    assert "Jul 9, 2026 0 requests" in seen(reader, "/requests")
    assert "No request matches" in seen(reader, "/requests")


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/requests?on=2026-02-30", "That is no day"),
        ("/requests?on=yesterday", "That is no day"),
        ("/requests?step=dance", "There is no such page"),
        ("/requests?step=none", "There is no such page"),
        ("/requests?verdict=maybe", "There is no such page"),
        ("/requests?state=gone", "There is no such page"),
        ("/requests?account=999", "There is no such page"),
        ("/requests?account=0", "There is no such page"),
        ("/requests?after=x", "There is no such page"),
        (f"/requests?after=2026-06-30T00:00:00_{NOBODY}", "There is no such page"),
        ("/requests/17", "There is no such page"),
        (f"/requests/{NOBODY}", "There is no such page"),
    ],
)
def test_an_address_that_is_none_says_so(fresh_db: str, reader: TestClient, address: str, said: str) -> None:
    answer = reader.get(address, headers=EN)
    assert answer.status_code == 404 and said in text(answer.text)


@pytest.fixture
def by_law(fresh_db: str, law: Rulebook) -> TestClient:
    """A reader where the law alone is on file, without the house's ladder."""
    return TestClient(console(law), base_url="http://127.0.0.1", raise_server_exceptions=False)


# ---- one request --------------------------------------------------------------------------------------


def test_a_refusal_is_told_with_its_articles_its_facts_and_from_when_it_is_lawful(
    store: Any, law: Rulebook, wanted: Wanted, by_law: TestClient
) -> None:
    # GB/T 45251-2025: three connected calls a day; the fourth is lawful from 08:00 of the next.
    loan = store.lend()
    for hour in (9, 10, 11):
        store.contacted(loan, "call", f"2026-06-30T{hour:02}:00:00+08:00")
    answer = ask(law, wanted(loan))

    page = seen(by_law, f"/requests/{answer.request_id}")

    rule = law.by_id["cn.call.daily"]
    assert "✗ Forbidden" in page and f"forbids: {rule.text['en']}" in page
    assert f"{rule.instrument.title['en']}, {rule.article}" in page and "in force from Feb 28, 2025" in page
    assert ("not yet verified" in page) is not rule.verified
    assert f"{law.vocabulary.facts['connected_today'].name['en']}: 3" in page
    assert "Lawful from, if nothing else happens Jul 1, 2026 08:00 (China Standard Time)" in page
    assert "the answer is the same, for the same reasons" in page and "the one on file" in page
    quiet = sum(len(answer.spoke[says]) for says in ("hours", "permits"))
    assert f"{quiet} rules that do not stand against it" in page


def test_a_permission_is_told_to_its_end_with_who_reported_it(
    store: Any, law: Rulebook, wanted: Wanted, by_law: TestClient
) -> None:
    answer = ask(law, wanted(store.lend()))
    address = f"/requests/{answer.request_id}"
    assert "Permission outstanding Good until Jun 30, 2026 12:05 (China Standard Time)" in seen(by_law, address)
    use(law, granted(answer))
    assert "How it ended made, its end not yet told" in seen(by_law, address)
    report(law, granted(answer), "no_answer", "staff-3")
    report(law, granted(answer), "connected", "staff-4")
    page = seen(by_law, address)
    assert "Permission used" in page and "How it ended connected" in page
    assert "no answer · reported by staff-3" in page and "connected · reported by staff-4" in page


def test_what_a_second_person_decided_is_told_on_both_answers(
    store: Any, book: Rulebook, wanted: Wanted, reader: TestClient
) -> None:
    loan = store.lend(dispute_open=None)
    first = ask(book, wanted(loan, requested_by="clerk"))
    lifted = ask(book, wanted(loan, decided_by="staff-7", reason="asked the court", overrides=first.request_id))
    page, of_first = (reader.get(f"/requests/{each.request_id}", headers=EN).text for each in (lifted, first))
    assert "A second person decided where facts lacked: staff-7: asked the court" in text(page)
    assert f'href="/requests/{first.request_id}"' in page and f'href="/requests/{lifted.request_id}"' in of_first
    assert "A second person decided on this answer" in text(of_first)
    assert "the answer is the same" in text(page)


def test_a_permission_that_was_void_when_it_was_used_names_the_refusal(
    store: Any, book: Rulebook, wanted: Wanted, reader: TestClient
) -> None:
    # Given a dispute that is raised between the grant and the use (policy.dispute).
    answer = ask(book, wanted(store.lend()))
    store.sql("UPDATE account SET dispute_open = true")
    with pytest.raises(NotUsable):
        use(book, granted(answer))
    [(refusal,)] = store.sql("SELECT id FROM gate_request WHERE at_use_of = %s", answer.request_id)
    page = reader.get(f"/requests/{answer.request_id}", headers=EN).text
    assert f'href="/requests/{refusal}"' in page and "Permission void" in text(page)
    assert f'href="/requests/{answer.request_id}"' in reader.get(f"/requests/{refusal}", headers=EN).text


def test_an_answer_that_its_own_rules_do_not_give_again_is_shown_with_what_differs(
    store: Any, law: Rulebook, wanted: Wanted, by_law: TestClient
) -> None:
    # Given an answer that somebody changed in the table: three connected calls, and permitted all the same.
    answer = ask(law, wanted(store.lend()))
    store.sql("UPDATE gate_request SET facts = facts || '{\"connected_today\": 3}'")
    page = seen(by_law, f"/requests/{answer.request_id}")
    assert "the answer is another: ✗ Forbidden · not granted" in page
    assert "cn.call.daily: does not forbid → forbids" in page


def test_an_answer_is_told_by_the_rules_of_its_day_though_others_are_on_file(
    store: Any, wanted: Wanted, reader: TestClient, tmp_path: Path
) -> None:
    # Given a lender's own rule that was on file when it forbade a call, and is no more; then its answer is told by it.
    (tmp_path / "own.toml").write_text(OWN, "utf-8")
    answer = ask(load(tmp_path), wanted(store.lend()))
    assert answer.spoke["forbids"] == ("own.wait",)
    page = seen(reader, f"/requests/{answer.request_id}")
    assert "forbids: Nobody is rung in the first month past due. The house's own, 7" in page
    assert "the answer is the same" in page and "no longer the one on file" in page
    # And where those rules were not kept, by their ids.
    store.sql("DELETE FROM rulebook")
    page = seen(reader, f"/requests/{answer.request_id}")
    assert "its rules stand here by their ids alone" in page and "forbids: own.wait" in page
    assert "What it takes to ask again was not kept" in page


# ---- from an account ----------------------------------------------------------------------------------


def test_an_account_s_timeline_leads_to_its_requests(
    store: Any, law: Rulebook, wanted: Wanted, reader: TestClient
) -> None:
    loan = store.lend()
    assert "/requests?account" not in reader.get(f"/accounts/{loan}", headers=EN).text
    made, wasted = ask(law, wanted(loan)), ask(law, wanted(loan, "sms"))
    use(law, granted(made))
    refused = ask(law, wanted(loan, facts=FACTS | {"message_threat": True}))
    html = reader.get(f"/accounts/{loan}", headers=EN).text
    assert f'href="/requests?account={loan}"' in html
    # A contact leads to the request that allowed it, and what came to no contact stands by itself; each once.
    for answer in (made, wasted, refused):
        assert html.count(f'href="/requests/{answer.request_id}"') == 1
    assert "call: made, its end not yet told · 12:00" in text(html)
    assert "text message: Permitted · 12:00 · outstanding" in text(html)

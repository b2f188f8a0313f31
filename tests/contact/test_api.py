"""The gate over HTTP and by the command: what a dialer sends, and what it gets."""

import re
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from forbear.cli import app
from forbear.contact.errors import Misasked, NotUsable
from forbear.contact.models import Request
from forbear.errors import WordedError
from forbear.rulebook.book import Rulebook
from forbear.telling import told
from forbear.web.app import console


@pytest.fixture
def dialer(store: Any, law: Rulebook) -> TestClient:
    return TestClient(console(law), base_url="http://127.0.0.1", raise_server_exceptions=False)


Body = Callable[..., dict[str, Any]]


@pytest.fixture
def body(wanted: Callable[..., Request]) -> Body:
    """A request as JSON."""
    return lambda account_id, **given: wanted(account_id, **given).model_dump(mode="json")


def test_a_call_from_the_asking_to_its_end(store: Any, dialer: TestClient, body: Body) -> None:
    loan = store.lend()
    asked = dialer.post("/gate/permissions", json=body(loan))
    assert asked.status_code == 201 and asked.headers["cache-control"] == "no-store"
    answer = asked.json()
    assert answer["verdict"] == "permitted" and answer["permission"]["expires_at"] == "2026-06-30T04:05:00Z"
    assert {"rule", "says", "text", "instrument", "article", "verified"} == set(answer["reasons"][0])
    address = f"/gate/permissions/{answer['permission']['id']}"
    ended = {"outcome": "no_answer", "reported_by": "dialer-1"}
    assert dialer.post(f"{address}/outcome", json=ended).status_code == 409
    # What is about to be done is said again, and must be what was granted.
    now = {"account_id": loan, "step": "call"}
    assert dialer.post(f"{address}/use").status_code == 422
    assert dialer.post(f"{address}/use", json=now | {"step": "sms"}).json()["problem"] == "another"
    used = dialer.post(f"{address}/use", json=now)
    assert used.status_code == 200 and used.json()["account_id"] == loan
    assert dialer.post(f"{address}/use", json=now).json()["problem"] == "used"
    assert dialer.post(f"{address}/outcome", json={"outcome": "no_answer"}).status_code == 422  # who says so?
    assert dialer.post(f"{address}/outcome", json=ended).status_code == 204
    assert store.sql("SELECT step, outcome FROM contact") == [("call", "no_answer")]


@pytest.mark.parametrize(("tongue", "lang"), [("zh-CN", "zh-Hans"), ("zh-TW", "zh-Hant"), ("en", "en")])
def test_a_refusal_says_why_in_the_asker_s_language_and_from_when(
    store: Any, dialer: TestClient, law: Rulebook, body: Body, tongue: str, lang: str
) -> None:
    loan = store.lend()
    for hour in (9, 10, 11):
        store.contacted(loan, "call", f"2026-06-30T{hour:02}:00:00+08:00")
    refused = dialer.post("/gate/permissions", json=body(loan), headers={"accept-language": tongue})
    assert refused.status_code == 409
    answer = refused.json()
    assert answer["permission"] is None and answer["earliest"] == "2026-07-01T00:00:00Z"
    first = answer["reasons"][0]
    assert (first["rule"], first["says"]) == ("cn.call.daily", "forbids")
    assert first["text"] == law.by_id["cn.call.daily"].text[lang]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"step": "smoke"}, "step"),
        ({"account_id": "A-1"}, "account_id"),
        ({"account_id": 404}, "account_id"),
        ({"requested_by": "王小明 13800138000"}, "requested_by"),
        ({"facts": {}}, "facts.to_whom"),
        ({"phone": "13800138000"}, "phone"),
        ({"reason": "13800138000"}, "body"),
    ],
)
def test_a_field_that_can_t_be_taken_is_named_and_its_value_never_repeated(
    store: Any, dialer: TestClient, body: Body, change: dict[str, Any], field: str
) -> None:
    refused = dialer.post("/gate/permissions", json=body(store.lend()) | change)
    assert refused.status_code == 422 and refused.json()["field"] == field
    assert "13800138000" not in refused.text and "小明" not in refused.text
    assert store.sql("SELECT count(*) FROM gate_request") == [(0,)]


def test_every_field_that_can_t_be_read_is_named_at_once(dialer: TestClient, body: Body) -> None:
    # Given a request with three faults, then each is told with its remedy, in words.
    wanted = body(1) | {"requested_by": "a b", "text_sha256": "x", "facts": {"to_whom": []}}
    refused = dialer.post("/gate/permissions", json=wanted).json()
    told = {each["field"]: each["message"] for each in refused["fields"]}
    assert told.keys() == {"requested_by", "text_sha256", "facts.to_whom"}
    assert (refused["field"], refused["message"]) == next(iter(told.items()))
    assert "letters, digits and ._:-, at most 64; never a name" in told["requested_by"]
    assert "Give 64 hexadecimal digits in small letters" in told["text_sha256"]


def test_a_use_that_ceased_to_be_lawful_says_by_what(store: Any, dialer: TestClient, body: Body) -> None:
    loan = store.lend(store.book("us"), zones="America/New_York")
    store.clock("2026-06-30T12:00:00-04:00")
    granted = dialer.post("/gate/permissions", json=body(loan)).json()["permission"]["id"]
    # 12 CFR 1006.6(b)(2): since then it is known that an attorney acts for the consumer.
    store.sql("UPDATE borrower SET attorney = true")
    refused = dialer.post(f"/gate/permissions/{granted}/use", json={"account_id": loan, "step": "call"})
    assert refused.status_code == 409 and refused.json()["problem"] == "unlawful"
    assert "us.attorney" in {each["rule"] for each in refused.json()["reasons"] if each["says"] == "forbids"}


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("en", "step: is no contact. Give one of "),
        ("zh-TW", "step：不是聯繫。請給出其中之一"),
        ("zh", "step：不是联系。请给出其中之一"),
    ],
)
def test_what_is_misasked_is_told_in_the_language_asked_for(
    store: Any, dialer: TestClient, body: Body, tag: str, said: str
) -> None:
    wanted = body(store.lend()) | {"step": "none"}
    refused = dialer.post("/gate/permissions", json=wanted, headers={"accept-language": tag})
    assert refused.status_code == 422 and refused.json()["message"].startswith(said)


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"step": None}, "step", ("is no text", "不是文本")),
        ({"requested_by": "王小明"}, "requested_by", ("is not written as it must be", "书写不合要求")),
        ({"phone": "13800138000"}, "phone", ("is no field of this request", "不是此请求的字段")),
        ({"key": "7"}, "key", ("is no UUID", "不是 UUID")),
        ({"account_id": "A"}, "account_id", ("is no whole number", "不是整数")),
        ({"account_id": 0}, "account_id", ("is out of bounds", "超出范围")),
        ({"step": "x" * 65}, "step", ("at most 64 characters", "64 个字符")),
        ({"facts": []}, "facts", ("is no JSON object", "不是 JSON 对象")),
        ({"facts": {"to_whom": []}}, "facts.to_whom", ("is of another type", "类型不符")),
        ({"decided_by": "s2"}, "body", ("which belong together", "三者须一并给出")),
        (
            {"decided_by": "dialer-1", "reason": "r", "overrides": str(uuid.uuid4())},
            "body",
            ("the same number", "编号相同"),
        ),
    ],
)
def test_each_kind_of_fault_in_a_field_is_told_in_the_asker_s_language(
    store: Any, dialer: TestClient, body: Body, change: dict[str, Any], field: str, said: tuple[str, str]
) -> None:
    wanted = body(store.lend()) | {"requested_by": "dialer-1"} | change
    for tag, words in zip(("en", "zh-CN"), said, strict=True):
        refused = dialer.post("/gate/permissions", json=wanted, headers={"accept-language": tag})
        told = refused.json()
        assert (refused.status_code, told["field"], words in told["message"]) == (422, field, True), told
        if tag == "zh-CN":
            rest = told["message"].removeprefix(field)
            names = {"JSON", "UUID", "docs", "gate", "md", "decided_by", "requested_by", "reason", "overrides"}
            assert {word for word in re.findall(r"[A-Za-z_]{3,}", rest) if word not in names} == set(), told


def test_what_is_no_request_at_all_is_told_in_the_asker_s_language(dialer: TestClient) -> None:
    told = (
        ("en", "body: is no JSON.", "key: is missing. Give it"),
        ("zh-TW", "body：不是 JSON。", "key：缺失。請給出"),
    )
    for tag, torn, lacking in told:
        header = {"accept-language": tag, "content-type": "application/json"}
        for content, words in (("{", torn), ("{}", lacking)):
            refused = dialer.post("/gate/permissions", content=content, headers=header)
            assert refused.status_code == 422 and refused.json()["message"].startswith(words), refused.json()
    assert "没有该地址" in dialer.get("/gate/x", headers={"accept-language": "zh"}).json()["message"]


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (("--step", "smoke"), "--step: is no contact"),
        (("--step", "sms"), "--text-sha256: is missing"),
        (("--step", "call", "--to", "nobody"), "--to: is no word of the vocabulary"),
        (("--step", "visit", "--fact", "visitors=99999999999"), "--fact visitors: is out of bounds"),
        (("--step", "call", "--decided-by", "s2", "--reason", "r", "--overrides", str(uuid.uuid4())), "--overrides: "),
    ],
)
def test_the_command_names_its_own_options(store: Any, typed: tuple[str, ...], said: str) -> None:
    [(ref,)] = store.sql("SELECT ref FROM account WHERE id = %s", store.lend())
    done = CliRunner().invoke(app, ["gate", "ask", ref, "--by", "staff-7", *typed])
    assert isinstance(done.exception, Misasked) and told(done.exception).startswith(said)


def test_all_that_is_wrong_with_a_request_is_told_at_once(store: Any, dialer: TestClient, body: Body) -> None:
    # Given a request whose number can't be read, whose step there is none of, and with two facts that can't be taken.
    loan = store.lend()
    facts = {"to_whom": "nobody", "recorded": 7}
    refused = dialer.post("/gate/permissions", json=body(loan) | {"key": "7", "step": "smoke", "facts": facts})
    fields = ["key", "step", "facts.to_whom", "facts.recorded"]
    assert (refused.status_code, [each["field"] for each in refused.json()["fields"]]) == (422, fields)
    # The first is not of the reading, but of the words alone: then, too, all are told.
    refused = dialer.post("/gate/permissions", json=body(loan) | {"step": "smoke", "facts": facts})
    assert [each["field"] for each in refused.json()["fields"]] == fields[1:]

    # The command tells them by its own options, and names the facts that there are.
    [(ref,)] = store.sql("SELECT ref FROM account WHERE id = %s", loan)
    typed = ("--by", "Wang Wu", "--step", "smoke", "--to", "nobody", "--fact", "recorded=7", "--fact", "mood=good")
    done = CliRunner().invoke(app, ["gate", "ask", ref, *typed])
    assert isinstance(done.exception, WordedError)
    lines = told(done.exception).splitlines()
    begins = ("--by: ", "--step: ", "--to: ", "'recorded=7': the value is true, false", "'mood=good' is no fact")
    assert len(lines) == len(begins) and all(map(str.startswith, lines, begins)), lines
    assert "discloses_debt, " in lines[-1] and store.sql("SELECT count(*) FROM gate_request") == [(0,)]


def test_the_command_says_that_the_record_of_contacts_ended(store: Any) -> None:
    """Given contacts on record until the day before, the refusal names the book and what to do, as `why` does."""
    loan = store.lend()
    [(ref,)] = store.sql("SELECT ref FROM account WHERE id = %s", loan)
    store.sql("UPDATE book SET recorded_until = '2026-06-29'")
    for command in (["gate", "ask", ref, "--by", "s1", "--step", "call"], ["why", ref, "--step", "call"]):
        done = CliRunner().invoke(app, command)
        assert (
            "contacts are on record until Jun 29, 2026, so nobody is contacted to collect on Jun 30, 2026"
            in done.output
        )
    # A notice that the law demands is not held by that, so nothing of it is said.
    notice = ("--step", "letter", "--fact", "purpose=required_notice")
    for command in (["gate", "ask", ref, "--by", "s1", "--text-sha256", "0" * 64, *notice], ["why", ref, *notice]):
        assert "contacts are on record until" not in CliRunner().invoke(app, command).output


def test_other_addresses_and_ids_are_answered_in_json(dialer: TestClient) -> None:
    missing = dialer.post(f"/gate/permissions/{uuid.uuid4()}/use", json={"account_id": 1, "step": "call"})
    assert missing.status_code == 404 and missing.json()["problem"] == "no_such_permission"
    assert dialer.post("/gate/permissions/13800138000/use", json={}).status_code == 422
    assert dialer.get("/gate/permissions").status_code == 405


def test_a_page_of_another_site_can_t_ask_by_a_plain_form(store: Any, dialer: TestClient, body: Body) -> None:
    # The gate has no login yet: a form that a browser may send anywhere must not reach it.
    wanted = str(body(store.lend())).replace("'", '"')
    refused = dialer.post("/gate/permissions", content=wanted, headers={"content-type": "text/plain"})
    assert refused.status_code == 422
    assert dialer.post("/gate/permissions", json={}, headers={"host": "evil.example"}).status_code == 400
    assert store.sql("SELECT count(*) FROM gate_request") == [(0,)]


@pytest.mark.parametrize("lang", ["zh-Hans", "zh-Hant", "en"])
def test_the_command_asks_uses_and_reports(store: Any, lang: str) -> None:
    loan = store.lend(dpd=9)
    ref = store.sql("SELECT ref FROM account WHERE id = %s", loan)[0][0]

    def run(*words: str) -> Any:
        return CliRunner().invoke(app, ["gate", *words, "--lang", lang], env={"COLUMNS": "200"})

    yes = ("recorded", "staff_trained", "message_identifies", "agent_announced", "staff_approved")
    no = ("staff_violent_record", "message_threat", "message_false", "discloses_debt", "at_workplace", "public_view",
          "enters_uninvited", "third_party_refused", "bad_occasion", "contact_refused")  # fmt: skip
    facts = [word for fact in (*(f"{f}=yes" for f in yes), *(f"{f}=no" for f in no)) for word in ("--fact", fact)]

    asked = run("ask", ref, "--step", "call", "--by", "staff-7", *facts)
    assert asked.exit_code == 0, asked.output
    permission = store.sql("SELECT id::text FROM permission")[0][0]
    assert permission in asked.output
    # What is about to be done is said again, and must be what was granted.
    assert run("use", permission).exit_code == 2
    wrong = run("use", permission, ref, "--step", "sms")
    said = {"en": "is for another account", "zh-Hans": "给另一账户", "zh-Hant": "給另一帳戶"}[lang]
    assert wrong.exit_code == 1 and isinstance(wrong.exception, NotUsable) and said in told(wrong.exception)
    assert run("use", permission, ref, "--step", "call").exit_code == 0
    assert run("outcome", permission, "no_answer", "--by", "staff-7").exit_code == 0
    # A second call on the same day is against the house's spacing: two days.
    again = run("ask", ref, "--step", "call", "--by", "staff-7", *facts)
    first_day = {"en": "Jul 2, 2026 08:00", "zh-Hans": "2026年7月2日 08:00", "zh-Hant": "2026年7月2日 08:00"}[lang]
    assert again.exit_code == 1 and "✗" in again.output and first_day in again.output
    # Where a fact lacks, the request's number is told: another person decides on that answer.
    store.sql("UPDATE account SET dispute_open = NULL")
    store.clock("2026-07-02T12:00:00+08:00")
    unknown = run("ask", ref, "--step", "call", "--by", "staff-7", *facts)
    [(first,)] = store.sql("SELECT id::text FROM gate_request WHERE verdict = 'needs_human'")
    assert unknown.exit_code == 1 and first in unknown.output
    lifts = ("--decided-by", "staff-8", "--reason", "seen", "--overrides", first)
    assert run("ask", ref, "--step", "call", "--by", "staff-7", *facts, *lifts).exit_code == 0
    # And what is refused when it is used says why.
    [(lifted,)] = store.sql("SELECT id::text FROM permission WHERE used_at IS NULL")
    store.sql("UPDATE borrower SET stop_contact = true")
    assert "✗" in run("use", lifted, ref, "--step", "call").output

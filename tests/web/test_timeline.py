"""All that happened to a loan stands in its timeline, and `forbear history` says the same."""

import re
from datetime import date
from html import unescape
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from tests.servicing.conftest import book  # noqa: F401
from typer.testing import CliRunner

from forbear.cli import app
from forbear.ledger.filed import KINDS
from forbear.ledger.models import (
    Charged,
    ChargedBack,
    Event,
    Forborne,
    Kind,
    Paid,
    Reason,
    Reversed,
    Sold,
    Waived,
    WrittenOff,
)
from forbear.ledger.state import _RANK
from forbear.servicing.happened import _ORDER, Happened, name_of
from forbear.servicing.post import Posting, post_one
from forbear.servicing.reschedule import rescheduled

#: A loan's life, a day for each event: what it is, and what is told of it beside its amount and its number.
LIFE: tuple[tuple[str, str, str, str], ...] = (
    ("2026-02-15", "P1", "Paid", "CN¥400.00"),
    ("2026-02-16", "R1", "Reversed: P1", "CN¥400.00"),
    ("2026-02-17", "P2", "Paid", "CN¥30.00"),
    ("2026-02-18", "B1", "Charged back: P2", "CN¥30.00"),
    ("2026-02-19", "F1", "Charged: Cost of enforcement", "CN¥80.00"),
    ("2026-02-20", "W1", "Waived: Cost of enforcement", "CN¥80.00"),
    ("2026-02-21", "A1", "Repayment plan: 3 instalments, the first due on {first}", ""),
    ("2026-02-22", "H1", "Freeze until {until}", ""),
    ("2026-03-20", "O1", "Written off", ""),
    ("2026-03-21", "S1", "Sold", "CN¥250.00"),
)


def live(account: int) -> None:
    """Post the whole life; more is waived than is owed of it, so that the timeline must tell what was given up."""

    def posted(event: Event) -> None:
        post_one(Posting(account, event), event.on)

    on = [date.fromisoformat(day) for day, *_ in LIFE]
    posted(Paid("P1", on[0], 40_000))
    posted(Reversed("R1", on[1], "P1"))
    posted(Paid("P2", on[2], 3_000))
    posted(ChargedBack("B1", on[3], "P2"))
    posted(Charged("F1", on[4], Kind.COST, 8_000))
    posted(Waived("W1", on[5], Kind.COST, 500_000))
    posted(rescheduled(account, "A1", on[6], date(2026, 3, 20), 3, Reason.PLAN))
    posted(Forborne("H1", on[7], date(2026, 3, 10), True))
    posted(WrittenOff("O1", on[8]))
    posted(Sold("S1", on[9], 25_000, "A-7"))


def entries(html: str) -> list[str]:
    """The lines of a timeline about what happened, as a reader sees them."""
    found = re.findall(r'<li class="happened">(.*?)</li>', html, re.DOTALL)
    return [" ".join(unescape(re.sub(r"<[^>]+>", " ", each)).split()) for each in found]


def test_the_page_and_the_history_tell_each_event_with_amount_and_number(book: Path, reader: TestClient) -> None:  # noqa: F811
    live(1)

    page = entries(reader.get("/accounts/1", headers={"Accept-Language": "en"}).text)
    lines = CliRunner().invoke(app, ["history", "L1"]).output.splitlines()

    told = [line for line in lines if " · no. " in line]
    assert len(page) == len(told) == len(LIFE)
    shown = {"first": "Mar 20, 2026", "until": "Mar 10, 2026"}
    typed = {"first": "2026-03-20", "until": "2026-03-10"}
    for (day, key, name, amount), entry, line in zip(reversed(LIFE), page, told, strict=True):
        assert name.format(**shown) in entry and f"no. {key}" in entry and amount in entry
        assert line.startswith(f"{day} · {name.format(**typed)}") and f" · no. {key}" in line and amount in line
        assert ("taken back" in entry) == ("taken back" in line) == (key in ("P1", "P2"))
        assert re.findall(r"CN¥[\d.,]+", entry) == re.findall(r"CN¥[\d.,]+", line)


def test_of_one_day_page_and_history_have_what_happened_last_first(book: Path, reader: TestClient) -> None:  # noqa: F811
    """Given a cost, its waiver and a payment of one day, then both tell them in the ledger's order, the last first."""
    on = date(2026, 2, 15)
    for event in (Paid("P1", on, 4_000), Waived("W1", on, Kind.COST, 8_000), Charged("F1", on, Kind.COST, 8_000)):
        post_one(Posting(1, event), on)

    page = entries(reader.get("/accounts/1", headers={"Accept-Language": "en"}).text)
    lines = CliRunner().invoke(app, ["history", "L1"]).output.splitlines()

    keys = [re.findall(r"no\. (\w+)", each) for each in (*page, *(line for line in lines if " · no. " in line))]
    assert keys == [["P1"], ["W1"], ["F1"]] * 2
    assert sorted(KINDS.keys() - {"reversed"}, key=lambda kind: _RANK[KINDS[kind]]) == [
        kind for kind in _ORDER if kind in KINDS and kind != "reversed"
    ]


@pytest.mark.parametrize(
    ("owed", "as_asked", "told"),
    [
        (1_000, False, "Charged: Fee"),
        (833, False, "Charged: Fee, as far as it is owed"),
        (1_000, True, "Charged: Fee, as asked (the statement tells what of it is owed)"),
    ],
)
def test_a_fee_says_whether_it_is_told_as_asked_or_as_owed(owed: int, as_asked: bool, told: str) -> None:
    """Of a fee of 10.00 the ceiling may leave less; of a card's the next statement says how much."""
    fee = Happened(date(2026, 2, 15), "F1", "charged", owed, False, {"kind": Kind.FEE, "amount": 1_000}, as_asked)
    assert name_of(fee, str, str) == told


def test_what_is_written_off_is_told_by_its_amount(book: Path, reader: TestClient) -> None:  # noqa: F811
    """Of 1,000.00 of principal, all of it unpaid, the loss is not less than that."""
    post_one(Posting(1, WrittenOff("O1", date(2026, 3, 20))), date(2026, 3, 20))

    [entry] = entries(reader.get("/accounts/1", headers={"Accept-Language": "en"}).text)

    amount = re.search(r"CN¥([\d,.]+)", entry)
    assert amount and float(amount[1].replace(",", "")) >= 1_000


@pytest.mark.parametrize("tag", ["zh-Hans", "zh-Hant"])
def test_what_happened_is_told_in_the_readers_language(book: Path, reader: TestClient, tag: str) -> None:  # noqa: F811
    live(1)

    page = entries(reader.get("/accounts/1", headers={"Accept-Language": tag}).text)
    lines = CliRunner().invoke(app, ["history", "L1", "--lang", tag]).output.splitlines()

    assert len(page) == len(LIFE)
    known = {"CN", *(key for _, key, *_ in LIFE)}
    for line in (*page, *lines):
        assert set(re.findall(r"[A-Za-z]\w+", line)) <= known, line


def test_where_a_plan_took_the_place_of_instalments_its_days_are_told(book: Path, reader: TestClient) -> None:  # noqa: F811
    # Given 10 February unpaid and a plan of 20 February in three lines, then 10 March is no due date any more.
    def due() -> set[str]:
        html = reader.get("/accounts/1", headers={"Accept-Language": "en"}).text
        found = re.findall(r'<li class="due">(.*?)</li>', html, re.DOTALL)
        return set(re.findall(r"\w+ \d+, 2026", " ".join(found)))

    assert due() == {"Feb 10, 2026", "Mar 10, 2026"}
    on = date(2026, 2, 20)
    post_one(Posting(1, rescheduled(1, "A1", on, date(2026, 3, 25), 3, Reason.PLAN)), on)
    assert due() == {"Feb 10, 2026", "Mar 25, 2026", "Apr 25, 2026", "May 25, 2026"}

"""The console in a real browser over a real night: three languages, keyboard, a phone's width, axe-core."""

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from forbear.intake.services import import_book
from forbear.nightly.run import nightly
from forbear.rulebook.load import load
from forbear.web.app import console
from forbear.web.i18n import LOCALES, catalogue

AXE = Path(__file__).parent.parent / "vendor" / "axe.min.js"
WEB = Path(__file__).parents[2] / "src" / "forbear" / "web"
HEAD = "rownames,state,loan_amount,term,interest_rate,installment,issue_month,loan_status,paid_total,paid_late_fees\n"


@pytest.fixture
def served(fresh_db: str, tmp_path: Path) -> Iterator[str]:
    """The address of a console over a small book of which one night was run."""
    rows = [
        f"{n},{state},10000,36,12.00,332.14,Feb-2018,{status},{paid},0"
        for n, (state, status, paid) in enumerate(
            [
                ("NY", "Current", "1328.56"),
                ("KY", "In Grace Period", "996.42"),
                ("CA", "Late (16-30 days)", "996.42"),
                ("TX", "Late (31-120 days)", "332.14"),
            ],
            start=1,
        )
    ]
    path = tmp_path / "loans.csv"
    path.write_text(HEAD + "\n".join(rows) + "\n", "utf-8")
    assert import_book(path, "lendingclub").bad == 0
    nightly(date(2018, 6, 30), load())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(console(load()), port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as play:
        found = play.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        yield found
        found.close()


def first_account(page: Page, base: str) -> str:
    page.goto(f"{base}/work")
    return base + str(page.locator("tbody th a").first.get_attribute("href"))


@pytest.mark.parametrize("lang", list(LOCALES))
def test_each_page_is_accessible_and_fits_a_phone(served: str, browser: Browser, lang: str) -> None:
    page = browser.new_page(viewport={"width": 360, "height": 740}, locale="en")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{served}/?lang={lang}")
    for address in (f"{served}/", f"{served}/work", first_account(page, served), f"{served}/nothing"):
        page.goto(address)
        assert page.locator("html").get_attribute("lang") == lang
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 360, f"{address} is {wide} px wide"
        if address == f"{served}/":
            page.wait_for_selector("#chart-steps[data-drawn] svg .mark-rect path")
            page.wait_for_selector("#chart-held[data-drawn] svg .mark-rect path")
        for summary in page.locator("summary").all():
            summary.click()
        page.evaluate(AXE.read_text("utf-8"))
        found = page.evaluate("axe.run().then(r => r.violations.map(v => [v.id, v.impact, v.nodes.map(n => n.html)]))")
        assert [v for v in found if v[1] in ("serious", "critical")] == []
    assert {re.match(r"https?://[^/]+", url).group() for url in asked if url.startswith("http")} == {served}  # type: ignore[union-attr]
    page.close()


def test_the_keyboard_alone_leads_from_the_start_to_an_explanation(served: str, browser: Browser) -> None:
    page = browser.new_page(locale="en")
    page.goto(served)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.getAttribute('href')") == "/work":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/work")
    for _ in range(60):
        page.keyboard.press("Tab")
        if "/accounts/" in (page.evaluate("document.activeElement.getAttribute('href')") or ""):
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/accounts/*")
    assert page.locator("#h-next").inner_text().startswith("Next step")
    page.close()


def test_an_account_says_what_was_derived_and_what_is_unverified_law(served: str, browser: Browser) -> None:
    page = browser.new_page(locale="en")
    page.goto(first_account(page, served))
    text = page.locator("main").inner_text()
    assert "derived" in text and "assumed" in text
    unverified = any(not rule.verified for rule in load().rules if rule.instrument.jurisdiction == "us")
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    assert ("text not yet verified" in page.locator("main").inner_text()) == unverified
    page.close()


def test_no_page_is_kept_and_none_runs_a_script_of_its_own(served: str, browser: Browser) -> None:
    answer = browser.new_page().goto(served)
    assert answer is not None
    assert answer.headers["cache-control"] == "no-store"
    assert "script-src" not in answer.headers["content-security-policy"]  # so default-src 'self' holds for scripts
    assert "default-src 'self'" in answer.headers["content-security-policy"]


def test_every_text_of_the_pages_is_translated() -> None:
    used: set[str] = {"law", "policy", "derived", "assumed"}
    used |= {"connected", "conversation", "no_answer", "delivered", "failed"}
    for path in [*WEB.rglob("*.html"), *WEB.glob("*.py")]:
        used |= {a or b for a, b in re.findall(r"""_\(\s*(?:"([^"]+)"|'([^']+)')""", path.read_text("utf-8"))}
    for lang in LOCALES:
        if lang != "en":
            assert json.dumps(sorted(used - catalogue(lang).keys())) == "[]", lang

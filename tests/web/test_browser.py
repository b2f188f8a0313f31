"""The console in a real browser: three languages, both colour schemes, keyboard alone, a phone's width, axe-core."""

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from playwright.sync_api import Browser, Page, sync_playwright

from forbear.locale import LANGUAGES
from forbear.rulebook.load import load
from forbear.web import app as pages
from forbear.web import serve
from forbear.web.app import console

AXE = (Path(__file__).parents[1] / "vendor" / "axe.min.js").read_text("utf-8")
CHROMIUM = "/usr/bin/chromium"
Asked = Callable[..., list[Any]]
PHONE = {"width": 360, "height": 740}
#: What a page hides of its content at its right edge, unless the keyboard can scroll to it in a region with a name.
CUT = """
    [...document.querySelectorAll("main *, header *")]
      .filter((each) => each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX !== "visible")
      .filter((each) => each.clientWidth > 1 && !each.matches("input, .hidden"))
      .filter((each) => !each.closest("[role=region][tabindex='0']:is([aria-label], [aria-labelledby]), pre"))
      .map((each) => each.outerHTML.slice(0, 80))
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    quiet = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=CHROMIUM, args=quiet)
        yield found
        found.close()


@pytest.fixture
def address(nights: tuple[int, int]) -> Iterator[str]:
    """Where the console is served, over two nights."""
    listening = serve.listen("127.0.0.1", 0, allow_remote=False)
    server = uvicorn.Server(uvicorn.Config(console(load()), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield serve.address(listening).rstrip("/")
    server.should_exit = True
    thread.join()


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds (the pages' own policy forbids Playwright to wait inside of them)."""
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end, "it never came to hold"
        time.sleep(0.02)


def drawn(page: Page) -> None:
    """Wait until the charts are there, with their bars."""
    for chart in ("steps", "arrears", "held"):
        # A bar of nobody has no width; one of somebody must be there.
        page.wait_for_selector(f"#chart-{chart}[data-drawn] svg .mark-rect path >> visible=true", timeout=15_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("tag", LANGUAGES)
def test_every_page_suits_a_phone_a_screen_reader_and_its_language(
    address: str,
    nights: tuple[int, int],
    answers: dict[str, uuid.UUID],
    browser: Browser,
    tag: str,
    scheme: str,
    asked: Asked,
) -> None:
    """No sideways scrolling, no serious finding of axe-core, no request to another host, no error of a script."""
    [(account,)] = asked("SELECT max(account_id) FROM decision WHERE step = 'call'")
    context = browser.new_context(viewport=PHONE, locale=tag, color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    hosts: set[str] = set()
    complaints: list[str] = []
    page.on("request", lambda request: hosts.add(urlsplit(request.url).netloc))
    page.on("console", lambda message: complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    law = ("/law?place=in&on=2026-11-24", "/law/rules/us.hours", "/law/try?place=us&step=visit&on=2026-11-24")
    own = (f"/accounts/{account}", f"/accounts/1?run={nights[0]}", f"/accounts/{account}/statement")
    gate = ("/requests", "/requests?state=outstanding", *(f"/requests/{each}" for each in answers.values()))
    for path in ("/", "/work", *own, *gate, *law):
        page.goto(address + path)
        if path == "/":
            drawn(page)
        page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
        assert page.locator("html").get_attribute("lang") == tag
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"], path
        assert page.evaluate(CUT) == [], path
        page.evaluate(AXE)
        found = page.evaluate("axe.run().then(r => r.violations.map(v => [v.id, v.impact, v.nodes[0].html]))")
        assert [v for v in found if v[1] in ("serious", "critical")] == [], path
    assert hosts == {urlsplit(address).netloc}
    assert complaints == []
    page.goto(address + "/nothing")
    page.evaluate(AXE)
    assert page.evaluate("axe.run().then(r => r.violations.length)") == 0
    context.close()


def test_the_charts_draw_the_figures_that_the_table_tells(address: str, browser: Browser) -> None:
    page = browser.new_page(locale="en")
    page.goto(address)
    drawn(page)

    figures = page.locator("#chart-steps svg .role-mark.mark-text text").all_text_contents()

    rows = page.locator("section[aria-labelledby=h-steps] tbody tr").all()
    told = [(row.locator("th").inner_text(), row.locator("td").last.inner_text()) for row in rows]
    assert sorted(figures) == sorted(n for step, n in told if step != "none" and n != "0")
    page.close()


def test_the_charts_take_the_colours_of_the_scheme(address: str, browser: Browser) -> None:
    """Given a page read in light, when the reader's system turns dark, then the text of the charts turns light."""
    page = browser.new_page(color_scheme="light", locale="en")
    page.goto(address)
    drawn(page)
    label = page.locator("#chart-steps .role-axis-label text").first
    assert label.get_attribute("fill") == "#16202b"

    page.emulate_media(color_scheme="dark")

    eventually(lambda: label.get_attribute("fill") == "#e5eaef")
    page.close()


def tab_to(page: Page, href: str) -> None:
    """Press Tab until a link whose address begins so has the focus, and see that the focus shows."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if (page.evaluate("document.activeElement.getAttribute('href')") or "").startswith(href):
            assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
            return
    raise AssertionError(f"no Tab leads to {href}")


@pytest.mark.parametrize("tag", LANGUAGES)
def test_the_keyboard_alone_leads_from_the_start_to_an_explanation(address: str, browser: Browser, tag: str) -> None:
    page = browser.new_page(locale=tag)
    page.goto(address)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    tab_to(page, "/work?run=")  # a step of the table leads to its work list
    page.keyboard.press("Enter")
    page.wait_for_url("**/work?**")
    tab_to(page, "/accounts/")
    page.keyboard.press("Enter")
    page.wait_for_url("**/accounts/**")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.verdict:not([open]) > summary')"):
            break
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.parentElement.open")
    assert page.locator(":focus + .reasons li").first.is_visible()
    page.close()


@pytest.mark.parametrize("tag", LANGUAGES)
def test_the_keyboard_alone_leads_to_an_answer_of_the_gate_and_what_it_rests_on(
    address: str, answers: dict[str, uuid.UUID], browser: Browser, tag: str
) -> None:
    """Given a phone and no mouse, when a request is chosen, its rules open, and the article of one is reached."""
    page = browser.new_page(locale=tag, viewport=PHONE)  # type: ignore[arg-type]
    page.goto(f"{address}/work")
    tab_to(page, "/requests")
    page.keyboard.press("Enter")
    page.wait_for_url("**/requests")
    tab_to(page, f"/requests/{answers['refused']}")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/requests/{answers['refused']}")
    assert page.locator(".decision h2").is_visible() and page.locator(".reasons li").first.is_visible()
    tab_to(page, "/law/rules/")
    page.keyboard.press("Enter")
    page.wait_for_url("**/law/rules/**")
    page.close()


@pytest.mark.parametrize("tag", LANGUAGES)
def test_the_keyboard_alone_tries_a_case(address: str, browser: Browser, tag: str) -> None:
    """Given a phone and no mouse, when a case is asked as the form comes, then its answer stands before the form."""
    page = browser.new_page(locale=tag, viewport=PHONE)  # type: ignore[arg-type]
    page.goto(f"{address}/work")
    tab_to(page, "/law")
    page.keyboard.press("Enter")
    page.wait_for_url("**/law")
    tab_to(page, "/law/try?")
    page.keyboard.press("Enter")
    page.wait_for_url("**/law/try?**")
    page.locator("input[name=at]").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".decision")
    assert page.url == f"{address}/law/try"
    assert page.locator(".decision .reasons li").first.is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true })")
    page.evaluate(AXE)
    found = page.evaluate("axe.run().then(r => r.violations.map(v => [v.id, v.impact, v.nodes[0].html]))")
    assert [v for v in found if v[1] in ("serious", "critical")] == []
    page.close()


def test_more_accounts_come_without_a_new_page_and_the_keyboard_goes_on_there(
    address: str, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE_LINES", 5)
    page = browser.new_page(locale="en")
    page.goto(f"{address}/work")
    tab_to(page, "/work?after=")

    page.keyboard.press("Enter")

    eventually(lambda: page.locator("#lines th").count() == 10)
    sixth = page.locator("#lines th a").nth(5).get_attribute("href")
    eventually(lambda: page.evaluate("document.activeElement.getAttribute('href')") == sixth)
    assert page.url == f"{address}/work"
    page.close()


def test_without_scripts_the_pages_still_lead_on(
    address: str, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "PAGE_LINES", 3)
    context = browser.new_context(java_script_enabled=False, locale="en")
    page = context.new_page()
    page.goto(address)
    assert page.locator("section[aria-labelledby=h-steps] tbody tr").count() == 9
    page.goto(f"{address}/work")
    page.locator("select[name=step]").select_option("sms")
    page.get_by_role("button", name="Show").click()
    first = page.locator("#lines th a").first.inner_text()
    page.locator("#more a").click()
    page.wait_for_load_state()
    assert page.locator("#lines th").count() == 3
    assert page.locator("#lines th a").first.inner_text() != first
    context.close()

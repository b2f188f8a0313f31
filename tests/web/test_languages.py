"""The languages: every text is translated whole, in the right script, and the reader's wish is heard."""

import re
import uuid
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po
from starlette.testclient import TestClient
from typer.testing import CliRunner

from forbear import locale
from forbear.cli import app
from forbear.locale import LANGUAGES, SOURCE, catalogue_file, negotiate
from forbear.rulebook.models import LANGUAGES as RULEBOOK_LANGUAGES

TRANSLATED = [tag for tag in LANGUAGES if tag != SOURCE]
#: A charset that has only the characters of one script: what a reader of that script can't read isn't in it.
CHARSETS = {"zh-Hans": "gb2312", "zh-Hant": "big5"}


def used() -> set[str | tuple[str, ...]]:
    """Every text of the templates and of the code."""
    with (locale.HERE / "babel.cfg").open() as source:
        methods, options = parse_mapping_cfg(source)  # type: ignore[no-untyped-call]
    return {found[2] for found in extract_from_dir(locale.HERE.parent, methods, options)}


def catalogue(tag: str) -> Catalog:
    with catalogue_file(tag).open("rb") as source:
        return read_po(source, abort_invalid=True)


def strings(message: Message) -> tuple[str, ...]:
    """The translation of a message: one string, or one for each plural."""
    given = message.string or ""
    return (given,) if isinstance(given, str) else tuple(given)


def test_texts_are_found_at_all() -> None:
    assert {"Tonight", "Why no other step", "To contact"} <= used()


@pytest.mark.parametrize("tag", TRANSLATED)
def test_every_text_has_a_translation_and_none_is_left_over(tag: str) -> None:
    held = {message.id: message for message in catalogue(tag) if message.id}

    assert used() - held.keys() == set()
    assert held.keys() - used() == set()
    for message in held.values():
        assert all(strings(message)) and not message.fuzzy, message.id


@pytest.mark.parametrize("tag", TRANSLATED)
def test_a_translation_keeps_every_place_for_a_value(tag: str) -> None:
    for message in catalogue(tag):
        source = (message.id,) if isinstance(message.id, str) else message.id
        if message.id:
            places = {tuple(sorted(re.findall(r"%\(\w+\)s", text))) for text in strings(message)}
            assert places == {tuple(sorted(re.findall(r"%\(\w+\)s", source[-1])))}, message.id


@pytest.mark.parametrize("tag", CHARSETS)
def test_a_translation_is_written_in_its_own_script(tag: str) -> None:
    for message in catalogue(tag):
        for text in strings(message):
            ideographs = "".join(c for c in text if "\u4e00" <= c <= "\u9fff")
            assert ideographs or not re.search("[A-Za-z]", re.sub(r"%\(\w+\)s", "", text)) or not message.id
            ideographs.encode(CHARSETS[tag])


#: Words beside the one that is used: a book is 账册, a run 批次, the lender 放贷人, and rows kept aside are 隔离.
OTHER_WORDS = re.compile(
    r"簿|账本|帳本|该次运行|該次執行|尚无运行|尚無執行|放贷机构|放貸機構|出借人|贷款人|貸款人|搁置|擱置|另存待处理|另存待處理"
)


@pytest.mark.parametrize("tag", CHARSETS)
def test_a_thing_has_one_word(tag: str) -> None:
    """Whoever reads another word looks for another thing."""
    told = [text for message in catalogue(tag) if message.id for text in strings(message)]
    assert [text for text in told if OTHER_WORDS.search(text)] == []


#: A half-width mark beside an ideograph, and a space that sets two ideographs apart.
NARROW = re.compile(
    r"[\u4e00-\u9fff）」”] ?[,;:?!](?![0-9/])|(?<![0-9])[,;:?!] ?[\u4e00-\u9fff（「“]"
    r"|[\u4e00-\u9fff，。；：、] [\u4e00-\u9fff，。；：、]"
)
#: Titles that their issuer writes with a space.
SPACED = re.compile(
    r"互(联网|聯網)金融 个?個?人[网網][络絡]消[费費]信[贷貸] [贷貸][后後]催收|助[贷貸][业業][务務]管理 提升"
)


def narrow(text: str) -> bool:
    """Is Chinese text set with marks or spaces that are not its own?"""
    return NARROW.search(SPACED.sub("", text)) is not None


@pytest.mark.parametrize("tag", CHARSETS)
def test_chinese_has_wide_marks_and_no_stray_spaces(tag: str) -> None:
    told = [text for message in catalogue(tag) if message.id for text in strings(message)]
    assert [text for text in told if narrow(text)] == []
    assert narrow("账册: 一") and narrow("甲, 乙") and narrow("30日 起") and not narrow("账册：12:30 起，共 3 行")


def test_the_pages_speak_the_languages_of_the_rulebook() -> None:
    assert set(LANGUAGES) == set(RULEBOOK_LANGUAGES)


def test_each_language_calls_itself_by_its_own_name() -> None:
    assert [language.name for language in LANGUAGES.values()] == ["简体中文", "繁體中文", "English"]


@pytest.mark.parametrize(
    ("header", "tag"),
    [
        ("", "en"),
        ("en-GB", "en"),
        ("zh", "zh-Hans"),
        ("zh-CN,zh;q=0.9,en;q=0.8", "zh-Hans"),
        ("zh-SG", "zh-Hans"),
        ("zh-TW", "zh-Hant"),
        ("zh-HK,en", "zh-Hant"),
        ("zh-Hant-CN", "zh-Hant"),
        ("en;q=0.2, zh-TW;q=0.7", "zh-Hant"),
        ("fr, de;q=0.9", "en"),
        ("zh-TW;q=0, zh-CN;q=0.1", "zh-Hans"),
        ("*", "en"),
        ("zh-TW;q=x, ;;, -, zh_CN", "en"),
        ("x" * 5_000, "en"),
    ],
)
def test_the_browsers_wish_finds_the_language_and_script(header: str, tag: str) -> None:
    assert negotiate(header).tag == tag


def test_a_language_asked_for_is_remembered(fresh_db: str, reader: TestClient) -> None:
    """Given a browser in English, when Chinese is asked for once, then the next page is Chinese too."""
    wish = {"Accept-Language": "en"}
    assert '<html lang="en">' in reader.get("/", headers=wish).text
    assert '<html lang="zh-Hant">' in reader.get("/?lang=zh-Hant", headers=wish).text
    assert '<html lang="zh-Hant">' in reader.get("/work", headers=wish).text
    assert '<html lang="zh-Hans">' in reader.get("/work?lang=zh-Hans", headers=wish).text
    assert '<html lang="zh-Hans">' in reader.get("/work?lang=tlh", headers=wish).text
    # A language is asked for by its region, too, as on the command line, and is remembered.
    for asked, tag in (("zh-TW", "zh-Hant"), ("zh-CN", "zh-Hans"), ("zh-HK", "zh-Hant"), ("zh", "zh-Hans")):
        for address in (f"/work?lang={asked}", "/work"):
            assert f'<html lang="{tag}">' in reader.get(address, headers=wish).text


def test_the_links_to_other_languages_keep_the_readers_choices(nights: tuple[int, int], reader: TestClient) -> None:
    html = reader.get(f"/work?run={nights[1]}&step=sms&lang=en").text

    assert f'href="/work?run={nights[1]}&amp;step=sms&amp;lang=zh-Hant" lang="zh-Hant" hreflang="zh-Hant"' in html


# ---- nothing in another language ----------------------------------------------------------------------

#: What a reader of Chinese reads in Latin letters: names, codes, units, and what is to be typed.
LATIN = re.compile(
    r"[0-9a-f]{64}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|Forbear|English|UTC|PDF|LPR|sha256|utf-8(-sig)?|FORBEAR_[A-Z_]+|GB/T|paid-total|CN¥|US\$|\([A-Z]{3}\)|（[a-z]{2}）"
    r"|forbear [a-z-]+( --[a-z-]+( [A-Z-]+)?)*|--[a-z-]+( [a-z_]+=\S+)?|YYYY-MM-DD|lendingclub-\d+|synthetic-[a-z0-9-]+"
    r"|\(?[ivx]+\)|(?<![A-Za-z])[IVX]+(?![A-Za-z])|\d[\w.]*(\([\w-]+\))*"
)
#: Pages of each kind; {call} and {held} are accounts.
WALK = (
    "/", "/work", "/accounts/{call}", "/accounts/{held}", "/accounts/{call}/statement", "/accounts/{held}/statement",
    "/law", "/law?place=us&on=2026-11-24", "/law?place=tw&on=2026-11-24", "/law?place=in&on=2026-11-24",
    "/law/rules/us.hours", "/law/rules/cn.cap.bank", "/law/rules/us.call.frequency", "/law/try?place=cn&step=visit",
    "/law/try?place=us&step=call", "/nothing", "/requests", "/requests?state=outstanding", "/requests/{made}",
    "/requests/{refused}",
)  # fmt: skip


class Shown(HTMLParser):
    """What a page shows or says aloud in its own language: not code, not what is marked as another language's."""

    SPOKEN = frozenset({"aria-label", "placeholder", "data-label", "title", "alt"})
    VOID = frozenset({"meta", "link", "input", "img", "br", "hr"})

    def __init__(self, tag: str) -> None:
        super().__init__()
        self.tag, self.skipped, self.texts = tag, [False], list[str]()

    def handle_starttag(self, name: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        skip = self.skipped[-1] or name in ("script", "style", "code", "pre") or given.get("lang", self.tag) != self.tag
        if not skip:
            self.texts += [value or "" for key, value in attrs if key in self.SPOKEN]
        if name not in self.VOID:
            self.skipped.append(skip)

    def handle_endtag(self, name: str) -> None:
        self.skipped.pop()

    def handle_data(self, data: str) -> None:
        if not self.skipped[-1]:
            self.texts.append(data)


def strange(text: str, tag: str) -> list[str]:
    """The words and characters of a text that a reader of a language's script would stumble over."""
    words = re.findall(r"[A-Za-z]{2,}", LATIN.sub(" ", text))
    return words + [c for c in text if "\u4e00" <= c <= "\u9fff" and not c.encode(CHARSETS[tag], "ignore")]


@pytest.mark.parametrize("tag", CHARSETS)
def test_no_page_speaks_another_language(
    answers: dict[str, uuid.UUID], reader: TestClient, asked: Callable[..., list[Any]], tag: str
) -> None:
    [(call, held)] = asked("SELECT max(account_id) FILTER (WHERE step = 'call'), min(account_id) FROM decision")
    found, loose = {}, set[tuple[str, str]]()
    for path in WALK:
        shown = Shown(tag)
        answer = reader.get(path.format(call=call, held=held, **answers), headers={"Accept-Language": tag})
        assert answer.status_code == (404 if path == "/nothing" else 200), path
        shown.feed(answer.text)
        assert len("".join(shown.texts)) > 100
        found |= {(path, text.strip()): strange(text, tag) for text in shown.texts if strange(text, tag)}
        loose |= {(path, told) for text in shown.texts if narrow(told := " ".join(text.split()))}
    assert (found, sorted(loose)) == ({}, [])


@pytest.mark.parametrize("tag", CHARSETS)
def test_no_command_speaks_another_language(
    nights: tuple[int, int], asked: Callable[..., list[Any]], tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORBEAR_HOME", str(tmp_path))
    [(ref,)] = asked("SELECT max(ref) FROM account JOIN decision ON account_id = account.id WHERE step = 'call'")
    found, loose = {}, set[tuple[str, str]]()
    for typed in (
        ["explain", ref],
        ["why", ref, "--step", "call", "--at", "2026-06-30T10:00:00+08:00", "--all"],
        ["nightly", "--as-of", "2026-06-30"],
        ["replay", str(nights[1])],
        ["law", "preview", "--as-of", "2027-01-31"],
        ["law", "as-of", "2026-11-24"],
        ["law", "show", "--place", "in"],
        ["law", "diff", "2025-01-01", "2026-12-31", "--place", "cn"],
        ["law", "lint"],
        ["gate", "ask", ref, "--step", "call", "--by", "s1"],
        ["synth", "--accounts", "5", "--jurisdiction", "cn", "--seed", "3", "--name", "y"],
        ["books", "list"],
        ["history", ref],
        ["quarantine", "list"],
        ["statement", ref, "--as-of", "2026-07-01"],
    ):
        done = CliRunner().invoke(app, [*typed, "--lang", tag], terminal_width=400)
        assert isinstance(done.exception, SystemExit | None) and len(done.output) > 5, done.output
        lines = map(plain, done.output.splitlines())
        found |= {(typed[0], line): strange(line, tag) for line in lines if strange(line, tag)}
        shown = [re.sub("^ +[?✗✓] ", "", line) for line in done.output.splitlines() if plain(line)]
        loose |= {(typed[0], line) for line in shown if narrow(re.sub(" {2,}", "|", line))}
    assert (found, sorted(loose)) == ({}, [])


def plain(line: str) -> str:
    """A line of a command without what stands there as a pack has it: ids, conditions, how its place cites it."""
    if re.match(
        r" {4}(当地引称|當地引稱|(?:来源|來源)(?:（英文..）)?|适用于|適用於|禁止，若|除非|其中|收紧|收緊)[： ]",
        line,
    ):
        return ""
    return re.sub(
        r"--fact \S+|\b[a-z]+(\.[a-z0-9-]+)+|\b[a-z]+(_[a-z]+)+\b|\b[a-z]+ = |^    [a-z]+(?=[ ,，（])", "", line
    )


def test_a_further_language_is_a_further_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given a catalogue of German, when the languages are read, then German is offered under its own name."""
    folder = tmp_path / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    (folder / "forbear.po").write_text(
        'msgid ""\nmsgstr "Language: de\\n"\n\nmsgid "Tonight"\nmsgstr "Heute Nacht"\n', "utf-8"
    )
    monkeypatch.setattr(locale, "HERE", tmp_path)

    found = locale._languages()

    assert list(found) == ["de", "en"]
    assert found["de"].name == "Deutsch"
    assert found["de"].catalogue.gettext("Tonight") == "Heute Nacht"

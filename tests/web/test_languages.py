"""The languages: every text is translated whole, in the right script, and the reader's wish is heard."""

import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.frontend import parse_mapping_cfg
from babel.messages.pofile import read_po
from starlette.testclient import TestClient

from forbear import locale
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
            assert ideographs or not message.id
            ideographs.encode(CHARSETS[tag])


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


def test_the_links_to_other_languages_keep_the_readers_choices(nights: tuple[int, int], reader: TestClient) -> None:
    html = reader.get(f"/work?run={nights[1]}&step=sms&lang=en").text

    assert f'href="/work?run={nights[1]}&amp;step=sms&amp;lang=zh-Hant" lang="zh-Hant" hreflang="zh-Hant"' in html


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

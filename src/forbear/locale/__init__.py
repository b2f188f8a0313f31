"""The languages of people's text: gettext catalogues read at start, and the choice of one for a reader.

A language is offered because its catalogue lies beside this file, so one more language is one more
catalogue. English is the language of the source and needs none. Catalogues are read as they are
(`.po`): there is no compile step and no `.mo` to go stale.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

from babel import Locale
from babel.core import get_global, parse_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations

HERE = Path(__file__).parent
DOMAIN = "forbear"
SOURCE = "en"


def N_(text: str) -> str:
    """Mark a text for the catalogues where it is written; it is translated where it is shown."""
    return text


class Marks(NamedTuple):
    """What a language sets between words: pause is between the items of a list; aside holds what stands beside."""

    colon: str
    comma: str
    semicolon: str
    pause: str
    aside: str


@dataclass(frozen=True, eq=False)
class Language:
    """One language that text is given in."""

    tag: str  # IETF, as in <html lang>
    name: str  # in the language itself
    locale: Locale
    catalogue: NullTranslations

    @property
    def marks(self) -> Marks:
        """Its punctuation: wide in Chinese, where nothing is set apart by a space."""
        return (
            Marks("：", "，", "；", "、", "（{}）")
            if self.locale.language == "zh"
            else Marks(": ", ", ", "; ", ", ", " ({})")
        )


def catalogue_file(tag: str) -> Path:
    """Where the catalogue of a language lies."""
    return HERE / tag.replace("-", "_") / "LC_MESSAGES" / f"{DOMAIN}.po"


def _catalogue(tag: str) -> NullTranslations:
    if tag == SOURCE:
        return NullTranslations()
    compiled = BytesIO()
    with catalogue_file(tag).open("rb") as source:
        write_mo(compiled, read_po(source, abort_invalid=True))
    compiled.seek(0)
    return Translations(compiled, DOMAIN)


def _language(tag: str) -> Language:
    locale = Locale.parse(tag, sep="-")
    name = locale.languages.get(str(locale)) or locale.get_display_name(locale) or tag
    return Language(tag, name, locale, _catalogue(tag))


def _languages() -> Mapping[str, Language]:
    found = sorted(path.parts[-3].replace("_", "-") for path in HERE.glob(f"*/LC_MESSAGES/{DOMAIN}.po"))
    return {tag: _language(tag) for tag in (*found, SOURCE)}


#: The languages offered, by tag; English last, as the one that is left when no other fits.
LANGUAGES: Mapping[str, Language] = _languages()


def negotiate(accept_language: str) -> Language:
    """The language to answer an Accept-Language header in; English where the reader asks for none we have.

    Languages are matched with their script, so that zh-TW finds zh-Hant and zh-CN finds zh-Hans.
    """
    return next(filter(None, map(spoken_as, _wanted(accept_language))), LANGUAGES[SOURCE])


def spoken_as(tag: str) -> Language | None:
    """The language offered that a tag means, by its language and script; None where none is."""
    written = _written(tag)
    return next((language for offered, language in LANGUAGES.items() if written and _written(offered) == written), None)


def _wanted(accept_language: str) -> list[str]:
    """The tags of the header, most wanted first; what can't be read is passed over."""
    wanted: list[tuple[float, str]] = []
    for entry in accept_language.split(","):
        tag, _, weight = entry.partition(";q=")
        try:
            quality = float(weight or 1)
        except ValueError:
            continue
        if 0 < quality <= 1:
            wanted.append((-quality, tag.strip()))
    return [tag for _, tag in sorted(wanted, key=lambda each: each[0])]


def _written(tag: str) -> tuple[str, str] | None:
    """Language and script of a tag, the likely script where the tag names none; None for no known language."""
    try:
        language, territory, script = parse_locale(tag, sep="-")[:3]
    except ValueError:
        return None
    if script:
        return language, script
    likely = get_global("likely_subtags")
    full = likely.get(f"{language}_{territory}") or likely.get(language)
    return (language, full.split("_")[1]) if full else None

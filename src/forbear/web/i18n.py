"""The pages' languages: catalogues read by Babel at start, and which language a reader wants.

The English text is the key. A further language is a further catalogue and a line in LOCALES.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib.resources import files

from babel import Locale, negotiate_locale
from babel.messages.pofile import read_po

#: Our language tags and Babel's names of them.
LOCALES: Mapping[str, str] = {"zh-Hans": "zh_Hans", "zh-Hant": "zh_Hant", "en": "en"}
#: What a language calls itself.
NAMES: Mapping[str, str] = {"zh-Hans": "简体中文", "zh-Hant": "繁體中文", "en": "English"}
DEFAULT = "en"
#: What browsers send for the two ways of writing Chinese.
_ALIASES = {"zh": "zh-Hans", "zh-CN": "zh-Hans", "zh-SG": "zh-Hans"} | dict.fromkeys(
    ("zh-TW", "zh-HK", "zh-MO"), "zh-Hant"
)


@cache
def catalogue(lang: str) -> Mapping[str, str]:
    """{English text: text in `lang`}; empty for English itself."""
    if lang == DEFAULT:
        return {}
    path = files("forbear").joinpath(f"locale/{LOCALES[lang]}/LC_MESSAGES/forbear.po")
    with path.open("rb") as source:
        read = read_po(source, locale=Locale.parse(LOCALES[lang]))
    return {str(message.id): str(message.string) for message in read if message.id and message.string}


def translator(lang: str) -> Callable[..., str]:
    """`_(text, name=value)`: the text in `lang`, with its values put in."""

    def translate(text: str, **values: object) -> str:
        found = catalogue(lang).get(text, text)
        return found.format(**values) if values else found

    return translate


def wanted(asked: str | None, remembered: str | None, accepted: str | None) -> str:
    """The language of a reader: asked for in the address, else remembered, else what the browser accepts."""
    for given in (asked, remembered):
        if given is not None and given in LOCALES:
            return given
    tags = [part.split(";")[0].strip() for part in (accepted or "").split(",")]
    known = [_ALIASES.get(tag, tag) for tag in tags]
    found = negotiate_locale(known, list(LOCALES), sep="-")
    return found if found is not None and found in LOCALES else DEFAULT

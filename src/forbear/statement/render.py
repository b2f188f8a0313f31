"""Sets a document as plain text or as a PDF."""

import functools
import json
import unicodedata
from pathlib import Path

import typst

from forbear.locale import LANGUAGES, N_
from forbear.statement.document import Document, Table
from forbear.statement.errors import NoFont

_TEMPLATE = Path(__file__).parent / "statement.typ"
#: A font with the characters of each language, the first that is there; the embedded one has Latin only.
_FONTS = {
    "zh-Hans": ("Noto Sans CJK SC", "Source Han Sans SC", "Noto Serif CJK SC"),
    "zh-Hant": ("Noto Sans CJK TC", "Source Han Sans TC", "Noto Serif CJK TC"),
    "en": ("Noto Sans CJK SC", "Source Han Sans SC", "Libertinus Serif"),
}


@functools.cache
def _families() -> frozenset[str]:
    return frozenset(typst.Fonts().families())


def font(language: str) -> str:
    """A font of this system for a language. Raises NoFont."""
    for name in _FONTS[language]:
        if name in _families():
            return name
    raise NoFont(
        N_(
            "No font of this system has the characters of %(language)s: install fonts-noto-cjk"
            " (Debian: apt-get install fonts-noto-cjk), then ask again."
        ),
        language=language,
    )


def pdf(document: Document) -> bytes:
    """The document as a tagged PDF. Raises NoFont."""
    values = {"document": json.dumps(document.data(), ensure_ascii=False), "font": font(document.language)}
    made = typst.compile(_TEMPLATE.read_bytes(), sys_inputs=values)
    assert isinstance(made, bytes)
    return made


def png(document: Document) -> list[bytes]:
    """The pages of the document as images, for tests and for the eye. Raises NoFont."""
    values = {"document": json.dumps(document.data(), ensure_ascii=False), "font": font(document.language)}
    made = typst.compile(_TEMPLATE.read_bytes(), sys_inputs=values, format="png", ppi=110)
    return made if isinstance(made, list) else [made]


def text(document: Document) -> str:
    """The document as plain text, in columns of a terminal."""
    lines = [document.title, document.subtitle, ""]
    colon = LANGUAGES[document.language].marks.colon
    lines += [f"{name}{colon}{value}" for name, value in document.facts]
    for table in document.tables:
        lines += ["", table.title, *_rows(table), *(f"  {note}" for note in table.notes)]
    return "\n".join([*lines, "", *document.notes])


def _rows(table: Table) -> list[str]:
    if not table.rows:
        return []
    grid = [table.head, *table.rows]
    widths = [max(map(_width, column)) for column in zip(*grid, strict=True)]
    first_figure = len(table.head) - table.figures
    return [
        "  "
        + "  ".join(
            " " * (widths[k] - _width(cell)) + cell if k >= first_figure else cell + " " * (widths[k] - _width(cell))
            for k, cell in enumerate(row)
        ).rstrip()
        for row in grid
    ]


def _width(cell: str) -> int:
    """Columns that a text takes in a terminal: wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in cell)

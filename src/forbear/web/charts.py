"""The console's charts as Vega-Lite specifications. Colours and fonts are the page's, put in by its script.

Beside each chart stands a table that says the same, so a chart needs no colour or mouse to be read.
"""

import textwrap
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from forbear.nightly.report import BUCKETS
from forbear.rulebook.models import Vocabulary
from forbear.web.format import Formats
from forbear.web.summary import Held, Outcome

Spec = Mapping[str, Any]
Gettext = Callable[..., str]

#: Rules shown in a chart; the table has them all.
MOST_BARS = 8
_BAR = 22
_THIN = 14
#: Height of a line of text above a bar, and how many there are.
_LINE = 16
_LINES = 2
#: Half-widths of text that fit in a line above a bar on a phone.
_LABEL_WIDTH = 42


def steps_chart(counts: Mapping[tuple[str, int], int], vocabulary: Vocabulary, to: Formats, _: Gettext) -> Spec | None:
    """Accounts at each step but `none`, which would dwarf the rest, by bucket; None where there is no such account."""
    steps = [s for s in vocabulary.steps.values() if s.id != "none" and any(counts.get((s.id, k)) for k in _BUCKETS)]
    if not steps:
        return None
    values = [
        {"step": to.text(s.name), "bucket": to.text(BUCKETS[k].name), "n": counts.get((s.id, k), 0), "k": k}
        for s in steps
        for k in _BUCKETS
    ]
    names = [to.text(bucket.name) for bucket in BUCKETS]
    y = {"field": "step", "type": "nominal", "sort": None, "title": None}
    colour = {
        "field": "bucket",
        "type": "ordinal",
        "scale": {"domain": names},
        "legend": {"title": _("Days past due"), "orient": "bottom"},
    }
    bars = {
        "mark": {"type": "bar", "height": _BAR},
        "encoding": {
            "y": y,
            "x": _COUNTS,
            "color": colour,
            "order": {"field": "k"},
            "tooltip": [
                {"field": "step", "title": _("Next step")},
                {"field": "bucket", "title": _("Days past due")},
                {"field": "n", "title": _("Accounts"), "format": ",d"},
            ],
        },
    }
    sums = {
        "mark": {"type": "text", "align": "left", "dx": 6, "style": "figure"},
        "encoding": {
            "y": y,
            "x": {"aggregate": "sum", "field": "n", "type": "quantitative"},
            "text": {"aggregate": "sum", "field": "n", "type": "quantitative", "format": ",d"},
        },
    }
    return _spec(values, [bars, sums], height=len(steps) * (_BAR + 16))


def arrears_chart(parts: Sequence[Mapping[Outcome, int]], names: Mapping[Outcome, str], to: Formats) -> Spec | None:
    """What became of each bucket, as shares of it; None where no account was decided.

    Args:
        parts: for each of BUCKETS, accounts by outcome.
    """
    values = [
        {
            "bucket": f"{to.text(bucket.name)} ({to.count(sum(part.values()))})",
            "outcome": names[outcome],
            "n": n,
            "share": n / sum(part.values()),
            "k": list(names).index(outcome),
        }
        for bucket, part in zip(BUCKETS, parts, strict=True)
        for outcome, n in part.items()
        if n
    ]
    if not values:
        return None
    bars = {
        "mark": {"type": "bar", "height": _BAR},
        "encoding": {
            "y": {"field": "bucket", "type": "nominal", "sort": None, "title": None},
            "x": {
                "field": "share",
                "type": "quantitative",
                "stack": "zero",
                "title": None,
                "scale": {"domain": [0, 1]},
                "axis": {"format": ".0%", "tickCount": 4, "grid": False},
            },
            "color": {
                "field": "outcome",
                "type": "nominal",
                "scale": {"domain": list(names.values()), "range": "outcomes"},
                "legend": {"title": None, "orient": "bottom", "columns": 1},
            },
            "order": {"field": "k"},
            "tooltip": [
                {"field": "bucket", "title": " "},
                {"field": "outcome", "title": " "},
                {"field": "n", "title": " ", "format": ",d"},
            ],
        },
    }
    return _spec(values, [bars], height=len({value["bucket"] for value in values}) * (_BAR + 16))


def held_chart(held: Sequence[Held], label: Callable[[Held], str], _: Gettext) -> Spec | None:
    """The rules that held most accounts back, each with its words above its bar; None where none did."""
    if not held:
        return None
    kinds = {"harsher": _("got a harsher step instead"), "nobody": _("got no contact")}
    values = []
    for place, line in enumerate(held[:MOST_BARS]):
        # Always two lines, the last just above the bar.
        lines = ["", *wrap(label(line))][-_LINES:]
        for k, (kind, n) in enumerate((("harsher", line.harsher), ("nobody", line.nobody))):
            values.append({"rule": f"{place}", "words": lines, "kind": kinds[kind], "n": n, "k": k})
    bar_below = _LINE * _LINES / 2 + 2
    y = {"field": "rule", "type": "nominal", "sort": None, "title": None, "axis": None}
    bars = {
        "mark": {"type": "bar", "height": _THIN, "yOffset": bar_below},
        "encoding": {
            "y": y,
            "x": _COUNTS,
            "color": {
                "field": "kind",
                "type": "nominal",
                "scale": {"domain": list(kinds.values()), "range": "holds"},
                "legend": {"title": None, "orient": "bottom", "columns": 1},
            },
            "order": {"field": "k"},
            "tooltip": [
                {"field": "kind", "title": " "},
                {"field": "n", "title": _("Accounts"), "format": ",d"},
            ],
        },
    }
    sums = {
        "mark": {"type": "text", "align": "left", "dx": 6, "style": "figure", "yOffset": bar_below},
        "encoding": {
            "y": y,
            "x": {"aggregate": "sum", "field": "n", "type": "quantitative"},
            "text": {"aggregate": "sum", "field": "n", "type": "quantitative", "format": ",d"},
        },
    }
    words = {
        "transform": [{"filter": "datum.k === 0"}],
        "mark": {
            "type": "text",
            "align": "left",
            "baseline": "top",
            "lineHeight": _LINE,
            "yOffset": -_THIN / 2 - _LINE * _LINES / 2 + 2,
        },
        "encoding": {"y": y, "x": {"value": 0}, "text": {"field": "words"}},
    }
    return _spec(values, [bars, sums, words], height=len(held[:MOST_BARS]) * (_THIN + _LINE * _LINES + 16))


def wrap(text: str, width: int = _LABEL_WIDTH) -> list[str]:
    """A text in lines of at most `width` half-widths, _LINES at most; a full-width character counts for two.

    Text without spaces is broken between characters, but no line begins with a mark that ends a phrase.
    """
    if sum(map(_is_wide, text)) < len(text) / 3:
        return textwrap.wrap(text, width, max_lines=_LINES, placeholder="…")
    lines = [""]
    for character in text:
        if sum(1 + _is_wide(c) for c in lines[-1] + character) > width:
            # A closing mark takes the character before it along.
            keep = -1 if unicodedata.category(character) in ("Po", "Pe", "Pf") else len(lines[-1])
            lines[-1:] = [lines[-1][:keep], lines[-1][keep:]]
        lines[-1] += character
    return lines if len(lines) <= _LINES else [*lines[: _LINES - 1], lines[_LINES - 1][:-1] + "…"]


def _is_wide(character: str) -> bool:
    return unicodedata.east_asian_width(character) in "WF"


_BUCKETS = range(len(BUCKETS))
#: The scale of bars whose figures stand beside them, so that it needs no axis.
_COUNTS = {
    "field": "n",
    "type": "quantitative",
    "stack": "zero",
    "title": None,
    "axis": None,
    "scale": {"nice": False},
}


def _spec(values: Sequence[Mapping[str, Any]], layers: Sequence[Mapping[str, Any]], height: int) -> Spec:
    return {
        "width": "container",
        "height": height,
        "background": None,
        "data": {"values": values},
        "padding": {"left": 0, "right": 8, "top": 4, "bottom": 4},
        "layer": list(layers),
    }

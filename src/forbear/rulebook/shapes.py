"""The shape of a pack's tables: what kind of value each key takes. Told before anything of a table is read. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time
from typing import Any, NamedTuple

from forbear.errors import WordedError
from forbear.locale import N_


class Kind(NamedTuple):
    """A kind of plain value: its type in TOML, and how it is written."""

    type: type
    remedy: str


TEXT = Kind(str, N_("Write it as text, in quotes."))
DAY = Kind(date, N_("Write a day, as 2026-01-31, without quotes or a time."))
NUMBER = Kind(int, N_("Write a whole number, without quotes."))
FLAG = Kind(bool, N_("Write true or false, without quotes."))

#: A kind; a list of one shape; or a table of keys ("*": every other key). Keys that a table lacks are no matter here.
Shape = Kind | list[Any] | dict[str, Any]

_SAID: Shape = {"*": TEXT}
_FIGURE = {"from": DAY, "is": NUMBER, "lenders": [TEXT]}
_SINCE = {"from": DAY}
INSTRUMENT: Shape = {
    "id": TEXT, "jurisdiction": TEXT, "kind": TEXT, "citation": TEXT, "title": _SAID, "from": DAY, "to": DAY,
}  # fmt: skip
DEFINE: Shape = {"id": TEXT, "is": TEXT, "text": _SAID}
SERIES: Shape = {"id": TEXT, "source": TEXT, "title": _SAID, "values": [_SINCE | {"ppm": NUMBER}]}
RULE: Shape = {
    **dict.fromkeys(
        ("id", "governs", "article", "source", "asked", "when", "forbid", "unless", "tightens", "binds_by"), TEXT
    ),
    "text": _SAID,
    "note": _SAID,
    "verified": FLAG,
    "from": DAY,
    "to": DAY,
    "steps": [TEXT],
    "lenders": [TEXT],
    "products": [TEXT],
    "hours": [_SINCE | {"opens": TEXT, "closes": TEXT}],
    "cap": [_SINCE | {"ppm": NUMBER, "times": NUMBER, "series": TEXT, "respite_days": NUMBER}],
    "keep": [_SINCE | {"months": NUMBER, "after": TEXT}],
    "within": [_SINCE | {"days": NUMBER, "after": TEXT, "do": TEXT, "workdays": FLAG}],
    "values": {"*": [_FIGURE]},
    "values_stricter": _SAID,
    "examples": [{"facts": {}, "says": TEXT, "at": TEXT, "on": DAY, "ppm": NUMBER, "after": DAY, "until": DAY}],
}
PACK: Shape = {"instrument": {}, "define": [{}], "rule": [{}], "series": [{}]}


def misshapen(given: Any, shape: Shape, where: str = "") -> Iterator[WordedError]:
    """What of a value is not of its shape, a line each: the key, what stands there, what to write."""
    if isinstance(shape, Kind):
        # A TOML time is a day to Python, and true a number.
        if type(given) is not shape.type:
            yield _wrong(where, given, shape.remedy)
    elif isinstance(shape, dict):
        if not isinstance(given, Mapping):
            yield _wrong(where, given, N_("Write a table: a key and its value, in braces or under its heading."))
            return
        for key, value in given.items():
            if (of := shape.get(key, shape.get("*"))) is not None:
                yield from misshapen(value, of, f"{where}.{key}" if where else key)
    elif not isinstance(given, Sequence) or isinstance(given, str) or not given:
        yield _wrong(where, given, N_("Write a list of one or more, in brackets."))
    else:
        for value in given:
            yield from misshapen(value, shape[0], where)


def _wrong(key: str, given: Any, remedy: str) -> WordedError:
    return WordedError(N_("%(key)s is %(given)s. %(remedy)s"), key=key, given=_short(given), remedy=WordedError(remedy))


def _short(given: Any) -> str:
    told = _written(given)
    return told if len(told) <= 40 else told[:40] + "…"


def _written(given: Any) -> str:
    """A value as TOML writes it."""
    match given:
        case bool():
            return str(given).lower()
        case date() | time():
            return given.isoformat()
        case Mapping():
            return f"{{ {', '.join(f'{key} = {_written(value)}' for key, value in given.items())} }}" if given else "{}"
        case list():
            return f"[{', '.join(map(_written, given))}]"
        case _:
            return repr(given)

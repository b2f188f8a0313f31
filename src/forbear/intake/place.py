"""Do the time zones of a borrower suit the place? Hours are lawful by the clock of where the borrower is."""

import re
from datetime import date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

from babel.core import get_global

from forbear.intake.derive import state_zones

#: China keeps one time; by the clock of Urumqi, which people of Xinjiang use besides, 22:00 is midnight in Beijing.
_ONE_TIME = {"CN": "Asia/Shanghai"}
#: A year's offsets from UTC, in winter and in summer.
_Offsets = tuple[timedelta | None, timedelta | None]


def suits(zones: str, place: str | None, jurisdiction: str, year: int) -> bool:
    """Has at least one of the zones the clock of the place; without a place, of the book's jurisdiction?

    Clocks are compared, not names, since a zone has several. Where the place can't be read, or nothing is known of
    it, there is nothing to compare. Zones beyond the place's own only narrow the hours.
    """
    if place is not None and not re.match(r"[A-Za-z]{2}(-|$)", place):
        return True
    own = _clocks((place or jurisdiction).upper(), year)
    return not own or any(_offsets(zone, year) in own for zone in zones.split("|"))


@cache
def _clocks(place: str, year: int) -> frozenset[_Offsets]:
    """The clocks of a country, or of a state of the United States."""
    country = place[:2]
    told = state_zones().get(place.removeprefix("US-")) if country == "US" else _ONE_TIME.get(country)
    named = told.split("|") if told else [zone for zone, where in _territories().items() if where == country]
    return frozenset(_offsets(zone, year) for zone in named)


@cache
def _offsets(zone: str, year: int) -> _Offsets:
    place = ZoneInfo(zone)
    winter, summer = (datetime.combine(date(year, month, 15), time(), place).utcoffset() for month in (1, 7))
    return winter, summer


@cache
def _territories() -> dict[str, str]:
    return dict(get_global("zone_territories"))

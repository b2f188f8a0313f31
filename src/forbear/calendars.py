"""Public holidays and working days by place: official files first, then the kept libraries; never a guess.

The one calendar of all rooms: rules ask it for holidays and deadlines, the ledger where a due date moves
(ledger/roll.py). A place is the code of a jurisdiction, an ISO 3166 country in small letters.
"""

import contextlib
import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta

import chinese_calendar
import holidays

from forbear.errors import CalendarUnknown, WordedError
from forbear.locale import N_

_SATURDAY = 5
#: A year's calendar has more days off than this anywhere; a file with fewer would call the others working days.
_FEWEST_DAYS_OFF = 7


@dataclass(frozen=True, slots=True)
class Calendar:
    """One year's public holidays of a place, and the weekend days on which it works in their stead."""

    days_off: frozenset[date]
    swapped: frozenset[date]


#: (place, year) -> the calendar that the operator has put on file.
Calendars = Mapping[tuple[str, int], Calendar]


def read_calendar(content: bytes) -> tuple[int, Calendar]:
    """A year's calendar in the JSON of holiday-cn: {year, days: [{date, isOffDay}]}.

    Raises ValueError, KeyError, WordedError.
    """
    data = json.loads(content)
    days = [(date.fromisoformat(each["date"]), bool(each["isOffDay"])) for each in data["days"]]
    year, off_days = int(data["year"]), frozenset(day for day, off in days if off)
    if sum(day.year == year for day in off_days) < _FEWEST_DAYS_OFF:
        raise WordedError(
            N_("lists fewer than %(least)s days off of %(year)s: it is no whole year. Take the published file."),
            least=_FEWEST_DAYS_OFF,
            year=year,
        )
    return year, Calendar(off_days, frozenset(day for day, off in days if not off))


def public_holiday(calendars: Calendars, place: str, day: date) -> bool | None:
    """Is `day` a public holiday in a place (its jurisdiction's code)? None where that year's calendar is not known.

    A plain weekend is no public holiday. China: `chinesecalendar`, which refuses years that are not
    published; other places: `holidays`, national days (of the United Kingdom those of each of its countries: who is
    left in peace in one is in all), and None where it estimates a date.
    """
    if (own := calendars.get((place, day.year))) is not None:
        return day in own.days_off
    if place == "cn":
        try:
            return chinese_calendar.get_holiday_detail(day)[1] is not None and chinese_calendar.is_holiday(day)
        except NotImplementedError:
            return None
    years = [_listed(place, day.year, part) for part in _PARTS.get(place, (None,))]
    names = [name for listed in years if listed is not None and (name := listed.get(day))]
    if any("estimated" not in name for name in names):
        return True
    return None if names or None in years else False


def working_day(calendars: Calendars, place: str, day: date) -> bool:
    """Is `day` a working day in a place? Raises CalendarUnknown where that year's calendar is not known.

    Nor is it known where a holiday of that year is only estimated: another day may turn out to be off in its stead.
    """
    if (own := calendars.get((place, day.year))) is not None:
        return day in own.swapped or (day not in own.days_off and day.weekday() < _SATURDAY)
    if place == "cn":
        with contextlib.suppress(NotImplementedError):
            return bool(chinese_calendar.is_workday(day))
    elif (listed := _listed(place, day.year)) is not None and not any("estimated" in each for each in listed.values()):
        return listed.is_working_day(day)
    raise CalendarUnknown(
        N_(
            "%(place)s: the calendar of %(year)s is not on file. Put the published one, in the JSON of holiday-cn,"
            " under FORBEAR_HOME/packs/calendars/%(place)s/%(year)s.json."
        ),
        place=place,
        year=day.year,
    )


def add_working_days(calendars: Calendars, place: str, start: date, days: int) -> date:
    """The day that is `days` working days after `start`, which itself does not count. Raises CalendarUnknown."""
    day = start
    while days:
        day += timedelta(days=1)
        days -= working_day(calendars, place, day)
    return day


#: Where few days are the whole place's and each of its parts has more, by the library's names.
_PARTS: Mapping[str, tuple[str, ...]] = {"gb": ("ENG", "NIR", "SCT", "WLS")}


@functools.lru_cache(maxsize=64)
def _listed(place: str, year: int, part: str | None = None) -> holidays.HolidayBase | None:
    """The holidays of a year, of a place or a part of it, by the library; None where it does not know the place."""
    try:
        return holidays.country_holidays(place.upper(), subdiv=part, years=year, language="en_US")
    except NotImplementedError:
        return None

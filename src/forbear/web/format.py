"""Values as a reader sees them: money, days, hours and counts in one language."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple
from zoneinfo import ZoneInfo

from babel.core import get_global
from babel.dates import format_date, format_datetime, get_timezone_name
from babel.numbers import format_decimal, format_percent

from forbear.locale import Language
from forbear.locale.words import word
from forbear.nightly.explain import money
from forbear.rulebook.cite import citation, cited
from forbear.rulebook.models import Rule

#: CLDR's name of a place, where the time zone database has a newer one.
_OLDER_NAMES = {new: old for old, new in get_global("zone_aliases").items() if old in get_global("meta_zones")}


class LocalHours(NamedTuple):
    """A lawful window on the borrower's clock, and the name of the zone or zones whose clock it is."""

    hours: str
    place: str


class Formats:
    """Writes values in one language. Every method is pure; none reads a clock."""

    def __init__(self, language: Language) -> None:
        self._tag, self._locale = language.tag, language.locale
        self.colon, self.comma, self.semicolon, self.pause, self._aside = language.marks

    def money(self, minor: int, currency: str) -> str:
        """An amount in minor units, with its currency."""
        return money(minor, currency, self._tag)

    def day(self, day: date) -> str:
        """A legal day."""
        return format_date(day, "medium", self._locale)

    def instant(self, at: datetime) -> str:
        """An instant to the minute, in UTC and saying so."""
        return f"{self.day(at.astimezone(UTC).date())} {format_datetime(at.astimezone(UTC), 'HH:mm')} UTC"

    def on_clock(self, at: datetime, zone: str) -> str:
        """An instant to the minute on the clock of a zone, with the zone's name."""
        local = at.astimezone(ZoneInfo(zone))
        return f"{self.day(local.date())} {local:%H:%M}" + self._aside.format(self._zone_name(zone, local))

    def city(self, zone: str) -> str:
        """The city that a zone is named for."""
        known = self._locale.time_zones
        named = known.get(zone) or known.get(_OLDER_NAMES.get(zone, zone)) or {}
        return str(named.get("city") or zone.split("/")[-1].replace("_", " "))

    def count(self, number: int) -> str:
        """A whole number."""
        return format_decimal(number, locale=self._locale)

    def share(self, part: int, whole: int) -> str:
        """A part of a whole in per cent; an empty whole has none."""
        return format_percent(Decimal(part) / whole, "#,##0.0%", locale=self._locale) if whole else "–"

    def text(self, text: Mapping[str, str]) -> str:
        """The text in this language, of one that is held in several."""
        return text[self._tag]

    def word(self, name: str) -> str:
        """A word that the rulebook has as an identifier."""
        return word(name, self._tag)

    def article(self, article: str) -> str:
        """The number of an article."""
        return cited(article, self._tag)

    def cited(self, rule: Rule) -> str:
        """A rule's instrument and article."""
        return citation(self.text(rule.instrument.title), rule.article, self._tag)

    def place(self, jurisdiction: str) -> str:
        """The name of a place whose law applies."""
        return str(self._locale.territories.get(jurisdiction.upper(), jurisdiction))

    def local_hours(
        self, earliest: datetime | None, latest: datetime | None, zones: Sequence[str], on: date
    ) -> tuple[LocalHours, ...]:
        """A window between two instants on the clock of each zone; zones whose clocks agree are named together.

        Without a window, or where the place is not known, there is nothing to show. A time that is not
        of the day `on` carries the difference in days.
        """
        if earliest is None or latest is None:
            return ()
        places: dict[str, list[str]] = {}
        for zone in zones:
            clock = ZoneInfo(zone)
            hours = f"{_clock(earliest, clock, on)}–{_clock(latest, clock, on, closing=True)}"
            names = places.setdefault(hours, [])
            name = self._zone_name(zone, earliest.astimezone(clock))
            if name not in names:
                names.append(name)
        return tuple(LocalHours(hours, " · ".join(names)) for hours, names in places.items())

    def _zone_name(self, zone: str, at: datetime) -> str:
        """The name of a zone at that instant: places of one zone's name need not share its summer time.

        Babel gives a bare offset for places that CLDR keeps under an older name (Kolkata, Indianapolis).
        """
        names = self._locale.meta_zones.get(get_global("meta_zones").get(_OLDER_NAMES.get(zone, zone)), {})
        name = names.get("long", {}).get("daylight" if at.dst() else "standard")
        return str(name) if name else get_timezone_name(at, locale=self._locale)


def _clock(at: datetime, clock: ZoneInfo, on: date, closing: bool = False) -> str:
    local = at.astimezone(clock)
    if closing and local.time() == time() and local.date() == on + timedelta(days=1):
        return "24:00"
    days = (local.date() - on).days
    return f"{local:%H:%M}" + (f" ({days:+d})" if days else "")

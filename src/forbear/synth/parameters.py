"""The generator's parameters, read from its two data files: what is fitted, and what is cited or chosen."""

import csv
import functools
import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from forbear.locale import N_
from forbear.synth.errors import SynthError

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

#: Counted with the book's name: a change of the process or of a figure is a new version.
VERSION = 1
_FULL_MONTH_DAYS = 15  # width of LendingClub's two bands of days past due


@dataclass(frozen=True)
class Choice:
    """Values with their shares; `draw` turns uniform numbers into places in the list."""

    values: Sequence[Any]
    shares: Sequence[float]

    def draw(self, uniform: Floats) -> Ints:
        """The place in `values` that each uniform number falls on."""
        edges = np.cumsum(self.shares) / math.fsum(self.shares)
        edges[-1] = 1.0  # whatever the rounding of the sum
        return np.searchsorted(edges, uniform, side="right").astype(np.int64)


@dataclass(frozen=True)
class Quantiles:
    """A distribution given by quantiles, straight lines between them, rounded to a step."""

    at: Sequence[float]
    values: Sequence[int]
    step: int

    def draw(self, uniform: Floats) -> Ints:
        """The value at each uniform number."""
        steps = np.interp(uniform, self.at, np.asarray(self.values, dtype=np.float64)) / self.step
        return np.rint(steps).astype(np.int64) * self.step


@dataclass(frozen=True)
class Yes:
    """The share of yes and the share not known; the rest is no."""

    yes: float
    unknown: float


@dataclass(frozen=True)
class Until:
    """A share, and the span of days about the day itself on which the thing ends."""

    share: float
    first: int
    last: int


@dataclass(frozen=True)
class Planned:
    """One contact of the ladder; `after` holds the places of the contacts that it needs."""

    step: str
    dpd: int
    spread: int
    share: float
    after: tuple[int, ...]


@dataclass(frozen=True)
class Chain:
    """The monthly chain over C, M1, M2, M3, M4+.

    moves: probabilities, a row for each bucket; the columns are C, M1, M2, M3, M4+ without falling
    further behind, and one instalment deeper in M4+. hazard: the daily rate at which those who pay
    late within the month do so.
    """

    moves: Floats
    hazard: float


@dataclass(frozen=True)
class Parameters:
    """All that the process needs for one jurisdiction."""

    jurisdiction: str
    currency: str
    language: str
    lender_type: str
    collector: str
    terms: Choice
    principal_minor: Quantiles
    annual_rate_ppm: Quantiles
    penalty_percent_of_rate: int
    late_fee_minor: int
    late_fee_ppm: int
    grace_days: int
    charged_off_after_days: int
    chain: Chain
    on_due_date: float
    early_days: int
    places: Choice  # (place, zones, minutes to add to UTC for the earliest of the standard clocks)
    zones_unknown: float
    borrower: Mapping[str, Yes]
    agreed_share: float
    agreed_hours: Sequence[tuple[int, int]]
    hardship: Until
    dispute_open: Yes
    promise: Until
    plan: Until
    history_days: int
    reminder_days_before: int
    reminder_share: float
    contact_from_min: int
    contact_to_min: int
    outcomes: Mapping[str, Choice]
    ladder: Sequence[Planned]

    @property
    def longest(self) -> int:
        """The longest term, in months."""
        return int(max(self.terms.values))


def jurisdictions() -> tuple[str, ...]:
    """The places for which a book can be drawn."""
    return tuple(_toml("parameters.toml")["jurisdiction"])


@functools.cache
def parameters(jurisdiction: str) -> Parameters:
    """The parameters for `jurisdiction`. Raises SynthError for a place that has none."""
    chosen, fitted = _toml("parameters.toml"), _toml("fitted.toml")
    if jurisdiction not in chosen["jurisdiction"]:
        raise SynthError(
            N_("--jurisdiction %(place)s: no such place; give one of %(known)s."),
            place=jurisdiction,
            known=", ".join(jurisdictions()),
        )
    here = chosen["jurisdiction"][jurisdiction]
    borrower, contact, arrears = chosen["borrower"], chosen["contact"], chosen["arrears"]
    loans = fitted["loans"]
    facts = ("can_sms", "can_call", "can_write", "bankrupt", "incapable")
    return Parameters(
        jurisdiction=jurisdiction,
        currency=here["currency"],
        language=here["language"],
        lender_type=here["lender_type"],
        collector=here["collector"],
        terms=Choice(**here["terms"]),
        principal_minor=(
            Quantiles(**here["principal_minor"])
            if "principal_minor" in here
            else Quantiles(loans["quantiles"], [100 * x for x in loans["amount"]], here["principal_step"])
        ),
        annual_rate_ppm=(
            Quantiles(**here["annual_rate_ppm"])
            if "annual_rate_ppm" in here
            else Quantiles(loans["quantiles"], loans["rate_ppm"], here["rate_step"])
        ),
        penalty_percent_of_rate=here["penalty_percent_of_rate"],
        late_fee_minor=here["late_fee_minor"],
        late_fee_ppm=here["late_fee_ppm"],
        grace_days=here["grace_days"],
        charged_off_after_days=here["charged_off_after_days"],
        chain=_chain(fitted),
        on_due_date=chosen["payment"]["on_due_date"],
        early_days=chosen["payment"]["early_days"],
        places=_places(jurisdiction),
        zones_unknown=borrower["zones_unknown"],
        borrower={name: Yes(**borrower[name]) for name in facts}
        | {name: Yes(**value) for name, value in borrower[jurisdiction].items()},
        agreed_share=borrower["agreed"]["share"],
        agreed_hours=[(first, last) for first, last in borrower["agreed"]["hours"]],
        hardship=_until(borrower["hardship"]),
        dispute_open=Yes(**arrears["dispute_open"]),
        promise=_until(arrears["promise"]),
        plan=_until(arrears["plan"]),
        history_days=contact["history_days"],
        reminder_days_before=contact["reminder"]["days_before"],
        reminder_share=contact["reminder"]["share"],
        contact_from_min=contact["from_min"],
        contact_to_min=contact["to_min"],
        outcomes={s: Choice(list(o), list(o.values())) for s, o in contact["outcomes"].items()},
        ladder=_ladder(contact[jurisdiction]),
    )


def _chain(fitted: Mapping[str, Any]) -> Chain:
    counts = np.asarray(fitted["cards"]["counts"], dtype=np.float64)
    moves = np.zeros((5, 6))
    moves[:, :5] = counts / counts.sum(axis=1, keepdims=True)
    stay = fitted["cards"]["stay_m4"]
    moves[4, 5] = moves[4, 4] * stay["deeper"] / (stay["same"] + stay["deeper"])
    moves[4, 4] -= moves[4, 5]
    # If those past due leave at a steady daily rate h, the second band is exp(-15 h) of the first.
    loans = fitted["loans"]
    hazard = math.log(loans["late_1_15"] / loans["late_16_30"]) / _FULL_MONTH_DAYS
    return Chain(moves, hazard)


def _places(jurisdiction: str) -> Choice:
    if jurisdiction == "cn":
        return Choice([("CN", "Asia/Shanghai", 480)], [1.0])
    rows = list(csv.DictReader(_text("us_states.csv").splitlines()))
    winter = datetime(2026, 1, 15)  # noqa: DTZ001 (a wall clock, read in each zone below)
    values = [
        (
            f"US-{row['state']}",
            row["zones"],
            min(_minutes(winter.replace(tzinfo=ZoneInfo(zone))) for zone in row["zones"].split("|")),
        )
        for row in rows
    ]
    return Choice(values, [float(row["population"]) for row in rows])


def _minutes(moment: datetime) -> int:
    offset = moment.utcoffset()
    assert offset is not None
    return int(offset.total_seconds() // 60)


def _until(raw: Mapping[str, Any]) -> Until:
    return Until(raw["share"], raw["from"], raw["to"])


def _ladder(raw: Sequence[Mapping[str, Any]]) -> list[Planned]:
    place = {line["id"]: k for k, line in enumerate(raw)}
    return [
        Planned(
            line["step"], line["dpd"], line["spread"], line["share"], tuple(place[x] for x in line.get("after", ()))
        )
        for line in raw
    ]


def _toml(name: str) -> dict[str, Any]:
    return tomllib.loads(_text(name))


def _text(name: str) -> str:
    return resources.files("forbear.synth").joinpath("data", name).read_text(encoding="utf-8")

"""The figures of a run: how many accounts at each step, by arrears bucket. The command and the console read it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import sqlalchemy as sa

from forbear.ledger import arrears
from forbear.locale import N_
from forbear.rulebook.models import LANGUAGES, Rule, Text
from forbear.store.tables import book, decision, run

#: The order in which runs count: the newest day first, of one day the newest run. The first is tonight's.
NEWEST_FIRST = (run.c.as_of.desc(), run.c.id.desc())


@dataclass(frozen=True, slots=True)
class Bucket:
    """A span of days past due, `least` to `most` inclusive; `most` None: without end."""

    id: str
    least: int
    most: int | None
    name: Text


def _named(bucket: arrears.Bucket) -> Bucket:
    """A bucket of the ledger by a name, and by an id that an address can hold as it is."""
    if bucket.first == 0:
        name = {"zh-Hans": "未逾期", "zh-Hant": "未逾期", "en": "current"}
        return Bucket(bucket.id, 0, bucket.last, name)
    if bucket.last is None:
        return Bucket(f"over-{bucket.first - 1}", bucket.first, None, _span(bucket.id))
    return Bucket(bucket.id, bucket.first, bucket.last, _span(f"{bucket.first}–{bucket.last}"))


def _span(text: str) -> Text:
    return dict.fromkeys(LANGUAGES, text)


#: The ledger's own, so that night, history and statement can't differ.
BUCKETS = tuple(map(_named, arrears.MONTHLY.ladder))


@dataclass(frozen=True, slots=True)
class Summary:
    """{step: {bucket id: accounts}} of one run."""

    counts: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """A book of whose contacts nothing is on record on a day; `until` is the last day told, None where none is."""

    book: str
    until: date | None

    def told(self, gettext: Callable[[str], str], day: Callable[[date], str], on: date) -> str:
        """In words: why nobody of the book is contacted to collect on a day, and what to do."""
        if self.until is None:
            text = N_(
                "%(book)s: borrowers, loans, payments and contacts were not all taken in, so nobody is contacted to"
                " collect on %(day)s. Import them: forbear import."
            )
            return gettext(text) % {"book": self.book, "day": day(on)}
        text = N_(
            "%(book)s: contacts are on record until %(until)s, so nobody is contacted to collect on %(day)s."
            " Import a newer picture: forbear import."
        )
        return gettext(text) % {"book": self.book, "until": day(self.until), "day": day(on)}


_OF_PERSON = """
    SELECT DISTINCT b.name, b.recorded_until FROM account asked
    JOIN borrower who ON who.id = asked.borrower_id
    JOIN borrower same ON coalesce(same.same_as, same.id) = coalesce(who.same_as, who.id)
    JOIN account a ON a.borrower_id = same.id JOIN book b ON b.id = a.book_id
    WHERE asked.id = :id AND (b.recorded_until IS NULL OR b.recorded_until < :day) ORDER BY b.name"""


#: Facts that a record which does not reach the day can't tell: a rule that reads one may stand for that alone.
_OF_RECORD = frozenset(("history_days", "days_since_first_contact"))


def unrecorded_of(
    connection: sa.Connection, account_id: int, on: date, against: Iterable[Rule]
) -> tuple[Unrecorded, ...]:
    """The books of all loans of an account's person whose record of contacts does not reach a day.

    None where no rule that stands `against` the contact asks how far the record reaches: a notice that the law demands
    is not held by that.
    """
    if not any(_OF_RECORD & rule.facts_read() for rule in against):
        return ()
    rows = connection.execute(sa.text(_OF_PERSON), {"id": account_id, "day": on})
    return tuple(Unrecorded(*row) for row in rows)


def bucket_of(dpd: sa.ColumnElement[int]) -> sa.ColumnElement[str]:
    """The bucket's id of a column of days past due."""
    return sa.case(*((dpd <= b.most, b.id) for b in BUCKETS if b.most is not None), else_=BUCKETS[-1].id)


def summary(connection: sa.Connection, run_id: int) -> Summary:
    """The figures of a run, summed by the database."""
    bucket = bucket_of(decision.c.dpd).label("bucket")
    query = (
        sa.select(decision.c.step, bucket, sa.func.count())
        .where(decision.c.run_id == run_id)
        .group_by(decision.c.step, bucket)
    )
    counts: dict[str, dict[str, int]] = {}
    for step, name, n in connection.execute(query):
        counts.setdefault(step, {})[name] = n
    return Summary(counts)


def unrecorded(connection: sa.Connection, on: date, real_only: bool = False) -> list[Unrecorded]:
    """The books, by name, whose record of contacts does not reach a day: nobody of them is collected from on it.

    real_only: without synthetic books, where another is on file, as a night leaves them out.
    """
    query = sa.select(book.c.name, book.c.recorded_until, book.c.synthetic).order_by(book.c.name)
    rows = connection.execute(query).all()
    left_out = real_only and not all(row.synthetic for row in rows)
    return [
        Unrecorded(row.name, row.recorded_until)
        for row in rows
        if (row.recorded_until is None or row.recorded_until < on) and not (left_out and row.synthetic)
    ]

"""The days that a book in Forbear's own format never told of, for want of the column: taken as none, and said so.

An empty cell says "none on record"; a column that is not there says nothing, and must not pass for the same. Hardship,
promises and plans are the lender's own to grant, so that its silence is taken as none. A statutory respite is told to
it from outside: where the law of the place knows one, silence is not known (docs/decisions/0008).
"""

import json
from collections.abc import Collection, Mapping
from typing import Any

import psycopg

from forbear.locale import LANGUAGES, N_

#: The facts that rest on each column of days, by its table.
FACTS = {
    ("borrowers", "hardship_until"): "hardship_open",
    ("borrowers", "respite_until"): "respite_open",
    ("loans", "promise_due_on"): "promise_open",
    ("loans", "plan_until"): "plan_active",
}
_NONE = N_(
    "%(table)s: without the column %(column)s, taken as none on record; add the column, with empty cells where there is"
    " none."
)
_UNKNOWN = N_(
    "%(table)s: without the column %(column)s, not known where the law of the place has a respite from collection, else"
    " taken as none on record; add the column, with empty cells where there is none."
)
#: What is said of each column that never came.
SENTENCES = {column: _UNKNOWN if column == "respite_until" else _NONE for _, column in FACTS}


def assume(
    connection: psycopg.Connection[Any], book_id: int, import_id: int, columns: Mapping[str, Collection[str]]
) -> None:
    """Keep what is assumed of a book with its derivations, as the import ends. The caller commits.

    Assumed is what the first import of a table lacks, until one that is not older than any has the column.

    Args:
        columns: those of each table that came.
    """
    for (table, column), fact in FACTS.items():
        if table not in columns:
            continue
        others = (
            "EXISTS (SELECT FROM import o JOIN import mine ON mine.id = %s WHERE o.book_id = mine.book_id"
            " AND o.id <> mine.id AND o.finished_at IS NOT NULL AND %s = ANY (o.tables){which})"
        )
        if column in columns[table]:
            newer = others.format(which=" AND (o.taken_on, o.id) > (mine.taken_on, mine.id)")
            connection.execute(
                f"DELETE FROM derivation WHERE book_id = %s AND code = %s AND of_all AND NOT {newer}",
                (book_id, column, import_id, table),
            )
        else:
            said = {
                tag: language.catalogue.gettext(SENTENCES[column]) % {"table": table, "column": column}
                for tag, language in LANGUAGES.items()
            }
            connection.execute(
                "INSERT INTO derivation (book_id, code, kind, facts, text, of_all)"
                f" SELECT %s, %s, 'assumed', %s, %s, true WHERE NOT {others.format(which='')} ON CONFLICT DO NOTHING",
                (book_id, column, [fact], json.dumps(said, ensure_ascii=False), import_id, table),
            )
    # A copy beside what the gate reads anyway: it is asked for with each contact.
    connection.execute(
        "UPDATE book SET respite_untold = EXISTS (SELECT FROM derivation"
        " WHERE book_id = %s AND code = 'respite_until' AND of_all) WHERE id = %s",
        (book_id, book_id),
    )


def assumed(connection: psycopg.Connection[Any], book_id: int) -> tuple[tuple[str, str], ...]:
    """What is assumed of a book: (table, column), in the order of the format."""
    rows = connection.execute("SELECT code FROM derivation WHERE book_id = %s AND of_all", (book_id,))
    codes = {code for (code,) in rows}
    return tuple((table, column) for table, column in FACTS if column in codes)

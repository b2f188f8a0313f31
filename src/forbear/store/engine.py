"""Connections to the system of record: SQLAlchemy for rows, psycopg for COPY, ADBC for Arrow."""

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import sqlalchemy as sa

from forbear.store.errors import one_line
from forbear.store.server import database_url

if TYPE_CHECKING:  # ADBC brings pandas along, and Alembic is for migrations only: each is imported where it is used
    import adbc_driver_postgresql.dbapi as adbc


@functools.cache
def _engine(url: str, options: str) -> sa.Engine:
    address = sa.make_url(url).set(drivername="postgresql+psycopg")
    options = f"{address.query.get('options', '')} {options}".strip()
    # A connection that was opened is kept: what it has prepared is worth more than its place.
    return sa.create_engine(
        address, pool_size=16, max_overflow=0, pool_pre_ping=True, connect_args={"options": options} if options else {}
    )


def engine(options: str = "") -> sa.Engine:
    """The pool of SQLAlchemy connections to the database that is in force now, opened with libpq's `options`."""
    return _engine(database_url(), options)


def copy_connection() -> psycopg.Connection[Any]:
    """A psycopg connection of its own, for COPY. The caller commits and closes it."""
    with one_line():
        return psycopg.connect(database_url())


def arrow_connection() -> "adbc.Connection":
    """An ADBC connection of its own, that reads query results as Arrow."""
    import adbc_driver_postgresql.dbapi as adbc

    return adbc.connect(database_url())


def migrate() -> None:
    """Bring the schema to the newest revision. Safe to call each time, and from several processes."""
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    with one_line(), engine().begin() as connection:
        # One migrator at a time; the lock goes with the transaction.
        connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext('forbear.migrate'))"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

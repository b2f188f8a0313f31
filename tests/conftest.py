"""Fixtures: a real PostgreSQL for the whole session, and a fresh migrated database for each test."""

import os
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
import sqlalchemy as sa

from forbear import cli
from forbear.store import engine as store
from forbear.store.server import database_url


@pytest.fixture(scope="session")
def database() -> Iterator[str]:
    """The address of a server: FORBEAR_TEST_DATABASE_URL if given, else an embedded one in a folder of its own.

    Not in pytest's own folder: pytest closes that to all but this user at each start, and the server of
    root's tests runs as another user.
    """
    if given := os.environ.get("FORBEAR_TEST_DATABASE_URL"):
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="forbear-test-", ignore_cleanup_errors=True) as folder:
        os.chmod(folder, 0o755)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("FORBEAR_HOME", folder)
            patch.delenv("FORBEAR_DATABASE_URL", raising=False)
            url = database_url()
        yield url


@pytest.fixture(scope="session")
def _template(database: str) -> Iterator[str]:
    """A migrated database that fresh ones are copied from: a copy takes 50 ms, a migration ten times that."""
    name = f"forbear_template_{uuid.uuid4().hex[:12]}"
    _admin(database, f'CREATE DATABASE "{name}"')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORBEAR_DATABASE_URL", _named(database, name))
        store.migrate()
        store.engine().dispose()
    yield name
    if "FORBEAR_TEST_DATABASE_URL" in os.environ:  # an embedded server goes with its folder
        _admin(database, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def fresh_db(database: str, _template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A new, empty, migrated database; FORBEAR_DATABASE_URL points at it, for subprocesses too."""
    name = f"forbear_test_{uuid.uuid4().hex[:12]}"
    _admin(database, f'CREATE DATABASE "{name}" TEMPLATE "{_template}"')
    url = _named(database, name)
    monkeypatch.setenv("FORBEAR_DATABASE_URL", url)
    yield url
    store.engine().dispose()
    _admin(database, f'DROP DATABASE "{name}" WITH (FORCE)')


Asked = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def asked(fresh_db: str) -> Asked:
    """What the database itself says to a question in SQL."""

    def ask(query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(fresh_db) as connection:
            return connection.execute(query).fetchall()

    return ask


def write_book(folder: Path, declared: str, tables: Mapping[str, str]) -> Path:
    """A book in Forbear's own format: `declared` is its book.toml, `tables` its CSV files by name."""
    folder.mkdir(exist_ok=True)
    (folder / "book.toml").write_text(declared, "utf-8")
    for table, text in tables.items():
        (folder / f"{table}.csv").write_text(text, "utf-8")
    return folder


def _admin(database: str, command: str) -> None:
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(command)


def _named(url: str, database: str) -> str:
    return sa.make_url(url).set(database=database).render_as_string(hide_password=False)


class Ended(NamedTuple):
    """How a command ended: its exit code, what it printed, what it said on stderr."""

    code: int
    out: str
    err: str


Typed = Callable[..., Ended]


@pytest.fixture
def forbear(fresh_db: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Typed:
    """The command, in this process: a process of its own takes two seconds to begin."""

    def run(*options: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["forbear", *map(str, options)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return Ended(int(ended.value.code or 0), *capsys.readouterr())

    return run

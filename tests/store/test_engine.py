"""The system of record answers, keeps its schema in step, and says in one line when it is away."""

from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from forbear.store import engine as store
from forbear.store.engine import copy_connection, engine, migrate
from forbear.store.errors import StoreDown
from forbear.store.tables import metadata

MIGRATIONS = Path(store.__file__).parent / "migrations"


def test_the_migrations_and_the_tables_say_the_same(fresh_db: str) -> None:
    with engine().connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_migrating_twice_changes_nothing(fresh_db: str) -> None:
    migrate()
    with engine().connect() as connection:
        found = connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalars().all()
    assert found == ScriptDirectory(str(MIGRATIONS)).get_heads()


def _migrated(url: str, revision: str) -> None:
    """The schema as it was at a revision, without a row."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    with engine().begin() as connection:
        connection.execute(sa.text("DROP SCHEMA public CASCADE"))
        connection.execute(sa.text("CREATE SCHEMA public"))
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def _before(revision: str) -> str:
    before = ScriptDirectory(str(MIGRATIONS)).get_revision(revision).down_revision
    assert isinstance(before, str)
    return before


def test_keys_on_file_in_either_case_become_one_person(fresh_db: str) -> None:
    # Given two borrowers under one hexadecimal key, one in capitals, and one under base64 that differs in case alone.
    _migrated(fresh_db, _before("0012"))
    key, base64 = "AB12" * 16, "aB+/" * 11
    with psycopg.connect(fresh_db) as connection:
        connection.execute(
            "INSERT INTO book (name, jurisdiction, lender_type, collector, currency) VALUES ('b','cn','bank','x','CNY')"
        )
        for ref, written in (("a", key.lower()), ("b", key), ("c", base64), ("d", base64.upper())):
            connection.execute(
                "INSERT INTO borrower (book_id, ref, person_key) SELECT id, %s, %s FROM book", (ref, written)
            )
    migrate()
    with psycopg.connect(fresh_db) as connection:
        found = connection.execute(
            "SELECT b.ref, o.ref FROM borrower b LEFT JOIN borrower o ON o.id = b.same_as ORDER BY 1"
        ).fetchall()
    assert found == [("a", None), ("b", "a"), ("c", None), ("d", None)]


def test_a_database_that_is_down_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORBEAR_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(StoreDown) as told:
        copy_connection()
    assert "FORBEAR_DATABASE_URL" in str(told.value) and "\n" not in str(told.value)

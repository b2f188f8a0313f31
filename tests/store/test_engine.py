"""The system of record answers, keeps its schema in step, and says in one line when it is away."""

from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
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


def test_a_database_that_is_down_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORBEAR_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")
    with pytest.raises(StoreDown) as told:
        copy_connection()
    assert "FORBEAR_DATABASE_URL" in str(told.value) and "\n" not in str(told.value)

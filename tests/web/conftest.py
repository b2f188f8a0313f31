"""Fixtures of the console: two small books, two nights over them, and the console asked directly."""

import uuid
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient
from tests.contact.conftest import FACTS, book, law, store, wanted  # noqa: F401

from forbear.contact.models import Request as Contact
from forbear.contact.services import ask, report, use
from forbear.intake.services import import_book
from forbear.nightly.run import nightly
from forbear.rulebook.load import load
from forbear.store.engine import engine
from forbear.synth.draw import Request
from forbear.synth.parameters import parameters
from forbear.synth.write import write
from forbear.web.app import console

FIRST_NIGHT, TONIGHT = date(2018, 6, 30), date(2026, 6, 30)
Asked = Callable[..., list[Any]]
SYNTHETIC = "synthetic-cn-small"
HEAD = "rownames,state,loan_amount,term,interest_rate,installment,issue_month,loan_status,paid_total,paid_late_fees\n"
LOANS = (("NY", "Current", "1328.56"), ("KY", "In Grace Period", "996.42"), ("CA", "Late (16-30 days)", "996.42"))


def _take_in(folder: Path) -> None:
    rows = (f"{n},{s},10000,36,12.00,332.14,Feb-2018,{t},{p},0" for n, (s, t, p) in enumerate(LOANS, start=1))
    path = folder / "loans.csv"
    path.write_text(HEAD + "\n".join(rows) + "\n", "utf-8")
    assert import_book(path, "lendingclub").bad == 0
    with engine().begin() as connection:  # as if contacts had been taken in until tonight: else none is planned
        connection.execute(sa.text("UPDATE book SET recorded_until = :until"), {"until": TONIGHT})
    write(Request(400, 7, TONIGHT, parameters("cn")), SYNTHETIC)


@pytest.fixture
def books(fresh_db: str, tmp_path: Path) -> None:
    """Three loans of the public data set, and 400 drawn ones; the drawn are not open yet on the first night."""
    _take_in(tmp_path)


@pytest.fixture(scope="session")
def _nights_template(database: str, _template: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, int, int]:
    """A database with both books and two nights, that each test gets a copy of; and the runs' numbers."""
    name = f"forbear_nights_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f'CREATE DATABASE "{name}" TEMPLATE "{_template}"')
    with pytest.MonkeyPatch.context() as patch:
        url = sa.make_url(database).set(database=name).render_as_string(hide_password=False)
        patch.setenv("FORBEAR_DATABASE_URL", url)
        _take_in(tmp_path_factory.mktemp("loans"))
        runs = nightly(FIRST_NIGHT, load()).run_id, nightly(TONIGHT, load()).run_id
        engine().dispose()
    return name, *runs


@pytest.fixture
def nights(fresh_db: str, database: str, _nights_template: tuple[str, int, int]) -> tuple[int, int]:
    """Both books and two nights over them: the numbers of the runs, the first night's and tonight's."""
    name, first, tonight = _nights_template
    mine = sa.make_url(fresh_db).database
    with psycopg.connect(database, autocommit=True) as admin:
        admin.execute(f'DROP DATABASE "{mine}" WITH (FORCE)')
        admin.execute(f'CREATE DATABASE "{mine}" TEMPLATE "{name}"')
    return first, tonight


@pytest.fixture
def answers(nights: tuple[int, int], fresh_db: str) -> dict[str, uuid.UUID]:
    """What the gate answered at noon of tonight's day: a call that was made, one outstanding, and one refused."""
    rules = load()
    with engine().begin() as connection:
        clock = "CREATE OR REPLACE FUNCTION gate_now() RETURNS timestamptz LANGUAGE sql AS"
        connection.execute(sa.text(f"{clock} 'SELECT ''{TONIGHT} 12:00+08''::timestamptz'"))
        steps = "SELECT max(account_id), min(account_id) FROM decision WHERE run_id = :run AND step = 'call'"
        called = connection.execute(sa.text(steps), {"run": nights[1]}).one()

    def asked(account: int, **given: Any) -> uuid.UUID:
        facts = FACTS | given
        request = Contact(key=uuid.uuid4(), account_id=account, step="call", requested_by="dialer-1", facts=facts)
        return ask(rules, request).request_id

    found = {"made": asked(called[0]), "outstanding": asked(called[1]), "refused": asked(1, message_threat=True)}
    use(rules, found["made"])
    report(rules, found["made"], "no_answer", "staff-3")
    return found


@pytest.fixture
def reader(fresh_db: str) -> TestClient:
    """A reader without a browser, over whatever the database holds."""
    return TestClient(console(load()), base_url="http://127.0.0.1", raise_server_exceptions=False)


@pytest.fixture
def asked(fresh_db: str) -> Asked:
    """What the database itself says to a question in SQL."""

    def ask(query: str, **values: object) -> list[Any]:
        with engine().connect() as connection:
            return list(connection.execute(sa.text(query), values).all())

    return ask

"""What is drawn: the same rows for the same seed, money to the minor unit, and the chain that was fitted."""

from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
import pyxirr

from forbear.synth.draw import CHUNK_ACCOUNTS, Chunk, Request, draw
from forbear.synth.errors import SynthError
from forbear.synth.parameters import parameters

AS_OF = date(2026, 6, 30)
PLACES = ("cn", "us")


def request(place: str, accounts: int = 20_000, seed: int = 7) -> Request:
    return Request(accounts, seed, AS_OF, parameters(place))


def frames(chunk: Chunk) -> dict[str, pd.DataFrame]:
    return {name: table.to_pandas() for name, table in chunk.tables.items()}


@pytest.fixture(scope="module", params=PLACES)
def drawn(request: pytest.FixtureRequest) -> tuple[str, dict[str, pd.DataFrame]]:
    """A book of 20,000 loans in each place."""
    return request.param, frames(draw(Request(20_000, 7, AS_OF, parameters(request.param)), 0))


@pytest.mark.parametrize("place", PLACES)
def test_the_same_seed_gives_the_same_rows_and_another_seed_others(place: str) -> None:
    # Given a request, when it is drawn twice, then every row is the same; by another seed, no table is.
    first, again, other = draw(request(place), 0), draw(request(place), 0), draw(request(place, seed=8), 0)
    for name in first.tables:
        assert first.tables[name].equals(again.tables[name])
        assert not first.tables[name].equals(other.tables[name])


def test_a_larger_book_begins_with_the_smaller_one() -> None:
    # Given a book of one full chunk and a book of two and a bit, then the first chunks agree, and the numbers go on.
    small, large = request("cn", CHUNK_ACCOUNTS), request("cn", 2 * CHUNK_ACCOUNTS + 23)
    assert (small.chunks, large.chunks) == (1, 3)
    assert draw(small, 0).tables["account"].equals(draw(large, 0).tables["account"])
    refs = [ref for number in range(3) for ref in draw(large, number).tables["account"]["ref"].to_pylist()]
    assert refs == [f"S{n:07d}" for n in range(1, large.accounts + 1)]
    people = [ref for number in range(3) for ref in draw(large, number).tables["borrower"]["ref"].to_pylist()]
    assert people == [f"B{n:07d}" for n in range(1, len(people) + 1)]


@pytest.mark.parametrize("accounts", [1, 2, 10, 11, 12, 1100])
def test_one_borrower_in_ten_has_two_loans(accounts: int) -> None:
    # Given a book of any size, then each loan has a borrower, each borrower a loan, and every tenth of them two.
    chunk = draw(request("cn", accounts), 0)
    loans = np.bincount(chunk.tables["account"]["borrower"].to_numpy(), minlength=chunk.borrowers)
    assert loans.min() == 1 and loans.max() <= 2 and loans.sum() == accounts
    assert (loans == 2).sum() == accounts - chunk.borrowers == accounts // 11


# ---- money ------------------------------------------------------------------------------------------


def test_the_instalments_pay_back_the_principal_to_the_minor_unit(drawn: tuple[str, dict[str, pd.DataFrame]]) -> None:
    # Given a schedule, then its principal adds up, its instalments are equal but the last, numbered without a gap.
    tables = drawn[1]
    lines, loans = tables["instalment"], tables["account"]
    by_loan = lines.groupby("account")
    assert (by_loan["principal_minor"].sum() == loans["principal_minor"]).all()
    assert (by_loan["n"].max() == by_loan.size()).all() and (by_loan["n"].min() == 1).all()
    amounts = lines.assign(amount=lines.principal_minor + lines.interest_minor)
    but_last = amounts[amounts["n"] < by_loan["n"].max().reindex(amounts["account"]).to_numpy()]
    assert (but_last.groupby("account")["amount"].nunique() == 1).all()
    assert (lines[["principal_minor", "interest_minor"]] >= 0).all().all()


def test_every_amount_of_a_schedule_is_what_decimal_arithmetic_gives(
    drawn: tuple[str, dict[str, pd.DataFrame]],
) -> None:
    # Given loans of every term, when the annuity is worked out in decimals, half up, then it is the same amount.
    tables = drawn[1]
    terms = tables["instalment"].groupby("account")["n"].max()
    for loan in range(0, 20_000, 97):
        lines = tables["instalment"][tables["instalment"]["account"] == loan]
        with localcontext() as exact:
            exact.prec = 40
            balance = Decimal(int(tables["account"].at[loan, "principal_minor"]))
            rate = Decimal(int(tables["account"].at[loan, "annual_rate_ppm"]))
            monthly = rate / 12_000_000
            every = _half_up(balance * monthly / (1 - (1 + monthly) ** -int(terms[loan])))
            for line in lines.itertuples():
                interest = _half_up(balance * rate / 12_000_000)  # divided last, so that a half is a half
                principal = balance if line.n == terms[loan] else every - interest
                assert (line.principal_minor, line.interest_minor) == (principal, interest)
                balance -= principal


def test_the_all_in_cost_is_the_internal_rate_of_return(drawn: tuple[str, dict[str, pd.DataFrame]]) -> None:
    # Given what a borrower gets and pays, when pyxirr works out the monthly rate, then twelve times it is on file.
    tables = drawn[1]
    for loan in range(0, 20_000, 97):
        lines = tables["instalment"][tables["instalment"]["account"] == loan]
        flows = [-int(tables["account"].at[loan, "principal_minor"]), *(lines.principal_minor + lines.interest_minor)]
        monthly = pyxirr.irr([float(flow) for flow in flows])
        assert monthly is not None
        assert abs(monthly * 12_000_000 - tables["account"].at[loan, "all_in_ppm"]) <= 1


def test_payments_never_exceed_the_schedule(drawn: tuple[str, dict[str, pd.DataFrame]]) -> None:
    # Given the payments of a loan, then they are of whole instalments, oldest first, all before the book's day.
    tables = drawn[1]
    lines, loans, paid = tables["instalment"], tables["account"], tables["payment"]
    total = (lines["principal_minor"] + lines["interest_minor"]).groupby(lines["account"]).sum()
    through = (lines["principal_minor"] + lines["interest_minor"]).groupby(lines["account"]).cumsum()
    sums = paid.groupby("account")["amount_minor"].cumsum()
    steps = set(zip(lines["account"], through, strict=True))
    assert set(zip(paid["account"], sums, strict=True)) <= steps
    assert (paid["amount_minor"] > 0).all() and (paid["paid_on"] < AS_OF).all()
    assert (paid["paid_on"] > loans["opened_on"].reindex(paid["account"]).to_numpy()).all()
    assert paid.groupby("account")["paid_on"].apply(lambda days: days.is_monotonic_increasing).all()
    settled = paid.groupby("account")["amount_minor"].sum().reindex(loans.index, fill_value=0) == total
    assert (settled == (loans["status"] == "paid_off")).all() and 0.03 < settled.mean() < 0.2


def _half_up(value: Decimal) -> Decimal:
    return value.quantize(Decimal(1), ROUND_HALF_UP)


# ---- the chain --------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", PLACES)
def test_the_fitted_moves_are_found_again_in_the_payments(place: str) -> None:
    # Given four chunks of a book, when the buckets are counted anew out of instalments and payments alone, then
    # each move's share is that of fitted.toml, to within four and a half standard errors.
    counts = sum(_moves(frames(draw(request(place, 4 * CHUNK_ACCOUNTS), number))) for number in range(4))
    assert isinstance(counts, np.ndarray)
    moves = parameters(place).chain.moves
    fitted = np.column_stack([moves[:, :4], moves[:, 4] + moves[:, 5]])
    rows = counts.sum(axis=1, keepdims=True)
    assert (rows > 250).all()
    error = np.sqrt(fitted * (1 - fitted) / rows)
    assert (np.abs(counts / rows - fitted) <= 4.5 * error + 1e-12).all()


def _moves(tables: dict[str, pd.DataFrame]) -> np.ndarray:
    """Counts of moves from bucket to bucket between due dates, of one chunk."""
    lines = tables["instalment"].merge(tables["account"][["opened_on"]], left_on="account", right_index=True)
    lines = lines.assign(amount=lines.principal_minor + lines.interest_minor, kind=0, on=lines.due_on)
    paid = tables["payment"].assign(amount=lambda p: -p.amount_minor, kind=-1, on=lambda p: p.paid_on, n=0)
    # In the order of days, payments of a due date before it: what is owed by the end of that day.
    events = pd.concat(
        [lines[["account", "on", "kind", "n", "amount"]], paid[["account", "on", "kind", "n", "amount"]]]
    )
    events = events[events["on"] < AS_OF].sort_values(["account", "on", "kind"])
    events["owed"] = events.groupby("account")["amount"].cumsum()
    due = events[events["kind"] == 0]
    each = lines.set_index(["account", "n"])["amount"]
    every = each.xs(1, level="n").reindex(due["account"]).to_numpy()
    # All instalments but the last are equal, so this many are unpaid; a last one differs by some minor units.
    state = np.minimum(np.rint(np.maximum(due["owed"], 0) / every).astype(int), 4)
    before = pd.Series(state, index=due.index).groupby(due["account"].to_numpy()).shift(fill_value=0).astype(int)
    counts = np.zeros((5, 5), dtype=np.int64)
    np.add.at(counts, (before.to_numpy(), np.asarray(state)), 1)
    return counts


def test_a_chain_that_was_not_fitted_would_be_noticed() -> None:
    # Given a chain whose current accounts fall behind by a tenth more often, then the same count tells it apart.
    usual = request("cn", CHUNK_ACCOUNTS)
    moves = usual.parameters.chain.moves.copy()
    moves[0, :2] = [1 - 1.1 * moves[0, 1], 1.1 * moves[0, 1]]
    other = replace(usual.parameters, chain=replace(usual.parameters.chain, moves=moves))
    counts = _moves(frames(draw(replace(usual, parameters=other), 0)))[0]
    fitted = usual.parameters.chain.moves[0, 1]
    assert counts[1] / counts.sum() - fitted > 4.5 * np.sqrt(fitted * (1 - fitted) / counts.sum())


# ---- contacts, places, facts ------------------------------------------------------------------------


def test_contacts_follow_the_ladder_and_the_record(drawn: tuple[str, dict[str, pd.DataFrame]]) -> None:
    # Given the contacts of a book, then they lie before its day, nobody is contacted against the record, and a visit
    # was announced at least three days before.
    _, tables = drawn
    people = tables["borrower"].rename(columns={"ref": "person"})
    said = tables["contact"].merge(tables["account"][["borrower", "dispute_open"]], left_on="account", right_index=True)
    said = said.merge(people, left_on="borrower", right_index=True)
    assert len(said) > 5_000 and not said.duplicated(["account", "ref"]).any()
    for name in ("stop_contact", "attorney", "bankrupt", "incapable", "dispute_open"):
        assert said[name].map(lambda value: value is False or value == 0).all()
    for step, number in (("sms", "can_sms"), ("reminder", "can_sms"), ("call", "can_call"), ("letter", "can_write")):
        assert said.loc[said["step"] == step, number].map(bool).all()
    for zones, mine in said.groupby("zones"):
        for zone in str(zones).split("|"):
            local = mine["at"].dt.tz_convert(ZoneInfo(zone))
            assert (local.dt.date < AS_OF).all() and local.dt.hour.between(8, 19).all()
    visits, notices = (said[said["step"] == step] for step in ("visit", "visit_notice"))
    told = visits.merge(notices, on="account", suffixes=("", "_notice"))
    days = (told["at"] - told["at_notice"]).dt.days
    assert set(told.loc[days.between(3, 29), "account"]) == set(visits["account"])


def test_visits_and_every_channel_occur() -> None:
    # Given a full chunk of a Chinese book, then each step of the ladder is there, and far fewer visits than texts.
    steps = frames(draw(request("cn", CHUNK_ACCOUNTS), 0))["contact"]["step"].value_counts()
    assert set(steps.index) == {"reminder", "sms", "call", "letter", "plan_offer", "visit_notice", "visit"}
    assert 0 < steps["visit"] < steps["visit_notice"] < steps["plan_offer"] < steps["letter"] < steps["sms"]


def test_an_agency_never_calls_within_seven_days_of_a_conversation() -> None:
    # Given the calls of an American book, then no call follows a conversation about the loan within seven days.
    calls = (
        frames(draw(request("us", CHUNK_ACCOUNTS), 0))["contact"].query("step == 'call'").sort_values(["account", "at"])
    )
    gap = calls.groupby("account")["at"].diff().dt.total_seconds() / 86_400
    after = calls.groupby("account")["outcome"].shift() == "conversation"
    assert after.sum() > 100 and (gap[after] > 6).all()
    assert (gap[after].dropna() >= 6.5).all()


def test_some_facts_are_not_known_in_a_small_share(drawn: tuple[str, dict[str, pd.DataFrame]]) -> None:
    # Given the borrowers, then what may be unknown is so for a few, and hours agreed are a span or nothing.
    place, tables = drawn
    people = tables["borrower"]
    for name in ("zones", "can_sms", "can_call", "can_write", "bankrupt", "incapable"):
        assert 0 < people[name].isna().mean() < 0.02
    assert people["sms_consent"].isna().mean() == (1 if place == "cn" else pytest.approx(0.03, abs=0.01))
    agreed = people.dropna(subset="agreed_from_min")
    assert (agreed["agreed_from_min"] < agreed["agreed_to_min"]).all() and 0.01 < len(agreed) / len(people) < 0.03
    assert tables["account"][["promise_due_on", "plan_until"]].notna().any().all()
    assert people["hardship_until"].notna().any()


def test_american_borrowers_live_where_people_live() -> None:
    # Given the states, then they are 51 with the census's total, and a state with two zones carries both.
    places = parameters("us").places
    assert len(places.values) == 51 and sum(places.shares) == 331_449_281
    zones = {place: zones for place, zones, _ in places.values}
    assert zones["US-TN"] == "America/Chicago|America/New_York" and zones["US-CA"] == "America/Los_Angeles"
    drawn_places = draw(request("us", CHUNK_ACCOUNTS), 0).tables["borrower"]["place"].to_pandas().value_counts(True)
    assert drawn_places["US-CA"] == pytest.approx(39_538_223 / 331_449_281, abs=0.006)


def test_most_chinese_rates_keep_to_24_percent_and_a_few_do_not() -> None:
    # Given the yearly rates of a Chinese book, then three in a hundred lie above 24 %.
    rates = draw(request("cn", CHUNK_ACCOUNTS), 0).tables["account"]["annual_rate_ppm"].to_numpy()
    assert (rates > 240_000).mean() == pytest.approx(0.03, abs=0.005) and rates.max() <= 360_000


def test_a_place_without_parameters_is_refused_in_one_line() -> None:
    # Given a place that is not there, then the line names the option and what may be given.
    with pytest.raises(SynthError, match=r"--jurisdiction xx: no such place; give one of cn, us\.") as told:
        parameters("xx")
    assert "\n" not in str(told.value)

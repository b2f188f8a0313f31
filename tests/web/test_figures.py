"""The console's pure parts: values in words, a run summed up, charts, a timeline."""

from datetime import UTC, date, datetime

import pytest

from forbear.locale import LANGUAGES
from forbear.nightly.report import BUCKETS
from forbear.rulebook.load import load
from forbear.servicing.happened import Happened
from forbear.web import charts
from forbear.web.format import Formats, LocalHours
from forbear.web.reads import Decided, Due, History, Reached
from forbear.web.summary import OUTCOMES, Held, Key, Row, Tally, grid, held_back, matching, outcomes
from forbear.web.timeline import SHOWN, timeline

VOCABULARY = load().vocabulary
EN = Formats(LANGUAGES["en"])
DAY = date(2026, 6, 30)

# ---- values -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tag", "minor", "currency", "written"),
    [
        ("en", 123_456, "USD", "$1,234.56"),
        ("zh-Hans", 123_456, "CNY", "¥1,234.56"),
        ("zh-Hant", 123_456, "CNY", "CN¥1,234.56"),
        ("zh-Hans", 5, "USD", "US$0.05"),
        ("en", 1_234, "JPY", "¥1,234"),
        ("zh-Hans", 1_234_567, "KWD", "KWD1,234.567"),
        ("en", -1, "GBP", "-£0.01"),
    ],
)
def test_money_has_its_currency_and_its_minor_digits(tag: str, minor: int, currency: str, written: str) -> None:
    assert Formats(LANGUAGES[tag]).money(minor, currency) == written


def at(hour: int, day: int = 30) -> datetime:
    return datetime(2026, 6, day, hour, tzinfo=UTC)


def test_hours_are_those_of_the_borrowers_clock() -> None:
    assert EN.local_hours(at(0), at(13), ["Asia/Shanghai"], DAY) == (LocalHours("08:00–21:00", "China Standard Time"),)
    [hours] = Formats(LANGUAGES["zh-Hant"]).local_hours(at(0), at(13), ["Asia/Shanghai"], DAY)
    assert hours.place == "中國標準時間"


def test_clocks_that_agree_are_named_together_and_those_that_do_not_apart() -> None:
    """Indiana and New York agree; Phoenix has no summer time and so differs from Denver, of the same zone."""
    agree = EN.local_hours(at(12), at(23), ["America/New_York", "America/Indiana/Indianapolis"], DAY)
    differ = EN.local_hours(at(15), at(23), ["America/Denver", "America/Phoenix"], DAY)

    assert agree == (LocalHours("08:00–19:00", "Eastern Daylight Time"),)
    assert differ == (
        LocalHours("09:00–17:00", "Mountain Daylight Time"),
        LocalHours("08:00–16:00", "Mountain Standard Time"),
    )


def test_a_day_ends_at_24_and_another_day_is_marked() -> None:
    midnight = datetime(2026, 7, 1, tzinfo=UTC)
    assert EN.local_hours(at(0), midnight, ["Etc/UTC"], DAY)[0].hours == "00:00–24:00"
    assert EN.local_hours(at(0), midnight, ["Asia/Tokyo"], DAY)[0].hours == "09:00–09:00 (+1)"


def test_no_window_and_no_place_show_nothing() -> None:
    assert EN.local_hours(None, None, ["Asia/Shanghai"], DAY) == ()
    assert EN.local_hours(at(0), at(1), [], DAY) == ()


@pytest.mark.parametrize(
    ("zone", "name"),
    [("Asia/Kolkata", "India Standard Time"), ("America/Indiana/Indianapolis", "Eastern Daylight Time")],
)
def test_a_place_that_cldr_knows_by_an_older_name_has_its_zones_name(zone: str, name: str) -> None:
    assert EN.local_hours(at(12), at(13), [zone], DAY)[0].place == name


def test_a_share_of_nothing_is_no_number() -> None:
    assert (EN.share(1, 3), EN.share(0, 0)) == ("33.3%", "–")


# ---- a run, summed up -------------------------------------------------------------------------------

SPENT = Key("us", 1, 0, 0)
ASKED = Key("us", 0, 2, 4)
TALLY = Tally(
    (
        Row(1, "call", 1, SPENT, 5),
        Row(2, "call", 2, SPENT, 2),
        Row(1, "none", 1, ASKED, 3),
        Row(1, "none", 0, ASKED, 100),
        Row(2, "hardship_hold", 1, ASKED, 1),
    ),
    {
        SPENT: {"reminder": (("due", "forbids"),), "sms": (("spent", "forbids"),), "visit": (("far", "forbids"),)},
        ASKED: {"sms": (("consent", "unknown"), ("hours", "no_hours")), "call": (("consent", "unknown"),)},
    },
)


def test_accounts_are_counted_by_step_and_bucket() -> None:
    assert grid(TALLY) == {
        ("call", 1): 5, ("call", 2): 2, ("none", 1): 3, ("none", 0): 100, ("hardship_hold", 1): 1,
    }  # fmt: skip
    assert grid(TALLY.of_book(2)) == {("call", 2): 2, ("hardship_hold", 1): 1}


def test_an_account_is_contacted_held_left_alone_or_not_due() -> None:
    parts = outcomes(TALLY, VOCABULARY, len(BUCKETS))

    assert parts[0] == dict(zip(OUTCOMES, (0, 0, 0, 100), strict=True))
    assert parts[1] == dict(zip(OUTCOMES, (5, 1, 3, 0), strict=True))
    assert sum(sum(part.values()) for part in parts) == 111


def test_a_rule_held_back_whom_it_kept_from_a_milder_step_or_from_every_contact() -> None:
    """Not counted: the reminder, which ends with the due date; the visit, which is harsher than the call
    that was chosen; accounts on hold or with nothing past due."""
    assert held_back(TALLY, VOCABULARY) == (
        Held("spent", "forbids", harsher=7, nobody=0, steps=("sms",)),
        Held("consent", "unknown", harsher=0, nobody=3, steps=("sms", "call")),
        Held("hours", "no_hours", harsher=0, nobody=3, steps=("sms",)),
    )


def test_a_choice_counts_what_it_leaves() -> None:
    assert matching(TALLY, ["call"], None, None, None) == 7
    assert matching(TALLY, ["call"], 1, "us", 1) == 5
    assert matching(TALLY, ["call", "none"], 1, "cn", None) == 0


# ---- charts -----------------------------------------------------------------------------------------


def test_the_chart_of_steps_has_each_account_but_those_without_a_step() -> None:
    spec = charts.steps_chart(grid(TALLY), VOCABULARY, EN, str)

    assert spec is not None
    counted = {(v["step"], v["bucket"]): v["n"] for v in spec["data"]["values"] if v["n"]}
    assert counted == {("call", "1–30"): 5, ("call", "31–60"): 2, ("hardship hold", "1–30"): 1}


def test_the_shares_of_each_bucket_make_a_whole() -> None:
    spec = charts.arrears_chart(outcomes(TALLY, VOCABULARY, len(BUCKETS)), {o: o for o in OUTCOMES}, EN)

    assert spec is not None
    for bucket in {v["bucket"] for v in spec["data"]["values"]}:
        assert sum(v["share"] for v in spec["data"]["values"] if v["bucket"] == bucket) == pytest.approx(1)


def test_nothing_to_draw_is_no_chart() -> None:
    assert charts.steps_chart({("none", 0): 9}, VOCABULARY, EN, str) is None
    assert charts.arrears_chart(outcomes(Tally((), {}), VOCABULARY, len(BUCKETS)), {o: o for o in OUTCOMES}, EN) is None
    assert charts.held_chart((), lambda held: held.rule, str) is None


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("short", ["short"]),
        ("No call before the fifth day past due, ever.", ["No call before the", "fifth day past due,…"]),
        ("逾期五天后才打电话。", ["逾期五天后才打电话。"]),
        ("一次逾期中短信两条仍无果的，换别的方式", ["一次逾期中短信两条仍", "无果的，换别的方式"]),
        ("一次逾期中短信两条仍无果的，换别的方式，三十天后可再发。", ["一次逾期中短信两条仍", "无果的，换别的方式…"]),
        ("一二三四五六七八九十，一", ["一二三四五六七八九", "十，一"]),
    ],
)
def test_the_words_of_a_bar_fit_a_phone_in_two_lines(text: str, lines: list[str]) -> None:
    assert charts.wrap(text, width=20) == lines


# ---- a timeline -------------------------------------------------------------------------------------


def test_a_timeline_is_newest_first_and_keeps_what_is_ahead_apart() -> None:
    history = History(
        due=(Due(date(2026, 7, 10), 3, 100), Due(date(2026, 6, 10), 2, 100), Due(date(2026, 5, 10), 1, 100)),
        happened=(Happened(date(2026, 5, 10), "P1", "payment", 100, False, {}),),
        reached=(Reached(at(23, 29), "call", "no_answer", "Asia/Shanghai", None),),
        decided=(Decided(7, DAY, "call", 20, 100),),
    )

    found = timeline(history, (), DAY)

    assert [e.on for e in found.ahead] == [date(2026, 7, 10)]
    assert [(e.on, e.kind) for e in found.newest] == [
        (DAY, "reached"),  # 23:00 UTC of the 29th is seven in the morning of the 30th in Shanghai
        (DAY, "decided"),
        (date(2026, 6, 10), "due"),
        (date(2026, 5, 10), "happened"),
        (date(2026, 5, 10), "due"),
    ]
    assert found.newest[0].clock == "07:00"


def test_a_long_timeline_is_cut_and_loses_nothing() -> None:
    history = History(tuple(Due(date(2020 + n // 12, n % 12 + 1, 1), n, 1) for n in range(60)), (), (), ())

    found = timeline(history, (), None)

    assert len(found.newest) == SHOWN
    assert sorted(e.what.n for e in (*found.newest, *found.older) if isinstance(e.what, Due)) == list(range(60))


def test_a_contact_in_an_unknown_place_is_told_in_utc() -> None:
    found = timeline(History((), (), (Reached(at(5), "sms", "delivered", None, None),), ()), (), DAY)

    assert found.newest[0].clock == "05:00 UTC"

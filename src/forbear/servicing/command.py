"""`pay`, `refund`, `reverse`, `charge`, `draw`, `waive`, `write-off`, `grant`, `reschedule`, `sell` post one event."""

import json
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

import typer
from babel import Locale
from babel.numbers import format_currency

from forbear.ledger.models import (
    Charged,
    ChargedBack,
    Event,
    Forborne,
    Kind,
    Paid,
    Purchased,
    Reason,
    Refunded,
    Rescheduled,
    Reversed,
    Waived,
    WrittenOff,
)
from forbear.ledger.models import minor_digits as digits
from forbear.locale import LANGUAGES, N_
from forbear.servicing.amounts import minor
from forbear.servicing.errors import ServicingError
from forbear.servicing.find import Found, find
from forbear.servicing.happened import NAMES_OF_KINDS, Happened, happened, name_of
from forbear.servicing.history import Day
from forbear.servicing.history import history as days_on_record
from forbear.servicing.post import Posting, Receipt, post_one
from forbear.servicing.reschedule import given_up, prepaid, rescheduled
from forbear.servicing.sale import assign
from forbear.store.engine import copy_connection, migrate
from forbear.store.errors import one_line
from forbear.telling import Lang

_DAY = ["%Y-%m-%d"]
Ref = Annotated[str, typer.Argument(metavar="ACCOUNT", help="the lender's own number of the account")]
Amount = Annotated[str, typer.Argument(metavar="AMOUNT", help="in major units, such as 1234.50")]
On = Annotated[datetime, typer.Option("--on", formats=_DAY, help="the day from which it counts, YYYY-MM-DD")]
Key = Annotated[str, typer.Option("--key", help="a number of its own; the same again is answered, and counts once")]
AsOf = Annotated[
    datetime | None, typer.Option("--as-of", formats=_DAY, help="the day on which it became known; today if left out")
]
Book = Annotated[str | None, typer.Option("--book", help="its book, where several have that number")]
What = Annotated[Kind, typer.Option("--kind", help="of what: a fee of the contract, a cost of enforcement, ...")]


def pay(
    account: Ref, amount: Amount, on: On, key: Key, as_of: AsOf = None, book: Book = None, lang: Lang = "en"
) -> None:
    """Post a payment. It is acknowledged once it is on disk; a backdated one restates what came after it."""
    _run(account, book, as_of, lang, lambda found: Paid(key, on.date(), minor(amount, found.currency)))


def refund(
    account: Ref, amount: Amount, on: On, key: Key, as_of: AsOf = None, book: Book = None, lang: Lang = "en"
) -> None:
    """Pay back what is held for the borrower, paid ahead or above what was owed; never more than that."""
    _run(account, book, as_of, lang, lambda found: Refunded(key, on.date(), minor(amount, found.currency)))


def reverse(
    account: Ref,
    of: Annotated[str, typer.Argument(metavar="OF", help="the key of the payment or other event to take back")],
    on: On,
    key: Key,
    chargeback: Annotated[
        bool, typer.Option("--chargeback", help="the payment was real until that day, and was taken back then")
    ] = False,
    as_of: AsOf = None,
    book: Book = None,
    lang: Lang = "en",
) -> None:
    """Take back a payment, or another event: nothing is edited, it is reversed. A mistake counts as never made."""
    _run(account, book, as_of, lang, lambda found: (ChargedBack if chargeback else Reversed)(key, on.date(), of))


def charge(
    account: Ref,
    amount: Amount,
    on: On,
    key: Key,
    kind: What = Kind.FEE,
    as_of: AsOf = None,
    book: Book = None,
    lang: Lang = "en",
) -> None:
    """Charge a fee, or a cost of enforcement."""
    _run(account, book, as_of, lang, lambda found: Charged(key, on.date(), kind, minor(amount, found.currency)))


def draw(
    account: Ref,
    amount: Amount,
    on: On,
    key: Key,
    cash: Annotated[bool, typer.Option("--cash", help="cash was given, which bears interest from its day")] = False,
    as_of: AsOf = None,
    book: Book = None,
    lang: Lang = "en",
) -> None:
    """Post a purchase of a card, or cash."""
    _run(account, book, as_of, lang, lambda found: Purchased(key, on.date(), minor(amount, found.currency), cash))


def waive(
    account: Ref,
    amount: Amount,
    on: On,
    key: Key,
    kind: What = Kind.PENALTY,
    as_of: AsOf = None,
    book: Book = None,
    lang: Lang = "en",
) -> None:
    """Give up at most an amount of what is owed of one kind, the oldest first."""
    _run(account, book, as_of, lang, lambda found: Waived(key, on.date(), kind, minor(amount, found.currency)))


def write_off(account: Ref, on: On, key: Key, as_of: AsOf = None, book: Book = None, lang: Lang = "en") -> None:
    """Take the lender's loss. The debt does not end by it."""
    _run(account, book, as_of, lang, lambda found: WrittenOff(key, on.date()))


def grant(
    account: Ref,
    on: On,
    until: Annotated[datetime, typer.Option("--until", formats=_DAY, help="the last day of it")],
    key: Key,
    freeze: Annotated[
        bool,
        typer.Option(
            "--freeze",
            help="from the next day through the last no interest, of contract or plan, no penalty interest and no fee",
        ),
    ] = False,
    as_of: AsOf = None,
    book: Book = None,
    lang: Lang = "en",
) -> None:
    """Grant forbearance from a day until another. What a freeze spares is not asked for afterwards."""
    _run(account, book, as_of, lang, lambda found: Forborne(key, on.date(), until.date(), freeze))


def reschedule(
    account: Ref,
    reason: Annotated[
        Reason,
        typer.Option(
            "--reason",
            help="plan: days past due go on; reage: they begin anew; prepayment: what is paid ahead repays principal",
        ),
    ],
    on: On,
    key: Key,
    first_due: Annotated[
        datetime | None, typer.Option("--first-due", formats=_DAY, help="of the first instalment of a plan")
    ] = None,
    instalments: Annotated[
        int | None, typer.Option("--instalments", min=1, max=1200, help="of a plan, how many, a month apart")
    ] = None,
    then: Annotated[
        Literal["shorter", "smaller"] | None,
        typer.Option("--then", help="after a prepayment: no larger instalments and fewer, or smaller ones"),
    ] = None,
    as_of: AsOf = None,
    book: Book = None,
    lang: Lang = "en",
) -> None:
    """Make what is unpaid due anew: by a plan, a re-ageing within its limits, or after a part repaid early."""
    day = on.date()
    if reason is Reason.PREPAYMENT:
        if then is None or first_due or instalments:
            raise ServicingError(
                N_(
                    "--reason prepayment: the due dates stay. Write --then shorter or --then smaller, and neither"
                    " --first-due nor --instalments."
                )
            )
        _run(account, book, as_of, lang, lambda found: prepaid(found.id, key, day, then))
        return
    if reason not in (Reason.PLAN, Reason.REAGE):
        raise ServicingError(
            N_("--reason %(reason)s: is none that is agreed with a borrower. Write plan, reage or prepayment."),
            reason=reason,
        )
    if first_due is None or instalments is None or then:
        raise ServicingError(
            N_("--reason %(reason)s: write --first-due and --instalments, and no --then."), reason=reason
        )
    first, count = first_due.date(), instalments
    _run(account, book, as_of, lang, lambda found: rescheduled(found.id, key, day, first, count, reason))


def sell(
    account: Ref,
    price: Amount,
    to: Annotated[str, typer.Option("--to", help="the assignee's number or name")],
    on: On,
    key: Key,
    as_of: AsOf = None,
    book: Book = None,
    lang: Lang = "en",
) -> None:
    """Sell the debt. Prints, as JSON, the fields that go to the assignee with it, and no others."""
    migrate()
    found = find(account, book)
    day = as_of.date() if as_of else found.today()
    given = assign(found.id, key, on.date(), minor(price, found.currency), to, day)
    given = {**given, "amounts": f"minor units of {found.currency}", "minor_digits": digits(found.currency)}
    typer.echo(json.dumps(given, ensure_ascii=False, indent=2, default=str))


def history(account: Ref, book: Book = None, lang: Lang = "en") -> None:
    """Where it stood on each day on record, what each night decided and what happened to it, the newest first."""
    migrate()
    found = find(account, book)
    with one_line(), copy_connection() as connection:
        events = happened(connection, found.id)
    # Of one day, where it stood at its end comes before what led there.
    lines = [(day.on, 1, _day_line(day, found, lang)) for day in days_on_record(found.id)]
    lines += [(event.on, 0, _event_line(event, found, lang)) for event in events]
    for *_, line in sorted(lines, key=lambda each: each[:2], reverse=True):
        typer.echo(line)


def _day_line(day: Day, found: Found, lang: str) -> str:
    parts = [
        _said("day", lang, day=day.on, dpd=day.dpd),
        *(word(name, lang) for name in (day.bucket, day.category) if name),
        _said("arrears", lang, arrears=_money(day.arrears, found.currency, lang)),
    ]
    if day.step:
        parts.append(_said("night", lang, step=_step(day.step, lang)))
    if day.restated:
        same = (day.dpd_first, day.bucket_first) == (day.dpd, day.bucket)
        then = {"dpd": day.dpd_first, "bucket": word(day.bucket_first or "", lang)}
        parts.append(_said("restated_arrears" if same else "restated", lang, **then))
    return " · ".join(parts)


def _event_line(event: Happened, found: Found, lang: str) -> str:
    gettext = LANGUAGES[lang].catalogue.gettext
    parts = [str(event.on), name_of(event, gettext, str)]
    parts += [] if event.minor is None else [_money(event.minor, found.currency, lang)]
    parts.append(gettext("no. %(key)s") % {"key": event.key})
    return " · ".join([*parts, gettext("taken back")] if event.taken_back else parts)


def _step(id: str, lang: str) -> str:
    from forbear.rulebook.load import load

    return load().vocabulary.steps[id].name[lang]


def _run(ref: str, book: str | None, as_of: datetime | None, lang: str, event: Callable[[Found], Event]) -> None:
    migrate()
    found = find(ref, book)
    day: date = as_of.date() if as_of else found.today()
    made = event(found)
    receipt = post_one(Posting(found.id, made), day)
    lines = told(receipt, found.currency, lang)
    if isinstance(made, Paid):
        lines += _ahead(receipt, found.currency, lang)
    if isinstance(made, Refunded):
        lines[1:1] = _paid_back(receipt, made, found.currency, lang)
    if receipt.out_of_held:
        lines.insert(1, _said("out_of_held", lang, used=_money(receipt.out_of_held, found.currency, lang)))
    if isinstance(made, Rescheduled) and (cancelled := given_up(found.id, made)):
        lines.insert(1, _said("cancelled", lang, cancelled=_money(cancelled, found.currency, lang)))
    if isinstance(made, Waived):
        lines.insert(1, _taken(receipt, made, found.currency, lang))
    if isinstance(made, Charged) and (charged := sum(minor for _, minor in receipt.entries if minor > 0)) < made.amount:
        lines.insert(1, _held(charged, made, receipt.card, found.currency, lang))
    if isinstance(made, Rescheduled) and made.reason is Reason.PREPAYMENT:
        lines.insert(1, _repaid(made, found.currency, lang))
    for line in lines:
        typer.echo(line)


def _repaid(made: Rescheduled, currency: str, lang: str) -> str:
    """What a part repaid early has repaid, and what is left to come."""
    now, *left = made.schedule
    return _said(
        "repaid",
        lang,
        principal=_money(now.principal, currency, lang),
        interest=_money(now.interest + now.fee, currency, lang),
        n=len(left),
        amount=_money(left[0].amount, currency, lang),
        first=left[0].due_on,
        last=left[-1].due_on,
    )


def _ahead(receipt: Receipt, currency: str, lang: str) -> list[str]:
    """What is held for an account beyond what is owed, if anything: for what falls due next, or to give back."""
    if not receipt.held:
        return []
    name = "overpaid_card" if receipt.card else "overpaid" if receipt.ended else "credit"
    return [_said(name, lang, credit=_money(receipt.held, currency, lang))]


def _paid_back(receipt: Receipt, made: Refunded, currency: str, lang: str) -> list[str]:
    """What went back, and what is still held; of the second nothing where the refund had been posted before."""
    lines = [_said("paid_back", lang, amount=_money(made.amount, currency, lang))]
    if receipt.held is not None:
        lines.append(_said("still_held", lang, held=_money(receipt.held, currency, lang)))
    return lines


def _taken(receipt: Receipt, waived: Waived, currency: str, lang: str) -> str:
    """What a waiver has really given up, which is at most what was owed of its kind."""
    taken = sum(minor for _, minor in receipt.entries if minor > 0)
    name = "taken" if taken == waived.amount else "taken_less"
    sums = {"taken": taken, "asked": waived.amount}
    kind = LANGUAGES[lang].catalogue.gettext(NAMES_OF_KINDS[waived.kind])
    return _said(name, lang, kind=kind, **{key: _money(amount, currency, lang) for key, amount in sums.items()})


def _held(charged: int, made: Charged, card: bool, currency: str, lang: str) -> str:
    """What of a fee is owed: no more than the ceiling leaves room for; of a card the next statement tells."""
    sums = {"charged": _money(charged, currency, lang), "asked": _money(made.amount, currency, lang)}
    return _said("charged_later" if card else "charged_less", lang, **sums)


_WORDS = {
    "charged_less": {
        "zh-Hans": "计入 {charged}，而非 {asked}：其余超过年化成本上限，不得收取。",
        "zh-Hant": "計入 {charged}，而非 {asked}：其餘超過年化成本上限，不得收取。",
        "en": "Owed of it: {charged}, not {asked}: the rest is above the ceiling on the yearly cost, and not demanded.",
    },
    "charged_later": {
        "zh-Hans": "{asked} 随下期账单计收，以年化成本上限为限。",
        "zh-Hant": "{asked} 隨下期帳單計收，以年化成本上限為限。",
        "en": "{asked} comes with the next statement, as far as the ceiling on the yearly cost leaves room for it.",
    },
    "posted": {
        "zh-Hans": "已入账：{key}，起算日 {on}。",
        "zh-Hant": "已入帳：{key}，起算日 {on}。",
        "en": "Posted: {key}, counting from {on}.",
    },
    "again": {
        "zh-Hans": "{key} 此前已入账；答复与当时相同，未写入任何内容。",
        "zh-Hant": "{key} 此前已入帳；答覆與當時相同，未寫入任何內容。",
        "en": "{key} was posted before; this is the answer given then, and nothing was written.",
    },
    "repaid": {
        "zh-Hans": "提前归还本金 {principal}，另付截至当日的利息 {interest}；剩余 {n} 期，下期 {first} 应付 {amount}，"
        "末期 {last}。",
        "zh-Hant": "提前歸還本金 {principal}，另付截至當日的利息 {interest}；剩餘 {n} 期，下期 {first} 應付 {amount}，"
        "末期 {last}。",
        "en": "Repaid early: {principal} of the principal, with {interest} of interest until that day. Instalments"
        " left: {n}, the next of {amount} on {first}, the last on {last}.",
    },
    "taken": {
        "zh-Hans": "已减免{kind} {taken}。",
        "zh-Hant": "已減免{kind} {taken}。",
        "en": "Given up ({kind}): {taken}.",
    },
    "taken_less": {
        "zh-Hans": "已减免{kind} {taken}，而非 {asked}：该项所欠只有这些。",
        "zh-Hant": "已減免{kind} {taken}，而非 {asked}：該項所欠只有這些。",
        "en": "Given up ({kind}): {taken}, not {asked}: no more was owed of it.",
    },
    "stands": {
        "zh-Hans": "{day}：逾期 {dpd} 天（{bucket}），{category}；逾期金额 {arrears}，现应付 {owed}。",
        "zh-Hant": "{day}：逾期 {dpd} 天（{bucket}），{category}；逾期金額 {arrears}，現應付 {owed}。",
        "en": "{day}: {dpd} days past due ({bucket}), {category}; {arrears} in arrears, {owed} owed now.",
    },
    "stands_card": {
        "zh-Hans": "{day}：逾期 {dpd} 天（{bucket}），{category}；逾期金额 {arrears}，最低还款额尚欠 {owed}。",
        "zh-Hant": "{day}：逾期 {dpd} 天（{bucket}），{category}；逾期金額 {arrears}，最低應繳金額尚欠 {owed}。",
        "en": "{day}: {dpd} days past due ({bucket}), {category}; {arrears} in arrears, minimum payment due {owed}.",
    },
    "balance": {
        "zh-Hans": "全部余额 {balance}。",
        "zh-Hant": "全部餘額 {balance}。",
        "en": "Balance in all: {balance}.",
    },
    "credit": {
        "zh-Hans": "预付款 {credit}：留待抵偿此后到期的款项。",
        "zh-Hant": "預付款 {credit}：留待抵償此後到期的款項。",
        "en": "Paid ahead: {credit}, held for what falls due next.",
    },
    "overpaid": {
        "zh-Hans": "多付 {credit}：贷款已还清，应退还借款人（forbear refund）。",
        "zh-Hant": "多付 {credit}：貸款已還清，應退還借款人（forbear refund）。",
        "en": "Overpaid: {credit}. The loan is repaid, so it is owed back to the borrower: forbear refund.",
    },
    "overpaid_card": {
        "zh-Hans": "多付 {credit}：已扣除尚未出账的计息及费用；留待抵偿此后的用款，或退还持卡人（forbear refund）。",
        "zh-Hant": "多付 {credit}：已扣除尚未出帳的計息及費用；留待抵償此後的用款，或退還持卡人（forbear refund）。",
        "en": "Overpaid: {credit}, beyond all that is owed or has accrued. It is held for what is drawn next, or paid"
        " back: forbear refund.",
    },
    "paid_back": {
        "zh-Hans": "已退还借款人 {amount}。",
        "zh-Hant": "已退還借款人 {amount}。",
        "en": "Paid back to the borrower: {amount}.",
    },
    "still_held": {
        "zh-Hans": "仍为其留存 {held}。",
        "zh-Hant": "仍為其留存 {held}。",
        "en": "Still held for them: {held}.",
    },
    "out_of_held": {
        "zh-Hans": "其中 {used} 已由为借款人留存的款项抵偿。",
        "zh-Hant": "其中 {used} 已由為借款人留存的款項抵償。",
        "en": "Settled at once out of what was held for the borrower: {used}.",
    },
    "cancelled": {
        "zh-Hans": "新还款计划放弃了本期至当日的利息及费用 {cancelled}，不再收取。",
        "zh-Hant": "新還款計畫放棄了本期至當日的利息及費用 {cancelled}，不再收取。",
        "en": "Given up by the new schedule: {cancelled} of interest and fees of the running period until that day.",
    },
    "day": {
        "zh-Hans": "{day}：逾期 {dpd} 天",
        "zh-Hant": "{day}：逾期 {dpd} 天",
        "en": "{day}: {dpd} days past due",
    },
    "arrears": {"zh-Hans": "逾期金额 {arrears}", "zh-Hant": "逾期金額 {arrears}", "en": "{arrears} in arrears"},
    "night": {"zh-Hans": "当晚：{step}", "zh-Hant": "當晚：{step}", "en": "the night: {step}"},
    "restated": {
        "zh-Hans": "后经重述；最初为逾期 {dpd} 天（{bucket}）",
        "zh-Hant": "後經重述；最初為逾期 {dpd} 天（{bucket}）",
        "en": "restated since; first known as {dpd} days past due ({bucket})",
    },
    "restated_arrears": {
        "zh-Hans": "逾期金额后经重述，逾期天数未变",
        "zh-Hant": "逾期金額後經重述，逾期天數未變",
        "en": "the sum in arrears was restated since; the days past due are as first known",
    },
    "current": {"zh-Hans": "未逾期", "zh-Hant": "未逾期", "en": "current"},
    "normal": {"zh-Hans": "正常类", "zh-Hant": "正常類", "en": "normal"},
    "special_mention": {"zh-Hans": "关注类", "zh-Hant": "關注類", "en": "special mention"},
    "substandard": {"zh-Hans": "次级类", "zh-Hant": "次級類", "en": "substandard"},
    "doubtful": {"zh-Hans": "可疑类", "zh-Hant": "可疑類", "en": "doubtful"},
    "loss": {"zh-Hans": "损失类", "zh-Hant": "損失類", "en": "loss"},
}


def word(name: str, lang: str) -> str:
    """A bucket's or a class's name in words; a bucket of days by its first and last."""
    return _WORDS[name][lang] if name in _WORDS else name.replace("-", "–")


def _said(name: str, lang: str, **values: object) -> str:
    return _WORDS[name][lang].format(**values)


def _money(amount: int, currency: str, lang: str) -> str:
    scaled = Decimal(amount).scaleb(-digits(currency))
    return str(format_currency(scaled, currency, locale=Locale.parse(lang, sep="-")))


def told(receipt: Receipt, currency: str, lang: str) -> list[str]:
    """A receipt in words: what was posted, and where the account stood after it."""
    stood = receipt.standing
    lines = [
        _said("again" if receipt.again else "posted", lang, key=receipt.key, on=receipt.value_on),
        _said(
            "stands_card" if receipt.card else "stands",
            lang,
            day=stood.as_of,
            dpd=stood.dpd,
            bucket=word(stood.bucket, lang),
            category=word(stood.category, lang),
            arrears=_money(stood.arrears, currency, lang),
            owed=_money(stood.owed, currency, lang),
        ),
    ]
    if receipt.balance is not None:
        lines[-1] += ("" if lang.startswith("zh") else " ") + _said(
            "balance", lang, balance=_money(receipt.balance, currency, lang)
        )
    return lines

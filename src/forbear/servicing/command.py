"""`forbear pay`, `reverse`, `charge`, `waive`, `write-off`: read options, post one event, print its receipt."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated

import typer
from babel import Locale
from babel.numbers import format_currency

from forbear.ledger.models import Charged, ChargedBack, Event, Kind, Paid, Reversed, Waived, WrittenOff
from forbear.ledger.models import minor_digits as digits
from forbear.rulebook.models import LANGUAGES
from forbear.servicing.amounts import minor
from forbear.servicing.find import Found, find
from forbear.servicing.post import Posting, Receipt, post_one
from forbear.store.engine import migrate

_DAY = ["%Y-%m-%d"]
Ref = Annotated[str, typer.Argument(metavar="ACCOUNT", help="the lender's own number of the account")]
Amount = Annotated[str, typer.Argument(metavar="AMOUNT", help="in major units, such as 1234.50")]
On = Annotated[datetime, typer.Option("--on", formats=_DAY, help="the day from which it counts, YYYY-MM-DD")]
Key = Annotated[str, typer.Option("--key", help="a number of its own; the same again is answered, and counts once")]
AsOf = Annotated[
    datetime | None, typer.Option("--as-of", formats=_DAY, help="the day on which it became known; today if left out")
]
Book = Annotated[str | None, typer.Option("--book", help="its book, where several have that number")]
Lang = Annotated[str, typer.Option("--lang", envvar="FORBEAR_LANG", help="zh-Hans, zh-Hant or en")]
What = Annotated[Kind, typer.Option("--kind", help="of what: a fee of the contract, a cost of enforcement, ...")]


def pay(
    account: Ref, amount: Amount, on: On, key: Key, as_of: AsOf = None, book: Book = None, lang: Lang = "en"
) -> None:
    """Post a payment. It is acknowledged once it is on disk; a backdated one restates what came after it."""
    _run(account, book, as_of, lang, lambda found: Paid(key, on.date(), minor(amount, found.currency)))


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


def _run(ref: str, book: str | None, as_of: datetime | None, lang: str, event: Callable[[Found], Event]) -> None:
    if lang not in LANGUAGES:
        raise typer.BadParameter(f"there is no text in {lang!r}; the languages are {', '.join(LANGUAGES)}")
    migrate()
    found = find(ref, book)
    day: date = as_of.date() if as_of else found.today()
    receipt = post_one(Posting(found.id, event(found)), day)
    for line in told(receipt, found.currency, lang):
        typer.echo(line)


_WORDS = {
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
    "stands": {
        "zh-Hans": "{day}：逾期 {dpd} 天（{bucket}），{category}；逾期金额 {arrears}，现应付 {owed}。",
        "zh-Hant": "{day}：逾期 {dpd} 天（{bucket}），{category}；逾期金額 {arrears}，現應付 {owed}。",
        "en": "{day}: {dpd} days past due ({bucket}), {category}; {arrears} in arrears, {owed} owed now.",
    },
    "current": {"zh-Hans": "未逾期", "zh-Hant": "未逾期", "en": "current"},
    "normal": {"zh-Hans": "正常类", "zh-Hant": "正常類", "en": "normal"},
    "special_mention": {"zh-Hans": "关注类", "zh-Hant": "關注類", "en": "special mention"},
    "substandard": {"zh-Hans": "次级类", "zh-Hant": "次級類", "en": "substandard"},
    "doubtful": {"zh-Hans": "可疑类", "zh-Hant": "可疑類", "en": "doubtful"},
    "loss": {"zh-Hans": "损失类", "zh-Hant": "損失類", "en": "loss"},
}


def told(receipt: Receipt, currency: str, lang: str) -> list[str]:
    """A receipt in words: what was posted, and where the account stood after it."""
    stood = receipt.standing

    def word(name: str) -> str:
        return _WORDS[name][lang] if name in _WORDS else name

    def money(amount: int) -> str:
        scaled = Decimal(amount).scaleb(-digits(currency))
        return str(format_currency(scaled, currency, locale=Locale.parse(lang, sep="-")))

    return [
        word("again" if receipt.again else "posted").format(key=receipt.key, on=receipt.value_on),
        word("stands").format(
            day=stood.as_of,
            dpd=stood.dpd,
            bucket=word(stood.bucket),
            category=word(stood.category),
            arrears=money(stood.arrears),
            owed=money(stood.owed),
        ),
    ]

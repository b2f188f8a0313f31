"""`forbear pay-file`: read options, post a bank's file of payments, print what became of its rows."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from forbear.intake.bank import post_file
from forbear.store.engine import migrate
from forbear.telling import Lang, counting, spoken, typed_day


def pay_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV or Parquet: loan_ref, ref, paid_on, amount")],
    as_of: Annotated[
        datetime | None,
        typer.Option(
            "--as-of",
            parser=typed_day,
            metavar="YYYY-MM-DD",
            help="the day on which they became known; today if left out",
        ),
    ] = None,
    book: Annotated[str | None, typer.Option("--book", help="the book of the loans, where there are several")] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, max=64, help="processes; one for each core if left out")
    ] = None,
    lang: Lang = "en",
) -> None:
    """Post a bank's file of payments. Good rows are on disk when it ends, bad ones are named and kept aside.

    A file that was cut short by a kill goes on from there when it is sent again; a payment counts once by its number.
    """
    migrate()
    gettext, _, count = spoken(lang)
    with counting(gettext("rows")) as progress:
        found = post_file(file, book, as_of.date() if as_of else None, workers, lang=lang, progress=progress)
    told = {"rows": found.rows, "posted": found.posted, "again": found.again, "refused": len(found.refused)}
    typer.echo(_SAID[lang].format(**{name: count(number) for name, number in told.items()}))
    for number, reason in found.refused[:SHOWN]:
        typer.echo(_ROW[lang].format(number=number, reason=reason), err=True)
    if len(found.refused) > SHOWN:
        typer.echo(_MORE[lang].format(more=count(len(found.refused) - SHOWN)), err=True)
    if found.refused:
        raise typer.Exit(4)


#: Rows kept aside that are told of, one line each.
SHOWN = 100

_SAID = {
    "zh-Hans": "文件共 {rows} 行：新入账 {posted} 笔，先前（或在本文件中）已计 {again} 笔，隔离 {refused} 行。",
    "zh-Hant": "檔案共 {rows} 列：新入帳 {posted} 筆，先前（或在本檔案中）已計 {again} 筆，隔離 {refused} 列。",
    "en": "Rows: {rows}. Posted: {posted}. Counted before (on file or in this file): {again}. Kept aside: {refused}.",
}
_ROW = {
    "zh-Hans": "第 {number} 行：{reason}",
    "zh-Hant": "第 {number} 列：{reason}",
    "en": "row {number}: {reason}",
}
_MORE = {
    "zh-Hans": "另有 {more} 行；均见表 payment_file_refused。",
    "zh-Hant": "另有 {more} 列；均見表 payment_file_refused。",
    "en": "and {more} more; all are in the table payment_file_refused.",
}

"""`forbear synth`: reads options, draws a book, prints what was written."""

from datetime import datetime, time
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress

from forbear.store.engine import migrate
from forbear.synth.draw import DEFAULT_AS_OF, MAX_ACCOUNTS, Request
from forbear.synth.parameters import jurisdictions, parameters
from forbear.synth.write import write

out = Console()
err = Console(stderr=True)
_SYNTH_DAY = datetime.combine(DEFAULT_AS_OF, time())


def synth(
    accounts: Annotated[int, typer.Option("--accounts", min=1, max=MAX_ACCOUNTS, help="how many loans")],
    jurisdiction: Annotated[str, typer.Option("--jurisdiction", help=f"one of {', '.join(jurisdictions())}")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="the same seed gives the same rows")],
    as_of: Annotated[
        datetime, typer.Option("--as-of", formats=["%Y-%m-%d"], help="the book as it stands at the start of this day")
    ] = _SYNTH_DAY,
    name: Annotated[str | None, typer.Option("--name", help="the book's name; 'synthetic-' goes before it")] = None,
    lender_type: Annotated[str | None, typer.Option("--lender-type", help="who lends; else the place's usual")] = None,
    collector: Annotated[str | None, typer.Option("--collector", help="creditor or agency")] = None,
) -> None:
    """Draw a synthetic book of any size: for scale only, no real borrower. See docs/synthetic-books.md."""
    request = Request(accounts, seed, as_of.date(), parameters(jurisdiction))
    migrate()
    with Progress(*Progress.get_default_columns(), MofNCompleteColumn(), console=err) as bar:
        task = bar.add_task("accounts", total=accounts)
        done = write(request, name, lender_type, collector, progress=lambda count: bar.update(task, completed=count))
    if done.again:
        out.print(f"{done.name} is there already, drawn by the same options; nothing was changed.", soft_wrap=True)
        return
    rows = ", ".join(f"{count:,} {table}" for table, count in done.rows.items())
    out.print(f"{done.name} (synthetic, no real borrower): {rows}", soft_wrap=True)

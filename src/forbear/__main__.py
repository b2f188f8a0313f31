"""The door of the command: `check-loan` needs no database, so it does not wait for one to be imported."""

import sys

from forbear.check.command import check_loan
from forbear.check.command import main as check


def main() -> None:
    """Run the command."""
    if sys.argv[1:2] == ["check-loan"]:
        check()
        return
    from forbear import cli

    cli.app.command("check-loan")(check_loan)
    cli.main()


if __name__ == "__main__":
    main()

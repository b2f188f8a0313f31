"""The door of the command: `check-loan` needs no database, so it does not wait for one to be imported."""

import sys


def main() -> None:
    """Run the command."""
    if sys.argv[1:2] == ["check-loan"]:
        from forbear.check.command import main as run
    else:
        from forbear.cli import main as run
    run()


if __name__ == "__main__":
    main()

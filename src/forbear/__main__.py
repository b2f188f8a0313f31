"""The door of the command."""

from forbear.cli import main

if __name__ == "__main__":
    main()

"""Where this program keeps its data: a place of its own, that of the user, or FORBEAR_HOME."""

import os
from pathlib import Path

import platformdirs


def own_packs() -> tuple[Path, ...]:
    """The folder of the lender's own packs, if there is one."""
    own = home() / "packs"
    return (own,) if own.is_dir() else ()


def home() -> Path:
    """FORBEAR_HOME, or the place where this user's programs keep their data.

    Root gets /var/lib/forbear: the embedded server then runs as a user of its own, which must be
    able to reach its files, and root's home is closed to others for good reason.
    """
    if given := os.environ.get("FORBEAR_HOME"):
        return Path(given).expanduser().resolve()
    if os.name == "posix" and os.geteuid() == 0:
        return Path("/var/lib/forbear")
    return Path(platformdirs.user_data_dir("forbear"))

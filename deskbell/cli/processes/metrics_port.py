"""The port of `deskbell worker --metrics-port`: what its processes count themselves, and nothing that lies on Redis.

The supervisor answers, from the files that its processes share: one port for all of them, which outlives each.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import mark_process_dead
from prometheus_client.registry import Collector

from deskbell.cli.exit import stop
from shared.logs import get_log, on_lost_lines
from shared.prometheus import Once, build_info, processes, shared_families


class _Workers(Collector):
    """What the processes that share a folder tell."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        """Yield each family once."""
        yield from Once(self._families()).collect()

    def _families(self) -> Iterator[Metric]:
        yield build_info("deskbell_worker_build_info")  # by the other name alerts know that an api is there
        yield from shared_families(self._folder)
        yield from processes(Path(self._folder))


@contextmanager
def metrics_port(host: str, port: int) -> Iterator[str]:
    """Serve `/metrics` on an address, 0 for a free port; gives the folder that the processes are to share."""
    with tempfile.TemporaryDirectory(prefix="deskbell-metrics-") as folder:
        registry = CollectorRegistry()
        registry.register(_Workers(folder))
        try:
            server, _ = start_http_server(port, host, registry)
        except OSError as error:
            stop(f"--metrics-port: cannot listen on {host}:{port}: {error.strerror}")
        get_log().info("metrics_served", address=host, port=server.server_port)
        try:
            yield folder
        finally:
            server.shutdown()
            server.server_close()


def begin_to_count() -> None:
    """Count what a process of a worker is to tell; in that process."""
    up = Gauge("deskbell_worker_processes", "Living processes of the worker.", multiprocess_mode="livesum")
    living = Gauge("deskbell_worker_process_up", "1 while any of them lives.", multiprocess_mode="livemax")
    up.set(1)
    living.set(1)
    lost = Counter("deskbell_worker_log_lines_lost", "Log lines of the worker that could not be written.")
    on_lost_lines(lost.inc)


def forget_process(folder: str, pid: int) -> None:
    """A process has ended: what it counted stays, what it was does not."""
    mark_process_dead(pid, folder)  # type: ignore[no-untyped-call]

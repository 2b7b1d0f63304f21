"""Several worker processes, each started again when it dies."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from shared.logs import get_log

_PAUSE_SECONDS = 1.0
_BURST_PAUSE_SECONDS = 0.1
_MARGIN_SECONDS = 5.0  # beyond the grace period, for putting back what remains


class Supervisor:
    """Runs `deskbell worker` in several processes until it is told to stop."""

    def __init__(self, words: Sequence[str], processes: int, *, burst: bool, grace_seconds: float) -> None:
        """Prepare.

        Args:
            words: the queues and options of each process.
            processes: how many.
            burst: whether they end by themselves.
            grace_seconds: what each gives its jobs when it is told to stop.
        """
        self._command = [sys.executable, "-P", "-m", "cli", "worker", *words]
        self._processes = processes
        self._burst = burst
        self._patience = grace_seconds + _MARGIN_SECONDS
        self._stop = threading.Event()
        self._children: list[subprocess.Popen[bytes]] = []
        self._log = get_log()

    def run(self) -> int:
        """Work until SIGTERM or SIGINT, or, with `burst`, until the queues are empty.

        Returns:
            The exit status: 0, or 1 when a burst was interrupted or one of its workers failed.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        try:
            self._children = [self._start() for _ in range(self._processes)]
            return self._run_burst() if self._burst else self._run_for_ever()
        finally:
            self._end_all()

    def _signalled(self, *_: object) -> None:
        if self._stop.is_set():  # told twice: so are the workers
            for child in self._children:
                child.terminate()
        self._stop.set()

    def _run_burst(self) -> int:
        while any(child.poll() is None for child in self._children):
            if self._stop.wait(_BURST_PAUSE_SECONDS):
                return 1
        return 1 if any(child.returncode for child in self._children) else 0

    def _run_for_ever(self) -> int:
        while not self._stop.wait(_PAUSE_SECONDS):
            for at, child in enumerate(self._children):
                if child.poll() is not None:
                    self._log.error("worker_died", pid=child.pid, status=child.returncode)
                    _sweep(child)
                    self._children[at] = self._start()
        return 0

    def _end_all(self) -> None:
        """End the workers: each finishes its jobs, but not for ever; the jobs of one that is killed are recovered."""
        for child in self._children:
            child.terminate()
        deadline = time.monotonic() + self._patience
        for child in self._children:
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._log.error("worker_killed", pid=child.pid, seconds=self._patience)
                child.kill()
                child.wait()
            _sweep(child)

    def _start(self) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C reaches the supervisor alone, which then ends each worker once.
        child = subprocess.Popen(self._command, start_new_session=True)  # noqa: S603 - our own command
        self._log.info("worker_started", pid=child.pid)
        return child


def _sweep(dead: subprocess.Popen[bytes]) -> None:
    """End what a killed worker left running: with `--fork`, RQ's scheduler, which would hold its locks for ever.

    The job that it had forked, in a group of its own, goes on to its end; what it writes then is refused.
    """
    with suppress(ProcessLookupError, PermissionError):  # macOS says the second of a group that is gone
        os.killpg(dead.pid, signal.SIGTERM)

"""One worker process for each queue, started again when it dies."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress

from shared.logs import get_log
from shared.queues import EVENTS

_PAUSE_SECONDS = 1.0
_BURST_PAUSE_SECONDS = 0.1
_GRACE_SECONDS = 15.0  # less than what `dev` and common service managers give the supervisor itself


class Supervisor:
    """Runs `deskbell worker <queue>` for several queues until it is told to stop."""

    def __init__(self, queues: Sequence[str], *, burst: bool) -> None:
        self._queues = queues
        self._burst = burst
        self._stop = threading.Event()
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._log = get_log()

    def run(self) -> int:
        """Work until SIGTERM or SIGINT, or, with `burst`, until the queues are empty.

        Returns:
            The exit status: 0, or 1 when a burst was interrupted or one of its workers failed.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        try:
            return self._run_burst() if self._burst else self._run_for_ever()
        finally:
            self._end_all()

    def _run_burst(self) -> int:
        """Empty `events` first: what is fanned out there is work for the others."""
        first = [queue for queue in self._queues if queue == EVENTS]
        for queues in (first, [queue for queue in self._queues if queue != EVENTS]):
            for queue in queues:
                self._start(queue)
            while any(child.poll() is None for child in self._children.values()):
                if self._stop.wait(_BURST_PAUSE_SECONDS):
                    return 1
        return 1 if any(child.returncode for child in self._children.values()) else 0

    def _run_for_ever(self) -> int:
        for queue in self._queues:
            self._start(queue)
        while not self._stop.wait(_PAUSE_SECONDS):
            for queue, child in self._children.items():
                if child.poll() is not None:
                    self._log.error("worker_died", queue=queue, pid=child.pid, status=child.returncode)
                    _sweep(child)
                    self._start(queue)
        return 0

    def _end_all(self) -> None:
        """End the workers: each finishes its job, but not for ever; one that is killed leaves its job to RQ."""
        for child in self._children.values():
            child.terminate()
        deadline = time.monotonic() + _GRACE_SECONDS
        for child in self._children.values():
            try:
                child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._log.error("worker_killed", pid=child.pid, seconds=_GRACE_SECONDS)
                child.kill()
                child.wait()
            _sweep(child)

    def _start(self, queue: str) -> None:
        command = [sys.executable, "-P", "-m", "cli", "worker", queue, *(["--burst"] if self._burst else [])]
        # A session of its own: Ctrl-C reaches the supervisor alone, which then ends each worker once.
        self._children[queue] = subprocess.Popen(command, start_new_session=True)  # noqa: S603 - our own command
        self._log.info("worker_started", queue=queue, pid=self._children[queue].pid)


def _sweep(dead: subprocess.Popen[bytes]) -> None:
    """End what a killed worker left running: RQ's scheduler, a process of its own in the same session.

    It holds the dead worker's connections open, and Redis would give the queue's next job to one of them.
    """
    with suppress(ProcessLookupError, PermissionError):  # macOS says the second of a group that is gone
        os.killpg(dead.pid, signal.SIGTERM)

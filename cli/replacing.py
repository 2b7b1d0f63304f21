"""Several api processes on one socket; started again when they die, replaced one after the other at SIGHUP.

The socket is this process's: connections wait on it while a process ends, and its successor takes them. A process is
ended only when the one that takes its place answers.
"""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from prometheus_client.multiprocess import mark_process_dead

from shared.logs import get_log

_START_SECONDS = 60.0
_MARGIN_SECONDS = 5.0  # beyond the grace period, for writing what must be written
_LOOK_SECONDS = 0.1
_PAUSE_SECONDS = 1.0  # between starts of one that dies


class Process:
    """One api process.

    Attributes:
        child: the process.
        is_ready: whether it answers.
    """

    def __init__(self, listener: socket.socket) -> None:
        """Start it."""
        self._ours, theirs = socket.socketpair()
        self._ours.setblocking(False)
        command = [sys.executable, "-P", "-m", "cli", "api"]
        command += ["--fd", str(listener.fileno()), "--parent-fd", str(theirs.fileno())]
        with theirs:
            # A session of its own: Ctrl-C reaches the parent alone, which then ends each process once.
            self.child = subprocess.Popen(  # noqa: S603 - our own command
                command, pass_fds=[listener.fileno(), theirs.fileno()], start_new_session=True
            )
        self.is_ready = False

    def look(self) -> None:
        """See whether it has begun to answer."""
        with suppress(OSError):  # nothing said yet, or it has died
            self.is_ready = self.is_ready or self._ours.recv(1) == b"1"

    def close(self) -> None:
        """Forget a process that has ended."""
        self._ours.close()
        mark_process_dead(self.child.pid)  # type: ignore[no-untyped-call]


class Processes:
    """Runs `deskbell api` in several processes until told to stop."""

    def __init__(self, listener: socket.socket, count: int, grace_seconds: float) -> None:
        """Prepare.

        Args:
            listener: the socket they share.
            count: how many.
            grace_seconds: what each gives the callbacks in flight when it is told to stop.
        """
        self._listener = listener
        self._count = count
        self._patience = grace_seconds + _MARGIN_SECONDS
        self._running: list[Process] = []
        self._stops = 0
        self._is_to_replace = False
        self._log = get_log()

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT.

        Returns:
            The exit status: 0, or 1 when they cannot be started.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._replace)
        try:
            self._running = [self._start() for _ in range(self._count)]
            if not all(self._is_up(process) for process in self._running):
                return 0 if self._stops else 1
            self._log.info("ready", processes=self._count)
            while not self._stops:
                self._revive()
                if self._is_to_replace:
                    self._is_to_replace = False
                    self._replace_all()
                time.sleep(_LOOK_SECONDS)
            return 0
        finally:
            self._end(self._running)

    def _stop(self, *_: object) -> None:
        self._stops += 1
        if self._stops > 1:  # told twice: so are they
            for process in self._running:
                process.child.terminate()

    def _replace(self, *_: object) -> None:
        self._is_to_replace = True

    def _replace_all(self) -> None:
        """Put a new process in the place of each, when it answers; where one does not, the rest stays."""
        for at, old in enumerate(list(self._running)):
            if self._stops:
                return
            new = self._start()
            if not self._is_up(new):
                self._end([new])
                if not self._stops:
                    self._log.error("not_replaced", pid=old.child.pid, status=new.child.returncode)
                return
            self._running[at] = new
            self._end([old])
        self._log.info("replaced", processes=self._count)

    def _revive(self) -> None:
        for at, process in enumerate(self._running):
            if process.child.poll() is not None:
                self._log.error("process_died", pid=process.child.pid, status=process.child.returncode)
                process.close()
                self._wait(lambda: bool(self._stops), _PAUSE_SECONDS if not process.is_ready else 0.0)
                self._running[at] = self._start()
            process.look()

    def _start(self) -> Process:
        process = Process(self._listener)
        self._log.info("process_started", pid=process.child.pid)
        return process

    def _is_up(self, process: Process) -> bool:
        """Wait until a process answers; False when it has died, takes too long, or all are told to stop."""

        def is_settled() -> bool:
            process.look()
            return process.is_ready or process.child.poll() is not None or bool(self._stops)

        self._wait(is_settled, _START_SECONDS)
        return process.is_ready

    def _end(self, processes: list[Process]) -> None:
        """End processes: each answers what is in flight, but not for ever."""
        for process in processes:
            process.child.terminate()
        deadline = time.monotonic() + self._patience
        for process in processes:
            try:
                process.child.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self._log.error("process_killed", pid=process.child.pid, seconds=self._patience)
                process.child.kill()
                process.child.wait()
            process.close()

    def _wait(self, condition: Callable[[], bool], seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not condition() and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)

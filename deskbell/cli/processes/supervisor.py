"""A supervisor: runs the processes of one role, starts them again when they die, replaces them one by one at SIGHUP.

1. Each process runs the same command with the environment of the start, and holds one end of a socket pair.
2. A process writes a byte to the pair when it is ready, that is, when its settings and its code are loaded. If the
   pair is closed, the supervisor is gone, and the process ends.
3. SIGHUP is a rolling restart: a new process reads settings and code again, and the old one is told to end when the new
   one is ready. If the new one does not start, the others stay, and are told so. A process that dies meanwhile is
   started again.
4. A process that is ready is told to end by SIGINT, not SIGTERM: service managers send SIGTERM to every process of a
   service, and a second one means "at once". A process that does not end within its grace period is killed.
"""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import KW_ONLY, dataclass

from deskbell.cli.processes.signals import handle_signals
from shared.logs import get_log
from shared.runtime.parent import KEPT

AGAIN = 75
"""The exit status of a process that asks to be started again."""

_START_SECONDS = 60.0
_MARGIN_SECONDS = 5.0  # beyond the grace period, for writing what must be written
_POLL_SECONDS = 0.1
_PAUSE_SECONDS = 1.0  # at least, between two starts in the same place


class Process:
    """One process of a role.

    Attributes:
        environment: its own.
        is_ready: whether it has said so.
        started: when, by the monotonic clock.
        patience_ends: when it is killed, once it has been told to end.
    """

    def __init__(self, words: Sequence[str], environment: Mapping[str, str], fds: Sequence[int]) -> None:
        self._ours, theirs = socket.socketpair()
        self._ours.setblocking(False)
        self.environment = environment
        role, *options = words
        command = [sys.executable, "-P", "-m", "deskbell", role, "--parent-fd", str(theirs.fileno()), *options]
        with theirs:
            # A session of its own: Ctrl-C reaches the supervisor alone, which then ends each process once.
            self.child = subprocess.Popen(  # noqa: S603 - our own command
                command, env=environment, pass_fds=[*fds, theirs.fileno()], start_new_session=True
            )
        self.is_ready = False
        self.started = time.monotonic()
        self.patience_ends = float("inf")
        self._end_signal: signal.Signals | None = None

    @property
    def status(self) -> int | None:
        """The exit status, or None while it runs."""
        return self.child.poll()

    def has_become_ready(self) -> bool:
        """Whether it has become ready since this was asked last."""
        was_ready = self.is_ready
        with suppress(OSError):  # nothing written yet, or it has died
            self.is_ready = was_ready or self._ours.recv(1) == b"1"
        return self.is_ready and not was_ready

    def keep(self) -> None:
        """Tell it that no successor starts: it goes on, and says so in its record."""
        with suppress(OSError):
            self._ours.send(KEPT)

    def end(self, seconds: float) -> None:
        """Tell it to end; told again, it ends at once."""
        # One that is not ready may still be importing: SIGINT would end that in a traceback.
        self._end_signal = self._end_signal or (signal.SIGINT if self.is_ready else signal.SIGTERM)
        self.child.send_signal(self._end_signal)
        self.patience_ends = min(self.patience_ends, time.monotonic() + seconds)

    def close(self) -> None:
        """Forget a process that has ended."""
        self._ours.close()


@dataclass(eq=False)
class Supervisor:
    """Runs a role in processes until it is told to stop, one in each of these environments."""

    words: Sequence[str]
    environments: Sequence[Mapping[str, str]]
    _: KW_ONLY
    grace_seconds: float
    listener: socket.socket | None = None  # closed when they are to stop, so that no connection waits on it
    burst: bool = False  # they end by themselves when there is nothing left to do
    forget: Callable[[int], object] = lambda _: None  # called with the pid of each that has ended

    def __post_init__(self) -> None:
        self._patience = self.grace_seconds + _MARGIN_SECONDS
        self._serving: list[Process] = []
        self._to_replace: list[Process] = []
        self._successor: Process | None = None
        self._leaving: list[Process] = []
        self._stops = 0
        self._is_to_reload = self._is_replacing = False
        self._log = get_log()

    def run(self) -> int:
        """Serve until SIGTERM or SIGINT; in a burst, until every process has ended.

        Returns:
            The exit status: 0; that of the first process when it does not start; 1 when a burst was interrupted or one
            of its processes failed.
        """
        handle_signals(self._stop, signal.SIGTERM, signal.SIGINT)
        handle_signals(self._reload, signal.SIGHUP)
        try:
            if status := self._start_all():
                return status
            self._run()
            if not self.burst:
                return 0
            return 1 if self._stops or any(process.status for process in self._serving) else 0
        finally:
            self._end_all()

    def _start_all(self) -> int:
        """Start the first process and, when it is ready, the others: an error in the settings is printed once."""
        first = self._start(self.environments[0])
        self._serving = [first]
        deadline = first.started + _START_SECONDS
        while not (self._record_ready(first) or self._stops or first.status is not None or time.monotonic() > deadline):
            time.sleep(_POLL_SECONDS)
        if not (first.is_ready or self._stops or (self.burst and first.status == 0)):
            return max(first.status or 0, 1)  # a negative one is a signal's number
        self._serving += map(self._start, self.environments[1:])
        return 0

    def _run(self) -> None:
        is_ready = False
        while not self._stops and not self._is_done():
            for process in self._all():
                self._record_ready(process)
            if not is_ready and all(process.is_ready for process in self._serving):
                is_ready = True
                self._log.info("ready", processes=len(self.environments))
            self._reap()
            self._revive()
            self._replace()
            time.sleep(_POLL_SECONDS)

    def _is_done(self) -> bool:
        return self.burst and all(process.status not in (None, AGAIN) for process in self._serving)

    def _stop(self, *_: object) -> None:
        self._stops += 1

    def _reload(self, *_: object) -> None:
        self._is_to_reload = True

    def _all(self) -> list[Process]:
        return [*self._serving, *([self._successor] if self._successor else [])]

    def _start(self, environment: Mapping[str, str]) -> Process:
        return Process(self.words, environment, [self.listener.fileno()] if self.listener else [])

    def _record_ready(self, process: Process) -> bool:
        if process.has_become_ready():
            self._log.info("process_started", pid=process.child.pid)
        return process.is_ready

    def _revive(self) -> None:
        """Replace each process that has died; if its successor is starting already, that one takes its place."""
        for at, process in enumerate(self._serving):
            status = process.status
            is_early = time.monotonic() < process.started + _PAUSE_SECONDS
            if status is None or is_early or (self.burst and status != AGAIN):
                continue
            self._log.error("process_died", pid=process.child.pid, status=status)
            self._close(process)
            successor = None
            if process in self._to_replace[:1]:
                successor, self._successor = self._successor, None
            self._to_replace = [each for each in self._to_replace if each is not process]
            self._serving[at] = successor or self._start(process.environment)

    def _replace(self) -> None:
        """Take the next step of a replacement, if one is under way."""
        new = self._successor
        if self._is_to_reload:
            self._is_to_reload, self._is_replacing = False, True
            self._to_replace = [process for process in self._serving if process.status is None]
            if new:  # it may have read the settings and code of before
                self._dismiss(new)
                self._successor = None
        elif new and new.is_ready:
            old = self._to_replace.pop(0)
            self._serving[self._serving.index(old)], self._successor = new, None
            self._dismiss(old)
        elif new and (new.status is not None or time.monotonic() > new.started + _START_SECONDS):
            self._log.error("not_replaced", pid=self._to_replace[0].child.pid, status=new.status)
            for process in self._to_replace:
                process.keep()
            self._dismiss(new)
            self._to_replace, self._successor, self._is_replacing = [], None, False
        if self._to_replace and not self._successor:
            self._successor = self._start(self._to_replace[0].environment)
        if self._is_replacing and not (self._to_replace or self._leaving):
            self._is_replacing = False
            self._log.info("replaced", processes=len(self.environments))

    def _dismiss(self, process: Process) -> None:
        process.end(self._patience)
        self._leaving.append(process)

    def _reap(self) -> None:
        """Forget processes that have ended, and kill those whose grace period is over."""
        for process in list(self._leaving):
            if process.status is None and time.monotonic() > process.patience_ends:
                self._log.error("process_killed", pid=process.child.pid, seconds=self._patience)
                process.child.kill()
                process.child.wait()
            if process.status is not None:
                self._leaving.remove(process)
                self._close(process)

    def _end_all(self) -> None:
        """End every process; at a further SIGTERM or SIGINT, at once."""
        if self.listener:
            self.listener.close()
        for process in self._all():
            self._dismiss(process)
        stops = max(self._stops, 1)
        while self._leaving:
            if self._stops > stops:
                stops = self._stops
                for process in self._leaving:
                    process.end(_MARGIN_SECONDS)
            self._reap()
            time.sleep(_POLL_SECONDS)

    def _close(self, process: Process) -> None:
        process.close()
        self.forget(process.child.pid)

"""The worker processes of `make chaos-workers`: killed, frozen, told to stop, and replaced."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.chaos.job_types import FOLDER

WORKERS = 4
ABANDONED_SECONDS = 8
GRACE_SECONDS = 2
_FROZEN_SECONDS = 2 * ABANDONED_SECONDS
_END_SECONDS = 30
_STOP_SECONDS = GRACE_SECONDS + 3  # within which one that is told to stop has put back what it held


@dataclass(frozen=True, slots=True)
class Interruption:
    """A process that was killed, frozen or told to stop, and until when it could work."""

    pid: int
    until: float
    is_killed: bool


class Workers:
    """Workers; each that is interrupted is replaced by another."""

    def __init__(self, folder: Path, url: str, queues: Sequence[str], chance: random.Random) -> None:
        """Start them.

        Args:
            folder: for what they write.
            url: the server.
            queues: what they serve.
            chance: which of them is interrupted.
        """
        self._chance = chance
        self._queues = queues
        self._log = (folder / "log").open("ab")
        self._environment = os.environ | {
            "DESKBELL_REDIS_URL": url,
            "DESKBELL_JOBS": "bench.chaos.job_types:jobs",
            "DESKBELL_APP_DIR": str(Path(__file__).parents[2]),
            "DESKBELL_ANALYTICS_URL": f"sqlite:///{folder / 'analytics.db'}",
            "DESKBELL_ABANDONED_SECONDS": str(ABANDONED_SECONDS),
            "DESKBELL_GRACE_SECONDS": str(GRACE_SECONDS),
            FOLDER: str(folder),
        }
        self.interruptions: list[Interruption] = []
        self.bad_exits: list[str] = []
        self._victims: defaultdict[signal.Signals, list[int]] = defaultdict(list)
        self._frozen: list[tuple[float, subprocess.Popen[bytes]]] = []
        self._stopping: list[subprocess.Popen[bytes]] = []
        self._processes = [self._start() for _ in range(WORKERS)]

    def kill(self) -> None:
        """Kill one with SIGKILL."""
        self._interrupt(signal.SIGKILL).wait()

    def terminate(self) -> None:
        """Tell one to stop, with SIGTERM; it is to exit 0."""
        self._stopping.append(self._interrupt(signal.SIGTERM))

    def freeze(self) -> None:
        """Stop one with SIGSTOP, for longer than its leases last."""
        self._frozen.append((time.monotonic() + _FROZEN_SECONDS, self._interrupt(signal.SIGSTOP)))

    def thaw(self, *, all_of_them: bool = False) -> None:
        """Wake those that were frozen for long enough."""
        for thawed_at, process in self._frozen[:]:
            if all_of_them or time.monotonic() > thawed_at:
                self._frozen.remove((thawed_at, process))
                process.send_signal(signal.SIGCONT)
                self._processes.append(process)

    def close(self) -> None:
        """End them all, and see how they end."""
        self.thaw(all_of_them=True)
        self.revive()
        for process in self._processes:
            process.terminate()
        for process in [*self._processes, *self._stopping]:
            self._await_end(process)
        self._processes, self._stopping = [], []
        self._log.close()

    def revive(self) -> None:
        """Start those anew that have ended by themselves, which none should."""
        for at, process in enumerate(self._processes):
            if process.poll() is not None:
                self.bad_exits.append(f"{process.pid} ended by itself with {process.returncode}")
                self._processes[at] = self._start()

    def _await_end(self, process: subprocess.Popen[bytes]) -> None:
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        if process.wait() not in (0, -signal.SIGTERM):  # the latter when it did not listen yet
            self.bad_exits.append(f"{process.pid} ended with {process.returncode} when it was told to")

    def _interrupt(self, number: signal.Signals) -> subprocess.Popen[bytes]:
        self.revive()
        at = self._victim(number)
        process = self._processes[at]
        process.send_signal(number)
        until = time.time() + (_STOP_SECONDS if number == signal.SIGTERM else 0)
        self.interruptions.append(Interruption(process.pid, until, number == signal.SIGKILL))
        self._processes[at] = self._start()
        return process

    def _victim(self, number: signal.Signals) -> int:
        """Each in its turn, in an order left to chance."""
        if not self._victims[number]:
            self._victims[number] = self._chance.sample(range(WORKERS), WORKERS)
        return self._victims[number].pop()

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "deskbell", "worker", "--parent-fd", "-1", *self._queues]
        return subprocess.Popen(
            command, env=self._environment, stdout=self._log, stderr=subprocess.STDOUT, start_new_session=True
        )

"""Reloads: has api and workers replaced when code changes, and says when the new code answers.

A process whose code cannot be loaded ends; the supervisor keeps the one of before, if there is one. Otherwise nothing
of that role runs, and it is started again at the next change. Redis, the CRM and rq-dashboard are not touched.
"""

import os
import signal
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from watchfiles import PythonFilter, watch

from deskbell.cli.dev.lines import Line
from deskbell.cli.stack import Stack

_DEBOUNCE_MS = 200  # Redis writes into the watched folder all the time: each write would prolong the wait
_ROLES = ("api", "workers")


@dataclass(frozen=True, slots=True)
class Changed:
    """Files that have changed, by name."""

    names: list[str]


def watch_code(queue: SimpleQueue[Any], folders: Iterable[Path], data: Path) -> None:
    """Put what changes in Python files below some folders onto a queue; not what lies in the data folder."""
    code = PythonFilter(ignore_paths=[f"{data}{os.sep}"])

    def run() -> None:
        for changes in watch(*folders, watch_filter=code, debounce=_DEBOUNCE_MS, ignore_permission_denied=True):
            queue.put(Changed(sorted({Path(path).name for _, path in changes})))

    threading.Thread(target=run, name="changes of code", daemon=True).start()


class Reloads:
    """Reloads of a stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._started = time.perf_counter()
        self._waiting = set(_ROLES)
        self._changed: set[str] = set()  # since the process was started: what it reads may be of before or after
        self._down: set[str] = set()
        self._is_first = True

    def begin(self) -> None:
        """Have the new code loaded."""
        self._started = time.perf_counter()
        self._waiting, self._is_first = set(_ROLES), False
        dead = self._stack.dead()
        for name in _ROLES:
            if name in dead:
                self._start(name)
            else:
                self._changed.add(name)
                self._stack.reload(name)

    def read(self, line: Line) -> str:
        """What a line says about a reload under way; "" if nothing."""
        name = line.process
        if line.event == "process_started" and name in self._waiting:
            self._waiting.discard(name)
            self._changed.discard(name)
            if not self._waiting:
                self._stack.start("declared")
                ms = (time.perf_counter() - self._started) * 1000
                return f"{'ready' if self._is_first else 'reloaded'} in {ms:,.0f} ms"
        if line.event == "not_replaced":
            self._changed.discard(name)
            return f"{name}: the code of before goes on until this is mended"
        return ""

    def ended(self) -> list[str]:
        """What is to be said about processes that have ended since this was asked last."""
        said = []
        dead = self._stack.dead()
        for name, status in dead.items():
            if name in self._changed or status == -signal.SIGHUP:
                self._start(name)  # it may have read the code of before the change
            elif name not in self._down:
                self._down.add(name)
                said.append(f"{name} has ended ({_ending(status)}); the rest stays up. Waiting for a change.")
        return said

    def _start(self, name: str) -> None:
        self._down.discard(name)
        self._changed.discard(name)
        self._stack.start(name)


def _ending(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {-status}"

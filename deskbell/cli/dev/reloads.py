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
_SETTINGS = ".env"
_ROLES = ("api", "workers")


@dataclass(frozen=True, slots=True)
class Changed:
    """Files that have changed.

    Attributes:
        names: of the files.
        is_settings: whether they are files of settings, and no code.
    """

    names: list[str]
    is_settings: bool = False


def watch_code(queue: SimpleQueue[Any], folders: Iterable[Path], data: Path) -> None:
    """Put what changes in Python files, and in `.env`, below some folders onto a queue; not what lies in the data."""
    code = PythonFilter(ignore_paths=[f"{data}{os.sep}"], extra_extensions=[_SETTINGS])

    def run() -> None:
        for changes in watch(*folders, watch_filter=code, debounce=_DEBOUNCE_MS, ignore_permission_denied=True):
            names = {Path(path).name for _, path in changes}
            if code_names := names - {_SETTINGS}:
                queue.put(Changed(sorted(code_names)))
            if _SETTINGS in names:
                queue.put(Changed([_SETTINGS], is_settings=True))

    threading.Thread(target=run, name="changes of code", daemon=True).start()


class Reloads:
    """Reloads of a stack."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._started = time.perf_counter()
        self._waiting = set(_ROLES)
        self._renewed: list[str] = []  # those that run the new code
        self._changed: set[str] = set()  # since the process was started: what it reads may be of before or after
        self._down: set[str] = set()
        self._is_first = True

    def begin(self) -> None:
        """Have the new code loaded."""
        self._started = time.perf_counter()
        self._waiting, self._is_first, self._renewed = set(_ROLES), False, []
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
        if line.event not in ("process_started", "not_replaced") or name not in self._waiting:
            return ""
        self._waiting.discard(name)
        self._changed.discard(name)
        said = []
        if line.event == "process_started":
            self._renewed.append(name)
        else:
            said.append(f"{name}: the code of before goes on until this is mended")
        return "\n".join([*said, *self._result()])

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
                if name in self._waiting:
                    self._waiting.discard(name)
                    said += self._result()
        return said

    def _result(self) -> list[str]:
        """What a start or a reload has come to, once it is over, if anything runs by it."""
        if self._waiting or not self._renewed:
            return []
        self._stack.start("declared")
        ms = (time.perf_counter() - self._started) * 1000
        who = "" if len(self._renewed) == len(_ROLES) else f"{self._renewed[0]} "
        return [f"{who}{'ready' if self._is_first else 'reloaded'} in {ms:,.0f} ms"]

    def _start(self, name: str) -> None:
        self._down.discard(name)
        self._changed.discard(name)
        self._stack.start(name)


def _ending(status: int) -> str:
    return f"status {status}" if status >= 0 else f"signal {-status}"

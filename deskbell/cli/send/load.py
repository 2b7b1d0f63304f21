"""Many callbacks: one after the other, or at a rate; how long the answers took, and what they were."""

import math
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from deskbell.cli.exit import stop
from deskbell.cli.send.answers import show_json
from deskbell.cli.send.message import Message
from deskbell.http import NO_ANSWER
from deskbell.simulator.client import Desk

_FAILED = 1
_INTERRUPTED = 130
_SENDERS = 64
_HOPELESS = 20  # callbacks in a row that nobody answers: there is nobody
_DESKS_MS = 2000  # how long Desk waits for an answer (PROTOCOL §1)
_BOUNDS_MS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, _DESKS_MS, math.inf)
_BAR = 40
_QUANTILES = (50, 90, 99)
_PUNCTUAL = 0.95


@dataclass(frozen=True, slots=True)
class Plan:
    """How many callbacks, and how many a second; 0 a second is one after the other."""

    per_second: float
    count: int


@dataclass(slots=True)
class Tally:
    """What came of the callbacks so far.

    Attributes:
        ms: of each answer.
        answers: how many there were of each kind.
        lost: how many were not answered, since the last answer.
    """

    ms: list[float] = field(default_factory=list)
    answers: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    seconds: float = 0.0

    @property
    def sent(self) -> int:
        """How many were sent."""
        return self.answers.total()


class Load:
    """Sends callbacks from threads, each when it is due, and counts the answers."""

    def __init__(self, desk: Desk, message: Message, plan: Plan) -> None:
        self.tally = Tally()
        self.error = ""
        self._desk = desk
        self._message = message
        self._plan = plan
        self._next = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        senders = min(_SENDERS, plan.count) if plan.per_second else 1
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(senders)]

    def run(self, progress: Progress) -> None:
        """Send all, or until Ctrl-C, which is raised again."""
        shown = progress.add_task("", total=self._plan.count)
        started = self._started = time.monotonic()
        try:
            for thread in self._threads:
                thread.start()
            while any(thread.is_alive() for thread in self._threads):
                self._threads[0].join(0.1)
                progress.update(shown, completed=self.tally.sent)
        finally:
            self._stop.set()
            for thread in self._threads:
                if thread.ident:  # else Ctrl-C came before it was started
                    thread.join()
            self.tally.seconds = time.monotonic() - started
            progress.update(shown, completed=self.tally.sent)

    def _send(self) -> None:
        while (due := self._take()) is not None:
            if self._stop.wait(max(0.0, due - time.monotonic())):
                return
            try:
                answer = self._desk.post(self._message.packet(), self._message.node)
            except NO_ANSWER as error:
                self._count(f"no answer: {type(error).__name__}", None, str(error))
            else:
                code = "no ErrorCode" if answer.code is None else f"ErrorCode {answer.code}"
                self._count(f"HTTP {answer.status}, {code}", answer.ms)

    def _take(self) -> float | None:
        """When the next callback is due; None when there is none."""
        with self._lock:
            if self._next >= self._plan.count or self._stop.is_set():
                return None
            number, self._next = self._next, self._next + 1
        return self._started + number / self._plan.per_second if self._plan.per_second else 0.0

    def _count(self, kind: str, ms: float | None, error: str = "") -> None:
        with self._lock:
            self.tally.answers[kind] += 1
            if ms is not None:
                self.tally.ms.append(ms)
                self.tally.lost = 0
            else:
                self.tally.lost += 1
                self.error = error
                if self.tally.lost >= _HOPELESS:
                    self._stop.set()


def send_many(desk: Desk, message: Message, plan: Plan, *, as_json: bool) -> None:
    """Send many callbacks and print a summary; exit with status 0 only if each was answered with ErrorCode 0."""
    if message.note:
        print(f"deskbell: {message.note}", file=sys.stderr)  # noqa: T201 - what a command line is for
    load = Load(desk, message, plan)
    was_interrupted = False
    try:
        with _progress() as progress:
            load.run(progress)
    except KeyboardInterrupt:
        was_interrupted = True
    if as_json:
        show_json(_summary(load.tally))
    else:
        _show(desk.target(message.node), load.tally, plan)
    if load.tally.lost >= _HOPELESS:
        stop(f"no answer from {desk.target(message.node)}: {load.error}; the last {load.tally.lost} had none", _FAILED)
    if was_interrupted:
        stop(f"interrupted after {load.tally.sent:,} of {plan.count:,}", _INTERRUPTED)
    sys.exit(0 if set(load.tally.answers) == {"HTTP 200, ErrorCode 0"} else _FAILED)


def _progress() -> Progress:
    """A bar on a terminal, on standard error; nothing elsewhere."""
    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("callbacks"), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _summary(tally: Tally) -> dict[str, Any]:
    return {
        "sent": tally.sent,
        "seconds": round(tally.seconds, 3),
        "per_second": round(_reached(tally), 1),
        "answers": dict(tally.answers.most_common()),
        "ms": {name: round(value, 3) for name, value in _quantiles(tally).items()},
        "histogram": [
            {"up_to_ms": None if bound == math.inf else bound, "count": n} for bound, n in histogram(tally.ms)
        ],
    }


def _show(target: str, tally: Tally, plan: Plan) -> None:
    console = Console(soft_wrap=True, markup=False, highlight=False)
    console.print(f"POST {target}: {tally.sent:,} in {tally.seconds:.1f} s, {_reached(tally):,.1f}/s")
    for kind, count in tally.answers.most_common():
        console.print(f"{count:>7,}  {kind}")
    if tally.ms:
        console.print("ms: " + ", ".join(f"{name} {value:.1f}" for name, value in _quantiles(tally).items()))
        block = "█" if "utf" in console.encoding.lower() else "#"
        found = histogram(tally.ms)
        most = max(count for _, count in found)
        for bound, count in found:
            label = f"up to {bound:,}" if bound != math.inf else f"over {_DESKS_MS:,}"
            console.print(f"{label:>12}  {block * math.ceil(_BAR * count / most):{_BAR}}  {count:,}".rstrip())
    if plan.per_second and _reached(tally) < _PUNCTUAL * min(plan.per_second, _reached_at_best(tally, plan)):
        console.print(f"slower than {plan.per_second:g}/s: the api, or this sender, did not keep up")


def _reached(tally: Tally) -> float:
    return tally.sent / tally.seconds if tally.seconds else 0.0


def _reached_at_best(tally: Tally, plan: Plan) -> float:
    """The rate of so many callbacks if none had been late: the last one is due an interval before the end."""
    return plan.per_second * tally.sent / max(1, tally.sent - 1)


def _quantiles(tally: Tally) -> dict[str, float]:
    ordered = sorted(tally.ms)
    if not ordered:
        return {}
    found = {f"p{part}": ordered[max(0, math.ceil(len(ordered) * part / 100) - 1)] for part in _QUANTILES}
    return {**found, "max": ordered[-1]}


def histogram(ms: list[float]) -> list[tuple[float, int]]:
    """How many took up to each bound and longer than the one before; from the first that some took to the last."""
    counts = Counter(next(bound for bound in _BOUNDS_MS if each <= bound) for each in ms)
    first, last = min(counts, default=0), max(counts, default=0)
    return [(bound, counts[bound]) for bound in _BOUNDS_MS if first <= bound <= last]

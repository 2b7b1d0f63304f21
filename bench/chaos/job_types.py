"""The job types of `make chaos-workers`, one of each kind; each records what it does.

A line in `runs` says that a run began or ended; a row in the table of effects, keyed by the job's id, is its effect, as
an idempotent job has it. Which job types an event has its node tells; `analytics-event` and `wait` are run for all.
"""

import asyncio
import json
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from rq import get_current_job

from deskbell import ApiCall, Backoff, Breaker, Concurrency, Jobs
from deskbell.jobs import analytics

FOLDER = "CHAOS_FOLDER"
"""The environment variable that names the folder of what is written."""

AT_ONCE = 2
EVERYWHERE = ("analytics-event", "wait")
NODES = ("flaky", "limited", "guarded", "ordered", "alone")
"""Nodes, and the names of the job types that only their events have."""

_SOON = Backoff(base=1, factor=1, jitter=0)
_DOWN_SECONDS, _PERIOD_SECONDS = 3, 15

jobs = Jobs()
jobs.include(analytics.jobs)


@jobs.on(ApiCall, queue="waiting", attempts=30)
async def wait(event: ApiCall) -> None:
    """Wait, as for an answer."""
    with _run(event):
        await asyncio.sleep(0.5)


@jobs.on(ApiCall, queue="waiting", node="flaky", attempts=50, backoff=_SOON)
def flaky(event: ApiCall) -> None:
    """Fail every other time, and be tried again."""
    with _run(event):
        _fail(_happens(1 / 2))


@jobs.on(ApiCall, queue="limited", node="limited", attempts=30, limit=Concurrency(AT_ONCE))
async def limited(event: ApiCall) -> None:
    """Run beside one other at most."""
    with _run(event):
        await asyncio.sleep(0.02)


@jobs.on(ApiCall, queue="guarded", node="guarded", attempts=30, backoff=_SOON, breaker=Breaker(failures=3, pause=1))
def guarded(event: ApiCall) -> None:
    """Call what is away for a while now and again."""
    with _run(event):
        _fail(time.time() % _PERIOD_SECONDS < _DOWN_SECONDS)


@jobs.on(ApiCall, queue="ordered", node="ordered", attempts=50, backoff=_SOON, ordered_by="Key")
async def ordered(event: ApiCall) -> None:
    """Run in the order of events, through failures."""
    with _run(event):
        await asyncio.sleep(0.01)
        _fail(_happens(1 / 10))


@jobs.on(ApiCall, queue="alone", node="alone", attempts=30, isolation="process")
def alone(event: ApiCall) -> None:
    """Run in a process of its own."""
    with _run(event):
        time.sleep(0.02)


def create_effects(folder: Path) -> None:
    """Make the table."""
    with closing(sqlite3.connect(folder / "effects.db")) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("CREATE TABLE effects (job_id TEXT PRIMARY KEY)")


def _happens(chance: float) -> bool:
    return random.random() < chance  # noqa: S311 - no secret


def _fail(is_due: bool) -> None:
    if is_due:
        raise OSError


@contextmanager
def _run(event: ApiCall) -> Iterator[None]:
    job = get_current_job()
    assert job
    key = str(event.variables.get("Key", ""))
    line = {"job": job.id, "key": key, "processes": _processes()}
    run = f"{os.getpid()}-{time.monotonic_ns()}"
    _write({"what": "began", "run": run, **line})
    try:
        yield
    except BaseException:
        _write({"what": "failed", "run": run, **line})
        raise
    _write({"what": "done" if _effect(job.id) else "repeated", "run": run, **line})


def _processes() -> list[int]:
    """This process, the one that started it, and the one before: an isolated job's worker is the last of them."""
    parent = os.getppid()
    before = Path(f"/proc/{parent}/stat").read_text().rpartition(")")[2].split()[1]
    return [os.getpid(), parent, int(before)]


def _effect(job_id: str) -> bool:
    """Have the job's effect; False when it was there."""
    path = Path(os.environ[FOLDER]) / "effects.db"
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous=OFF")
        return database.execute("INSERT OR IGNORE INTO effects VALUES (?)", [job_id]).rowcount == 1


def _write(line: dict[str, object]) -> None:
    text = json.dumps({**line, "at": time.time()}) + "\n"
    file = os.open(Path(os.environ[FOLDER]) / "runs", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, text.encode())  # at once: several processes write
    finally:
        os.close(file)

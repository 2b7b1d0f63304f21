"""What the jobs of `make chaos-workers` recorded, and whether it is as promised.

The jobs of a process that is killed, frozen or told to stop may be run again by another; what the process itself does
from then on is not judged. A repetition for that reason is allowed; any other is a violation.
"""

import json
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.chaos.worker_processes import Interruption

PATIENCE_SECONDS = 180


@dataclass(slots=True)
class Attempt:
    """One run of a job's function.

    Attributes:
        job_id: the job.
        key: what an ordered job is ordered by.
        began: when, in seconds.
        ended: when it ended, or when its process could work no more; None when neither.
        outcome: `done`, `failed`, `repeated` for one whose effect was there, or "" when it did not end.
        interruption: of its process, while it ran or afterwards.
    """

    job_id: str
    key: str
    began: float
    ended: float | None = None
    outcome: str = ""
    interruption: Interruption | None = None

    @property
    def job_type(self) -> str:
        """The job's type."""
        return self.job_id[33:]


def attempts_in(folder: Path, interruptions: Iterable[Interruption]) -> list[Attempt]:
    """All that were begun, in the order in which they began."""
    found: dict[str, Attempt] = {}
    for line in _lines(folder):
        if line["what"] == "began":
            of_process = [each for each in interruptions if each.pid in line["processes"]]
            interruption = next((each for each in of_process if each.until >= line["at"]), None)
            # What a frozen process begins as it is woken, before it knows that its leases are lost, takes no time.
            until = interruption.until if interruption else line["at"] if of_process else None
            found[line["run"]] = Attempt(line["job"], line["key"], line["at"], until, interruption=interruption)
        else:
            attempt = found[line["run"]]
            attempt.outcome = line["what"]
            attempt.ended = min(line["at"], attempt.ended or line["at"])
    return sorted(found.values(), key=lambda attempt: attempt.began)


def effects_in(folder: Path) -> list[str]:
    """The ids of the jobs that have had their effect, in the order in which they had it."""
    with closing(sqlite3.connect(folder / "effects.db", timeout=30)) as database:
        return [job_id for (job_id,) in database.execute("SELECT job_id FROM effects ORDER BY rowid")]


def duplicated(attempts: list[Attempt]) -> int:
    """How many runs repeated a job's effect though the process of the first run had not been interrupted."""
    excused = {attempt.job_id for attempt in attempts if attempt.interruption and attempt.outcome != "failed"}
    return sum(attempt.outcome == "repeated" and attempt.job_id not in excused for attempt in attempts)


def most_at_once(attempts: Iterable[Attempt]) -> int:
    """How many ran at the same time at most."""
    moments = []
    for attempt in attempts:
        moments += [(attempt.began, 1), (attempt.ended or attempt.began, -1)]
    most = now = 0
    for _, change in sorted(moments):
        now += change
        most = max(most, now)
    return most


def out_of_order(attempts: list[Attempt], effects: list[str]) -> int:
    """How many jobs of the ordered type had their effect, or ran, while one before them was still to have its own.

    Event ids sort by the time of receipt, and so do job ids.
    """
    ordered = [attempt for attempt in attempts if attempt.job_type == "ordered"]
    keys = {attempt.job_id: attempt.key for attempt in ordered}
    by_key, latest = defaultdict(list), dict[str, str]()
    wrong = 0
    for attempt in ordered:
        by_key[attempt.key].append(attempt)
    for job_id in effects:
        if key := keys.get(job_id):
            wrong += job_id < latest.get(key, "")
            latest[key] = max(job_id, latest.get(key, ""))
    return wrong + sum(most_at_once(of_key) > 1 for of_key in by_key.values())


def slowest_recovery(attempts: list[Attempt], outages: list[tuple[float, float]], seconds: float) -> float:
    """The longest time from a worker's death until a job that it held ran again, in seconds; 0 when none was held.

    Only job types that wait for nothing else, and deaths with Redis there for the whole of the time set: after an
    outage no worker is taken for dead until all have had the time for a heartbeat.
    """
    slowest = 0.0
    began_by_job = defaultdict(list)
    for attempt in attempts:
        began_by_job[attempt.job_id].append(attempt.began)
    for attempt in attempts:
        interruption = attempt.interruption
        is_held = attempt.outcome != "failed" and attempt.job_type in {"wait", "flaky"}
        if not (interruption and interruption.is_killed and is_held):
            continue
        if any(began < interruption.until + seconds and ended > interruption.until for began, ended in outages):
            continue
        later = [began - interruption.until for began in began_by_job[attempt.job_id] if began > interruption.until]
        slowest = max([slowest, *later[:1]])
    return slowest


def wait_until(condition: Callable[[], object], seconds: float = PATIENCE_SECONDS) -> bool:
    """Wait for a condition; False when it does not come about."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    with (folder / "runs").open() as file:
        yield from map(json.loads, file)

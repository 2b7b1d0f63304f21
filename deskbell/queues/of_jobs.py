"""Reasons that lie with the jobs of a queue: limits, others of their key, their next try."""

import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

from redis import Redis

from deskbell.queues.findings import Finding, problem, said
from deskbell.queues.looked import Looked, clock
from deskbell.queues.state import WINDOW, JobState, QueueState, read_jobs
from shared.keys import DESKBELL
from shared.redis.queues import EVENTS
from shared.sentences import Sentence, sentence
from workers.flow.fifo_lock import FAN_OUT_SECONDS, GAP_SECONDS

_OVERDUE_SECONDS = 5.0
_LOCK_SECONDS = 61.0  # RQ's scheduler renews its lock at each look, for a minute and its interval


def limits(looked: Looked) -> Iterator[Finding]:
    """Which job types have started as many jobs as they may."""
    now_ms = time.time() * 1000
    for name, waiting in looked.queue.job_types.items():
        declared = looked.queue.declared.get(name)
        if declared and declared.starts:
            yield from _rate(looked.connection, name, waiting, declared.starts, declared.period_ms, now_ms)
        elif declared and declared.concurrency:
            yield from _semaphore(looked, name, waiting, declared.concurrency, now_ms)


def already_running(looked: Looked) -> Iterator[Finding]:
    """Which jobs are queued while they run: they are begun again when that has ended."""
    running = {each.id for each in looked.queue.running if each.is_held}
    twice = [job_id for job_id in looked.queue.first if job_id in running]
    if twice:
        yield said(
            sentence(
                "{count} jobs are queued again while they run, and wait for that to end ({id})",
                "{count} job is queued again while it runs, and waits for that to end ({id})",
                count=len(twice),
                id=twice[0],
            )
        )


def far_behind(looked: Looked) -> Iterator[Finding]:
    """Whether jobs that may start are behind more ids than a claim looks at."""
    queue = looked.queue
    if queue.waiting <= WINDOW:
        return
    counts = queue.job_types
    limited = {name for name in counts if (it := queue.declared.get(name)) and (it.starts or it.concurrency)}
    if limited and sum(counts[name] for name in limited) == len(queue.first):
        yield problem(
            sentence(
                "the first {window} jobs are all of {types}, which has a limit: a claim looks no further, so {count} "
                "jobs behind them wait, too",
                window=WINDOW,
                types=sorted(limited),
                count=queue.waiting - WINDOW,
            ),
            sentence("give that type a queue of its own"),
        )


def held_by_dead_letters(looked: Looked) -> Iterator[Finding]:
    """Which jobs wait behind a dead letter of their key."""
    behind = Counter(job.depends_on for job in looked.queue.held)
    for before in read_jobs(looked.connection, [job_id.encode() for job_id in behind]):
        if before.status == "failed":
            yield problem(
                sentence(
                    "{held} jobs are held, {count} of the first {first} behind the dead letter {id} ({cause})",
                    "{held} job is held behind the dead letter {id} ({cause})",
                    held=looked.queue.deferred,
                    count=behind[before.id],
                    first=len(looked.queue.held),
                    id=before.id,
                    cause=before.meta.get("cause", sentence("cause unknown")),
                ),
                sentence("write `deskbell dead replay {id}`, or `dead discard`", id=before.id),
                dead_letter=before.id,
            )


def held_by_others(looked: Looked) -> Iterator[Finding]:
    """Which jobs wait for earlier ones of their key, and what those do."""
    behind = Counter(job.depends_on for job in looked.queue.held)
    doing = Counter[Sentence]()
    for before in read_jobs(looked.connection, [job_id.encode() for job_id in behind]):
        if before.status != "failed":
            doing[_WHAT_IT_DOES.get(before.status, _GONE)] += behind[before.id]
    if doing:
        yield said(
            sentence(
                "{held} jobs wait for earlier ones of their key: of the first, {what}",
                "{held} job waits for earlier ones of its key: {what}",
                held=looked.queue.deferred,
                what=[sentence("{count} behind one that {does}", count=n, does=it) for it, n in doing.most_common()],
            )
        )


def not_due(looked: Looked) -> Iterator[Finding]:
    """Which jobs wait for their time, or for an earlier event, and why they do."""
    queue, now = looked.queue, time.time()
    if not queue.due:
        return
    first = queue.due[0][1]
    if first < now - _OVERDUE_SECONDS:
        yield _overdue(queue, now - first)
    whys = Counter(_why(job) for job, _ in queue.due)
    why, count = whys.most_common(1)[0]
    yield said(
        sentence(
            "{count} jobs wait for their next try, the first at {at} UTC ({of}{why})",
            "{count} job waits for its next try at {at} UTC ({why})",
            count=queue.scheduled,
            at=clock(first),
            of=sentence("{count} of the first {first}: ", count=count, first=len(queue.due))
            if count < queue.scheduled
            else "",
            why=why,
        )
    )


_OUT_OF_TURN = {  # what `fifo_lock.lua` answers
    ": busy": sentence("another job of its key runs"),
    ": behind": sentence("an earlier job of its key is still to run"),
    ": gap": sentence(
        "an earlier Seq of its execution has not come: it is waited for {seconds} s", seconds=GAP_SECONDS
    ),
    ": not fanned out": sentence(
        "an earlier event of its key has no job yet, and is waited for {seconds} s: see `deskbell doctor {queue}`",
        seconds=FAN_OUT_SECONDS,
        queue=EVENTS,
    ),
}

_WHAT_IT_DOES = {
    "queued": sentence("waits itself"),
    "started": sentence("runs"),
    "scheduled": sentence("is to be tried again"),
    "deferred": sentence("is held itself"),
}
_GONE = sentence("is gone")


def _rate(redis: Redis, name: str, waiting: int, starts: int, period_ms: int, now_ms: float) -> Iterator[Finding]:
    key = f"{DESKBELL}rate:{name.replace('.', '-')}"
    counted: Any = redis.zrangebyscore(key, now_ms, "+inf", withscores=True)
    if len(counted) >= starts:
        yield said(
            sentence(
                "{count} jobs of {job} wait for its limit, {starts} starts in {seconds:g} s; the next one starts at "
                "{at} UTC",
                "{count} job of {job} waits for its limit, {starts} starts in {seconds:g} s; it may start at {at} UTC",
                count=waiting,
                job=name,
                starts=starts,
                seconds=period_ms / 1000,
                at=clock(counted[0][1] / 1000),
            )
        )


def _semaphore(looked: Looked, name: str, waiting: int, concurrency: int, now_ms: float) -> Iterator[Finding]:
    key = f"{DESKBELL}slots:{name.replace('.', '-')}"
    taken: Any = looked.connection.zrangebyscore(key, now_ms, "+inf", withscores=True)
    if len(taken) < concurrency:
        return
    running = {each.id for each in looked.queue.running}
    gone = [until for job_id, until in taken if job_id.decode(errors="replace") not in running]
    yield said(
        sentence(
            "{count} jobs of {job} wait for its limit, {most} at once, of which {taken} are taken{gone}",
            "{count} job of {job} waits for its limit, {most} at once, of which {taken} are taken{gone}",
            count=waiting,
            job=name,
            most=concurrency,
            taken=len(taken),
            gone=sentence(
                "; {count} of them are of jobs that do not run: free at {at}",
                "; {count} of them is of a job that does not run: free at {at}",
                count=len(gone),
                at=clock(min(gone) / 1000),
            )
            if gone
            else "",
        )
    )


def _overdue(queue: QueueState, seconds: float) -> Finding:
    lock = queue.scheduler_lock_ms
    if queue.readers.living and _LOCK_SECONDS - lock / 1000 < seconds:
        return said(
            sentence(
                "jobs that wait for their next try are due since {seconds:.0f} s: the scheduler of a worker is behind",
                seconds=seconds,
            )
        )
    if queue.readers.living and lock > 0:
        return problem(
            sentence(
                "jobs that wait for their next try are due since {seconds:.0f} s, and no worker has queued them: a "
                "scheduler that may have died has the lock for {lock:.0f} s more",
                seconds=seconds,
                lock=lock / 1000,
            ),
            sentence("wait: then a living worker takes over by itself"),
        )
    return problem(
        sentence(
            "jobs that wait for their next try are due since {seconds:.0f} s, and no worker has queued them",
            seconds=seconds,
        ),
        sentence("start `deskbell worker {queue}`", queue=queue.name),
    )


def _why(job: JobState) -> str:
    cause = str(job.meta.get("cause") or sentence("the attempt before failed"))
    if "left" in job.meta:
        return sentence("the worker that took it lacks what it needs")
    for ending, why in _OUT_OF_TURN.items():
        if cause.endswith(ending):
            return why
    waits = job.meta.get("waits")
    if isinstance(waits, list) and waits and isinstance(waits[-1], int):
        return sentence(
            "{cause}, since {at} UTC; such waits use up no attempt, for a day at most", cause=cause, at=clock(waits[-1])
        )
    return cause

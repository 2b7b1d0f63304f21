"""Why a queue does not move: each reason is looked for in turn, and the first that applies is the one to act on.

The order is that of what holds up most: all workers, this queue, its workers, single jobs. Where each is decided:
docs/how-to/stuck-queues.md has the list.
"""

import shlex
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from rq.suspension import WORKERS_SUSPENDED

from deskbell.queues.findings import Finding, problem, said
from deskbell.queues.state import WINDOW, JobState, QueueState, read_jobs
from shared.keys import DESKBELL
from shared.redis.breakers import Pause, paused_queues
from shared.redis.pauses import PausedQueue, queues_paused_by_hand
from shared.redis.queues import EVENTS
from shared.redis.releases import Left, read_left
from shared.redis.workers import SILENT_SECONDS, WorkerRecord
from workers.dead_letters.registry import FAN_OUT_NAME, FOREIGN_NAME, Entry
from workers.flow.fifo_lock import FAN_OUT_SECONDS, GAP_SECONDS

_OVERDUE_SECONDS = 5.0
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Looked:
    """What a reason is looked for in."""

    connection: Redis
    queue: QueueState
    abandoned_seconds: int


Reason = Callable[[Looked], Iterator[Finding]]


def reasons(looked: Looked) -> list[Finding]:
    """Every reason that applies, the one to act on first; none of a queue that is empty, or that nothing holds back."""
    if looked.queue.is_empty:
        return []
    return _apply(_OF_ALL, looked) + of_the_queue(looked)


def of_the_queue(looked: Looked) -> list[Finding]:
    """The reasons beside those that concern all queues, or its workers and breakers as a whole."""
    return [] if looked.queue.is_empty else _apply(_OF_THE_QUEUE, looked)


def names() -> set[str]:
    """The words for all of them, as findings have them."""
    return {each.__name__ for each in (*_OF_ALL, *_OF_THE_QUEUE)}


def suspended(looked: Looked) -> Iterator[Finding]:
    """Whether `rq suspend` holds all workers back."""
    yield from suspension(looked.connection)


def suspension(connection: Redis) -> Iterator[Finding]:
    """The same, of no queue in particular."""
    if connection.exists(WORKERS_SUSPENDED):
        yield suspension_of()


def suspension_of() -> Finding:
    """What is said of it."""
    return problem("all workers are suspended by `rq suspend`: no job is begun", "write `rq resume`", "suspended")


def paused_by_hand(looked: Looked) -> Iterator[Finding]:
    """Whether a person has paused the queue."""
    here = queues_paused_by_hand(looked.connection)
    yield from (held(pause) for pause in here if pause.queue == looked.queue.name)


def held(pause: PausedQueue) -> Finding:
    """What is said of a pause by a person."""
    by = f" by {pause.by}" if pause.by else ""
    since = f" since {pause.since:%Y-%m-%d %H:%M:%S} UTC" if pause.since else ""
    return problem(
        f"the queue {pause.queue} is paused{by}{since}: no job of it is begun",
        f"write `deskbell queues resume {shlex.quote(pause.queue)}`",
        "paused_by_hand",
    )


def key_damaged(looked: Looked) -> Iterator[Finding]:
    """Whether the queue could not be read."""
    name = looked.queue.name
    if looked.queue.is_damaged:
        yield problem(
            f"a key of the queue {name} has a foreign type: what reads it stands still",
            f"write `deskbell doctor {shlex.quote(name)}`, which names the key",
        )


def unread(looked: Looked) -> Iterator[Finding]:
    """Whether a living worker reads the queue."""
    name, readers = looked.queue.name, looked.queue.readers
    if readers.living:
        return
    silent = f" ({readers.silent} gave no sign of life lately)" if readers.silent else ""
    yield problem(f"no living worker reads the queue {name}{silent}", f"start `deskbell worker {name}`")


def pauses(looked: Looked) -> Iterator[Finding]:
    """Whether a breaker has paused the queue."""
    yield from (paused(pause) for pause in paused_queues(looked.connection) if pause.queue == looked.queue.name)


def paused(pause: Pause) -> Finding:
    """What is said of a pause."""
    return problem(
        f"the queue {pause.queue} is paused since {pause.since:%H:%M:%S} UTC, because jobs of {pause.job_type} keep "
        f"failing ({pause.cause}); one is tried at {pause.until:%H:%M:%S}",
        "mend what the cause names: the queue goes on when that one succeeds",
    )


def silent_workers(looked: Looked) -> Iterator[Finding]:
    """Whether its workers still beat: one whose loop is blocked, or that is frozen or cut off, begins no job."""
    for record in looked.queue.readers.records:
        if record.age > SILENT_SECONDS:
            yield problem(
                f"the worker {record.address} has given no sign of life for {record.age:.0f} s: a job blocks its event "
                "loop, it is frozen, or it does not reach Redis",
                "see loop_blocked or redis_away in its log",
            )


def taken_slots(looked: Looked) -> Iterator[Finding]:
    """Whether every slot of its workers is taken."""
    records, queue = looked.queue.readers.records, looked.queue
    if queue.name == EVENTS or not queue.waiting or not records or len(records) < len(queue.readers.living):
        return  # events take no slot; and RQ's own workers say nothing of theirs
    if all(record.used >= record.slots for record in records):
        slots, left = sum(record.slots for record in records), sum(record.stragglers for record in records)
        also = f"; {left} more functions go on after their job's time" if left else ""
        yield problem(
            f"all {slots} slots of the workers {_addresses(records)} are taken, here by {_longest(queue)}{also}",
            f"start another `deskbell worker {queue.name}`, or raise --concurrency",
        )


def expired_leases(looked: Looked) -> Iterator[Finding]:
    """Whether jobs belong to workers that have died."""
    lost = [each for each in looked.queue.running if not each.is_held]
    if lost:
        yield problem(
            f"{len(lost)} jobs ({_types(each.job_type for each in lost)}) were under way in workers that died or were "
            "cut off",
            f"wait: a worker of the queue {looked.queue.name} puts them back within {looked.abandoned_seconds} s of "
            "its start, or of the end of an outage of Redis",
        )


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
    twice = [job for job in looked.queue.first if job.id in running]
    if twice:
        yield said(f"{len(twice)} jobs are queued again while they run, and wait for that to end ({twice[0].id})")


def far_behind(looked: Looked) -> Iterator[Finding]:
    """Whether jobs that may start are behind more ids than a claim looks at."""
    queue = looked.queue
    if queue.waiting <= WINDOW:
        return
    counts = queue.job_types
    limited = {name for name in counts if (it := queue.declared.get(name)) and (it.starts or it.concurrency)}
    if limited and sum(counts[name] for name in limited) == len(queue.first):
        yield problem(
            f"the first {WINDOW} jobs are all of {', '.join(sorted(limited))}, which has a limit: a claim looks no "
            f"further, so {queue.waiting - WINDOW} jobs behind them wait, too",
            "give that type a queue of its own",
        )


def undeclared(looked: Looked) -> Iterator[Finding]:
    """What its jobs need, and no living worker of the queue has: a job type, or a newer release."""
    queue, records = looked.queue, looked.queue.readers.records
    left = [each for each in read_left(looked.connection) if each.queue == queue.name]
    yield from map(_left, left)
    if queue.name == EVENTS or not records or len(records) < len(queue.readers.living):
        return  # RQ's own workers do not say what they declare
    known = {name for record in records for name in record.job_types}
    there = [*queue.first, *queue.held]
    needed = Counter(Entry(job.id, queue.name).job for job in there if job.status)
    for name, count in needed.items():
        if name not in {*known, *(each.job_type for each in left), FOREIGN_NAME, FAN_OUT_NAME}:
            yield problem(
                f"{count} jobs of {name} wait, and no living worker of the queue {queue.name} declares that type",
                _declare(name),
            )


def held_by_dead_letters(looked: Looked) -> Iterator[Finding]:
    """Which jobs wait behind a dead letter of their key."""
    behind = Counter(job.depends_on for job in looked.queue.held)
    for before in read_jobs(looked.connection, [job_id.encode() for job_id in behind]):
        if before.status == "failed":
            yield problem(
                f"{looked.queue.deferred} jobs are held, {behind[before.id]} of the first {len(looked.queue.held)} "
                f"behind the dead letter {before.id} ({before.meta.get('cause', 'cause unknown')})",
                f"write `deskbell dead replay {before.id}`, or `dead discard`",
            )


def held_by_others(looked: Looked) -> Iterator[Finding]:
    """Which jobs wait for earlier ones of their key, and what those do."""
    behind = Counter(job.depends_on for job in looked.queue.held)
    doing = Counter[str]()
    for before in read_jobs(looked.connection, [job_id.encode() for job_id in behind]):
        if before.status != "failed":
            doing[_WHAT_IT_DOES.get(before.status, "is gone")] += behind[before.id]
    if doing:
        counted = ", ".join(f"{count} behind one that {what}" for what, count in doing.most_common())
        yield said(f"{looked.queue.deferred} jobs wait for earlier ones of their key: of the first, {counted}")


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
    of_all = f"{count} of the first {len(queue.due)}: " if count < queue.scheduled else ""
    yield said(f"{queue.scheduled} jobs wait for their next try, the first at {_clock(first)} UTC ({of_all}{why})")


_OF_ALL: tuple[Reason, ...] = (suspended, paused_by_hand, key_damaged, unread, pauses)
_OF_THE_QUEUE: tuple[Reason, ...] = (
    silent_workers,
    taken_slots,
    expired_leases,
    undeclared,
    far_behind,
    limits,
    already_running,
    held_by_dead_letters,
    not_due,
    held_by_others,
)


def _left(left: Left) -> Finding:
    jobs = (
        f"{left.count} jobs of {left.job_type} wait" if left.job_type else f"{left.count} jobs of a newer release wait"
    )
    if left.is_declared:
        return said(f"{jobs}: a living worker of the queue {left.queue} has what they need, and recalls them")
    since = f" since {left.declared:%Y-%m-%d %H:%M:%S} UTC" if left.declared else ""
    if left.job_type:
        text = f"{jobs}, and no living worker of the queue {left.queue} declares that type{since}"
        return problem(text, _declare(left.job_type))
    return problem(
        f"{jobs}, and no living worker of the queue {left.queue} reads form {left.need[1:]} of events{since}",
        "deploy workers of that release, within a day; then these are dead letters",
    )


def _declare(name: str) -> str:
    return (
        "deploy a worker that does, within a day, or they are dead letters; if the type was renamed, write "
        f"`deskbell dead replay --job {name} --as NEW`"
    )


_OUT_OF_TURN = {  # what `fifo_lock.lua` answers
    ": busy": "another job of its key runs",
    ": behind": "an earlier job of its key is still to run",
    ": gap": f"an earlier Seq of its execution has not come: it is waited for {GAP_SECONDS} s",
    ": not fanned out": (
        f"an earlier event of its key has no job yet, and is waited for {FAN_OUT_SECONDS} s: see "
        f"`deskbell doctor {EVENTS}`"
    ),
}

_WHAT_IT_DOES = {
    "queued": "waits itself",
    "started": "runs",
    "scheduled": "is to be tried again",
    "deferred": "is held itself",
}


def _apply(them: Iterable[Reason], looked: Looked) -> list[Finding]:
    return [replace(finding, reason=each.__name__) for each in them for finding in each(looked)]


def _rate(redis: Redis, name: str, waiting: int, starts: int, period_ms: int, now_ms: float) -> Iterator[Finding]:
    key = f"{DESKBELL}rate:{name.replace('.', '-')}"
    counted: Any = redis.zrangebyscore(key, now_ms, "+inf", withscores=True)
    if len(counted) >= starts:
        yield said(
            f"{waiting} jobs of {name} wait for its limit, {starts} starts in {period_ms / 1000:g} s; the next one "
            f"starts at {_clock(counted[0][1] / 1000)} UTC"
        )


def _semaphore(looked: Looked, name: str, waiting: int, concurrency: int, now_ms: float) -> Iterator[Finding]:
    key = f"{DESKBELL}slots:{name.replace('.', '-')}"
    taken: Any = looked.connection.zrangebyscore(key, now_ms, "+inf", withscores=True)
    if len(taken) < concurrency:
        return
    running = {each.id for each in looked.queue.running}
    gone = [until for job_id, until in taken if job_id.decode(errors="replace") not in running]
    left = f"; {len(gone)} of them are of jobs that do not run: free at {_clock(min(gone) / 1000)}" if gone else ""
    yield said(
        f"{waiting} jobs of {name} wait for its limit, {concurrency} at once, of which {len(taken)} are taken{left}"
    )


def _overdue(queue: QueueState, seconds: float) -> Finding:
    lock = queue.scheduler_lock_ms
    text = f"jobs that wait for their next try are due since {seconds:.0f} s, and no worker has queued them"
    if queue.readers.living and lock > 0:
        return problem(
            f"{text}: a scheduler that may have died has the lock for {lock / 1000:.0f} s more",
            "wait: then a living worker takes over by itself",
        )
    return problem(text, f"start `deskbell worker {queue.name}`")


def _why(job: JobState) -> str:
    cause = str(job.meta.get("cause") or "the attempt before failed")
    if "left" in job.meta:
        return "the worker that took it lacks what it needs"
    for ending, why in _OUT_OF_TURN.items():
        if cause.endswith(ending):
            return why
    waits = job.meta.get("waits")
    if isinstance(waits, list) and waits and isinstance(waits[-1], int):
        return f"{cause}, since {_clock(waits[-1])} UTC; such waits use up no attempt, for a day at most"
    return cause


def _longest(queue: QueueState) -> str:
    counts = Counter(each.job_type or "events" for each in queue.running)
    if not counts:
        return "jobs of other queues"
    longest = time.time() - min(each.began for each in queue.running)
    return (
        ", ".join(f"{count} of {name}" for name, count in counts.most_common(_NAMED))
        + f", the first for {longest:.0f} s"
    )


def _types(names: Iterable[str]) -> str:
    return ", ".join(f"{count} of {name or EVENTS}" for name, count in Counter(names).most_common(_NAMED))


def _addresses(records: list[WorkerRecord]) -> str:
    more = f" and {len(records) - _NAMED} more" if len(records) > _NAMED else ""
    return ", ".join(record.address for record in records[:_NAMED]) + more


def _clock(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"

"""Reasons that lie with the workers of a queue: none is there, or is heard of, or has a free slot or the job type."""

import time
from collections import Counter
from collections.abc import Iterator

from deskbell.queues.findings import Finding, problem, said
from deskbell.queues.looked import NAMED, Looked, counted
from deskbell.queues.state import QueueState
from shared.redis.queues import EVENTS
from shared.redis.releases import Left, read_left
from shared.redis.workers import SILENT_SECONDS
from shared.sentences import Sentence, sentence
from workers.dead_letters.registry import FAN_OUT_NAME, FOREIGN_NAME, Entry

_LONG_SECONDS = 10.0


def unread(looked: Looked) -> Iterator[Finding]:
    """Whether a living worker reads the queue."""
    name, readers = looked.queue.name, looked.queue.readers
    if readers.living:
        return
    silent = sentence(" ({count} gave no sign of life lately)", count=readers.silent) if readers.silent else ""
    yield problem(
        sentence("no living worker reads the queue {queue}{silent}", queue=name, silent=silent),
        sentence("start `deskbell worker {queue}`", queue=name),
    )


def silent_workers(looked: Looked) -> Iterator[Finding]:
    """Whether its workers still beat: one whose loop is blocked, or that is frozen or cut off, begins no job."""
    for record in looked.queue.readers.records:
        if record.age > SILENT_SECONDS:
            yield problem(
                sentence(
                    "the worker {worker} has given no sign of life for {age:.0f} s: it was killed or is frozen, a job "
                    "blocks its event loop, or it does not reach Redis",
                    worker=record.address,
                    age=record.age // 10 * 10,  # the same on each of its queues, so that it is said once
                ),
                sentence("see loop_blocked or redis_away in its log"),
            )


def taken_slots(looked: Looked) -> Iterator[Finding]:
    """Whether every slot of its workers is taken: a problem where none is free again within seconds."""
    records, queue = looked.queue.readers.records, looked.queue
    if queue.name == EVENTS or not queue.waiting or not records or len(records) < len(queue.readers.living):
        return  # events take no slot; and RQ's own workers say nothing of theirs
    if not queue.running and all(record.queues == (queue.name,) for record in records):
        return  # what ran there has ended since the heartbeat
    if all(record.used >= record.slots for record in records):
        left = sum(record.stragglers for record in records)
        more = len(records) - NAMED
        longest = max((time.time() - each.began for each in queue.running), default=_LONG_SECONDS)
        yield (problem if left or longest >= _LONG_SECONDS else said)(
            sentence(
                "all {slots} slots of the workers {workers}{more} are taken, here by {jobs}{stragglers}",
                slots=sum(record.slots for record in records),
                workers=[record.address for record in records[:NAMED]],
                more=sentence(" and {count} more", count=more) if more > 0 else "",
                jobs=_longest(queue),
                stragglers=sentence("; {count} more functions go on after their job's time", count=left)
                if left
                else "",
            ),
            sentence("start another `deskbell worker {queue}`, or raise --concurrency", queue=queue.name),
        )


def expired_leases(looked: Looked) -> Iterator[Finding]:
    """Whether jobs belong to workers that have died."""
    lost = [each for each in looked.queue.running if not each.is_held]
    if lost:
        yield problem(
            sentence(
                "{count} jobs ({types}) were under way in workers that died or were cut off",
                "{count} job ({types}) was under way in a worker that died or was cut off",
                count=len(lost),
                types=counted(each.job_type for each in lost),
            ),
            sentence(
                "wait: a worker of the queue {queue} puts them back within {seconds} s of its start, or of the end of "
                "an outage of Redis",
                queue=looked.queue.name,
                seconds=looked.abandoned_seconds,
            ),
        )


def undeclared(looked: Looked) -> Iterator[Finding]:
    """What its jobs need, and no living worker of the queue has: a job type, or a newer release."""
    queue, records = looked.queue, looked.queue.readers.records
    left = [each for each in read_left(looked.connection) if each.queue == queue.name]
    yield from map(_left, left)
    if queue.name == EVENTS or not records or len(records) < len(queue.readers.living):
        return  # RQ's own workers do not say what they declare
    known = {name for record in records for name in record.job_types}
    waiting = [job_id for job_id in queue.first if job_id not in queue.gone]
    there = [*waiting, *(job.id for job in queue.held if job.status)]
    needed = Counter(Entry(job_id, queue.name).job for job_id in there)
    for name, count in needed.items():
        if name not in {*known, *(each.job_type for each in left), FOREIGN_NAME, FAN_OUT_NAME}:
            text = sentence(
                "{count} jobs of {job} wait, and no living worker of the queue {queue} declares that type{since}",
                "{count} job of {job} waits, and no living worker of the queue {queue} declares that type{since}",
                count=count,
                job=name,
                queue=queue.name,
                since="",
            )
            yield problem(text, _declare(name))


def _left(left: Left) -> Finding:
    values = {"count": left.count, "job": left.job_type, "queue": left.queue, "form": left.need[1:]}
    if left.is_declared:
        jobs = (
            sentence("{count} jobs of {job} wait", "{count} job of {job} waits", **values)
            if left.job_type
            else sentence("{count} jobs of a newer release wait", "{count} job of a newer release waits", **values)
        )
        text = sentence(
            "{jobs}: a living worker of the queue {queue} has what they need, and recalls them",
            jobs=jobs,
            queue=left.queue,
        )
        return said(text)
    since = sentence(" since {when:%Y-%m-%d %H:%M:%S} UTC", when=left.declared) if left.declared else ""
    if left.job_type:
        text = sentence(
            "{count} jobs of {job} wait, and no living worker of the queue {queue} declares that type{since}",
            "{count} job of {job} waits, and no living worker of the queue {queue} declares that type{since}",
            **values,
            since=since,
        )
        return problem(text, _declare(left.job_type))
    text = sentence(
        "{count} jobs of a newer release wait, and no living worker of the queue {queue} reads form {form} of "
        "events{since}",
        "{count} job of a newer release waits, and no living worker of the queue {queue} reads form {form} of "
        "events{since}",
        **values,
        since=since,
    )
    return problem(text, sentence("deploy workers of that release, within a day; then these are dead letters"))


def _declare(name: str) -> Sentence:
    return sentence(
        "deploy a worker that does, within a day, or they are dead letters; if the type was renamed, write "
        "`deskbell dead replay --job {job} --as NEW`",
        job=name,
    )


def _longest(queue: QueueState) -> Sentence:
    types = counted(each.job_type for each in queue.running)
    if not types:
        return sentence("jobs of other queues")
    longest = time.time() - min(each.began for each in queue.running)
    return sentence("{types}, the first for {seconds:.0f} s", types=types, seconds=longest)

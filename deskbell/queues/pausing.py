"""Pauses queues and resumes them, each at most once however many people do it, and records who did."""

from redis import Redis
from rq import Queue
from rq.suspension import WORKERS_SUSPENDED

from deskbell.queues.state import read_readers
from shared.redis.pauses import pause_queue, resume_queue
from shared.redis.queues import EVENTS
from workers.audit import AuditLog

ALL_WORKERS = "all workers (rq suspend)"
"""What the audit log says was resumed, where `rq suspend` held all workers back."""


class Pausing:
    """Pauses and resumes; `by` is who asks for it, and recorded."""

    def __init__(self, redis: Redis, by: str) -> None:
        self._redis = redis
        self._by = by
        self._audit = AuditLog(redis)

    def pause(self, queue: str) -> bool:
        """Let no job of a queue be begun; those under way go on. Whether it was not paused already."""
        is_new = pause_queue(self._redis, queue, self._by)
        if is_new:
            self._audit.note("pause", queue, self._by, "done")
        return is_new

    def resume(self, queue: str) -> bool:
        """Let the jobs of a queue be begun again; whether a person had paused it: a breaker resumes by itself."""
        was_paused = resume_queue(self._redis, queue)
        if was_paused:
            self._audit.note("resume", queue, self._by, "done")
        return was_paused

    def resume_all(self) -> bool:
        """Undo `rq suspend`, as `rq resume` does; whether there was anything to undo."""
        was_suspended = bool(self._redis.delete(WORKERS_SUSPENDED))
        if was_suspended:
            self._audit.note("resume", ALL_WORKERS, self._by, "done")
        return was_suspended


def known_queues(redis: Redis) -> list[str]:
    """The names of queues that may be paused: those that ever had a job, and those that workers read or declare."""
    readers = read_readers(redis)
    declared = {each.queue for here in readers.values() for one in here.records for each in one.job_types.values()}
    return sorted({EVENTS, *readers, *declared, *(each.name for each in Queue.all(redis))})

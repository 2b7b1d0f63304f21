"""What the tests of limits and breakers have in common: a job type, and the functions of `limits.lua`."""

from typing import Any

from redis import Redis

from deskbell import ApiCall, Event, Jobs
from deskbell.testing import api_call
from tests.workers.running import Workplace
from workers.flow.limits import limits_text

NOW = 4_000_000_000_000  # far off: what is paused until then is paused
UNLIMITED = 1_000_000_000


def job_type(**options: Any) -> Jobs:
    """One job type, `crm.contact`, on the queue `crm`."""
    jobs = Jobs()

    @jobs.on(ApiCall, queue="crm", name="crm.contact", timeout=30, **options)
    def contact(event: ApiCall) -> None: ...

    return jobs


class Lua:
    """Calls the functions of `limits.lua` for job types."""

    def __init__(self, redis: Redis, jobs: Jobs) -> None:
        self._redis = redis
        self._text = limits_text(jobs)

    def run(self, code: str) -> Any:
        """Run code behind it."""
        return self._redis.eval(self._text + code, 0)

    def admits(self, job_id: str, now: int = NOW, job_type: str = "crm-contact") -> bool:
        """Whether a job may start."""
        return bool(self.run(f"return admits('{job_type}', '{job_id}', {now}) and 1 or 0"))

    def leave(self, job_id: str, now: int = NOW) -> None:
        """A job leaves its worker."""
        self.run(f"server_ms = function() return {now} end free_slot_and_lock('crm-contact', '{job_id}')")

    def may_claim(self, now: int = NOW, queue: str = "crm") -> int:
        """How many jobs may be claimed."""
        return int(self.run(f"return may_claim('{queue}', {now})"))

    def probe(self, job_id: str, now: int, job_type: str = "crm-contact") -> tuple[bool, bool]:
        """Lease one job as a claim does; whether it is admitted, and whether the rest of its queue then waits."""
        admitted, waits = self.run(
            f"local is_admitted = may_claim('crm', {now}) > 0 and admits('{job_type}', '{job_id}', {now}) "
            "return {is_admitted and 1 or 0, is_probing and 1 or 0}"
        )
        return bool(admitted), bool(waits)

    def fail(self, job_id: str, now: int = NOW, failures: int = 1, pause_ms: int | None = None) -> int:
        """A job fails; whether its attempt counts."""
        noted = f"record_failure('crm-contact', '{job_id}', {now}, {failures}, 'OSError 4 at x', {pause_ms or 'nil'})"
        return int(self.run(f"local n = {noted} free_slot_and_lock('crm-contact', '{job_id}') return n"))

    def succeed(self, job_id: str) -> None:
        """A job succeeds."""
        self.run(f"record_success('crm-contact', '{job_id}') free_slot_and_lock('crm-contact', '{job_id}')")


def put(workplace: Workplace, count: int) -> list[Event]:
    """Events, fanned out."""
    events: list[Event] = [api_call(str(number)) for number in range(count)]
    for event in events:
        workplace.put_event(event)
    workplace.work("events")
    return events

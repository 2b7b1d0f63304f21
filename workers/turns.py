"""The turns of ordered jobs: of each key one job runs at a time, and they run in event order.

1. Fan-out gives each job its place, and has RQ queue it when the one before it ends: see `workers/places.py`.
2. A job that is about to start looks whether it is its turn: no other of its key runs, none before it is still to run,
   no event before it is missing. What it goes by is RQ's record of how each job stands, so a worker that died, a retry
   that waits, a dead letter or a person with `rq requeue` leave nothing behind that would have to be put right.
3. One whose turn it is not is scheduled for a second later; that attempt does not count.
4. An earlier `Seq` of an execution is waited for until ten seconds after the later one was received; an earlier event
   of the key that is received and not fanned out yet, until three minutes after. What comes later than that runs as
   soon as it comes.
5. Every half minute the first job of each key is looked at, in case RQ left it waiting for a job that is gone.
"""

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Any

from redis import Redis
from redis.exceptions import RedisError
from rq.job import Job
from rq.utils import now, utcformat

from shared.commands import event_from_wire
from shared.errors import DamagedJobError, OutOfTurnError
from shared.events import Event
from shared.job_type import JobType
from shared.jobs import Jobs
from shared.logs import get_log
from workers.job_data import read_data
from workers.places import ORDERS_KEY, group_of, is_order, ordinal, received_ms

GAP_SECONDS = 10
"""How long a missing `Seq` is waited for, from the receipt of a later one."""

FAN_OUT_SECONDS = 180
"""How long an earlier event that is not fanned out is waited for, from the receipt of a later one."""

_LOCK_KEY = "deskbell:orders:lock"
_LOCK_SECONDS = 20
_GROUPS_AT_ONCE = 500


class Turns:
    """Tells whether it is an ordered job's turn."""

    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def take(self, job: Job, job_type: JobType, event: Event) -> None:
        """Take a job's turn; nothing for a job that is not ordered. In a thread: it asks Redis.

        Raises:
            OutOfTurnError: it is not its turn yet.
            DamagedJobError: what the job keeps of its place is none.
        """
        if not job_type.ordered_by or not (group := group_of(job_type, event)):
            return
        try:
            answer = self._ask(job, job_type, event, group)
            if isinstance(answer, list):
                answer = (
                    "not fanned out"
                    if self._any_of(job.connection, answer, job_type, group)
                    else self._ask(job, job_type, event, group, waits_for_fan_out=False)
                )
        except (RedisError, OSError) as error:
            raise OutOfTurnError(f"Redis did not say whose turn it is: {type(error).__name__}") from None
        if answer not in (b"go", "go"):
            raise OutOfTurnError(f"it is not this job's turn: {answer if isinstance(answer, str) else answer.decode()}")

    def _ask(self, job: Job, job_type: JobType, event: Event, group: str, *, waits_for_fan_out: bool = True) -> Any:
        execution, seq = ordinal(event) or ("", 0)
        place = job.meta.get("order") or ["", repr(float(received_ms(event)))]
        if not is_order(place):
            raise DamagedJobError("the job's place is none")
        script = job.connection.register_script(_script("turns"))
        return script(
            args=[
                *(group, job.id, place[1], int(job_type.on_dead == "hold"), event.id, received_ms(event)),
                *(GAP_SECONDS * 1000, FAN_OUT_SECONDS * 1000 if waits_for_fan_out else 0, execution, seq),
            ]
        )

    def _any_of(self, connection: Redis, event_ids: list[bytes], job_type: JobType, group: str) -> bool:
        """Whether any of these events will have a job of the group."""
        return any(_has_job(connection, event_id.decode(), job_type, group) for event_id in event_ids)


def wake(connection: Redis, jobs: Jobs) -> None:
    """Queue the jobs that RQ left waiting for one that is gone; one worker does it at a time."""
    if not connection.set(_LOCK_KEY, 1, nx=True, ex=_LOCK_SECONDS):
        return
    holds = {job_type.type_slug: job_type.on_dead == "hold" for job_type in jobs.types if job_type.ordered_by}
    script = connection.register_script(_script("wake"))
    batch: list[Any] = []
    for group in connection.sscan_iter(ORDERS_KEY, count=_GROUPS_AT_ONCE):
        name = group.decode()
        if name.partition(":")[0] in holds:
            batch += [name, int(holds[name.partition(":")[0]])]
        if len(batch) >= 2 * _GROUPS_AT_ONCE:
            _wake_batch(script, batch)
            batch = []
    if batch:
        _wake_batch(script, batch)


def _wake_batch(script: Callable[..., Any], batch: list[Any]) -> None:
    for job_id in script(args=[utcformat(now()), *batch]):
        get_log().warning("order_woken", job_id=job_id.decode())


def _has_job(connection: Redis, event_id: str, job_type: JobType, group: str) -> bool:
    data: Any = connection.hget(Job.key_for(event_id), "data")
    try:
        event = event_from_wire(read_data(data)[2][0])
    except Exception:  # noqa: BLE001 - it cannot be fanned out either
        return False
    return job_type.wants(event) and group_of(job_type, event) == group


@cache
def _script(name: str) -> str:
    here = files("workers")
    return here.joinpath("order.lua").read_text() + here.joinpath(f"{name}.lua").read_text()

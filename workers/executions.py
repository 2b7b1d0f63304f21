"""The executions of one worker on Redis, in RQ's own keys: claimed, renewed, settled, put back, recovered.

1. `claim` moves ids from queues into RQ's StartedJobRegistry, with a lease: the registry's score.
2. `renew` keeps the leases while the worker lives.
3. `settle` writes what has succeeded. RQ's own code writes the rest: see `workers/failures.py`.
4. `put_back` undoes claims when the worker ends.
5. `recover` finds leases that ran out, whoever held them, and puts their jobs back.

Each is one script: one round trip for any number of jobs, and no moment at which a job is nowhere. An execution that
was recovered is no longer its worker's: whatever a worker that was frozen writes later is refused.
"""

import json
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any

from redis.asyncio import Redis as AsyncRedis
from rq.executions import WORKER_EXECUTIONS_KEY_TEMPLATE
from rq.utils import utcformat
from rq.worker import BaseWorker

from shared.logs import get_log
from shared.queues import queue_key
from workers.lease import Lease

_RECOVERED_AT_ONCE = 100
_BURIED_AT_ONCE = 100
_RECOVERY_SHARE = 0.06  # of a lease, for each queue
_PREFIX_AT, _PREFIX_LENGTH = 4, 24
_WHEN_FULL = frozenset({"renew", "settle", "put_back", "recover"})
"""Scripts that a Redis that is full carries out: refused, they would have jobs run twice that have ended well."""


@dataclass(slots=True, frozen=True)
class Claimed:
    """What one claim gave.

    Attributes:
        claims: the jobs.
        suspended: whether `rq suspend` holds all workers back.
        held: how many jobs are to be asked for again: a limit holds them back, or ids that had no job were before them.
        lengths: what is left on each queue.
        missing: ids that have no job; they were taken off.
        opens_in: the seconds until a rate or a pause lets go of jobs; None when neither holds any back.
    """

    claims: list[Lease]
    suspended: bool
    held: int
    lengths: dict[str, int]
    missing: list[bytes]
    opens_in: float | None


@dataclass(slots=True, frozen=True)
class Recovered:
    """What was recovered of a queue: ids put back, and claims to be buried.

    Attributes:
        is_all: whether nothing is left, or nothing that can be recovered now.
    """

    job_ids: list[bytes]
    spent: list[Lease]
    is_all: bool = True

    def with_more(self, more: "Recovered") -> "Recovered":
        """This and what was recovered next."""
        return Recovered(self.job_ids + more.job_ids, self.spent + more.spent, more.is_all)


class Ledger:
    """How one worker's scripts are asked, and what they answer; whoever calls them."""

    def __init__(self, worker_name: str, *, lease_seconds: int, attempts: Mapping[str, int], limits: str) -> None:
        """Prepare.

        Args:
            worker_name: RQ's name of the worker.
            lease_seconds: how long an execution is the worker's without a sign of life.
            attempts: how many each job type has, by the end of its jobs' ids.
            limits: `limits.lua` for the job types.
        """
        self.worker_name = worker_name
        self.lease_seconds = lease_seconds
        self.limits = limits
        self._attempts = attempts
        self._attempts_text = json.dumps(attempts)
        self._unanswered: dict[str, float] = {}
        self._asked_at = 0.0

    def claim(self, queues: Sequence[str], free: int) -> list[Any]:
        """The arguments of `claim.lua`."""
        prefix = _prefix()
        now = self._asked_at = time.monotonic()
        # What an older claim has taken has been recovered: nobody has renewed its leases.
        self._unanswered = {each: at for each, at in self._unanswered.items() if at > now - 2 * self.lease_seconds}
        self._unanswered[prefix] = now
        return [_date(), self.worker_name, free, self.lease_seconds, prefix, self._attempts_text, *queues]

    def claimed(self, arguments: list[Any], answer: list[Any]) -> Claimed:
        """What `claim.lua` answered."""
        queues = arguments[6:]
        self._unanswered.pop(arguments[_PREFIX_AT], None)
        suspended, held, lengths, claimed, missing, opens_in, now_ms = answer
        left = dict(zip(queues, lengths, strict=True))
        claims = [
            Lease(
                job_id.decode(),
                execution.decode(),
                queues[number - 1],
                data,
                timeout,
                attempt,
                now_ms / 1000,
                self._asked_at,
            )
            for job_id, execution, number, data, timeout, attempt in _rows(claimed, 6)
        ]
        return Claimed(claims, bool(suspended), held, left, missing, opens_in / 1000 if opens_in >= 0 else None)

    @property
    def is_late(self) -> bool:
        """Whether what was claimed last may be another's already: this worker was frozen before it began."""
        return time.monotonic() - self._asked_at > self.lease_seconds / 2

    def renewal(self, claims: Iterable[Lease], known_seconds: int) -> list[Any]:
        """The arguments of `renew.lua`."""
        jobs = [part for claim in claims for part in (claim.job_id, claim.execution_id, claim.queue)]
        return [_date(), self.worker_name, self.lease_seconds, known_seconds, *jobs]

    def settlement(self, claims: Iterable[Lease]) -> list[Any]:
        """The arguments of `settle.lua`."""
        jobs = [part for claim in claims for part in (claim.job_id, claim.execution_id, claim.queue, claim.claimed_at)]
        return [_date(), self.worker_name, *jobs]

    def put_back(self, claims: Iterable[Lease], *, have_begun: bool) -> list[Any]:
        """The arguments of `put_back.lua`: the job that was claimed last comes first."""
        latest_first = sorted(claims, key=lambda claim: (claim.claimed_at, claim.execution_id), reverse=True)
        jobs = [
            part
            for claim in latest_first
            for part in (claim.job_id, claim.execution_id, claim.queue, int(claim.attempt > 0))
        ]
        return [self.worker_name, int(have_begun), *jobs]

    def recover(self, queue: str) -> list[Any]:
        """The arguments of `recover.lua`."""
        return [_date(), self.worker_name, queue, self.lease_seconds, _prefix(), _RECOVERED_AT_ONCE]

    def recovered(self, arguments: list[Any], answer: list[Any]) -> Recovered:
        """What `recover.lua` answered."""
        now, queue = time.time(), arguments[2]
        job_ids, spent, struck_off = answer
        rows = _rows(spent, 2)
        claims = [Lease(job_id.decode(), execution.decode(), queue, b"", None, 0, now) for job_id, execution in rows]
        return Recovered(job_ids, claims, is_all=struck_off < _RECOVERED_AT_ONCE)

    def unanswered(self, members: Iterable[bytes], queues: Sequence[str]) -> list[Lease]:
        """What claims whose answers were lost have left in RQ's index; each may be in the registry of any queue.

        What recovery claimed anew to be buried is none of it: that is not to run again.
        """
        pairs = [member.decode().split(":") for member in members]
        return [
            Lease(job_id, execution_id, queue, b"", None, int(job_id[33:] in self._attempts), 0)
            for job_id, execution_id in pairs
            if execution_id[:_PREFIX_LENGTH] in self._unanswered
            for queue in queues
        ]


class Executions:
    """The executions of one worker, from its event loop."""

    def __init__(self, redis: AsyncRedis, ledger: Ledger) -> None:
        """Make the scripts.

        Args:
            redis: the connection they go through.
            ledger: the worker's.
        """
        self._redis = redis
        self._ledger = ledger
        self._worker = ledger.worker_name
        self._claim, self._settle, self._renew, self._put_back, self._recover = (
            redis.register_script(script(name, ledger.limits))
            for name in ("claim", "settle", "renew", "put_back", "recover")
        )

    async def claim(self, queues: Sequence[str], free: int) -> Claimed:
        """Lease jobs.

        Args:
            queues: in the order they are looked at.
            free: how many at most.
        """
        arguments = self._ledger.claim(queues, free)
        return self._ledger.claimed(arguments, await self._claim(keys=list(map(queue_key, queues)), args=arguments))

    async def settle(self, claims: Iterable[Lease]) -> tuple[set[str], set[str]]:
        """Settle jobs that have succeeded.

        Returns:
            The ids of executions that were no longer ours, and of those that RQ's own code must settle.
        """
        lost, left, resumed = await self._settle(args=self._ledger.settlement(claims))
        log_resumed(resumed)
        return _texts(lost), _texts(left)

    async def renew(self, claims: Iterable[Lease], known_seconds: int) -> tuple[bool, set[str]]:
        """Give a sign of life of the worker and of executions.

        Returns:
            Whether Redis still knew the worker, and the ids of executions that are no longer ours.
        """
        known, lost = await self._renew(args=self._ledger.renewal(claims, known_seconds))
        return bool(known), _texts(lost)

    async def put_back(self, claims: Iterable[Lease], *, have_begun: bool = False) -> int:
        """Put jobs back at the head of their queues, their attempts uncounted; how many were still ours.

        Args:
            claims: the jobs.
            have_begun: whether what they call may have been called: then a rate counts their starts.
        """
        arguments = self._ledger.put_back(held, have_begun=have_begun) if (held := list(claims)) else []
        return int(await self._put_back(args=arguments)) if arguments else 0

    async def recover(self, queue: str) -> Recovered:
        """Recover jobs of a queue whose leases have run out.

        All of them, a hundred at a time, since a process that died may have held many; but it stops when there are a
        hundred to be buried, each of which is a thread's work, and in time for the worker to renew its own leases.
        """
        recovered = Recovered([], [], is_all=False)
        until = time.monotonic() + self._ledger.lease_seconds * _RECOVERY_SHARE
        while not recovered.is_all and len(recovered.spent) < _BURIED_AT_ONCE and time.monotonic() < until:
            recovered = recovered.with_more(await self._recover_some(queue))
        return recovered

    async def _recover_some(self, queue: str) -> Recovered:
        arguments = self._ledger.recover(queue)
        return self._ledger.recovered(arguments, await self._recover(args=arguments))

    async def show(self, field: str, value: str) -> None:
        """Write what RQ shows of the worker."""
        await self._redis.hset(worker_key(self._worker), field, value)

    async def put_back_unanswered(self, queues: Sequence[str]) -> int:
        """Put back what claims took whose answers were lost: Redis says that it is this worker's.

        Args:
            queues: those it claims from.
        """
        members: Any = await self._redis.smembers(WORKER_EXECUTIONS_KEY_TEMPLATE.format(self._worker))
        return await self.put_back(self._ledger.unanswered(members, queues))


def log_resumed(resumed: Sequence[bytes]) -> None:
    """Log which queues go on after a pause: job types as ids have them, each followed by its queue."""
    for name, queue in zip(resumed[::2], resumed[1::2], strict=True):
        get_log().info("queue_resumed", queue=queue.decode(), job=name.decode().replace("-", "."))


def worker_key(name: str) -> str:
    """RQ's key of a worker."""
    return BaseWorker.redis_worker_namespace_prefix + name


def script(name: str, limits: str) -> str:
    """A script of this package, with what it needs in front of it.

    Args:
        name: its file's.
        limits: what `workers.limits.limits_text` gives.
    """
    here = files("workers")
    flags = "#!lua flags=allow-oom\n" if name in _WHEN_FULL else ""  # Redis looks for it at the very beginning
    return flags + limits + here.joinpath("executions.lua").read_text() + here.joinpath(f"{name}.lua").read_text()


def _date() -> str:
    return utcformat(datetime.now(UTC))


def _prefix() -> str:
    return uuid.uuid4().hex[:24]


def _rows(flat: list[Any], width: int) -> Iterable[Sequence[Any]]:
    return zip(*[iter(flat)] * width, strict=True)


def _texts(values: Iterable[bytes]) -> set[str]:
    return {value.decode() for value in values}

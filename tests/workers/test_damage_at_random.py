"""Any key damaged at any moment: no job is lost, none runs twice, and the next worker goes on.

What a worker does is done here step by step, with damage in between; at the end RQ's own keys are mended, leases run
out, and a worker works off what there is.
"""

import json
from collections import Counter
from functools import partial
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from redis import Redis

from shared import ApiCall, Breaker, Concurrency, Jobs
from shared.queues import EVENTS
from shared.testing import api_call
from tests.logged import capture_logs
from tests.workers.conftest import WorkplaceFactory
from tests.workers.test_claims import Step, worker_of
from tests.workers.test_executions import expire
from tests.workers.working import Workplace
from workers.executions import Executions

QUEUES = ["default", "other"]
EVENT_COUNT = 3
ASIDE = "aside:"

SHARED = [
    "deskbell:slots:few", "deskbell:starts:slow", "deskbell:failures:guarded", "deskbell:paused", "deskbell:orders",
    "deskbell:order:{group}", "deskbell:turn:{group}",
    "rq:worker:ours", "rq:worker:ours:executions",
]  # fmt: skip
OF_A_JOB = ["rq:execution:{member}", "rq:executions:{id}", "rq:results:{id}", "rq:job:{id}"]
HOLDING = [
    f"rq:{kind}:{queue}" for kind in ("queue", "wip", "finished", "failed", "scheduled", "deferred") for queue in QUEUES
]
KINDS = ["string", "list", "hash", "set", "zset"]
STEPS = ["claim", "claim some", "settle", "put back", "renew", "recover"]

Damage = tuple[str, str, int]
DAMAGES = st.lists(
    st.tuples(st.sampled_from(SHARED + OF_A_JOB + HOLDING), st.sampled_from(KINDS), st.integers(0, 14)), max_size=3
)


def some_jobs() -> tuple[Jobs, list[str]]:
    """One job type of each kind of limit, one that is ordered, one without anything; and the ids of jobs that ran."""
    jobs, ran = Jobs(), []

    @jobs.on(ApiCall)
    def plain(event: ApiCall) -> None:
        ran.append(f"{event.id}-plain")

    @jobs.on(ApiCall, limit=Concurrency(2), queue="other")
    async def few(event: ApiCall) -> None:
        ran.append(f"{event.id}-few")

    @jobs.on(ApiCall, limit="1000/s", queue="other")
    def slow(event: ApiCall) -> None:
        ran.append(f"{event.id}-slow")

    @jobs.on(ApiCall, breaker=Breaker(failures=1, pause=1), keep=0)
    async def guarded(event: ApiCall) -> None:
        ran.append(f"{event.id}-guarded")

    @jobs.on(ApiCall, ordered_by="session")
    def note(event: ApiCall) -> None:
        ran.append(f"{event.id}-note")

    return jobs, ran


class Scene:
    """A worker that does one step at a time, and keys that are damaged in between."""

    def __init__(self, workplace: Workplace, step: Step, ids: list[str]) -> None:
        self.redis = workplace.redis
        self._step = step
        self._ids = ids
        self._held: list[Any] = []
        self.settled: list[str] = []
        self.destroyed: set[str] = set()

    def damage(self, template: str, kind: str, number: int) -> None:
        """Have a key hold something of another kind; what is held nowhere else is put aside."""
        job_id = self._ids[number % len(self._ids)]
        if template == "rq:job:{id}":
            if job_id.endswith("-note"):  # those behind it would wait for half a minute
                return
            self.destroyed.add(job_id)
        held = self._held[number % len(self._held)].member if self._held else "x:y"
        key = template.format(id=job_id, member=held, group=self._group())
        if key in HOLDING and kind == kind_of(key):
            litter(self.redis, key)
            return
        if key in HOLDING and self.redis.type(key) == kind_of(key).encode():
            self.redis.rename(key, ASIDE + key)
        spoil(self.redis, key, kind)

    def _group(self) -> str:
        keys = [key.decode() for key in self.redis.scan_iter("deskbell:order:*")]
        return str(keys[0]).removeprefix("deskbell:order:") if keys else "note:0"

    def mend(self) -> None:
        """Give RQ back what it keeps jobs in."""
        for key in HOLDING:
            if self.redis.exists(ASIDE + key):
                self.redis.rename(ASIDE + key, key)
            elif self.redis.type(key) not in (b"none", kind_of(key).encode()):
                self.redis.delete(key)

    def do(self, what: str) -> None:
        """Do a step."""
        if what.startswith("claim"):
            free = 2 if what == "claim some" else 20
            self._held += self._step(lambda ours: ours.claim(QUEUES, free)).claims
        elif what == "settle":
            self._settle()
        elif what == "put back":
            claims, self._held = self._held, []
            self._step(lambda ours: ours.put_back(claims))
        elif what == "renew":
            self._step(lambda ours: ours.renew(self._held, 60))
        else:
            self._recover()

    def _settle(self) -> None:
        claims, self._held = self._held, []
        lost, left = self._step(lambda ours: ours.settle(claims))
        self.settled += [claim.job_id for claim in claims if claim.execution_id not in lost | left]

    def _recover(self) -> None:
        for queue in QUEUES:
            if self.redis.type(f"rq:wip:{queue}") == b"zset":
                expire(self.redis, queue)
            self._step(partial(recover, queue))


async def recover(queue: str, ours: Executions) -> None:
    """Recover what there is on a queue."""
    await ours.recover(queue)


def kind_of(key: str) -> str:
    """What a key that holds jobs is."""
    return "list" if key.startswith("rq:queue:") else "zset"


def litter(redis: Redis, key: str) -> None:
    """Add to what holds jobs what is none, if it can be added to."""
    if redis.type(key) == b"list":
        redis.lpush(key, "x", b"\xff:", "")
    elif redis.type(key) == b"zset":
        members: dict[Any, float] = {"x": 1, b"\xff:": 1} if ":wip:" in key else {"x": 1}
        redis.zadd(key, members)


def spoil(redis: Redis, key: str, kind: str) -> None:
    """Have a key hold something that nobody has written."""
    redis.delete(key)
    members: dict[Any, float] = {"x": 1, b"\xff": float("inf")}
    writes: dict[str, Any] = {
        "string": lambda: redis.set(key, "x"),
        "list": lambda: redis.rpush(key, "x", ""),
        "hash": lambda: redis.hset(key, "guarded", json.dumps({"queue": "default", "until": "x"})),
        "set": lambda: redis.sadd(key, "x", b"\xff:"),
        "zset": lambda: redis.zadd(key, members),
    }
    writes[kind]()


@settings(
    max_examples=30,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # each example takes a while: none is looked for anew
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(st.tuples(DAMAGES, st.sampled_from(STEPS)), min_size=2, max_size=7))
def test_no_damage_loses_or_doubles_a_job(
    steps: list[tuple[list[Damage], str]], open_workplace: WorkplaceFactory, valkey_url: str
) -> None:
    """Every job whose own hash was left alone ends well, once; no list and no registry of jobs under way holds one."""
    jobs, ran = some_jobs()
    workplace = open_workplace(jobs)
    redis = workplace.redis
    redis.flushall()
    for _ in range(EVENT_COUNT):
        workplace.put_event(api_call(SystemSessionID="s"))
    with capture_logs():
        workplace.work(EVENTS)
        ids = sorted(key.decode()[7:] for key in redis.scan_iter("rq:job:*-*") if key.count(b":") == 2)
        with worker_of(workplace, valkey_url) as step:
            scene = Scene(workplace, step, ids)
            for damages, what in steps:
                for damage in damages:
                    scene.damage(*damage)
                scene.do(what)
        scene.mend()
        work_off(workplace, scene, ran)

    counts = Counter(scene.settled + ran)
    assert len(ids) == 5 * EVENT_COUNT
    assert {job_id: counts[job_id] for job_id in ids if job_id not in scene.destroyed and counts[job_id] != 1} == {}
    assert [key for queue in QUEUES for key in (f"rq:wip:{queue}", f"rq:queue:{queue}") if redis.exists(key)] == []


def work_off(workplace: Workplace, scene: Scene, ran: list[str]) -> None:
    """Let leases run out and retries be due, and have a worker work, until all has run or nothing helps."""
    for _ in range(3 * EVENT_COUNT):
        for queue in QUEUES:
            expire(workplace.redis, queue)
            workplace.make_due(queue)
        workplace.work(*QUEUES)
        if len(set(scene.settled + ran)) >= 5 * EVENT_COUNT - len(scene.destroyed):
            break

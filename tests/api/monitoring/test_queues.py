"""What `/metrics` tells of jobs that are held back, of failures by cause, and of all hosts, from what lies on Redis."""

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from redis import Redis
from rq import Worker

from deskbell import ApiCall, Discard, Jobs, Unavailable
from deskbell.testing import api_call
from shared.redis.api_hosts import API_HOSTS_KEY, ApiHost
from shared.redis.queues import queue
from shared.redis.workers import WORKER_KEY, WorkerRecord
from tests.conftest import ApiFactory, WorkplaceFactory, open_workplace
from workers.declared import declared

__all__ = ["open_workplace"]  # a fixture

Told = dict[str, float]


@pytest.fixture
def jobs() -> Jobs:
    """Job types that fail, each in its way."""
    jobs = Jobs()

    @jobs.on(ApiCall, node="fails", queue="crm", attempts=2)
    def fails(event: ApiCall) -> None:  # noqa: ARG001
        raise ConnectionError

    @jobs.on(ApiCall, node="away", queue="crm")
    def away(event: ApiCall) -> None:  # noqa: ARG001
        raise Unavailable("away")

    @jobs.on(ApiCall, node="dies", queue="crm", ordered_by="session", on_dead="hold")
    def dies(event: ApiCall) -> None:  # noqa: ARG001
        raise Discard("no", code="403")

    return jobs


def told(start_api: ApiFactory) -> Told:
    """Deskbell's series with their values."""
    text = start_api().http.get("/metrics").text
    return {name: float(value) for name, value in re.findall(r"^(deskbell_\w+(?:{.*})?) (\S+)$", text, re.MULTILINE)}


def put_worker(redis: Redis, **said: Any) -> None:
    """Write what a worker of the queue crm says of itself."""
    given = {"job_types": {}, **said}
    record = WorkerRecord(name="w", host="v", pid=1, version="1", queues=("crm",), slots=1, noted=time.time(), **given)
    Worker([queue("crm", redis)], connection=redis, name="w").register_birth()
    redis.set(WORKER_KEY + "w", record.to_json())


def held_back(series: Told, state: str) -> Told:
    """How many jobs of the queue crm are in a state, by cause; without those of which there is none."""
    pattern = re.compile(rf'deskbell_jobs_held_back{{cause="(\w+)",queue="crm",state="{state}"}}')
    return {match[1]: value for name, value in series.items() if (match := pattern.fullmatch(name)) and value}


def test_scheduled_held_and_failed_jobs_are_told_by_cause(
    redis: Redis, jobs: Jobs, open_workplace: WorkplaceFactory, start_api: ApiFactory
) -> None:
    """With how old the first of them is."""
    workplace = open_workplace(jobs)
    for node in ("fails", "away", "dies"):
        workplace.put_jobs(api_call(node, SystemSessionID="s-1"))
    workplace.work("crm")
    for _ in range(2):
        workplace.put_jobs(api_call("dies", SystemSessionID="s-1"))
    first = workplace.queue("crm").deferred_job_registry.get_job_ids()[0]
    redis.zadd("rq:deferred:crm", {first: time.time() - 4000})

    series = told(start_api)

    assert held_back(series, "scheduled") == {"failed": 1, "unavailable": 1}
    assert held_back(series, "held") == {"dead_letter": 1, "earlier_job": 1}
    assert 3990 < series['deskbell_oldest_held_back_seconds{queue="crm",state="held"}'] < 4100
    assert series['deskbell_oldest_held_back_seconds{queue="crm",state="scheduled"}'] > 0
    failures = {name: value for name, value in series.items() if name.startswith("deskbell_job_failures_total")}
    assert failures == {
        'deskbell_job_failures_total{cause="connection",job_type="fails",outcome="retry"}': 1,
        'deskbell_job_failures_total{cause="decided",job_type="away",outcome="retry"}': 1,
        'deskbell_job_failures_total{cause="http_401_403",job_type="dies",outcome="discarded"}': 1,
    }
    assert series["deskbell_redis_reads_refused"] == 0


def test_what_is_not_looked_at_is_counted_as_such(redis: Redis, start_api: ApiFactory) -> None:
    """The first and the last hundred are looked at."""
    crm, later = queue("crm", redis), datetime.now(UTC) + timedelta(hours=1)
    redis.sadd("rq:queues", crm.key)
    crm.scheduled_job_registry.cleanup()
    redis.zadd("rq:scheduled:crm", {f"{number:032x}-push": later.timestamp() + number for number in range(250)})
    redis.set("rq:deferred:events", "x")

    series = told(start_api)

    assert held_back(series, "scheduled") == {"failed": 200, "not_looked_at": 50}
    assert series["deskbell_redis_reads_refused"] == 1  # the key that somebody has written over


def test_series_of_queues_and_job_types_begin_with_0_as_soon_as_a_worker_declares_them(
    redis: Redis, jobs: Jobs, start_api: ApiFactory
) -> None:
    """Prometheus would not see the first dead letter of a queue as one more."""
    put_worker(redis, job_types={each.name: declared(each) for each in jobs.types})

    series = told(start_api)

    assert series['deskbell_jobs{queue="crm",state="dead"}'] == 0
    assert series['deskbell_jobs_held_back{cause="undeclared",queue="crm",state="scheduled"}'] == 0
    assert series['deskbell_worker_loop_blocks_total{job_type="dies"}'] == 0


def test_spools_and_clocks_of_all_hosts_are_told(redis: Redis, start_api: ApiFactory) -> None:
    """Those that are gone apart from those that are there; of the clocks the one that is furthest off."""
    now = time.time()
    here = ApiHost(host="a", folder="/s", events=2, oldest=now - 5, noted=now, has_ended=False, size=70, ahead=0.5)
    gone = ApiHost(host="b", folder="/s", events=9, oldest=now - 900, noted=now - 700, has_ended=False, ahead=900)
    ended = ApiHost(host="c", folder="/s", events=0, oldest=None, noted=now - 8e5, has_ended=True)
    redis.hset(API_HOSTS_KEY, mapping={host.field: host.to_json() for host in (here, gone, ended)})
    put_worker(redis, lag=0.4, ahead=-7.0)

    series = told(start_api)

    assert (series['deskbell_hosts{state="living"}'], series['deskbell_hosts{state="gone"}']) == (1, 1)
    assert series['deskbell_hosts_spool_events{state="living"}'] == 2
    assert series['deskbell_hosts_spool_bytes{state="living"}'] == 70
    assert series['deskbell_hosts_spool_events{state="gone"}'] == 9
    assert 890 < series['deskbell_hosts_spool_oldest_seconds{state="gone"}'] < 1000
    assert series['deskbell_host_clock_seconds{role="api"}'] == 0.5
    assert series['deskbell_host_clock_seconds{role="worker"}'] == -7
    assert series['deskbell_worker_lag_seconds{queue="crm"}'] == 0.4

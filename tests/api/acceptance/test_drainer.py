"""Redis away, and back: what was answered meanwhile gets there, in order, once.

Long, because one file holds what one promise says under every fault, each with a test that reads alone.
"""

import asyncio
import os
import random
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from pydantic import SecretStr

from api.acceptance.accept import AcceptScript, Entry, SequenceNumber
from api.lateness import Lateness
from api.metrics import Metrics
from deskbell import Settings
from deskbell.testing import api_call, packet
from shared.records.packing import Packing
from shared.records.query import all_calls
from shared.records.users import User, list_as_forgotten
from shared.redis.connections import connect_async
from shared.redis.pipelining import TooFewReplicasError
from shared.redis.queues import EVENTS, REPLY_KEY, queue
from shared.wire.events import Reply
from tests.api.intakes import drain, open_intake, spool
from tests.conftest import SettingsFactory
from tests.desk import serving
from tests.redis_outages import Line, Server, counting, event_ids
from tests.replicated import PASSWORD, Replicated
from tests.waiting import eventually, until

QUICK = {"budget_ms": 5000, "redis_timeout_ms": 200, "accept_ms": 4000}
"""A Redis given up soon, and a disk that may take its time: the machine that runs tests may be busy."""


@pytest.fixture
def settings(server: Server, make_settings: SettingsFactory) -> Settings:
    """Settings for it."""
    return make_settings(redis_url=SecretStr(server.url), **QUICK)


def kept_id(answer: Any) -> str:
    """The id of the event that an answer says is kept."""
    assert answer.status_code == 200, answer.text
    return str(answer.headers["x-deskbell-event"])


@contextmanager
def killed(server: Server) -> Iterator[None]:
    """No server."""
    server.kill()
    yield
    server.start()


@contextmanager
def configured(server: Server, name: str, value: str, after: str) -> Iterator[None]:
    """A server that one of its settings keeps from writing."""
    with server.connect() as redis:
        redis.config_set(name, value)
        yield
        redis.config_set(name, after)


@contextmanager
def replica(server: Server, serves_stale_data: str) -> Iterator[None]:
    """A replica that has lost its master, and may serve what it has."""
    with server.connect() as redis:
        redis.config_set("replica-serve-stale-data", serves_stale_data)
        redis.replicaof("127.0.0.1", "1")
        yield
        redis.replicaof("NO", "ONE")


@contextmanager
def damaged(server: Server) -> Iterator[None]:
    """The queue's key is no list."""
    with server.connect() as redis:
        redis.rename(queue(EVENTS, redis).key, "elsewhere")
        redis.set(queue(EVENTS, redis).key, "not a list")
        yield
        redis.rename("elsewhere", queue(EVENTS, redis).key)


FAULTS: dict[str, Any] = {
    "killed": killed,
    "frozen": lambda server: server.frozen(),
    "out of memory": lambda server: configured(server, "maxmemory", "1", "0"),
    "too few replicas": lambda server: configured(server, "min-replicas-to-write", "1", "0"),
    "read-only": lambda server: replica(server, "yes"),
    "master down": lambda server: replica(server, "no"),
    "damaged": damaged,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_keeps_redis_from_taking_events_none_is_lost_or_doubled(
    server: Server, settings: Settings, fault: str
) -> None:
    """Answers go on, with their variables; then each event is on the queue once, in the order of the answers."""
    away: AbstractContextManager[None] = FAULTS[fault](server)

    with serving(settings, counting()) as desk:
        answers = [desk.call("count")]
        with away:
            answers += [desk.call("count") for _ in range(5)]
            spooling = desk.http.get("/readyz")
        ids = [kept_id(answer) for answer in answers]
        until(lambda: len(event_ids(server)) == 6)
        until(lambda: desk.http.get("/readyz").json()["status"] == "ready")
        answers.append(desk.call("count"))

    assert [answer.json()["Body"]["Number"] for answer in answers] == list("0123456")
    assert event_ids(server) == [*ids, kept_id(answers[-1])]
    assert spooling.status_code == 200
    assert spooling.json()["status"] == "spooling"


def test_only_the_first_answer_waits_for_a_redis_that_hangs(
    server: Server, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the breaker is open events go to the spool untried, whatever the probes meet."""
    tried: list[int] = []
    accept = AcceptScript.accept

    async def count(script: AcceptScript, entries: Sequence[Entry], *given: Any, **named: Any) -> Any:
        if not named.get("numbers"):  # which only events of the spool have
            tried.append(len(entries))
        return await accept(script, entries, *given, **named)

    with serving(settings, counting()) as desk:
        desk.call("count")
        with server.frozen(), monkeypatch.context() as patch:
            patch.setattr(AcceptScript, "accept", count)
            for _ in range(20):
                kept_id(desk.call("count"))

        until(lambda: len(event_ids(server)) == 21)

    assert sum(tried) == 1


def test_a_call_that_redis_took_and_never_answered_is_not_sent_again(
    server: Server, make_settings: SettingsFactory
) -> None:
    """Not even when Redis has long forgotten the answers: the mark of the call decides."""
    with Line(server.url) as line, server.connect() as redis:
        settings = make_settings(redis_url=SecretStr(line.url), **QUICK)

        async def keep() -> list[str]:
            async with open_intake(settings) as intake:
                await intake.keep(api_call(), Reply(), "before")
                line.hold("answers")
                events = [api_call() for _ in range(5)]
                await asyncio.gather(*(intake.keep(event, Reply(), event.id) for event in events))
                later = await intake.keep(api_call(), Reply(), "later")
                redis.delete(*redis.keys(REPLY_KEY + "*"))
                line.release("answers")
                await eventually(lambda: not intake.spool.all_waiting)
                return [*(event.id for event in events), later.event_id]

        ids = asyncio.run(keep())

        assert event_ids(server)[1:] == ids
        assert sorted(call.id for call in all_calls(redis)) == sorted(event_ids(server))


def test_a_call_that_arrives_after_its_events_were_drained_is_refused(
    server: Server, make_settings: SettingsFactory
) -> None:
    """A network may deliver it minutes later, when Redis has forgotten the answers."""
    with Line(server.url) as line, server.connect() as redis:
        settings = make_settings(redis_url=SecretStr(line.url), **QUICK)

        async def keep_through_the_line() -> str:
            async with open_intake(settings) as intake:
                await intake.keep(api_call(), Reply(), "before")
                line.hold("requests")
                return (await intake.keep(api_call(), Reply(), "late")).event_id

        late = asyncio.run(keep_through_the_line())
        drain(make_settings(redis_url=SecretStr(server.url), **QUICK))
        redis.delete(*redis.keys(REPLY_KEY + "*"))
        refused = redis.info("errorstats").get("errorstat_CLOSED", {"count": 0})["count"]
        line.release("requests")
        until(lambda: redis.info("errorstats").get("errorstat_CLOSED", {"count": 0})["count"] > refused)

        assert event_ids(server)[1:] == [late]


def test_a_drain_that_was_killed_before_its_end_is_not_repeated(
    server: Server, settings: Settings, tmp_path: Path
) -> None:
    """Killed after Redis took the events and before the disk forgot them: the file's mark decides."""
    server.kill()
    ids = spool(settings, *map(str, range(300)))
    shutil.copytree(settings.spool_dir, tmp_path / "copy")
    server.start()
    drain(settings)
    restore(tmp_path / "copy", settings)
    with server.connect() as redis:
        redis.delete(*redis.keys(REPLY_KEY + "*"))
    drain(settings)

    assert event_ids(server) == ids


def restore(copy: Path, settings: Settings) -> None:
    """Put an earlier copy in the place of the spool."""
    shutil.rmtree(settings.spool_dir)
    shutil.copytree(copy, settings.spool_dir)


def test_a_spool_restored_from_a_copy_repeats_no_numbers(server: Server, settings: Settings, tmp_path: Path) -> None:
    """What is appended after that is another epoch: the mark of the first does not swallow it."""
    server.kill()
    first = spool(settings, "1")
    shutil.copytree(settings.spool_dir, tmp_path / "copy")
    more = spool(settings, *"23456")
    server.start()
    drain(settings)
    server.kill()
    restore(tmp_path / "copy", settings)
    after = spool(settings, *"789")
    server.start()
    drain(settings)

    assert event_ids(server) == [*first, *more, *after]


def test_redis_memory_of_a_delivery_takes_precedence_over_the_spool(server: Server, settings: Settings) -> None:
    """While Redis is away, a duplicate cannot be known and is answered anew; of the two events one has jobs."""
    with serving(settings, counting()) as desk:
        body = packet()
        first = desk.post(body, "count", RequestID="r-1")
        server.kill()
        again = desk.post(body, "count", RequestID="r-1")
        server.start()
        until(lambda: 'deskbell_drained_total{result="duplicate"} 1.0' in desk.http.get("/metrics").text)
        later = desk.post(body, "count", RequestID="r-1")

    assert again.json()["Body"] == {"Number": "1"}
    assert later.content == first.content
    assert event_ids(server) == [kept_id(first)]


def test_a_user_who_was_forgotten_meanwhile_is_dropped_from_the_spool(server: Server, settings: Settings) -> None:
    """Of the app that was named, and what had come until then; all other events get to Redis, and what comes later."""
    forgotten, other = User("user517"), User("user1", "7")
    with serving(settings, counting()) as desk:
        desk.call("count")
        server.kill()
        ids = [
            kept_id(desk.call("count", SystemClientUserID=user)) for user in ("user517", "user1", "user517", "user2")
        ]
    server.start()
    with server.connect() as redis:
        for user in (forgotten, other):
            list_as_forgotten(redis, user)
    with serving(settings, counting()) as desk:
        until(lambda: 'deskbell_drained_total{result="forgotten"} 2.0' in desk.http.get("/metrics").text)
        later = kept_id(desk.call("count", SystemClientUserID="user517"))
        until(lambda: later in event_ids(server))

    assert event_ids(server)[-3:] == [ids[1], ids[3], later]


def test_events_that_come_while_the_spool_is_drained_queue_up_behind_it(server: Server, settings: Settings) -> None:
    """Those of one session keep their order, under load too."""

    async def keep() -> list[str]:
        ids: list[str] = []
        async with open_intake(settings) as intake:
            server.kill()
            await asyncio.gather(*(intake.keep(api_call(), Reply(), uuid4().hex) for _ in range(1000)))
            await asyncio.to_thread(server.start)
            while intake.spool.all_waiting or len(ids) < 50:
                ids.append((await intake.keep(api_call(), Reply(), uuid4().hex)).event_id)
        return ids

    ids = asyncio.run(keep())

    found = event_ids(server)
    assert len(found) == 1000 + len(ids)
    assert found[1000:] == ids


class Fate:
    """What happens to a server and the line to it, drawn by chance."""

    def __init__(self, server: Server, line: Line, chance: random.Random) -> None:
        self._server = server
        self._line = line
        self._chance = chance
        self._is_up = True

    def strike(self) -> None:
        """Do something."""
        self._chance.choice([self._kill, self.restore, self._mute, self._deafen, self._forget])()

    def restore(self) -> None:
        """Let everything be well."""
        if not self._is_up:
            self._server.start()
        self._is_up = True
        self._line.release("requests")
        self._line.release("answers")

    def _kill(self) -> None:
        self._server.kill()
        self._is_up = False

    def _mute(self) -> None:
        self._line.hold("answers")

    def _deafen(self) -> None:
        self._line.hold("requests")

    def _forget(self) -> None:
        if self._is_up:
            with self._server.connect() as redis:
                redis.delete("", *redis.keys(REPLY_KEY + "*"))


@pytest.mark.parametrize("seed", [23, 34, 49])
def test_whatever_happens_in_whatever_order_each_acknowledged_event_is_there_once(
    server: Server, make_settings: SettingsFactory, seed: int
) -> None:
    """Redis killed, hanging, unreachable and back, answers forgotten, the api restarted: random, with a fixed seed."""
    chance = random.Random(seed)
    acknowledged: list[str] = []

    async def live(settings: Settings, fate: Fate) -> None:
        async with open_intake(settings) as intake:
            for _ in range(5):
                events = [api_call() for _ in range(chance.randint(1, 40))]
                kept = await asyncio.gather(*(intake.keep(event, Reply(), event.id) for event in events))
                acknowledged.extend(each.event_id for each in kept)
                await asyncio.to_thread(fate.strike)

    async def drain(settings: Settings) -> None:
        async with open_intake(settings) as intake:
            await eventually(lambda: not intake.breaker.is_open and not intake.spool.all_waiting)

    with Line(server.url) as line:
        settings = make_settings(redis_url=SecretStr(line.url), **QUICK)
        fate = Fate(server, line, chance)
        for _ in range(4):
            asyncio.run(live(settings, fate))
        fate.restore()
        asyncio.run(drain(settings))

    assert len(acknowledged) > 100
    assert sorted(event_ids(server)) == sorted(acknowledged)


def test_a_call_that_is_sent_again_waits_for_the_replicas_again(tmp_path: Path, make_settings: SettingsFactory) -> None:
    """It finds everything done, on a connection that has written nothing: WAIT alone would say yes at once."""
    servers = Replicated(tmp_path)
    entry = Entry("one", "1" * 32, b"{}", b"data", "1400000001", "command", "", "answered")

    async def send(url: str) -> None:
        settings = make_settings(
            redis_url=SecretStr(url), min_replicas=1, budget_ms=10_000, redis_timeout_ms=2000, accept_ms=5000
        )
        redis = connect_async(settings)
        acceptance = AcceptScript(redis, settings, Lateness(Metrics()), Packing(settings))
        for _ in range(2):
            with pytest.raises(TooFewReplicasError):
                await acceptance.accept([entry], SequenceNumber("sender", 1), numbers=[1])
            await acceptance.reconnect()
        await redis.aclose()

    try:
        port, replica = servers.start_pair()
        os.kill(replica.pid, signal.SIGSTOP)
        asyncio.run(send(f"redis://:{PASSWORD}@127.0.0.1:{port}/0"))
    finally:
        servers.close()

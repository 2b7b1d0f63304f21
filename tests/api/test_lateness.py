"""An event loop that a handler blocks: what other callbacks are answered, and what is logged."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx
import pytest
from redis import Redis

from api.lateness import Lateness
from api.metrics import Metrics
from api.server.arrival import waited
from deskbell import Callbacks
from shared.redis.queues import EVENTS, queue
from shared.runtime.blocks import LAST_BLOCKS_KEY, LastBlock, read_blocks
from tests.conftest import ApiFactory
from tests.desk import Desk
from tests.logged import capture_logs
from tests.waiting import until

PATIENCE = 20
BUDGET_MS = 1600


class Blocker:
    """A handler that holds the event loop from its beginning until it is let go."""

    def __init__(self, **options: Any) -> None:
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.calls = 0
        self.callbacks = Callbacks()

        @self.callbacks.api_call("blocks", **options)
        async def blocks() -> dict[str, str]:
            self.calls += 1
            self.begun.set()
            self.gate.wait(PATIENCE)
            return {"Status": "shipped"}

        @self.callbacks.api_call("beside", fallback={"Status": "unknown"})
        async def beside() -> dict[str, str]:
            return {"Status": "shipped"}

    def hold(self, desk: Desk, *nodes: str) -> list[httpx.Response]:
        """The answers to a call that blocks for longer than the budget, and to others that come meanwhile."""
        with ThreadPoolExecutor(len(nodes) + 1) as threads:
            answers = [threads.submit(desk.call, "blocks")]
            assert self.begun.wait(PATIENCE)
            answers += [threads.submit(desk.call, node) for node in nodes]
            held_until = time.monotonic() + 2 * BUDGET_MS / 1000
            until(lambda: time.monotonic() > held_until)
            self.gate.set()
            return [answer.result() for answer in answers]


@pytest.fixture
def desk(start_api: ApiFactory) -> Iterator[tuple[Desk, Blocker]]:
    """An api with such a handler that has a fallback."""
    blocker = Blocker(fallback={"Status": "unknown"})
    yield start_api(blocker.callbacks, budget_ms=BUDGET_MS, redis_timeout_ms=700), blocker
    blocker.gate.set()


def test_who_blocks_the_loop_falls_back_and_so_do_those_who_wait_too_long_for_it(
    desk: tuple[Desk, Blocker], redis: Redis
) -> None:
    """Every event is kept: the loop was late, not Redis. What comes late to its handler is not begun.

    The time that is logged and measured counts from when the request arrived, not from when it was read.
    """
    api, blocker = desk

    with capture_logs() as lines:
        answers = blocker.hold(api, "blocks", "beside", "")

    envelopes = [answer.json() for answer in answers]
    assert [(each["ErrorCode"], each.get("Body")) for each in envelopes] == [(0, {"Status": "unknown"})] * 3 + [
        (0, None)
    ]
    assert blocker.calls == 1
    assert len(queue(EVENTS, redis)) == 4
    logged = [line for line in lines if line["event"] == "callback"]
    assert [line["outcome"] for line in logged].count("fallback") == 3
    assert all(line["ms"] > BUDGET_MS for line in logged)
    assert not [line for line in lines if line["event"] in ("refused", "redis_away")]


def test_a_block_is_told_with_its_handler_and_line(desk: tuple[Desk, Blocker], redis: Redis) -> None:
    """In the log while it lasts, in the metrics and, for a minute afterwards, by `/readyz`; on Redis for `doctor`."""
    api, blocker = desk
    before = api.http.get("/readyz").json()

    with capture_logs() as lines:
        blocker.hold(api)
        until(lambda: any(line["event"] == "loop_unblocked" and "handler" in line for line in lines))

    at = next(line for line in lines if line["event"] == "loop_blocked" and "handler" in line)
    assert (at["handler"], at["at"].partition(":")[0]) == ("blocks", "api/test_lateness.py")
    assert at["at"].endswith(" in blocks")
    after = api.http.get("/readyz").json()
    assert (before["status"], before["blocking_handlers"]) == ("ready", [])
    assert (after["status"], after["blocking_handlers"]) == ("degraded", ["blocks"])
    metrics = api.http.get("/metrics").text
    assert 'deskbell_loop_blocks_total{handler="blocks"} 1.0' in metrics
    assert 'deskbell_loop_blocks_total{handler="beside"} 0.0' in metrics
    noted = until(lambda: blocks_of(redis, "handler blocks"))
    assert [(block.at, block.is_over) for block in noted] == [(at["at"], True)]


def blocks_of(redis: Redis, who: str) -> list[LastBlock]:
    """The last block of a handler: on a busy machine a loop may stand still without one, too."""
    return [block for block in read_blocks(redis.hgetall(LAST_BLOCKS_KEY)) if block.who == who]


def test_without_a_fallback_the_handler_that_blocked_is_out_of_time(start_api: ApiFactory, redis: Redis) -> None:
    """1008, and never 1010: the event is kept."""
    blocker = Blocker()
    api = start_api(blocker.callbacks, budget_ms=BUDGET_MS, redis_timeout_ms=700)

    (answer,) = blocker.hold(api)

    assert answer.json()["ErrorCode"] == 1008
    assert queue(EVENTS, redis).job_ids == [answer.headers["X-Deskbell-Event"]]


def test_a_call_that_ran_out_of_time_while_the_loop_stood_still_is_made_once_more() -> None:
    """Else it has run out of time."""
    calls: list[str] = []

    async def run(*, blocks: bool) -> None:
        async def call() -> str:
            calls.append("call")
            if len(calls) > 1:
                return "answered"
            async with asyncio.timeout(0.01):
                await asyncio.sleep(0)
                if blocks:
                    time.sleep(0.3)  # noqa: ASYNC251 - the loop is to stand still
                await asyncio.Event().wait()
            return "never"

        assert await Lateness(Metrics()).retry_if_blocked(call, 0.01) == "answered"

    asyncio.run(run(blocks=True))
    assert len(calls) == 2
    calls.clear()
    with pytest.raises(TimeoutError):
        asyncio.run(run(blocks=False))


def test_a_deadline_passes_when_nothing_stood_still() -> None:
    """What it is left at least counts from when it is left."""

    async def wait(leave: float) -> float:
        began = asyncio.get_running_loop().time()
        with suppress(TimeoutError), Lateness(Metrics()).until(began + 0.01, 60) as deadline:
            deadline.extend(leave)
            await asyncio.Event().wait()
        return asyncio.get_running_loop().time() - began

    assert asyncio.run(wait(0)) >= 0.01
    assert asyncio.run(wait(0.1)) >= 0.1


def test_deadlines_that_run_at_once_pass_each_at_its_time() -> None:
    """Whichever began first; one that is over in time puts off no other."""
    lateness = Lateness(Metrics())

    async def wait(seconds: float, *, ends: bool = False) -> bool:
        until = asyncio.get_running_loop().time() + seconds
        try:
            with lateness.until(until, 0):
                await (asyncio.sleep(0) if ends else asyncio.Event().wait())
        except TimeoutError:
            return asyncio.get_running_loop().time() >= until - 0.001
        return ends

    async def run() -> list[bool]:
        waits = (wait(0.05), wait(0.01, ends=True), wait(0.02), wait(0.08), wait(0.02))
        return list(await asyncio.gather(*waits))

    assert asyncio.run(run()) == [True] * 5


def test_a_deadline_is_put_off_once_for_each_time_that_the_loop_stood_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the grace."""
    lost = iter([0.0, 1.0, 1.0])
    lateness = Lateness(Metrics())
    monkeypatch.setattr(lateness, "lost", lambda: next(lost))

    async def run() -> float:
        loop = asyncio.get_running_loop()
        began = loop.time()
        with pytest.raises(TimeoutError), lateness.until(began, 0.05):
            await asyncio.Event().wait()
        return loop.time() - began

    assert asyncio.run(run()) >= 0.05
    assert next(lost, None) is None


def test_what_a_connection_has_had_in_the_kernel_is_asked_of_tcp_alone() -> None:
    """Of another socket the system does not say it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"request")
        assert waited(ours) == 0.0
    assert waited(None) == 0.0

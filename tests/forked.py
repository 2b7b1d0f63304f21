"""The command as a process of its own, forked from one that has imported it: no test waits for the imports.

What its supervisor and `deskbell dev` start is forked as well, from those, which have imported nothing of the
integrator's.

Where the start itself is what a test is about (what is imported when, encodings, limits), it starts Python anew.
"""

import atexit
import multiprocessing
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryFile
from types import SimpleNamespace, TracebackType
from typing import IO, Any, Self

from tests.waiting import DEADLINE_SECONDS

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload(["tests.preloaded"])


class Forked:
    """A process that runs the command, in a session of its own.

    Attributes:
        pid: its number.
    """

    def __init__(
        self,
        words: tuple[str, ...],
        env: Mapping[str, str],
        cwd: Path,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int | IO[bytes] = 1,
        stderr: int | IO[bytes] = 2,
    ) -> None:
        """Start it.

        Args:
            words: the arguments of the command.
            env: its whole environment.
            cwd: the folder it runs in.
            stdin: what it reads.
            stdout: what it writes to.
            stderr: what it complains to.
        """
        streams = [_stream(each) for each in (stdin, stdout, stderr)]
        self._process = _FORKS.Process(target=_run, args=(words, dict(env), cwd, streams), daemon=True)
        self._process.start()
        for stream in streams:
            stream.close()
        assert self._process.pid
        self.pid = self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.wait()

    @property
    def returncode(self) -> int | None:
        """How it has ended."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """How it has ended, if it has."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended; how it has.

        Raises:
            TimeoutExpired: it has not.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired("deskbell", timeout or 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Tell it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


def run(*words: str, env: Mapping[str, str], cwd: Path, typed: str = "") -> subprocess.CompletedProcess[str]:
    """Run the command to its end; how it ended, and what it printed.

    Args:
        *words: its arguments.
        env: its whole environment.
        cwd: the folder it runs in.
        typed: what it reads.
    """
    with TemporaryFile() as stdin, TemporaryFile() as stdout, TemporaryFile() as stderr:
        stdin.write(typed.encode())
        stdin.seek(0)
        status = Forked(words, env, cwd, stdin, stdout, stderr).wait(DEADLINE_SECONDS)
        printed = []
        for stream in (stdout, stderr):
            stream.seek(0)
            printed.append(stream.read().decode())
    return subprocess.CompletedProcess(words, status, *printed)


def _stream(given: int | IO[bytes]) -> Connection:
    """A file as `multiprocessing` hands it on: as if it were a connection."""
    fd = os.open(os.devnull, os.O_RDWR) if given == subprocess.DEVNULL else os.dup(_fileno(given))
    return Connection(fd)


def _fileno(given: int | IO[bytes]) -> int:
    return given if isinstance(given, int) else given.fileno()


def _run(words: tuple[str, ...], env: dict[str, str], cwd: Path, streams: list[Connection]) -> None:
    """Be the command, as `python -P -m deskbell` is."""
    from deskbell.cli import stack  # noqa: PLC0415 - where this process was started they need not be
    from deskbell.cli.processes import supervisor  # noqa: PLC0415

    os.chdir(cwd)
    for fd, stream in enumerate(streams):
        os.dup2(stream.fileno(), fd)
        stream.close()
    sys.stdin, sys.stdout = os.fdopen(0, "r", closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    vars(supervisor)["subprocess"] = SimpleNamespace(Popen=_child)
    vars(stack)["subprocess"] = SimpleNamespace(**vars(subprocess) | {"Popen": _child})
    _be_command(words, env)


def _be_command(words: Sequence[str], env: Mapping[str, str]) -> None:
    from prometheus_client import values  # noqa: PLC0415 - imported before, by the fork server

    from deskbell.cli.main import main  # noqa: PLC0415

    os.setsid()
    os.environ.clear()
    os.environ.update(env)
    sys.argv = ["deskbell", *words]
    if env.get("PYTHONUNBUFFERED"):
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
    # prometheus_client asks the environment when it is imported.
    values.ValueClass = values.get_value_class()  # type: ignore[no-untyped-call]
    try:
        main()
    finally:
        atexit._run_exitfuncs()  # noqa: SLF001 - as Python does; processes that are forked do not


def _child(command: Sequence[str], **options: Any) -> "_Child | subprocess.Popen[bytes]":
    """What a supervisor or `deskbell dev` starts."""
    if command[:4] != [sys.executable, "-P", "-m", "deskbell"]:
        return subprocess.Popen(command, **options)
    assert options.pop("start_new_session")
    return _Child(command, **options)


class _Child:
    """The command as their `Popen` is: a process that goes on as another one begins."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str],
        pass_fds: Sequence[int],
        stdout: int | IO[bytes] | None = None,
        stderr: int | None = None,
    ) -> None:
        self._status: int | None = None
        self.stdout: IO[bytes] | None = None
        sys.stdout.flush()
        if stdout == subprocess.PIPE:
            reader, writer = os.pipe()
            self.stdout = os.fdopen(reader, "rb")
        else:
            writer = os.dup(1 if stdout is None else _fileno(stdout))
        # A signal that comes before the child has let go of its parent's handlers must end it, as a new program.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        self.pid = os.fork()
        if self.pid:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            os.close(writer)
            return
        status = 1
        try:
            os.dup2(writer, 1)
            if stderr == subprocess.STDOUT:
                os.dup2(writer, 2)
            _forget_parent(pass_fds)
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            _be_command(command[4:], env)
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except BaseException:  # noqa: BLE001 - nothing may go on in what the supervisor is in the midst of
            traceback.print_exc()
        finally:
            os._exit(status)

    def poll(self) -> int | None:
        """How it has ended, if it has."""
        if self._status is None:
            ended, status = os.waitpid(self.pid, os.WNOHANG)
            self._status = os.waitstatus_to_exitcode(status) if ended else None
        return self._status

    def wait(self, timeout: float = DEADLINE_SECONDS) -> int:
        """Wait until it has ended; how it has.

        Raises:
            TimeoutExpired: it has not.
        """
        ends = time.monotonic() + timeout
        while self.poll() is None:
            if time.monotonic() > ends:
                raise subprocess.TimeoutExpired("deskbell", timeout)
            time.sleep(0.01)
        assert self._status is not None
        return self._status

    def terminate(self) -> None:
        """Tell it to end."""
        self.send_signal(signal.SIGTERM)

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)


def _forget_parent(but_fds: Sequence[int]) -> None:
    """Let go of what a program that is started anew does not get: files, handlers of signals, what is done at exit."""
    low = 2
    for fd in [*sorted(but_fds), os.sysconf("SC_OPEN_MAX")]:
        os.closerange(low + 1, fd)
        low = fd
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    atexit._clear()  # noqa: SLF001 - the parent's, such as the removal of its folders

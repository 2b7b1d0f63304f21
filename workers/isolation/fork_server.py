"""A fork server: a process that has imported the job types, and forks a child for each job that asks for its own.

1. A worker starts it, and sends it a socket for each such job: see `workers/isolation/children.py`.
2. The child writes its process id on the socket, reads the job there, runs it, writes its outcome, and ends, which
   gives its memory back to the system.
3. The server writes to the worker how each child ended, by which signal for instance.
4. When the worker is gone, the server kills the children with all that they have started, and ends.

It has one thread, as a process that forks must, and ignores signals that are meant for the worker. (The fork server of
`multiprocessing` imports only what can be imported without an error, is one for the whole process, blocks the event
loop while it imports, and leaves what a child has started when its worker dies.)
"""

import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, Never

from rq.job import _current_job

from shared.logs import flush_logs, get_log, name_process
from shared.redis.connections import connect
from shared.traces.sending import collect_traces
from shared.traces.span import collected
from shared.traces.spans import continue_trace
from workers.attempt import Attempt, Performer
from workers.isolation.child_errors import encode_error
from workers.job import AllowListedJob
from workers.lease import Lease
from workers.perform import call, performer

_WAIT_SECONDS = 1.0
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of <linux/prctl.h>


class ForkServer:
    """Forks children for a worker; on the main thread. Their sockets come in through `control`, their ends go out."""

    def __init__(self, control: socket.socket, performer: Performer) -> None:
        self._control = control
        self._performer = performer
        self._children: set[int] = set()
        self._wakes, self._woken = socket.socketpair()
        for end in (self._wakes, self._woken):
            end.setblocking(False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)  # not ignored: what a job starts would ignore it as well
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)

    def run(self) -> None:
        """Serve until the worker is gone."""
        with suppress(BrokenPipeError):  # the worker is gone, which the loop will notice
            self._control.sendall(b"ready\n")
        while True:
            readable, _, _ = select.select([self._control, self._wakes], [], [], _WAIT_SECONDS)
            if self._wakes in readable:
                with suppress(BlockingIOError):
                    self._wakes.recv(4096)
            self._reap()
            if self._control in readable and not self._accept():
                break
        kill(self._children)

    def _accept(self) -> bool:
        """Fork for the next job; False when the worker is gone."""
        data, descriptors, _, _ = socket.recv_fds(self._control, 1, 1)
        for descriptor in descriptors:
            self._fork(socket.socket(fileno=descriptor))
        return bool(data)

    def _fork(self, channel: socket.socket) -> None:
        with channel:
            try:
                child = os.fork()
            except (
                OSError
            ) as error:  # too many processes, no memory: the worker finds the socket closed and tries again
                get_log().error("not_forked", error=error)
                return
            if not child:
                self._be_child(channel)
            self._children.add(child)

    def _be_child(self, channel: socket.socket) -> Never:
        status = 1
        try:
            self._detach()
            perform(channel, self._performer)
            status = 0
        finally:
            with suppress(Exception):
                sys.stdout.flush()
            flush_logs()
            os._exit(status)

    def _detach(self) -> None:
        parent = os.getppid()
        os.setsid()  # it is killed with all that it starts
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        for end in (self._control, self._wakes, self._woken):
            end.close()
        if sys.platform == "linux":
            ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

    def _reap(self) -> None:
        with suppress(ChildProcessError):
            while True:
                child, status = os.waitpid(-1, os.WNOHANG)
                if not child:
                    return
                self._children.discard(child)
                with suppress(OSError):
                    self._control.sendall(f"{child} {os.waitstatus_to_exitcode(status)}\n".encode())


def kill(children: Iterable[int]) -> None:
    """Kill children, each with all that it has started."""
    for child in children:
        with suppress(ProcessLookupError, PermissionError):  # macOS says the second of a group that is gone
            os.killpg(child, signal.SIGKILL)


def perform(channel: socket.socket, performer: Performer) -> None:
    """Run the job that is read from a socket; write its outcome, null or what was raised, and its spans."""
    with channel.makefile("rwb") as file:
        file.write(f"{os.getpid()}\n".encode())
        file.flush()
        if not (asked := file.readline()):  # the worker has given the job up
            return
        outcome = None
        try:
            _run(json.loads(asked), performer)
        except BaseException as error:  # noqa: BLE001 - SystemExit, too, is the job's failure
            outcome = encode_error(error)
        file.write(json.dumps([outcome, collected()]).encode() + b"\n")


def _run(asked: dict[str, Any], performer: Performer) -> None:
    lease = Lease(data=b"", timeout=0, **asked["lease"])
    _current_job.set(AllowListedJob.of(lease, connect(performer.settings)))
    attempt = Attempt(performer, asked["job"], asked["wire"])
    attempt.prepare()
    continue_trace(asked["wire"])
    call(performer, attempt)


def main() -> None:
    """Serve the worker that started this process, on the socket that this process has inherited."""
    descriptor, worker = sys.argv[1:]
    control = socket.socket(fileno=int(descriptor))
    ready = performer()
    collect_traces()
    name_process(worker=worker)
    gc.freeze()  # the collector would write to memory that the children share
    ForkServer(control, ready).run()


if __name__ == "__main__":
    main()

"""Process isolation: jobs that ask for a process of their own, each in a child of a fork server.

Such a job can be killed at any moment: when its time is up, when it is stopped, when its lease is lost, and with its
worker. A child that dies, for instance because the system has no memory left, takes no other job with it.
"""

import asyncio
import json
import signal
import socket
import subprocess
from contextlib import suppress
from typing import Any

from shared.errors import ProcessDied
from shared.logs import get_log
from shared.own_packages import command
from shared.traces.span import relay
from shared.traces.spans import carried
from shared.wire.events import Wire
from workers.isolation.child_errors import decode_error
from workers.isolation.fork_server import kill
from workers.lease import Lease

_MOST_BYTES = 1024 * 1024  # of a child's answer; its text is bounded to far less
_READY_SECONDS = 60.0
_TRIES = 3
_AGAIN_SECONDS = 1.0
_END_SECONDS = 5.0  # between a child's answer and its end
_CLOSE_SECONDS = 1.0  # for a fork server that is ready; less than the margin of the worker's shutdown


class Children:
    """The children of one worker; on its event loop. The fork server is started by `start`, or with the first job."""

    def __init__(self, worker_name: str) -> None:
        self._worker_name = worker_name
        self._server: subprocess.Popen[bytes] | None = None
        self._starting = asyncio.Lock()
        self._alive: dict[int, asyncio.Future[int]] = {}

    def start(self) -> None:
        """Start the fork server without waiting for it; so early it has the code and the settings of its worker."""
        self._early_start = asyncio.create_task(self._start_early())

    async def _start_early(self) -> None:
        with suppress(ProcessDied):  # the first job tries again
            await self.ready()

    async def ready(self) -> None:
        """Wait until there is a fork server, and it has imported the job types.

        Raises:
            ProcessDied: it has not in a minute.
        """
        try:
            async with asyncio.timeout(_READY_SECONDS), self._starting:
                if self._server is None:
                    await self._start()
        except TimeoutError:
            self._end_server()
            raise ProcessDied("", "no process could be had for the job") from None

    async def perform(self, lease: Lease, name: str, wire: Wire) -> None:
        """Run a job in a child; when this is cancelled, the child is killed.

        Raises:
            ProcessDied: the child has ended before the job did.
            Exception: what the job raised: see `workers/isolation/child_errors.py`.
        """
        held = {each: getattr(lease, each) for each in ("job_id", "execution_id", "queue", "attempt", "claimed_at")}
        asked = {"lease": held, "job": name, "wire": carried(wire)}
        for left in reversed(range(_TRIES)):
            reader, writer = await self._fork()
            try:
                child = int(await reader.readline() or 0)
                if child:
                    return await self._talk(child, asked, reader, writer)
            finally:
                writer.close()
            if left:  # the job has not begun
                await asyncio.sleep(_AGAIN_SECONDS)
        raise ProcessDied("", "no process could be had for the job")

    def close(self) -> None:
        """Kill the children, and let the fork server end."""
        if server := self._server:
            self._server = None
            asyncio.get_running_loop().remove_reader(self._control)
            kill(self._alive)
            self._control.close()
            if not self._ready.is_set():  # it still imports, and has no children
                server.kill()
            with suppress(subprocess.TimeoutExpired):
                server.wait(_CLOSE_SECONDS)

    async def _talk(
        self, child: int, asked: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Send a child its job, and read its answer."""
        end = self._alive[child] = asyncio.get_running_loop().create_future()
        answering = asyncio.create_task(reader.readline())
        try:
            writer.write(json.dumps(asked).encode() + b"\n")
            await asyncio.wait({answering, end}, return_when=asyncio.FIRST_COMPLETED)
            # What the child has started may hold the socket open after its end; a child may go on after its answer.
            await asyncio.wait({answering, end}, timeout=_END_SECONDS)
        finally:
            if not end.done():
                kill([child])
            answering.cancel()
            del self._alive[child]
        answer = answering.result() if answering.done() and not answering.cancelled() else b""
        if not answer.endswith(b"\n"):
            raise _death(end.result() if end.done() else None)
        encoded, spans = json.loads(answer)
        relay(spans)
        if encoded:
            raise decode_error(encoded)

    async def _fork(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        await self.ready()
        ours, theirs = socket.socketpair()
        with theirs, suppress(OSError):  # when the server is gone, the socket is closed at both ends
            socket.send_fds(self._control, [b"\0"], [theirs.fileno()])
        return await asyncio.open_unix_connection(sock=ours, limit=_MOST_BYTES)

    async def _start(self) -> None:
        """Start the fork server, and wait until it has imported the job types."""
        self._control, theirs = socket.socketpair()
        self._control.setblocking(False)
        with theirs:
            words = [*command("workers.isolation.fork_server"), str(theirs.fileno()), self._worker_name]
            # A session of its own: a Ctrl-C in the terminal is for the worker alone.
            self._server = subprocess.Popen(  # noqa: ASYNC220, S603 - it is not waited for; our own command
                words, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, start_new_session=True
            )
        get_log().info("fork_server_started", server_pid=self._server.pid)
        self._ready = asyncio.Event()
        self._unread = b""
        asyncio.get_running_loop().add_reader(self._control, self._read_control)
        await self._ready.wait()

    def _read_control(self) -> None:
        """Read that the fork server is ready, and how children ended."""
        try:
            received = self._control.recv(65_536)
        except BlockingIOError:
            return
        except OSError:
            received = b""
        *lines, self._unread = (self._unread + received).split(b"\n")
        for line in lines:
            child, _, status = line.partition(b" ")
            end = self._alive.get(int(child)) if status else None
            if end and not end.done():
                end.set_result(int(status))
        if not received:
            self._end_server()
        self._ready.set()

    def _end_server(self) -> None:
        """The fork server is gone, and its children with it."""
        server, self._server = self._server, None
        asyncio.get_running_loop().remove_reader(self._control)
        self._control.close()
        kill(self._alive)
        if server:
            server.kill()
            get_log().error("fork_server_died", server_pid=server.pid, status=server.wait())


def _death(status: int | None) -> ProcessDied:
    if status is None:
        return ProcessDied("", "the job's process is gone")
    if status >= 0:
        return ProcessDied(f"status {status}", f"the job's process ended with status {status} before the job did")
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    hint = "; perhaps the system had no memory left" if name == "SIGKILL" else ""
    return ProcessDied(name, f"the job's process was ended by {name}{hint}")

"""The spool, an outbox on this disk while Redis is away: one folder for the processes of a host, a file for each.

1. `keep` appends events to this process's own file; they are fsynced when it returns. A delivery that waits in any file
   of the folder is not kept again: what it was answered is handed back.
2. `first` and `remove` serve the drainer (`api.acceptance.drainer`): this process's file first, then those of dead
   processes.
3. All of it runs in one thread. When the disk hangs, `keep` fails after a time limit, and the event loop goes on.

A write that hangs may succeed after its sender was answered 1010. Its event stays and is drained; when the delivery
comes again, it gets the answer that was meant for the first.
"""

import asyncio
import errno
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from api.acceptance.accept import Entry, Kept, SequenceNumber
from api.acceptance.spool_file import NewerFileError, Row, SpoolFile, connect_to_read, file_paths, find, read_backlog
from api.lateness import Lateness
from api.metrics import Metrics, SpoolProblem
from shared.errors import CannotKeepError
from shared.logs import get_log
from shared.runtime.threads import DaemonThreads
from shared.settings.config import Settings

_Result = TypeVar("_Result")

_OPENING_SECONDS = 1.0
_SPARE_BYTES = 8 * 1024  # what an event takes beside its bytes, at most: its other columns and its place in the index
MEGABYTE = 1_000_000
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
_UNUSABLE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY)


class FullError(Exception):
    """Raised when the spool has reached DESKBELL_SPOOL_MAX_MB."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The first events that wait in a file, to be drained in one call."""

    file: SpoolFile
    rows: list[Row]


class Spool:
    """The spool as one process sees it.

    Attributes:
        problem: why events cannot be kept here, in a word; "" when they can.
    """

    def __init__(self, settings: Settings, metrics: Metrics, lateness: Lateness) -> None:
        self.problem: SpoolProblem | Literal[""] = ""
        self._folder = settings.spool_dir.absolute()  # a handler may change this process's folder
        self._most_bytes = settings.spool_max_mb * MEGABYTE
        self._patience = (settings.reserved_ms - settings.redis_timeout_ms) / 1000
        self._metrics = metrics
        self._lateness = lateness
        self._log = get_log()
        self._disk = DaemonThreads(most=1)
        self._own: SpoolFile | None = None
        self._adopted: list[SpoolFile] = []
        self._refused: set[Path] = set()
        self._hanging: asyncio.Future[Any] | None = None

    async def open(self) -> None:
        """Begin, on the running event loop: take a file, and those of processes that have died."""
        with suppress(Exception):  # logged; events are kept on Redis all the same
            async with asyncio.timeout(_OPENING_SECONDS):
                await self._disk.run(self._adopt)

    async def close(self) -> None:
        """Close the files; what waits in them stays."""
        closing_files = self._disk.run(self._close)
        self._disk.close()
        await asyncio.wait({closing_files}, timeout=_OPENING_SECONDS)

    @property
    def waiting(self) -> int:
        """How many events wait in this process's own file."""
        return self._own.events if self._own else 0

    @property
    def all_waiting(self) -> int:
        """How many wait, with those in the files that were adopted."""
        return sum(file.events for file in self._files())

    @property
    def oldest(self) -> float | None:
        """Unix seconds at which the first of all of them was kept; None when there is none."""
        times = [file.oldest for file in self._files() if file.oldest is not None]
        return min(times, default=None)

    async def keep(self, entries: Sequence[Entry], in_doubt: SequenceNumber | None) -> list[Kept | None]:
        """Keep events on the disk, all of them or none.

        Returns:
            For each event None, or what was kept before of its delivery.

        Raises:
            CannotKeepError: the spool is full, or the disk does not do its work in time.
        """
        try:
            found = await self._write(lambda: self._keep(entries, in_doubt))
        except Exception as error:
            self.record_failure(error)
            raise CannotKeepError("the disk did not take the event") from error
        if None in found:  # a duplicate alone was not written, and says nothing of the disk
            self._record_success()
        self._metrics.spooled.inc(found.count(None))
        return found

    async def check(self) -> None:
        """Find out whether the disk can keep events again, by a write that leaves nothing behind."""
        try:
            await self._write(self._check)
        except Exception as error:  # noqa: BLE001 - it cannot
            self._record_problem("spool_failed", error)
        else:
            self._record_success()

    async def first(self, most: int) -> Batch | None:
        """The first events that wait, `most` at most; None when there are none."""
        return await self._disk.run(lambda: self._first(most))

    async def remove(self, batch: Batch, in_doubt: SequenceNumber | None) -> int:
        """Remove a batch that Redis has, or all events of the call in doubt, if Redis had taken that; how many."""

        def remove(file: SpoolFile) -> int:
            return file.remove_taken(in_doubt) if in_doubt else file.remove(batch.rows)

        return await self._disk.run(lambda: self._after(batch.file, remove))

    async def adopt(self) -> None:
        """Take over the files of processes that died."""
        await self._disk.run(self._adopt)

    def record_failure(self, error: BaseException) -> None:
        """Count that the disk failed; log it once for each problem, until the disk works again."""
        self._metrics.spool_failures.labels(_problem(error)).inc()
        self._record_problem("spool_failed", error)

    def _record_problem(self, line: str, error: BaseException) -> None:
        before, self.problem = self.problem, _problem(error)
        if not before:
            self._metrics.spool_failing.inc()
        if self.problem != before:
            self._log.error(line, problem=self.problem, folder=str(self._folder), error=error)

    def _record_success(self) -> None:
        if self.problem:
            self._log.info("spool_works_again", problem=self.problem, folder=str(self._folder))
            self._metrics.spool_failing.dec()
        self.problem = ""

    async def _write(self, call: Callable[[], _Result]) -> _Result:
        """Run a call in time; while an earlier one hangs, none is queued behind it.

        Raises:
            TimeoutError: it takes too long, and may yet succeed.
        """
        if self._hanging and not self._hanging.done():
            raise TimeoutError
        writing = self._disk.run(call)
        if not await self._lateness.wait(writing, self._patience):
            self._hanging = writing
            raise TimeoutError
        return writing.result()

    def _files(self) -> list[SpoolFile]:
        return [*([self._own] if self._own else []), *self._adopted]

    # The methods below run in the thread.

    def _keep(self, entries: Sequence[Entry], in_doubt: SequenceNumber | None) -> list[Kept | None]:
        own = self._opened()
        found: list[Kept | None] = []
        new: dict[str, Entry] = {}
        with self._readers() as readers:
            for entry in entries:
                before = new.get(entry.identity) or _find(entry.identity, readers)
                found.append(Kept(before.event_id, before.answer) if before else None)
                if not before:
                    new[entry.identity] = entry
        if new:
            self._check_room(own, sum(entry.size + _SPARE_BYTES for entry in new.values()))
            self._after(own, lambda file: file.append(list(new.values()), in_doubt))
        return found

    def _check(self) -> None:
        own = self._opened()
        self._check_room(own, _SPARE_BYTES)
        self._after(own, SpoolFile.check)

    def _first(self, most: int) -> Batch | None:
        for file in self._files():
            if file.events:
                rows = self._after(file, lambda each: each.first(most))
                if rows:
                    return Batch(file, rows)
        return None

    def _after(self, file: SpoolFile, act: Callable[[SpoolFile], _Result]) -> _Result:
        """Do something to a file; close it when that failed, clear it when it ran empty."""
        waited = file.events
        try:
            result = act(file)
        except sqlite3.Error as error:
            file.recover(error)
            raise
        if waited and not file.events:
            self._clear(file)
        return result

    def _clear(self, file: SpoolFile) -> None:
        if file in self._adopted:
            self._adopted.remove(file)
            file.close()
        else:
            file.recreate()

    def _opened(self) -> SpoolFile:
        """This process's file."""
        if self._own is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            numbers = iter(range(1_000_000))
            while self._own is None:  # the numbers below are of processes that live, or of a newer release
                with suppress(NewerFileError):
                    self._own = SpoolFile.acquire(self._folder / f"{next(numbers)}.db")
        return self._own

    def _adopt(self) -> None:
        try:
            ours = {self._opened().path, *(file.path for file in self._adopted)}
            for path in file_paths(self._folder):
                if path not in ours:
                    self._adopt_file(path)
        except (OSError, sqlite3.Error) as error:
            self._record_problem("spool_unavailable", error)
            raise

    def _adopt_file(self, path: Path) -> None:
        """Take over a file if it was left; one that cannot be opened does not stand in the way of those after it."""
        try:
            left = SpoolFile.acquire(path)
        except (OSError, sqlite3.Error) as error:
            if path not in self._refused:
                self._refused.add(path)
                self._log.error("spool_not_adopted", file=str(path), error=error)
            return
        if left and left.events:
            self._log.info("spool_adopted", file=str(path), events=left.events)
            self._adopted.append(left)
        elif left:
            left.close()

    @contextmanager
    def _readers(self) -> Iterator[list[sqlite3.Connection]]:
        """Connections that read the files of all processes of this host."""
        with ExitStack() as stack:
            readers = []
            for path in file_paths(self._folder):
                with suppress(sqlite3.Error):  # its process may be just ending, or it is another user's
                    readers.append(stack.enter_context(closing(connect_to_read(path))))
            yield readers

    def _check_room(self, own: SpoolFile, needed: int) -> None:
        others = sum(_size(path) for path in file_paths(self._folder) if path != own.path)
        if own.used_bytes() + others + needed > self._most_bytes:
            raise FullError

    def _close(self) -> None:
        for file in self._files():
            with suppress(sqlite3.Error, OSError):
                file.close()


@dataclass(frozen=True, slots=True)
class Survey:
    """What waits on a host's disk, whether its processes live or not.

    `oldest` is in Unix seconds; `free` is how many bytes the disk has left, 0 where the folder is missing.
    """

    events: int
    size: int
    oldest: float | None
    damaged: list[Path]
    free: int


def survey(folder: Path) -> Survey:
    """Read the files of a spool without locking them."""
    found: list[tuple[int, int, float | None]] = []
    damaged = sorted(folder.glob("*.damaged-*.db"))
    for path in file_paths(folder):
        try:
            with closing(connect_to_read(path)) as connection:
                found.append(read_backlog(connection))
        except sqlite3.Error:
            if _size(path):  # an empty one is just being made, or the disk had no room for it
                damaged.append(path)
    oldest = min((since for _, _, since in found if since is not None), default=None)
    free = shutil.disk_usage(folder).free if folder.is_dir() else 0
    return Survey(sum(events for events, _, _ in found), sum(size for _, size, _ in found), oldest, damaged, free)


def waiting_data(folder: Path) -> Iterator[bytes]:
    """The data of the RQ job of each event that waits on a host's disk; the files are not locked."""
    for path in file_paths(folder):
        with suppress(sqlite3.Error), closing(connect_to_read(path)) as connection:
            for row in connection.execute("SELECT data FROM entries ORDER BY number"):
                yield row[0]


def _find(identity: str, readers: Sequence[sqlite3.Connection]) -> Kept | None:
    """The event that waits for a delivery in any file."""
    for reader in readers:
        with suppress(sqlite3.Error):  # its process may be just beginning, or ending; a damaged file shows when written
            if found := find(reader, identity):
                return found
    return None


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # its process has ended
        return 0


def _problem(error: BaseException) -> SpoolProblem:
    """The problem that an error means; the log has the error's type."""
    code = getattr(error, "sqlite_errorcode", 0)
    number = getattr(error, "errno", 0)
    if isinstance(error, FullError) or code in _NO_ROOM or number in (errno.ENOSPC, errno.EDQUOT):
        return "full"
    if isinstance(error, TimeoutError):
        return "late"
    is_unusable = isinstance(error, OSError) and number != errno.EIO
    return "unusable" if is_unusable or code & 0xFF in _UNUSABLE else "broken"

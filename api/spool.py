"""Accepted events on this disk while Redis is away: one folder for the processes of a host, a file for each.

1. `keep` appends events to this process's own file; they are fsynced when it returns. A delivery that waits in any file
   of the folder is not kept again: what it was answered is handed back.
2. `head` and `forget` are the two ends of draining (`api.drainer`): own file first, then those of processes that died.
3. All of it runs in one thread. A disk that hangs costs `keep` its patience, never the event loop.

What a hanging disk writes in the end, after its sender was told 1010, stays: it is drained, and the delivery, should it
come again, gets the answer that was meant for the first.
"""

import asyncio
import errno
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from api.acceptance import Entry, Mark, Remembered
from api.lateness import Lateness
from api.metrics import Metrics, SpoolProblem
from api.shards import Level, Row, Shard, find, level, read, shard_paths
from shared.config import Settings
from shared.errors import CannotKeepError
from shared.logs import get_log
from shared.threads import Threads

_Result = TypeVar("_Result")

_OPENING_SECONDS = 1.0
_SPARE_BYTES = 8 * 1024  # what an event takes beside its bytes, at most: its other columns and its place in the index
_MEGABYTE = 1_000_000
_NO_ROOM = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE)
_UNUSABLE = (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_READONLY)


class FullError(Exception):
    """Raised when the spool has taken up what it may."""


@dataclass(frozen=True, slots=True)
class Head:
    """The first events of a file that wait to be drained."""

    shard: Shard
    rows: list[Row]


class Spool:
    """The spool as one process sees it.

    Attributes:
        problem: why events cannot be kept here, in a word; "" when they can.
    """

    def __init__(self, settings: Settings, metrics: Metrics, lateness: Lateness) -> None:
        self.problem: SpoolProblem | Literal[""] = ""
        self._folder = settings.spool_dir.absolute()  # a handler may change this process's folder
        self._most_bytes = settings.spool_max_mb * _MEGABYTE
        self._patience = (settings.reserved_ms - settings.redis_timeout_ms) / 1000
        self._metrics = metrics
        self._lateness = lateness
        self._log = get_log()
        self._disk = Threads(most=1)
        self._own: Shard | None = None
        self._adopted: list[Shard] = []
        self._refused: set[Path] = set()
        self._hanging: asyncio.Future[Any] | None = None

    async def open(self) -> None:
        """Begin, on the running event loop: take a file, and those of processes that have died."""
        with suppress(Exception):  # logged; events are kept on Redis all the same
            async with asyncio.timeout(_OPENING_SECONDS):
                await self._disk.run(self._adopt)

    async def close(self) -> None:
        """Let go of the files; what waits in them stays."""
        closing_files = self._disk.run(self._close)
        self._disk.close()
        await asyncio.wait({closing_files}, timeout=_OPENING_SECONDS)

    @property
    def waiting(self) -> int:
        """Events of this process's own file that wait."""
        return self._own.events if self._own else 0

    @property
    def all_waiting(self) -> int:
        """Those, and the ones that processes which died have left."""
        return sum(shard.events for shard in self._shards())

    @property
    def oldest(self) -> float | None:
        """Unix seconds at which the first of all of them was kept; None when there is none."""
        times = [shard.oldest for shard in self._shards() if shard.oldest is not None]
        return min(times, default=None)

    async def keep(self, entries: Sequence[Entry], doubt: Mark | None) -> list[Remembered | None]:
        """Keep events on the disk, all of them or none.

        Args:
            entries: the events.
            doubt: the call of Redis that may have taken them, if there was one.

        Returns:
            For each event None, or what its delivery was answered when it was kept before.

        Raises:
            CannotKeepError: the spool is full, or the disk does not do its work in time.
        """
        try:
            found = await self._write(lambda: self._keep(entries, doubt))
        except Exception as error:
            self.note(error)
            raise CannotKeepError("the disk did not take the event") from error
        if None in found:  # a duplicate alone was not written, and says nothing of the disk
            self._works()
        self._metrics.spooled.inc(found.count(None))
        return found

    async def check(self) -> None:
        """Find out whether the disk can keep events again, by a write that leaves nothing behind."""
        try:
            await self._write(self._check)
        except Exception as error:  # noqa: BLE001 - it cannot
            self._fails("spool_failed", error)
        else:
            self._works()

    async def head(self, most: int) -> Head | None:
        """The first events that wait, `most` at most; None when there are none."""
        return await self._disk.run(lambda: self._head(most))

    async def forget(self, head: Head) -> int:
        """Remove events that Redis has.

        Returns:
            How many.
        """
        return await self._disk.run(lambda: self._after(head.shard, lambda shard: shard.forget(head.rows)))

    async def forget_taken(self, head: Head, doubt: Mark) -> int:
        """Remove the events of a call that Redis has taken.

        Returns:
            How many.
        """
        return await self._disk.run(lambda: self._after(head.shard, lambda shard: shard.forget_taken(doubt)))

    async def adopt(self) -> None:
        """Take over the files that processes which died have left."""
        await self._disk.run(self._adopt)

    def note(self, error: BaseException) -> None:
        """Count that the disk has failed; logged once for each problem, until the disk does its work again."""
        self._metrics.spool_failures.labels(_word(error)).inc()
        self._fails("spool_failed", error)

    def _fails(self, line: str, error: BaseException) -> None:
        before, self.problem = self.problem, _word(error)
        self._metrics.spool_failing.set(1)
        if self.problem != before:
            self._log.error(line, problem=self.problem, folder=str(self._folder), error=error)

    def _works(self) -> None:
        if self.problem:
            self._log.info("spool_works_again", problem=self.problem, folder=str(self._folder))
        self.problem = ""
        self._metrics.spool_failing.set(0)

    async def _write(self, call: Callable[[], _Result]) -> _Result:
        """Run what must not take long; while one before hangs, nothing more is piled up behind it.

        Raises:
            TimeoutError: it does take long, and may yet be done.
        """
        if self._hanging and not self._hanging.done():
            raise TimeoutError
        writing = self._disk.run(call)
        if not await self._lateness.wait(writing, self._patience):
            self._hanging = writing
            raise TimeoutError
        return writing.result()

    def _shards(self) -> list[Shard]:
        return [*([self._own] if self._own else []), *self._adopted]

    # From here on in the thread.

    def _keep(self, entries: Sequence[Entry], doubt: Mark | None) -> list[Remembered | None]:
        own = self._opened()
        found: list[Remembered | None] = []
        new: dict[str, Entry] = {}
        with self._others() as others:
            for entry in entries:
                before = new.get(entry.identity) or self._find(entry.identity, others)
                found.append(Remembered(before.event_id, before.answer) if before else None)
                if not before:
                    new[entry.identity] = entry
        if new:
            self._check_room(own, sum(entry.size + _SPARE_BYTES for entry in new.values()))
            self._after(own, lambda shard: shard.append(list(new.values()), doubt))
        return found

    def _check(self) -> None:
        own = self._opened()
        self._check_room(own, _SPARE_BYTES)
        self._after(own, Shard.check)

    def _head(self, most: int) -> Head | None:
        for shard in self._shards():
            if shard.events:
                rows = self._after(shard, lambda each: each.head(most))
                if rows:
                    return Head(shard, rows)
        return None

    def _after(self, shard: Shard, act: Callable[[Shard], _Result]) -> _Result:
        """Do something to a file, then what is due after it: let go of it when it failed or is empty."""
        waited = shard.events
        try:
            result = act(shard)
        except sqlite3.Error as error:
            shard.recover(error)
            raise
        if waited and not shard.events:
            self._clear(shard)
        return result

    def _clear(self, shard: Shard) -> None:
        if shard in self._adopted:
            self._adopted.remove(shard)
            shard.close(remove=True)
        else:
            shard.renew()

    def _opened(self) -> Shard:
        """This process's file."""
        if self._own is None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            numbers = iter(range(1_000_000))
            while self._own is None:  # the numbers below are of processes that live
                self._own = Shard.take(self._folder / f"{next(numbers)}.db")
        return self._own

    def _adopt(self) -> None:
        try:
            ours = {self._opened().path, *(shard.path for shard in self._adopted)}
            for path in shard_paths(self._folder):
                if path not in ours:
                    self._adopt_file(path)
        except (OSError, sqlite3.Error) as error:
            self._fails("spool_unavailable", error)
            raise

    def _adopt_file(self, path: Path) -> None:
        """Take over a file if it was left; one that cannot be opened does not stand in the way of those after it."""
        try:
            left = Shard.take(path)
        except (OSError, sqlite3.Error) as error:
            if path not in self._refused:
                self._refused.add(path)
                self._log.error("spool_not_adopted", file=str(path), error=error)
            return
        if left and left.events:
            self._log.info("spool_adopted", file=str(path), events=left.events)
            self._adopted.append(left)
        elif left:
            left.close(remove=True)

    def _find(self, identity: str, others: Sequence[sqlite3.Connection]) -> Remembered | None:
        """What waits for a delivery in any file of the folder."""
        for shard in [self._opened(), *self._adopted]:
            found = self._after(shard, lambda each: each.find(identity))
            if found:
                return found
        for connection in others:
            with suppress(sqlite3.Error):  # its process may be just beginning, or ending
                found = find(connection, identity)
                if found:
                    return found
        return None

    @contextmanager
    def _others(self) -> Iterator[list[sqlite3.Connection]]:
        """The files of the other processes that live, to be read."""
        ours = {self._opened().path, *(shard.path for shard in self._adopted)}
        with ExitStack() as stack:
            others = []
            for path in shard_paths(self._folder):
                if path not in ours:
                    with suppress(sqlite3.Error):  # its process may be just ending, or it is another user's
                        others.append(stack.enter_context(closing(read(path))))
            yield others

    def _check_room(self, own: Shard, needed: int) -> None:
        others = sum(_size(path) for path in shard_paths(self._folder) if path != own.path)
        if own.used_bytes() + others + needed > self._most_bytes:
            raise FullError

    def _close(self) -> None:
        for shard in self._shards():
            with suppress(sqlite3.Error, OSError):
                shard.close(remove=True)


@dataclass(frozen=True, slots=True)
class Survey:
    """What waits on a host's disk, whether its processes live or not.

    Attributes:
        level: what waits.
        damaged: files that were set aside, or that cannot be read.
    """

    level: Level
    damaged: list[Path]


def survey(folder: Path) -> Survey:
    """Read the files of a spool as they are, without holding anybody up."""
    events, size, oldest = 0, 0, []
    damaged = sorted(folder.glob("*.damaged-*.db"))
    for path in shard_paths(folder):
        try:
            with closing(read(path)) as connection:
                found = level(connection)
        except sqlite3.Error:
            if path.exists():
                damaged.append(path)
            continue
        events, size = events + found.events, size + found.size
        oldest += [found.oldest] if found.oldest is not None else []
    return Survey(Level(events, size, min(oldest, default=None)), damaged)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # its process has ended
        return 0


def _word(error: BaseException) -> SpoolProblem:
    """The problem that an error tells of; the log has its type."""
    code = getattr(error, "sqlite_errorcode", 0)
    number = getattr(error, "errno", 0)
    if isinstance(error, FullError) or code in _NO_ROOM or number in (errno.ENOSPC, errno.EDQUOT):
        return "full"
    if isinstance(error, TimeoutError):
        return "late"
    is_unusable = isinstance(error, OSError) and number != errno.EIO
    return "unusable" if is_unusable or code & 0xFF in _UNUSABLE else "broken"

"""One file of the spool: an SQLite database with a write-ahead log, fsynced, for one process.

1. A process takes the file of the lowest number whose lock it gets: `0.db` with `0.lock`. The lock ends with the
   process, however that ends; a file left behind is then adopted by a process that lives, and drained.
2. Events are appended, each transaction an fsync, and removed from the front, which needs none: Redis knows by the
   sequence number what has been sent.
3. A file that is damaged, or not ours, is set aside under another name, never deleted. One that a newer release has
   written is left where it is.
"""

import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

from api.acceptance.accept import MOST_BYTES, Entry, Kept, SequenceNumber
from shared.logs import get_log
from shared.wire.events import new_event_id

_APPLICATION = 0x4445534B  # "DESK"
_VERSION = 1
_SCHEMA = f"""
CREATE TABLE entries (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  epoch TEXT NOT NULL,
  identity TEXT NOT NULL UNIQUE,
  event_id TEXT NOT NULL,
  answer BLOB NOT NULL,
  data BLOB NOT NULL,
  app_id TEXT NOT NULL,
  command TEXT NOT NULL,
  node TEXT NOT NULL,
  outcome TEXT NOT NULL,
  kept_at REAL NOT NULL,
  doubt_sender TEXT,
  doubt_number INTEGER
);
PRAGMA application_id = {_APPLICATION};
PRAGMA user_version = {_VERSION};
"""
_APPEND = "INSERT INTO entries VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_FIRST = (
    "SELECT number, epoch, doubt_sender, doubt_number, identity, event_id, answer, data, app_id, command, node, "
    "outcome FROM entries WHERE number > ? ORDER BY number LIMIT ?"
)
_IS_THERE = "SELECT 1 FROM entries WHERE number = ? AND event_id = ?"
_TAKEN = "SELECT max(number), count(*) FROM entries WHERE doubt_sender = ? AND doubt_number = ? AND number > ?"
_OLDEST = "SELECT kept_at FROM entries WHERE number > ? ORDER BY number LIMIT 1"
_COUNT = "SELECT count(*), coalesce(sum(length(answer) + length(data)), 0), min(kept_at) FROM entries WHERE number > ?"
_DAMAGE = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)  # ERROR: a column is missing
_LOG_PAGES = 256
_LOG_BYTES = 1024 * 1024
_BUSY_SECONDS = 0.2


class ForeignFileError(sqlite3.DatabaseError):
    """Raised when a database is not one that this version writes."""


class NewerFileError(sqlite3.DatabaseError):
    """Raised when a newer release has written a spool: it is left as it is, for an api of that release."""


@dataclass(frozen=True, slots=True)
class Row:
    """An event of the spool.

    Attributes:
        number: its sequence number; numbers rise.
        epoch: the producer under which it is drained: each opening of a file gives a new one to the events appended
            then, so a file restored from a copy repeats no numbers.
        in_doubt: the call of Redis that may have taken the event; None when there was none.
        entry: the event.
    """

    number: int
    epoch: str
    in_doubt: SequenceNumber | None
    entry: Entry


class SpoolFile:
    """An open file of the spool, and its lock. To be used in one thread.

    Attributes:
        path: the file.
        events: how many wait in it.
        oldest: Unix seconds at which the first of them was kept; None when there is none.
    """

    def __init__(self, path: Path, lock: int) -> None:
        """Open a file whose lock is held.

        Raises:
            sqlite3.Error: it is not a spool, or the disk does not do its work.
        """
        self.path = path
        self.events = 0
        self.oldest: float | None = None
        self._lock = lock
        self._epoch = ""
        self._removed = 0
        self._has_leftovers = self._is_checkpointed = False
        self._connection: sqlite3.Connection | None = None
        self._open()

    @classmethod
    def acquire(cls, path: Path) -> Self | None:
        """Open a file if no other process has it; a damaged one is set aside, and a new one begun."""
        lock = os.open(path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            try:
                return cls(path, lock)
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
            _set_aside(path)
            return cls(path, lock)
        except BaseException as error:
            os.close(lock)
            if isinstance(error, BlockingIOError):
                return None
            raise

    def append(self, entries: Sequence[Entry], in_doubt: SequenceNumber | None) -> None:
        """Keep events, all or none; they are on the disk when this returns.

        Raises:
            sqlite3.Error: they are not.
        """
        self._checkpoint()
        doubt = (in_doubt.producer, in_doubt.number) if in_doubt else (None, None)
        now = time.time()
        with self._transaction() as connection:
            connection.executemany(
                _APPEND,
                [(self._epoch, entry.identity, *entry.fields, now, *doubt) for entry in entries],
            )
        self.events += len(entries)
        self.oldest = self.oldest or now

    def first(self, most: int) -> list[Row]:
        """The first events, as many as one call of Redis takes: of one epoch, and of one call in doubt."""
        rows: list[Row] = []
        size = 0
        for number, epoch, producer, sent, *fields in self._opened.execute(_FIRST, (self._removed, most)):
            row = Row(number, epoch, SequenceNumber(producer, sent) if producer else None, Entry(*fields))
            if size > MOST_BYTES or (rows and (row.epoch, row.in_doubt) != (rows[0].epoch, rows[0].in_doubt)):
                break
            rows.append(row)
            size += row.entry.size
        return rows

    def remove(self, rows: Sequence[Row]) -> int:
        """Remove the first events that wait.

        This needs no fsync, and succeeds on a full disk: what comes back after a crash is recognised by its sequence
        number.

        Returns:
            How many; none when the file was set aside meanwhile, since its successor begins its own numbers.
        """
        last = rows[-1]
        is_there = self._opened.execute(_IS_THERE, (last.number, last.entry.event_id)).fetchone()
        return self._remove_up_to(last.number, len(rows)) if is_there else 0

    def remove_taken(self, in_doubt: SequenceNumber) -> int:
        """Remove the events of a call that Redis has taken: they are the first, and nothing stands between them.

        Returns:
            How many.
        """
        last, count = self._opened.execute(_TAKEN, (in_doubt.producer, in_doubt.number, self._removed)).fetchone()
        return self._remove_up_to(last, count) if count else 0

    def used_bytes(self) -> int:
        """Bytes of the file that hold something."""
        pages, free, size = (
            self._opened.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * size)

    def check(self) -> None:
        """Write to the disk, and change nothing."""
        self._checkpoint()
        self._opened.execute(f"PRAGMA user_version = {_VERSION}")

    def recreate(self) -> None:
        """Give the space of a file that has run empty back to the disk, if it is worth it, by beginning a new one."""
        if self._has_leftovers or self.path.stat().st_size > _LOG_BYTES:
            self._disconnect()
            for path in _files(self.path):
                path.unlink(missing_ok=True)

    def recover(self, error: sqlite3.Error) -> None:
        """Close the connection after an error, and set a damaged file aside; the next call opens a new one."""
        self._disconnect()
        if is_damage(error):
            _set_aside(self.path)
            self.events, self.oldest = 0, None

    def close(self) -> None:
        """Let go of the file; delete it if it is empty."""
        self._disconnect()
        if not self.events:
            for path in _files(self.path):
                path.unlink(missing_ok=True)
        os.close(self._lock)

    @property
    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._open()
        assert self._connection
        return self._connection

    def _open(self) -> None:
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))
        connection = sqlite3.connect(self.path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            if _prepare(connection):
                self._removed = 0
            events, _, oldest = read_backlog(connection, self._removed)
        except BaseException:
            connection.close()
            raise
        _sync_folder(self.path.parent)
        self._connection, self.events, self.oldest = connection, events, oldest
        self._epoch = new_event_id(time.time())
        self._has_leftovers = self._is_checkpointed = False

    def _checkpoint(self) -> None:
        """Write the write-ahead log back, before the first event since the file was opened is appended.

        After a failed fsync the system takes what it could not write for written; what is appended behind such a gap
        would be lost in a power cut. Reading does not need this: a full disk is drained all the same.
        """
        if not self._is_checkpointed:
            busy, _, _ = self._opened.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            self._is_checkpointed = not busy

    def _disconnect(self) -> None:
        if self._connection:
            self._connection.close()
            self._connection = None

    def _remove_up_to(self, last: int, count: int) -> int:
        self._removed, self.events = last, self.events - count
        first = self._opened.execute(_OLDEST, (last,)).fetchone()
        self.oldest = first[0] if first else None
        try:
            self._opened.execute("PRAGMA synchronous = NORMAL")
            self._opened.execute("DELETE FROM entries WHERE number <= ?", (last,))
        except sqlite3.OperationalError:  # no room, not even for the write-ahead log
            self._has_leftovers = True
        finally:
            self._opened.execute("PRAGMA synchronous = FULL")
        return count

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._opened.execute("BEGIN IMMEDIATE")
        try:
            yield self._opened
            self._opened.execute("COMMIT")
        except BaseException:
            if self._opened.in_transaction:
                self._opened.execute("ROLLBACK")
            raise


def connect_to_read(path: Path) -> sqlite3.Connection:
    """A connection that only reads a file, which another process may have."""
    return sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True, timeout=0)


def find(connection: sqlite3.Connection, identity: str) -> Kept | None:
    """The event that waits in a file for a delivery."""
    found = connection.execute("SELECT event_id, answer FROM entries WHERE identity = ?", (identity,)).fetchone()
    return Kept(*found) if found else None


def read_backlog(connection: sqlite3.Connection, removed: int = 0) -> tuple[int, int, float | None]:
    """How many events wait in a file behind the last number that was removed, their bytes, and since when."""
    events, size, oldest = connection.execute(_COUNT, (removed,)).fetchone()
    return events, size, oldest


def file_paths(folder: Path) -> list[Path]:
    """The files of a spool, by number."""
    return sorted((path for path in folder.glob("*.db") if path.stem.isdigit()), key=lambda path: int(path.stem))


def _prepare(connection: sqlite3.Connection) -> bool:
    """Bring a connection, and a new file, into the state that `append` relies on; whether the file is new."""
    is_new = not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if not is_new and not _is_ours(connection):
        raise NewerFileError if _is_newer(connection) else ForeignFileError
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA fullfsync = ON")  # macOS, whose fsync alone leaves the disk's own cache unwritten
    connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit = {_LOG_BYTES}")
    if is_new:
        connection.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
    return is_new


def _is_ours(connection: sqlite3.Connection) -> bool:
    """Whether a file is a spool that this version writes."""
    return _form(connection) == (_APPLICATION, _VERSION)


def _is_newer(connection: sqlite3.Connection) -> bool:
    application, version = _form(connection)
    return application == _APPLICATION and version > _VERSION


def _form(connection: sqlite3.Connection) -> tuple[int, int]:
    application, version = (
        int(connection.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("application_id", "user_version")
    )
    return application, version


def is_damage(error: BaseException) -> bool:
    """Whether an error says that the file is damaged or not ours, rather than that the disk failed."""
    return isinstance(error, ForeignFileError) or getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGE


def _set_aside(path: Path) -> None:
    aside = path.with_name(f"{path.stem}.damaged-{new_event_id(time.time())}.db")
    for file in _files(path):
        if file.exists():
            file.rename(file.with_name(file.name.replace(path.name, aside.name)))
    get_log().error("spool_set_aside", file=str(aside), advice="it may hold accepted events: keep it, and look into it")


def _files(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("-wal", "-shm", "")]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""The analytics job type: each event is one row, on SQLite or PostgreSQL.

The row holds who called and what came of it, never a variable's value. When a user is forgotten, a second job
type deletes their rows.
"""

import time
from datetime import UTC, datetime, timedelta
from math import inf
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from sqlalchemy import (
    Column,
    ColumnElement,
    DateTime,
    Float,
    MetaData,
    String,
    Table,
    create_engine,
    delete,
    inspect,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Engine
from sqlalchemy.event import listen
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.pool import QueuePool
from sqlalchemy.schema import CreateTable

from deskbell import Breaker, Event, Jobs, Settings, UserForgotten
from deskbell.adapters.once import Once

jobs = Jobs()

_DELETES_SECONDS, _DELETED_AT_ONCE = 60, 10_000
_WAIT_SECONDS = 10  # for a connection, or for another's write: less than the job's time-out

events_table = Table(
    "deskbell_events",
    MetaData(),
    Column("id", String(32), primary_key=True),
    Column("app", String, nullable=False),
    Column("command", String, nullable=False),
    Column("node", String, nullable=False),
    Column("user", String, nullable=False),
    Column("session", String, nullable=False),
    Column("event_time", DateTime(timezone=True)),
    Column("received_at", DateTime(timezone=True), nullable=False),
    Column("handler_ms", Float, nullable=False),
    Column("outcome", String, nullable=False),
)
"""The table; `outcome` is that of `Event.reply`."""


@jobs.on(
    Event,
    name="analytics.event",
    queue="analytics",
    attempts=8,
    timeout=30,
    breaker=Breaker(failures=10, pause=30),
)
def record_event(event: Event, settings: Settings) -> None:
    """Write the event's row, once: a second run finds it there."""
    assert event.reply
    engine = _engine(settings.analytics_url.get_secret_value())
    _with_table(engine)
    insert = postgresql.insert if engine.dialect.name == "postgresql" else sqlite.insert
    statement = insert(events_table).values(
        id=event.id,
        app=event.app_id,
        command=event.command,
        node=event.node,
        user=_storable(event.user_id),
        session=_storable(event.session_id),
        event_time=event.event_time,
        received_at=event.received_at,
        handler_ms=event.reply.handler_ms,
        outcome=event.reply.outcome,
    )
    with engine.begin() as connection:
        connection.execute(statement.on_conflict_do_nothing(index_elements=["id"]))
    if settings.analytics_days:
        _delete_old(engine, settings.analytics_days)


def _delete_old(engine: Engine, days: int) -> None:
    """Delete rows that are too old, so many at once; each process does so once a minute."""
    if time.monotonic() - _deleted_at.get(engine, -inf) < _DELETES_SECONDS:
        return
    _deleted_at[engine] = time.monotonic()
    is_old = events_table.c.received_at < datetime.now(UTC) - timedelta(days=days)
    some = select(events_table.c.id).where(is_old).limit(_DELETED_AT_ONCE)
    with engine.begin() as connection:
        connection.execute(delete(events_table).where(events_table.c.id.in_(some)))


_deleted_at: WeakKeyDictionary[Engine, float] = WeakKeyDictionary()


@jobs.on(
    UserForgotten,
    name="analytics.forget",
    queue="analytics",
    attempts=8,
    timeout=60,
    breaker=Breaker(failures=10, pause=30),
)
def forget_rows(event: UserForgotten, settings: Settings) -> None:
    """Delete the rows of a user who was forgotten: of the app, or of all, and of events until the moment."""
    assert event.event_time
    engine = _engine(settings.analytics_url.get_secret_value())
    _with_table(engine)
    condition = _of_user(event.user_id, event.app_id) & (events_table.c.received_at <= event.event_time)
    with engine.begin() as connection:
        connection.execute(delete(events_table).where(condition))


def rows_of(settings: Settings, user_id: str, app_id: str) -> list[dict[str, Any]]:
    """The rows of a user, of the app or, if that is "", of all; none where there is no table.

    Raises:
        SQLAlchemyError: the database is away, or refuses.
    """
    url = make_url(settings.analytics_url.get_secret_value())
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        return []
    engine = _engine(settings.analytics_url.get_secret_value())
    with engine.connect() as connection:
        if not inspect(connection).has_table(events_table.name):
            return []
        found = connection.execute(select(events_table).where(_of_user(user_id, app_id)))
        return [dict(row) for row in found.mappings()]


def _of_user(user_id: str, app_id: str) -> ColumnElement[bool]:
    of_user = events_table.c.user == _storable(user_id)
    return of_user & (events_table.c.app == app_id) if app_id else of_user


def _storable(text: str) -> str:
    """PostgreSQL's text holds every character but this one."""
    return text.replace("\0", "")


def _make_engine(url: str) -> Engine:
    """An engine, which connects at first use."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
        connecting: dict[str, Any] = {"connect_args": {"connect_timeout": _WAIT_SECONDS}}
        return create_engine(parsed, hide_parameters=True, pool_timeout=_WAIT_SECONDS, **connecting)
    if parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    # One connection: SQLite lets one write at a time, and does not serve waiting connections in order.
    waiting: dict[str, Any] = {"connect_args": {"timeout": _WAIT_SECONDS}, "pool_timeout": _WAIT_SECONDS}
    engine = create_engine(parsed, hide_parameters=True, poolclass=QueuePool, pool_size=1, max_overflow=0, **waiting)
    listen(engine, "connect", _read_while_others_write)
    return engine


_engine = Once(_make_engine, Engine.dispose)


def _read_while_others_write(connection: Any, _: Any) -> None:
    """Turn SQLite's write-ahead log on, so that reading the table never fails as locked. The file keeps the mode."""
    connection.execute("PRAGMA journal_mode=WAL")


def _with_table(engine: Engine) -> None:
    """Create the table if it is missing; several threads may do it at once, and a failure is tried again."""
    if engine not in _with_tables:
        _create_table(engine)
        _with_tables.add(engine)


_with_tables: WeakSet[Engine] = WeakSet()


def _create_table(engine: Engine) -> None:
    try:
        with engine.begin() as connection:
            connection.execute(CreateTable(events_table, if_not_exists=True))
    except (IntegrityError, ProgrammingError):
        # PostgreSQL's IF NOT EXISTS does not see a table that another process is just creating.
        if not inspect(engine).has_table(events_table.name):
            raise

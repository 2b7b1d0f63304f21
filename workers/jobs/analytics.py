"""The analytics job type: each event is one row, on SQLite or PostgreSQL.

The row holds who called and what came of it, never a variable's value.
"""

from functools import lru_cache
from pathlib import Path

from sqlalchemy import Column, DateTime, Float, MetaData, String, Table, create_engine, inspect, make_url
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Engine
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.schema import CreateTable

from shared import Event, Jobs, Settings

jobs = Jobs()

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


@jobs.on(Event, name="analytics.event", queue="analytics", attempts=8, timeout=30)
def record_event(event: Event, settings: Settings) -> None:
    """Write the event's row, once: a second run finds it there."""
    assert event.reply
    engine = _engine(settings.analytics_url.get_secret_value())
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


def _storable(text: str) -> str:
    """PostgreSQL's text holds every character but this one."""
    return text.replace("\0", "")


@lru_cache(maxsize=1)
def _engine(url: str) -> Engine:
    """One engine for all jobs of a process, the table made if it is not there."""
    parsed = make_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "sqlite" and parsed.database:
        Path(parsed.database).parent.mkdir(parents=True, exist_ok=True)
    engine = create_engine(parsed, hide_parameters=True)  # an error's text must not hold a row
    try:
        _make_table(engine)
    except SQLAlchemyError:
        engine.dispose()
        raise
    return engine


def _make_table(engine: Engine) -> None:
    try:
        with engine.begin() as connection:
            connection.execute(CreateTable(events_table, if_not_exists=True))
    except (IntegrityError, ProgrammingError):
        # PostgreSQL's IF NOT EXISTS does not see a table that another process is just making.
        if not inspect(engine).has_table(events_table.name):
            raise

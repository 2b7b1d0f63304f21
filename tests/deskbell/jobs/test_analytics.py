import dataclasses
import json
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import NullPool, create_engine, make_url, select, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlalchemy.schema import CreateTable

from deskbell import ApiCall, Event, Settings, UserForgotten
from deskbell.adapters.once import close_all
from deskbell.jobs import analytics
from deskbell.testing import api_call, event_of
from shared.wire.commands import received
from shared.wire.events import Reply
from tests.conftest import PACKETS, SettingsFactory, WorkplaceFactory
from tests.deskbell.jobs.postgres import running_postgres
from tests.waiting import until
from tests.workers.running import traceback_of

SECRET = "planted-4711"


@pytest.fixture(scope="module")
def postgres_url() -> Iterator[str]:
    """The URL of a real PostgreSQL."""
    with running_postgres() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path}/not there yet/analytics.db"
    else:
        server = make_url(request.getfixturevalue("postgres_url")).set(drivername="postgresql+psycopg")
        name = f"test_{uuid4().hex}"
        with create_engine(server, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        url = server.set(drivername=request.param, database=name).render_as_string(hide_password=False)
    yield url
    close_all()


@pytest.fixture
def settings(url: str, make_settings: SettingsFactory) -> Settings:
    """Settings with the database."""
    return make_settings(analytics_url=url)


def rows(url: str) -> list[dict[str, Any]]:
    """What the table holds."""
    with look_into(url).connect() as connection:
        return [dict(row) for row in connection.execute(select(analytics.events_table)).mappings()]


def look_into(url: str) -> Engine:
    """An engine of the test's own, which keeps no connection."""
    parsed = make_url(url)
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return create_engine(parsed, poolclass=NullPool)


def answered(event: Event, **reply: Any) -> Event:
    """An event with its answer."""
    return dataclasses.replace(event, reply=Reply(**reply))


def test_the_documented_packet_is_a_row_that_says_who_called_and_what_came_of_it(url: str, settings: Settings) -> None:
    """The columns of the issue, for the packet of PROTOCOL §3.1; no variable's value is among them."""
    packet = json.loads(PACKETS.joinpath("api_call.json").read_bytes())
    event = answered(
        received(packet, app_id="1400000001", node="documented"),
        variables={"testKey1": "value1"},
        outcome="answered",
        handler_ms=1.25,
    )

    analytics.record_event(event, settings)

    (row,) = rows(url)
    times = {name: row.pop(name).replace(tzinfo=UTC) for name in ("event_time", "received_at")}
    assert row == {
        "id": event.id,
        "app": "1400000001",
        "command": "Chatbot.InterfaceInvocation",
        "node": "documented",
        "user": "user517",
        "session": "207cac25-f49e-4ada-9c9f-301cea31dcf2",
        "handler_ms": 1.25,
        "outcome": "answered",
    }
    assert times == {
        "event_time": datetime(2024, 11, 13, 8, 59, 31, 784000, UTC),
        "received_at": event.received_at,
    }


@pytest.mark.parametrize("url", ["sqlite", "postgresql", "postgresql+psycopg"], indirect=True)
def test_each_url_that_the_setting_admits_is_a_database(url: str, settings: Settings) -> None:
    """PostgreSQL is reached through psycopg, whether the URL says so or not."""
    analytics.record_event(api_call(), settings)

    assert len(rows(url)) == 1


def test_an_event_is_one_row_however_often_it_is_recorded(url: str, settings: Settings) -> None:
    """A job runs at least once: the first row stays as it is."""
    event = answered(api_call("a"), outcome="answered")

    analytics.record_event(event, settings)
    analytics.record_event(dataclasses.replace(event, node="b"), settings)
    analytics.record_event(answered(api_call("c")), settings)

    assert [row["node"] for row in rows(url)] == ["a", "c"]


def test_an_event_without_user_session_or_time_is_a_row_too(url: str, settings: Settings) -> None:
    """Commands of other kinds, and callers that send no EventTime."""
    event = answered(received({"CallbackCommand": "Member.EventNotify", "EventTime": "soon"}, app_id="1400000001"))

    analytics.record_event(event, settings)

    (row,) = rows(url)
    assert (row["user"], row["session"], row["event_time"], row["outcome"]) == ("", "", None, "receipt")


def test_text_that_postgresql_does_not_hold_costs_a_character_not_the_row(url: str, settings: Settings) -> None:
    """NUL is the only character that JSON can say and PostgreSQL cannot."""
    event = api_call(SystemClientUserID="us\0er'5\u202e17\U0001f600", SystemSessionID="\0")

    analytics.record_event(event, settings)

    (row,) = rows(url)
    assert (row["user"], row["session"]) == ("user'5\u202e17\U0001f600", "")


def test_threads_that_use_an_empty_database_at_once_do_not_fail(url: str, settings: Settings) -> None:
    """The table is made by the first of them."""
    together = threading.Barrier(8, timeout=10)

    def record(event: ApiCall) -> None:
        together.wait()
        analytics.record_event(event, settings)

    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(record, api_call()) for _ in range(8)]:
            done.result()

    assert len(rows(url)) == 8


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_sqlite_bears_64_jobs_at_once_beside_one_who_reads_and_one_who_writes(url: str, settings: Settings) -> None:
    """No reader gets "database is locked", though its time-out is 0 s."""
    path = make_url(url).database
    assert path
    analytics.record_event(api_call(), settings)
    with closing(sqlite3.connect(path, timeout=0)) as reader, closing(sqlite3.connect(path, timeout=0)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("CREATE TABLE elsewhere (id)")
        with ThreadPoolExecutor(64) as pool:
            recorded = [pool.submit(analytics.record_event, api_call(), settings) for _ in range(64)]
            assert reader.execute("SELECT count(*) FROM deskbell_events").fetchone() == (1,)
            writer.commit()
            until(lambda: reader.execute("SELECT count(*) FROM deskbell_events").fetchone() == (65,))
            for done in recorded:
                done.result()


RECORDS_WHEN_TOLD = """
import sys
from pydantic import SecretStr
from shared.settings.config import load_settings
from deskbell.testing import api_call, event_of
from deskbell.jobs.analytics import record_event
settings = load_settings()
print("ready", flush=True)
sys.stdin.readline()
record_event(api_call(), settings)
"""


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_processes_that_use_an_empty_database_at_once_do_not_fail(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--scale worker-analytics=4` on a new database."""
    monkeypatch.setenv("DESKBELL_ANALYTICS_URL", url)
    command = [sys.executable, "-P", "-c", RECORDS_WHEN_TOLD]
    processes = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]

    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.communicate("\n")

    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(rows(url)) == 3


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_table_that_another_process_is_just_making_is_no_failure(url: str, settings: Settings) -> None:
    """PostgreSQL's IF NOT EXISTS does not see it, waits for the other's commit, and then finds it there."""
    with look_into(url).connect() as other, ThreadPoolExecutor(1) as pool:
        other.execute(CreateTable(analytics.events_table))
        recorded = pool.submit(analytics.record_event, api_call(), settings)
        # What a transaction sees of others' waiting stays as it was at its first look.
        with look_into(url).execution_options(isolation_level="AUTOCOMMIT").connect() as observer:
            waiting = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
            until(lambda: recorded.done() or observer.execute(waiting).scalar())
        other.commit()
        recorded.result()

    assert len(rows(url)) == 1


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_failure_to_make_the_table_is_not_hidden(url: str, settings: Settings) -> None:
    """Something else has the table's name: that is logged, and the job is tried again."""
    with look_into(url).connect() as owner:
        owner.execute(text("CREATE TYPE deskbell_events AS ENUM ()"))
        owner.commit()

    with pytest.raises(ProgrammingError, match="already exists"):
        analytics.record_event(api_call(), settings)


def test_an_errors_text_holds_no_value_of_the_row(open_workplace: WorkplaceFactory, url: str) -> None:
    """SQLAlchemy would quote the row; RQ keeps the text with the dead letter, for every dashboard."""
    workplace = open_workplace(analytics.jobs, analytics_url=url)
    analytics.record_event(api_call(), workplace.performer.settings)
    with look_into(url).begin() as connection:
        connection.execute(text("DROP TABLE deskbell_events"))
    event = workplace.put_jobs(api_call(SystemClientUserID=SECRET))

    for _ in range(8):
        workplace.work("analytics")
        workplace.make_due("analytics")

    dead_letter = traceback_of(workplace.job(event, "analytics.event"))
    assert "INSERT INTO deskbell_events" in dead_letter
    assert SECRET not in dead_letter


def test_a_database_that_is_away_raises_so_that_the_job_is_tried_again(
    make_settings: SettingsFactory, tmp_path: Path
) -> None:
    """Neither swallowed nor remembered: the next attempt connects anew."""
    settings = make_settings(analytics_url=f"postgresql://postgres@/postgres?host={tmp_path}")

    for _ in range(2):
        with pytest.raises(OperationalError, match="No such file or directory"):
            analytics.record_event(api_call(), settings)


def test_the_rows_of_a_user_who_was_forgotten_are_deleted(url: str, settings: Settings) -> None:
    """Of the app, or of all where the event names none; of events until the moment, and no others'."""
    moment = datetime.now(UTC)
    for app, user, seconds in (("1", "li", 0), ("2", "li", 0), ("1", "wang", 0), ("1", "li", 60)):
        event = dataclasses.replace(api_call(SystemClientUserID=user), app_id=app)
        event = dataclasses.replace(event, received_at=moment + timedelta(seconds=seconds))
        analytics.record_event(event, settings)
    told = event_of(UserForgotten, ClientUserId="li", EventTime=int(moment.timestamp() * 1000) + 1)

    found = [len(analytics.rows_of(settings, "li", app)) for app in ("", "1", "2", "3")]
    left = []
    for app in ("1", ""):
        analytics.forget_rows(dataclasses.replace(told, app_id=app), settings)
        left.append(sorted((row["app"], row["user"]) for row in rows(url)))

    assert found == [3, 2, 1, 0]
    assert left[0] == [("1", "li"), ("1", "wang"), ("2", "li")]
    assert left[1] == [("1", "li"), ("1", "wang")]


def test_rows_that_are_too_old_are_deleted_if_it_is_set(url: str, make_settings: SettingsFactory) -> None:
    """When an event is written, once a minute; the others stay."""
    for days_ago in (8, 6):
        event = dataclasses.replace(api_call(), received_at=datetime.now(UTC) - timedelta(days=days_ago))
        analytics.record_event(event, make_settings(analytics_url=url))
    before = len(rows(url))

    analytics.record_event(api_call(), make_settings(analytics_url=url, analytics_days=7))

    assert (before, len(rows(url))) == (2, 2)

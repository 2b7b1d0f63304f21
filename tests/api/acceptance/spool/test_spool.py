"""The spool keeps events while Redis is away: shared by processes, and surviving them."""

import asyncio
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from api.acceptance.spool import survey
from deskbell import Callbacks, Settings
from deskbell.testing import api_call, packet
from shared.wire.events import Reply
from tests.api.acceptance.spool.away import api_process
from tests.api.intakes import drain, open_intake, spool
from tests.conftest import SettingsFactory
from tests.desk import serving
from tests.logged import capture_logs
from tests.payloads import kept_events, spools
from tests.redis_outages import Server, counting, event_ids
from tests.waiting import eventually, until


def test_a_duplicate_gets_the_answer_that_waits_with_its_event(settings: Settings) -> None:
    """Byte for byte, with the first event's id; after a restart too."""
    body = packet()

    with serving(settings, counting()) as desk:
        first = desk.post(body, "count", RequestID="r-1")
        second = desk.post(body, "count", RequestID="r-1")
    with serving(settings, counting()) as desk:
        third = desk.post(body, "count", RequestID="r-1")

    assert first.json()["Body"] == {"Number": "0"}
    for again in (second, third):
        assert again.content == first.content
        assert again.headers["x-deskbell-event"] == first.headers["x-deskbell-event"]
    assert survey(settings.spool_dir).events == 1


def test_a_duplicate_is_known_in_another_process_too(settings: Settings) -> None:
    """Two processes of a host have a file each, and look into each other's."""

    async def keep_twice() -> tuple[Any, Any]:
        async with open_intake(settings) as one, open_intake(settings) as other:
            first = await one.keep(api_call(), Reply(variables={"Of": "one"}), "same")
            return first, await other.keep(api_call(), Reply(variables={"Of": "other"}), "same")

    first, second = asyncio.run(keep_twice())

    assert second == first
    assert survey(settings.spool_dir).events == 1


def test_what_was_kept_survives_kill_9_and_is_drained_at_the_next_start(server: Server, tmp_path: Path) -> None:
    """Before any callback comes; several processes leave a file each, and one adopts them all."""
    url = {"REDIS_URL": server.url, "REDIS_TIMEOUT_MS": "500"}
    with api_process(tmp_path, url, "--processes", "2") as (process, desk):
        answers = [desk.http.post(f"/callback?{desk.query(packet())}", json=packet()) for _ in range(30)]
        children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True, check=True)
        for child in children.stdout.split():
            subprocess.run(["kill", "-KILL", child], check=False)
        process.kill()
    left = survey(tmp_path / ".deskbell" / "spool").events

    server.start()
    with api_process(tmp_path, url):
        until(lambda: len(event_ids(server)) == 30)
        until(lambda: survey(tmp_path / ".deskbell" / "spool").events == 0)

    ids = [answer.headers["x-deskbell-event"] for answer in answers]
    assert left == 30
    assert sorted(event_ids(server)) == sorted(ids)


def test_sigterm_leaves_the_spool_and_exits_0(server: Server, tmp_path: Path) -> None:
    """What waits is drained at the next start."""
    with api_process(tmp_path, {"REDIS_URL": server.url}) as (process, desk):
        kept = desk.call().headers["x-deskbell-event"]
        process.send_signal(signal.SIGTERM)
        status = process.wait(20)

    server.start()
    with api_process(tmp_path, {"REDIS_URL": server.url}):
        until(lambda: event_ids(server) == [kept])

    assert status == 0


def test_the_file_of_a_process_that_died_is_drained_by_one_that_lives(
    server: Server, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a restart, by the process that gets its lock."""
    monkeypatch.setattr("api.acceptance.drainer.IDLE_SECONDS", 0.05)
    settings = make_settings(redis_url=SecretStr(server.url))

    async def die_beside_another() -> str:
        async with open_intake(settings) as living:
            async with open_intake(settings) as dying:
                kept = await dying.keep(api_call(), Reply(), "left behind")
            server.start()
            await eventually(lambda: event_ids(server) == [kept.event_id])
            await eventually(lambda: not living.spool.all_waiting)
            return kept.event_id

    left = asyncio.run(die_beside_another())

    assert event_ids(server) == [left]
    assert not list(settings.spool_dir.glob("*.db"))


def test_a_file_of_a_newer_release_is_left_to_it_and_events_are_kept_in_another(settings: Settings) -> None:
    """An api that was rolled back says once that it is there; no other file is held up by it."""
    spool(settings, "newer")
    path = settings.spool_dir / "0.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 2")

    with capture_logs() as logs:
        spool(settings, "kept")

    assert survey(settings.spool_dir).events == 2
    assert sorted(each.name for each in settings.spool_dir.glob("*.db")) == ["0.db", "1.db"]
    told = [(line["event"], line["error"]) for line in logs if line["event"].startswith("spool_")]
    assert told == [("spool_not_adopted", "NewerFileError")]


def test_the_spool_of_every_release_is_drained(settings: Settings, server: Server) -> None:
    """As its api left it on the disk."""
    server.start()
    settings.spool_dir.mkdir()
    files = spools()
    for number, file in enumerate(files):
        (settings.spool_dir / f"{number}.db").write_bytes(file.read_bytes())

    drain(settings.model_copy(update={"redis_url": SecretStr(server.url)}))

    assert files
    assert event_ids(server) == [event.id for event in kept_events()]


def test_the_spool_is_for_its_owner_alone(settings: Settings) -> None:
    """It holds what customers wrote."""
    spool(settings, "kept")

    assert settings.spool_dir.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in settings.spool_dir.glob("*.db")} == {0o600}


def test_an_api_without_a_spool_says_so_and_starts(
    server: Server, make_settings: SettingsFactory, tmp_path: Path
) -> None:
    """Redis keeps events all the same."""
    (tmp_path / "file").touch()
    server.start()
    settings = make_settings(redis_url=SecretStr(server.url), spool_dir=tmp_path / "file" / "spool")

    with serving(settings, Callbacks()) as desk:
        kept = desk.call()
        ready = desk.http.get("/readyz")

    assert kept.status_code == 200
    assert (ready.status_code, ready.json()["status"], ready.json()["spool"]["disk"]) == (200, "degraded", "unusable")


def test_an_event_given_up_while_redis_was_asked_is_not_spooled(server: Server, make_settings: SettingsFactory) -> None:
    """Its sender has been answered 1010."""
    server.start()
    settings = make_settings(redis_url=SecretStr(server.url), budget_ms=4000, redis_timeout_ms=300)

    async def give_up() -> None:
        async with open_intake(settings) as intake:
            await intake.keep(api_call(), Reply(), "before")
            with server.frozen():
                given_up = asyncio.create_task(intake.keep(api_call(), Reply(), "given up"))
                kept = asyncio.create_task(intake.keep(api_call(), Reply(), "kept"))
                await asyncio.sleep(0.05)
                given_up.cancel()
                await kept
                assert intake.spool.all_waiting == 1

    asyncio.run(give_up())

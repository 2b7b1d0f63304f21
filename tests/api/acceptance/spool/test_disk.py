"""The spool's disk, when it is full or hangs, and files that are damaged."""

import asyncio
import random
import sqlite3
import subprocess
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from api.acceptance.accept import Entry
from api.acceptance.spool import Survey, survey
from api.acceptance.spool_file import SpoolFile
from deskbell import Callbacks, Settings
from deskbell.testing import api_call, packet
from shared.errors import CannotKeepError
from shared.wire.events import Reply
from tests.api.acceptance.spool.away import NOWHERE, api_process
from tests.api.intakes import drain, open_intake, spool
from tests.conftest import SettingsFactory
from tests.desk import APP, serving
from tests.redis_outages import Server, counting, event_ids
from tests.waiting import eventually, until

NOISE = random.Random(4711).randbytes(12_000).hex()  # does not compress away


def entry(identity: str) -> Entry:
    """An event as a file takes it."""
    return Entry(identity, f"{identity:0>32}", b"{}", b"data", APP, "command", "", "answered")


def test_a_full_spool_answers_1010_and_keeps_what_it_had(server: Server, make_settings: SettingsFactory) -> None:
    """Status 503, nothing claimed, `/readyz` says so; when Redis is back all that was acknowledged is there."""
    settings = make_settings(redis_url=SecretStr(server.url), spool_max_mb=1)

    with serving(settings, Callbacks()) as desk:
        answers = [desk.call(Noise=NOISE + str(number)) for number in range(100)]
        unready = desk.http.get("/readyz")
        metrics = desk.http.get("/metrics").text
        size = _size(settings.spool_dir)
        server.start()
        kept = [answer.headers["x-deskbell-event"] for answer in answers if answer.status_code == 200]
        until(lambda: len(event_ids(server)) == len(kept))
        until(lambda: desk.http.get("/readyz").json()["status"] == "ready")
        after = desk.call()

    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(kept) > 10
    assert len(refused) > 10
    assert {answer.json()["ErrorCode"] for answer in refused} == {1010}
    assert not any("x-deskbell-event" in answer.headers for answer in refused)
    assert (unready.status_code, unready.json()["status"]) == (503, "not ready")
    assert unready.json()["spool"]["disk"] == "full"
    assert 'deskbell_spool_failures_total{cause="full"}' in metrics
    assert size < 4_000_000
    assert event_ids(server) == [*kept, after.headers["x-deskbell-event"]]


def test_after_draining_the_space_is_given_back(server: Server, make_settings: SettingsFactory) -> None:
    """The file does not stay as large as it ever was."""
    settings = make_settings(redis_url=SecretStr(server.url))

    async def fill_and_drain() -> tuple[int, int]:
        async with open_intake(settings) as intake:
            for number in range(60):
                noise = f"{number}" + "".join(
                    chr(0x4E00 + (number * 7919 + at * 104729) % 20000) for at in range(60_000)
                )
                await intake.keep(api_call(Noise=noise), Reply(), str(number))
            full = _size(settings.spool_dir)
            await asyncio.to_thread(server.start)
            await eventually(lambda: not intake.spool.all_waiting)
            await eventually(lambda: _size(settings.spool_dir) < 1_000_000)
            return full, _size(settings.spool_dir)

    full, empty = asyncio.run(fill_and_drain())

    assert full > 2_000_000
    assert empty < 1_000_000


def _size(folder: Path) -> int:
    sizes = []
    for path in folder.iterdir():
        with suppress(FileNotFoundError):  # SQLite takes its own files away
            sizes.append(path.stat().st_size)
    return sum(sizes)


def test_a_disk_that_is_full_answers_1010_and_keeps_what_it_had(server: Server, tmp_path: Path) -> None:
    """A file system of 2 MB, really filled up."""
    small = tmp_path / "small"
    small.mkdir()
    mount = f'mount -t tmpfs -o size=2m tmpfs {small} && exec "$@"'
    before = ("unshare", "--map-root-user", "--mount", "sh", "-c", mount, "sh")
    probe = subprocess.run([*before, "true"], check=False, capture_output=True)
    if probe.returncode:
        pytest.skip("mounting a small file system is not allowed here")
    given = {"REDIS_URL": server.url, "SPOOL_DIR": str(small / "spool")}

    with api_process(tmp_path, given, before=before) as (_, desk):
        answers = [desk.call(Noise=NOISE, Number=str(number)) for number in range(400)]
        unready = desk.http.get("/readyz")
        server.start()
        kept = [answer.headers["x-deskbell-event"] for answer in answers if answer.status_code == 200]
        until(lambda: len(event_ids(server)) >= len(kept))
        until(lambda: desk.http.get("/readyz").json()["status"] == "ready")

    assert kept
    assert {answer.status_code for answer in answers} == {200, 503}
    assert (unready.status_code, unready.json()["spool"]["disk"]) == (503, "full")
    assert event_ids(server) == kept


@pytest.mark.parametrize("found", [b"rubbish" * 1000, "foreign", "older"])
def test_a_file_that_is_no_spool_is_set_aside(settings: Settings, found: bytes | str) -> None:
    """Never deleted; events are kept in a new one."""
    settings.spool_dir.mkdir()
    path = settings.spool_dir / "0.db"
    if isinstance(found, bytes):
        path.write_bytes(found)
    else:
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE other (value)")
            connection.execute("PRAGMA application_id = 0x4445534B" if found == "older" else "PRAGMA user_version = 1")
    before = path.read_bytes()

    spool(settings, "kept")

    (aside,) = settings.spool_dir.glob("0.damaged-*.db")
    assert aside.read_bytes() == before
    seen = survey(settings.spool_dir)
    assert (seen.events, seen.damaged) == (1, [aside])


def test_a_file_for_which_the_disk_had_no_room_is_not_damaged(tmp_path: Path) -> None:
    """It is empty: a full disk is no reason to ring for damage."""
    (tmp_path / "0.db").touch()

    assert survey(tmp_path).damaged == []


def test_a_file_that_turns_out_damaged_is_set_aside_and_events_are_kept_in_a_new_one(settings: Settings) -> None:
    """By an event, which is answered 1010, or by the drainer, before one."""

    async def keep() -> list[str]:
        async with open_intake(settings) as intake:
            await intake.keep(api_call(), Reply(), "before")
            kept = []
            with closing(sqlite3.connect(settings.spool_dir / "0.db")) as connection:
                connection.execute("DROP TABLE entries")
            for identity in ("during", "after"):
                with suppress(CannotKeepError):
                    kept.append((await intake.keep(api_call(), Reply(), identity)).event_id)
            return kept

    kept = asyncio.run(keep())

    assert list(settings.spool_dir.glob("0.damaged-*.db"))
    assert kept
    assert survey(settings.spool_dir).events == len(kept)


def test_a_disk_that_hangs_answers_1010_in_time_and_what_it_writes_in_the_end_is_one_event(
    server: Server, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delivery, should it come again, gets the answer that was meant for the first."""
    settings = make_settings(redis_url=SecretStr(server.url), budget_ms=2000, redis_timeout_ms=100, accept_ms=600)
    gate = threading.Event()
    append = SpoolFile.append

    def hang(*given: Any) -> None:
        gate.wait(30)
        append(*given)

    monkeypatch.setattr(SpoolFile, "append", hang)
    body = packet()
    with serving(settings, counting()) as desk:
        first = desk.post(body, "count", RequestID="r-1")
        others = [desk.call("count") for _ in range(5)]
        gate.set()
        until(lambda: survey(settings.spool_dir).events == 1)
        again = desk.post(body, "count", RequestID="r-1")
        server.start()
        until(lambda: len(event_ids(server)) == 1)

    assert {(answer.status_code, answer.json()["ErrorCode"]) for answer in [first, *others]} == {(503, 1010)}
    assert again.json()["Body"] == {"Number": "0"}
    assert event_ids(server) == [again.headers["x-deskbell-event"]]


def test_a_disk_that_hangs_does_not_keep_events_from_a_redis_that_is_back(
    server: Server, make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The breaker closes by a call without events, and events go to Redis though some wait on the disk."""
    monkeypatch.setattr("api.acceptance.drainer.DISK_SECONDS", 0.05)
    settings = make_settings(redis_url=SecretStr(server.url), budget_ms=2000, redis_timeout_ms=100, accept_ms=600)
    gate = threading.Event()

    async def keep() -> None:
        async with open_intake(settings) as intake:
            await intake.keep(api_call(), Reply(), "waits")
            monkeypatch.setattr(SpoolFile, "append", lambda *_: gate.wait(30))
            with pytest.raises(CannotKeepError):
                await intake.keep(api_call(), Reply(), "hangs")
            await asyncio.to_thread(server.start)
            await eventually(lambda: not intake.breaker.is_open)
            await intake.keep(api_call(), Reply(), "goes on")
            assert len(event_ids(server)) == 1
            gate.set()
            await eventually(lambda: not intake.spool.all_waiting)

    asyncio.run(keep())

    assert len(event_ids(server)) == 2


def test_a_file_that_cannot_be_read_keeps_no_event_from_the_disk(
    server: Server, make_settings: SettingsFactory
) -> None:
    """Another user's, or one whose process is just ending: events are kept beside it, and other files are adopted."""
    settings = make_settings(redis_url=SecretStr(server.url))
    spool(settings, "left behind")
    (settings.spool_dir / "0.db").rename(settings.spool_dir / "8.db")
    (settings.spool_dir / "7.db").mkdir()

    spool(settings, "kept")
    server.start()
    drain(settings)

    assert len(event_ids(server)) == 2


def test_what_was_sent_of_a_file_set_aside_is_not_removed_from_the_one_that_followed(settings: Settings) -> None:
    """Their numbers are alike; the events of the new one have not been sent."""
    settings.spool_dir.mkdir()
    file = SpoolFile.acquire(settings.spool_dir / "0.db")
    assert file
    file.append([entry("one"), entry("two")], None)
    sent = file.first(2)
    with closing(sqlite3.connect(file.path)) as connection:
        connection.execute("DROP TABLE entries")
    with pytest.raises(sqlite3.Error) as damage:
        file.first(1)
    file.recover(damage.value)
    file.append([entry("three")], None)

    removed = file.remove(sent)

    assert (removed, file.events, [row.entry for row in file.first(9)]) == (0, 1, [entry("three")])
    file.close()


def test_a_duplicate_does_not_say_that_a_full_disk_has_room(make_settings: SettingsFactory) -> None:
    """Only a write shows that; else each duplicate would add a line to the log."""
    settings = make_settings(redis_url=NOWHERE, spool_max_mb=1)

    async def fill() -> str:
        async with open_intake(settings) as intake:
            await intake.keep(api_call(), Reply(), "first")
            with suppress(CannotKeepError):
                for number in range(100):
                    await intake.keep(api_call(Noise=NOISE + str(number)), Reply(), str(number))
            await intake.keep(api_call(), Reply(), "first")
            return intake.spool.problem

    assert asyncio.run(fill()) == "full"


def test_a_disk_that_hangs_takes_one_thread_however_often_metrics_are_asked(
    make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threads of the event loop's own would be missing where names are resolved, and keep the process from ending."""
    gate = threading.Event()
    asked = []

    def hang(folder: Path) -> Survey:
        asked.append(folder)
        gate.wait(30)
        return survey(folder)

    monkeypatch.setattr("api.acceptance.backlog.survey", hang)
    with serving(make_settings(redis_url=NOWHERE, redis_timeout_ms=50), Callbacks()) as desk:
        hanging = [desk.http.get("/metrics") for _ in range(3)]
        count = len(asked)
        gate.set()
        until(lambda: "deskbell_spool_events" in desk.http.get("/metrics").text)

    assert count == 1
    assert {answer.status_code for answer in hanging} == {200}
    assert not any("deskbell_spool_events" in answer.text for answer in hanging)


def test_an_event_that_comes_while_the_disk_is_checked_waits_for_it(
    make_settings: SettingsFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write under way is not one that hangs."""
    settings = make_settings(redis_url=NOWHERE)
    looking, gate = threading.Event(), threading.Event()
    check = SpoolFile.check

    def look(file: SpoolFile) -> None:
        looking.set()
        gate.wait(30)
        check(file)

    monkeypatch.setattr(SpoolFile, "check", look)

    async def keep() -> int:
        async with open_intake(settings) as intake:
            await intake.keep(api_call(), Reply(), "before")
            intake.spool.record_failure(OSError())
            await eventually(looking.is_set)
            asyncio.get_running_loop().call_later(0.05, gate.set)
            await intake.keep(api_call(), Reply(), "meanwhile")
            return intake.spool.all_waiting

    assert asyncio.run(keep()) == 2

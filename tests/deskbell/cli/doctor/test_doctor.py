"""`deskbell doctor`: every reason why events or jobs do not move is a problem, and nothing unread passes for none."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis

from deskbell import ApiCall, Callbacks, Jobs
from deskbell.cli.doctor import doctor, here
from deskbell.testing import api_call
from shared.records.segments import CALLS_KEY
from shared.redis.breakers import PAUSED_KEY
from shared.redis.queues import EVENTS, FORGOTTEN_KEY, TOKENS_KEY, queue
from shared.runtime.blocks import BLOCKED_KEY, LAST_BLOCKS_KEY
from shared.wire.protocol import fingerprint
from tests import forked
from tests.conftest import ApiFactory, SettingsFactory, WorkplaceFactory, open_workplace
from tests.desk import APP, TOKEN, serving
from tests.deskbell.cli.doctor.looking import APPS, Look, problems, worker
from tests.processes import environment
from workers.audit import AuditLog

__all__ = ["open_workplace"]  # a fixture

NO_DISK = "while Redis is away callbacks are refused"


def test_it_finds_nothing_wrong_where_nothing_is(look: Look, redis: Redis) -> None:
    """Status 0; how many jobs are where, which server it is, and what an answer is worth."""
    queue("crm", redis).enqueue("shared.redis.queues.queue_key", "x")

    with worker(redis, EVENTS, "crm"):
        status, lines = look()

    assert (status, lines[-1]) == (0, "no problem found")
    assert "queue events: nothing waits; workers: 1" in lines
    assert any(line.startswith("queue crm: 1 wait") for line in lines)
    assert any("run id " in line for line in lines)
    assert any(line.startswith("An acknowledged event is in Redis' memory") for line in lines)
    assert any(line.startswith("warning: Redis writes no append-only file") for line in lines)
    assert redis.keys(TOKENS_KEY) == []


def test_workers_that_are_suspended_are_a_problem(look: Look, redis: Redis) -> None:
    """`rq suspend`, with a time or without."""
    redis.set("rq:suspended", 1)

    with worker(redis):
        status, lines = look()

    assert status == 1
    assert problems(lines) == ["all workers are suspended by `rq suspend`: no job is begun; write `rq resume`"]


JOBS = """
from deskbell import ApiCall, Jobs
jobs = Jobs()
@jobs.on(ApiCall, queue="erp")
async def push(event: ApiCall) -> None: ...
"""


def test_a_queue_that_nobody_reads_is_a_problem(look: Look, redis: Redis, tmp_path: Path) -> None:
    """One that job types use, one that holds jobs, or all of them; a worker without a heartbeat does not count."""
    (tmp_path / "acme_erp.py").write_text(JOBS)

    none, of_none = look(JOBS="acme_erp:jobs")
    with worker(redis):
        one, of_one = look(JOBS="acme_erp:jobs")
        queue("old", redis).enqueue("shared.redis.queues.queue_key", "x")
        _, of_two = look(JOBS="acme_erp:jobs")
        _, without_jobs = look()
        with worker(redis, "old", "erp") as dead:
            both, of_both = look(JOBS="acme_erp:jobs")
            redis.expire(dead.key, 59)
            _, of_dead = look(JOBS="acme_erp:jobs")

    unread = "no living worker reads the queues erp, old; start `deskbell worker erp old`"
    assert (none, one, both) == (1, 1, 0)
    assert problems(of_none) == [
        "no worker runs: events are accepted, and nothing is done for them; start `deskbell worker events erp`"
    ]
    assert problems(of_one) == ["no living worker reads the queue erp; start `deskbell worker erp`"]
    assert problems(of_two) == problems(of_dead) == [unread]
    assert problems(without_jobs) == ["no living worker reads the queue old; start `deskbell worker old`"]
    assert problems(of_both) == []


def test_a_paused_queue_is_a_problem_and_a_metric(look: Look, redis: Redis, start_api: ApiFactory) -> None:
    """With the job type that keeps failing, and how many jobs wait; a damaged key is named, and hides no other."""
    pause = {"queue": "crm", "since": 1669872112000, "until": 3397872172000, "cause": "HTTPStatusError 401 at crm.py:9"}
    redis.hset(PAUSED_KEY, "crm-contact", json.dumps(pause))
    desk = start_api()
    desk.call()
    redis.hset(BLOCKED_KEY, "crm.contact", 3)
    queue("crm", redis).enqueue("shared.redis.queues.queue_key", "x")
    redis.set("rq:wip:events", "x")

    with worker(redis):
        status, lines = look()

    assert status == 1
    assert (
        "the queue crm is paused since 05:21:52 UTC, because jobs of crm.contact keep failing "
        "(HTTPStatusError 401 at crm.py:9); one is tried at 05:22:52; mend what the cause names: the queue goes on "
        "when that one succeeds"
    ) in problems(lines)
    assert any(line.startswith("rq:wip:events: expected a zset, got a string: ") for line in problems(lines))
    assert "queue events: not known, since a key of it has a foreign type; workers: 1" in lines
    assert any(line.startswith("queue crm: 1 wait") and line.endswith("; workers: 0") for line in lines)
    metrics = desk.http.get("/metrics").text
    assert 'deskbell_queue_paused{queue="crm"} 1.0' in metrics
    assert 'deskbell_worker_loop_blocks_total{job_type="crm.contact"} 3.0' in metrics
    assert 'deskbell_jobs_waiting{queue="events"} 1.0' in metrics
    assert 'deskbell_queue_paused{queue="events"} 0.0' in metrics


def test_jobs_behind_a_dead_letter_are_a_problem(look: Look, redis: Redis, open_workplace: WorkplaceFactory) -> None:
    """They move only when a person replays or discards it; a dead letter that holds nothing back is a warning."""
    jobs = Jobs()

    @jobs.on(ApiCall, attempts=1, ordered_by="session", on_dead="hold", name="acme.book")
    def book(event: ApiCall) -> None:
        raise OSError(event.session_id)

    workplace = open_workplace(jobs)
    with worker(redis, EVENTS, "default"):
        workplace.put_jobs(api_call("book", SystemSessionID="s-1"))
        workplace.work()
        alone, warned = look()
        for _ in range(5):
            workplace.put_jobs(api_call("book", SystemSessionID="s-1"))
        status, lines = look()

    assert (alone, status) == (0, 1)
    assert (
        "warning: dead letters, which nothing tries again: 1 on the queue default; see `deskbell dead list`" in warned
    )
    (found,) = problems(lines)
    assert found.startswith("5 jobs are held, 1 of the first 5 behind the dead letter ")
    assert "-acme-book (OSError at " in found


def test_a_loop_that_is_blocked_is_a_problem_and_one_that_was_a_warning(look: Look, redis: Redis) -> None:
    """With whose code it was and where, for ten minutes; then it is no more than said, and after an hour not shown."""

    def block(seconds_ago: float, *, is_over: bool) -> str:
        at = {"at": "acme/jobs.py:12 in enquire", "seconds": 3.1, "noted": time.time() - seconds_ago}
        return json.dumps({**at, "is_over": is_over})

    blocks = {
        "job now": block(1, is_over=False),
        "job died": block(500, is_over=False),
        "handler was": block(500, is_over=True),
        "handler earlier": block(700, is_over=True),
        "handler long_ago": block(4000, is_over=True),
    }
    for who, text in blocks.items():
        redis.hset(LAST_BLOCKS_KEY, who, text)

    with worker(redis):
        status, lines = look()

    told = [line for line in lines if "blocked an event loop" in line]
    assert status == 1
    assert sorted(line.partition(" blocked")[0] for line in told) == [
        "handler earlier",
        "problem: job now",
        "warning: handler was",
        "warning: job died",
    ]
    assert all("acme/jobs.py:12 in enquire" in line for line in told)


def test_events_on_this_disk_are_a_problem_when_redis_takes_events(
    look: Look, redis: Redis, make_settings: SettingsFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of an api that has ended; not while one drains them, nor while Redis is away."""
    folder = tmp_path / "spool"
    nowhere = make_settings(redis_url=SecretStr("redis://127.0.0.1:1/0"), spool_dir=folder)
    with serving(nowhere, Callbacks()) as desk:
        assert [desk.call(OrderID=str(number)).status_code for number in range(3)] == [200] * 3

    with worker(redis):
        status, lines = look(SPOOL_DIR=str(folder))
        _, away = look(SPOOL_DIR=str(folder), REDIS_URL="redis://127.0.0.1:1/0")
        (folder / "1.db").write_bytes(b"rubbish" * 100)
        _, damaged = look(SPOOL_DIR=str(folder))
        (folder / "1.db").unlink()
        monkeypatch.setattr(here, "DRAIN_SECONDS", 30)  # a busy machine may take longer to start it
        drained = drain_while(look, make_settings(spool_dir=folder))

    (found,) = problems(lines)
    assert status == 1
    assert found.startswith(f"3 events wait on this disk, in {folder}, the first for ")
    assert "start one with this DESKBELL_SPOOL_DIR to drain them" in found
    assert any(line.startswith(f"3 events wait on this disk, in {folder}, the first for ") for line in away)
    assert problems(damaged)[1].startswith(f"{folder / '1.db'} was set aside, or cannot be read")
    assert drained == (0, [])


def drain_while(look: Look, settings: Any) -> tuple[int, list[str]]:
    """What it finds while an api that has just been started drains the spool."""
    gate = threading.Event()

    def drain() -> None:
        with serving(settings, Callbacks()):
            gate.wait(30)

    api = threading.Thread(target=drain)
    api.start()
    try:
        status, lines = look(SPOOL_DIR=str(settings.spool_dir))
    finally:
        gate.set()
        api.join()
    return status, problems(lines)


def test_tokens_are_listed_by_fingerprint_and_last_use(look: Look, redis: Redis) -> None:
    """A token that is out of use can be seen; none is shown."""
    apps = json.dumps({"1400000001": ["old-token", "new-token"], "1400000002": []})
    redis.hset(TOKENS_KEY, f"1400000001:{fingerprint('new-token')}", 1669872112)

    with worker(redis):
        status, lines = look(APPS=apps, SIGNATURE='{"1400000001": "when-present"}', PATH_SECRET="s" * 16)

    assert status == 0
    words = [line.split() for line in lines]
    assert ["1400000001", "when", "present", "yes", fingerprint("old-token"), "never"] in words
    used = ["1400000001", "when", "present", "yes", fingerprint("new-token"), "2022-12-01", "05:21:52+00:00"]
    assert used in words
    assert ["1400000002", "not", "checked", "yes", "none"] in words
    assert not any("-token" in line for line in lines)


def test_a_token_whose_use_could_not_be_noted_is_not_one_that_was_never_used(look: Look, redis: Redis) -> None:
    """Events were accepted, and no use was ever written; or nothing can be written there."""
    redis.hset(CALLS_KEY, "1", 1)

    with worker(redis):
        _, nothing_noted = look()
        redis.set(TOKENS_KEY, "in the way")
        _, in_the_way = look()

    cells = [line.split() for lines in (nothing_noted, in_the_way) for line in lines if line.startswith(APP)]
    assert [each[-1] for each in cells] == ["unknown", "unknown"]
    assert any(line.startswith("the api cannot note when a token was used: ") for line in problems(in_the_way))


def test_a_redis_that_has_forgotten_is_a_problem(look: Look, redis: Redis, valkey_url: str, tmp_path: Path) -> None:
    """As an api has noted, for some days; or until somebody acknowledges it, as the audit log has it."""
    redis.set(FORGOTTEN_KEY, '{"at": 1669872112, "calls": 12}')

    with worker(redis):
        status, lines = look()
        env = environment(DESKBELL_REDIS_URL=valkey_url, DESKBELL_APPS=APPS)
        acknowledged = [forked.run("doctor", "--ack-lost-writes", env=env, cwd=tmp_path) for _ in range(2)]
        (_, after), (entry,) = look(), AuditLog(redis).latest(9)

    (found,) = problems(lines)
    assert status == 1
    assert found.startswith("at 2022-12-01 05:21:52 UTC Redis lacked 12 calls, each of one event or more, ")
    assert found.endswith("; when that is dealt with, write `deskbell doctor --ack-lost-writes`")
    assert [each.stdout for each in acknowledged] == [
        "the lost writes are acknowledged\n",
        "no lost writes are reported\n",
    ]
    assert problems(after) == []
    assert (entry.action, entry.selection, entry.end) == ("acknowledge", "lost writes", "done")


@pytest.mark.parametrize("said", ["x", "[]", "[" * 10_000])
def test_what_somebody_has_written_over_is_unknown_and_no_traceback(look: Look, redis: Redis, said: str) -> None:
    """The other checks are made, whatever has been written to Redis."""
    redis.set(FORGOTTEN_KEY, said)
    redis.hset(TOKENS_KEY, f"{APP}:{fingerprint(TOKEN)}", "9" * 30)

    with worker(redis):
        status, lines = look()

    assert (status, problems(lines)) == (0, [])
    assert any("Whether Redis has forgotten what it had acknowledged" in line for line in lines)
    assert any(line.split()[-1] == "unknown" for line in lines if line.startswith(APP))


CALLBACKS = """
from deskbell import ApiCall, Callbacks, Jobs
callbacks = Callbacks()
@callbacks.api_call("order_status", app="1400000009")
def order_status() -> None: ...
"""


def test_it_finds_what_the_api_would_not_start_with(look: Look, tmp_path: Path) -> None:
    """No app, no lock, an app that is not ours, handlers that do not load, a folder that cannot be written."""
    (tmp_path / "acme_calls.py").write_text(CALLBACKS)
    (tmp_path / "file").touch()
    open_app = '{"1400000001": []}'

    none = problems(look(APPS="")[1])
    closed = problems(look(APPS=open_app)[1])
    insecure = problems(look(APPS=open_app, INSECURE="1")[1])
    foreign = problems(look(CALLBACKS="acme_calls:callbacks")[1])
    missing = problems(look(CALLBACKS="acme_calls:nothing")[1])
    disk = problems(look(SPOOL_DIR=str(tmp_path / "file" / "spool"))[1])

    assert none[0].startswith("the api does not start: DESKBELL_APPS: expected an SdkAppid and its tokens")
    assert closed[0].startswith("the api does not start: DESKBELL_APPS: expected a token for 1400000001")
    assert insecure[0] == "anybody may call as the app 1400000001: DESKBELL_INSECURE is set"
    assert foreign[0] == "the handler order_status is limited to 1400000009, which is no app of DESKBELL_APPS"
    assert missing[0] == (
        "the api does not start: DESKBELL_CALLBACKS: acme_calls has no attribute nothing; write acme_calls:callbacks"
    )
    assert disk[0].startswith("DESKBELL_SPOOL_DIR: expected a folder that can be written, got ")
    assert disk[0].endswith(NO_DISK)
    assert not (tmp_path / ".deskbell").exists()


def test_on_a_host_of_workers_alone_it_asks_for_no_app(look: Look, redis: Redis, tmp_path: Path) -> None:
    """Nor for a disk; but for job types that load, and for what they need."""
    (tmp_path / "acme_erp.py").write_text(JOBS)
    (tmp_path / "file").touch()
    here = {"APPS": "", "SPOOL_DIR": str(tmp_path / "file" / "spool")}

    with worker(redis, EVENTS, "erp", "crm"):
        status, lines = look(JOBS="acme_erp:jobs", **here)
        missing = problems(look(JOBS="acme_none:jobs", **here)[1])
        crm = problems(look(JOBS="deskbell.jobs.crm:jobs", **here)[1])

        hubspot = problems(look(JOBS="deskbell.jobs.hubspot:jobs", **here)[1])

    assert (status, lines[0]) == (0, "no DESKBELL_APPS: this host runs no api")
    assert missing[0].startswith(
        "workers do not start: DESKBELL_JOBS: there is no module acme_none in DESKBELL_APP_DIR"
    )
    assert crm == ["the job type crm.contact needs DESKBELL_CRM_URL, which is empty: each of its jobs fails"]
    assert (
        "the job type hubspot.contact needs DESKBELL_HUBSPOT_TOKEN, which is empty: each of its jobs fails" in hubspot
    )


def test_the_command_ends_with_1_and_says_what_is_unknown_while_redis_is_away(tmp_path: Path) -> None:
    """As a person runs it."""
    settings = environment(DESKBELL_REDIS_URL="redis://127.0.0.1:1/0", DESKBELL_APPS=APPS)

    found = forked.run("doctor", env=settings, cwd=tmp_path)

    assert found.returncode == 1, found.stderr
    lines = found.stdout.splitlines()
    assert problems(lines) == ["DESKBELL_REDIS_URL: expected a server that answers, got ConnectionError"]
    assert any(line.split()[-1] == "unknown" for line in lines if line.startswith(APP))


def test_a_url_of_the_api_that_is_none_is_a_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """It quotes nothing of it: it may hold a password."""
    with pytest.raises(SystemExit) as end:
        doctor(None, "http://user:secret@host")

    said = capsys.readouterr().err
    assert end.value.code == 2
    assert said.startswith("deskbell: API_REDIS_URL: expected a valid URL that begins with redis://")
    assert "secret" not in said


def test_a_disk_that_fills_is_a_warning(look: Look, redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Events are kept there while Redis is away."""
    with worker(redis, EVENTS, "default"):
        _, roomy = look()
        monkeypatch.setattr("deskbell.cli.doctor.here.LOW_BYTES", 1e18)
        status, lines = look()

    (found,) = (line for line in lines if line.startswith("warning: the disk of DESKBELL_SPOOL_DIR, "))
    assert found.endswith(" MB left; make room on it")
    assert (status, found in roomy) == (0, False)

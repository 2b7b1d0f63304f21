"""What becomes of "once" when a copy is restored or a part is moved, as docs/how-to/backups-and-moves.md has it."""

import json
import shutil
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path

import httpx
import pytest

from deskbell import ApiCall
from deskbell.testing import api_call, packet
from shared.redis.queues import EVENTS, events_job, queue
from tests import forked
from tests.desk import APP, TOKEN, Desk
from tests.processes import ALONE, PATIENT, environment
from tests.redis_outages import Server, a_server
from tests.serving import running_api
from tests.waiting import until
from tests.workers.running import logged, running_worker, unfinished

JOBS = """
import os
import time
from pathlib import Path
from deskbell import ApiCall, Jobs

jobs = Jobs()
here = Path(os.environ["DESKBELL_APP_DIR"])

def note(job: str, event: ApiCall) -> None:
    with (here / "ran").open("a") as ran:
        ran.write(f"{job} {event.variables['Name']} {event.id}\\n")

@jobs.on(ApiCall, queue="now")
def now(event: ApiCall) -> None:
    note("now", event)

@jobs.on(ApiCall, queue="later")
def later(event: ApiCall) -> None:
    note("later", event)

@jobs.on(ApiCall, queue="now", attempts=1, when={"Name": "slow"})
def last(event: ApiCall) -> None:
    note("last", event)
    while not (here / "gate").exists():
        time.sleep(0.01)
"""
NAMES = (EVENTS, "now", "later")

pytestmark = pytest.mark.timeout(300)  # several processes, on a machine that may be busy
patiently = partial(until, seconds=60)


@pytest.fixture
def server() -> Iterator[Server]:
    """A server that writes to the disk before it answers; it is not started."""
    with a_server() as ours:
        yield ours


def command(url: str, folder: Path) -> Callable[..., str]:
    """What runs a command of the operator's, and gives what it printed."""
    ours = environment(DESKBELL_REDIS_URL=url, DESKBELL_APPS=json.dumps({APP: [TOKEN]}), USER="li")

    def run(*words: str) -> str:
        done = forked.run(*words, env=ours, cwd=folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def keep(desk: Desk, name: str) -> str:
    """Send the delivery of a name, which is kept; the event's id."""
    answer = desk.post(packet(Name=name), RequestID=name)
    assert answer.status_code == httpx.codes.OK, answer.text
    return answer.headers["X-Deskbell-Event"]


def runs(folder: Path) -> Counter[str]:
    """How often each job of each event has run: `now a 01a2…`."""
    path = folder / "ran"
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


def test_redis_is_restored_from_an_older_copy(server: Server, tmp_path: Path) -> None:
    """What was done before the copy, and what lay in a spool, is done once; what waited or ran then is done again.

    What came between copy and restore was done and is forgotten: its repetition is a new event. The api says so.
    """
    jobs, copy, data = (
        tmp_path / "jobs",
        tmp_path / "dump.rdb",
        Path(server.url.removeprefix("unix://")).parent / "data",
    )
    jobs.mkdir()
    server.start()
    deskbell = command(server.url, tmp_path)
    with ExitStack() as stack:
        redis = stack.enter_context(server.connect())
        api = stack.enter_context(running_api(server.url, tmp_path, *ALONE, **PATIENT))
        stack.enter_context(running_worker(jobs, JOBS, server.url, *NAMES, ABANDONED_SECONDS="5"))
        ids = {"before": keep(api.desk, "before")}
        patiently(lambda: runs(jobs).total() == 2)
        deskbell("queues", "pause", "later")
        ids |= {name: keep(api.desk, name) for name in ("waiting", "slow")}
        patiently(lambda: runs(jobs).total() == 5)
        redis.bgsave()
        patiently(lambda: not redis.info("persistence")["rdb_bgsave_in_progress"] and (data / "dump.rdb").exists())
        shutil.copy(data / "dump.rdb", copy)
        (jobs / "gate").touch()
        deskbell("queues", "resume", "later")
        ids["between"] = keep(api.desk, "between")
        patiently(lambda: runs(jobs).total() == 9 and not unfinished(redis, *NAMES))

        server.kill()
        ids["spooled"] = keep(api.desk, "spooled")
        shutil.rmtree(data / "appendonlydir")
        shutil.copy(copy, data / "dump.rdb")
        server.start(appendonly="no")
        redis.config_set("appendonly", "yes")

        patiently(lambda: f"now spooled {ids['spooled']}" in runs(jobs) and redis.zcard("rq:failed:now"))
        assert redis.hexists("deskbell:paused:queues", "later")  # as it was then
        deskbell("queues", "resume", "later")
        ids["again"] = keep(api.desk, "between")
        patiently(lambda: runs(jobs).total() == 15 and not unfinished(redis, *NAMES))
        dead = redis.zrange("rq:failed:now", 0, -1)
        lost = api.lines("redis_lost_writes")

    expected = Counter({f"{job} {name} {ids[name]}": 1 for name in ids.keys() - {"again"} for job in ("now", "later")})
    expected |= {f"{job} between {ids['again']}": 1 for job in ("now", "later")}
    expected |= {f"last slow {ids['slow']}": 1} | {f"later {name} {ids[name]}": 2 for name in ("waiting", "slow")}
    assert runs(jobs) == expected
    assert dead == [f"{ids['slow']}-last".encode()]
    assert ids["again"] != ids["between"]
    assert lost


def test_the_spool_of_a_dead_host_is_carried_to_another(server: Server, tmp_path: Path) -> None:
    """An api that runs drains the files; when the dead host comes back with its own, nothing is done twice."""
    jobs, dead, other = (tmp_path / name for name in ("jobs", "dead", "other"))
    for folder in (jobs, dead / "spool", other / "spool"):
        folder.mkdir(parents=True)
    of_dead, of_other = (PATIENT | {"DESKBELL_SPOOL_DIR": str(host / "spool")} for host in (dead, other))
    with ExitStack() as stack:
        with running_api(server.url, dead, *ALONE, **of_dead) as api:
            ids = [keep(api.desk, name) for name in ("a", "b", "c")]
            api.process.kill()
            api.process.wait()
        server.start()
        redis = stack.enter_context(server.connect())
        stack.enter_context(running_worker(jobs, JOBS, server.url, *NAMES))
        stack.enter_context(running_api(server.url, other, *ALONE, **of_other))
        shutil.copy(dead / "spool" / "0.db-wal", other / "spool" / "100.db-wal")
        shutil.copy(dead / "spool" / "0.db", other / "spool" / "100.copy")
        (other / "spool" / "100.copy").rename(other / "spool" / "100.db")
        patiently(lambda: runs(jobs).total() == 6 and not [*(other / "spool").glob("100.db*")])

        api = stack.enter_context(running_api(server.url, dead, *ALONE, **of_dead))
        drained = patiently(lambda: api.lines("drained"))
        ids.append(keep(api.desk, "d"))
        patiently(lambda: runs(jobs).total() >= 8 and not unfinished(redis, *NAMES))

    assert drained[0]["taken_before"] == 3
    assert set(runs(jobs).values()) == {1}
    assert {line.split()[2] for line in runs(jobs)} == set(ids)


def test_the_analytics_database_is_moved(server: Server, tmp_path: Path) -> None:
    """While its queue is paused it is copied, and workers get its new address: each event has its row, once."""
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    environment_file = tmp_path / ".env"
    environment_file.write_text(f"DESKBELL_ANALYTICS_URL=sqlite:///{old}\n")
    server.start()
    deskbell = command(server.url, tmp_path)
    events = [api_call("order_status") for _ in range(3)]
    source = "from deskbell.jobs.analytics import jobs"
    with ExitStack() as stack:
        redis = stack.enter_context(server.connect())
        words = (EVENTS, "analytics", "--processes", "1", "--env-file", str(environment_file))
        worker = stack.enter_context(running_worker(tmp_path, source, server.url, *words))

        def put(*ours: ApiCall) -> None:
            for event in ours:
                target = queue(EVENTS, redis)
                target.enqueue_job(events_job(target, event.command, event.to_wire(), event.id))

        put(*events[:2])
        patiently(lambda: rows(old) == {event.id for event in events[:2]})
        deskbell("queues", "pause", "analytics")
        put(events[2])
        patiently(lambda: redis.llen("rq:queue:analytics") == 1 and not redis.zcard("rq:wip:analytics"))
        with closing(sqlite3.connect(old)) as source_of, closing(sqlite3.connect(new)) as target_of:
            source_of.backup(target_of)
        environment_file.write_text(f"DESKBELL_ANALYTICS_URL=sqlite:///{new}\n")
        worker.send_signal(signal.SIGHUP)
        patiently(lambda: logged(tmp_path, "replaced"))
        redis.rpush("rq:queue:analytics", f"{events[0].id}-analytics-event")  # as if its ack had been lost
        redis.hset(f"rq:job:{events[0].id}-analytics-event", "status", "queued")
        deskbell("queues", "resume", "analytics")
        patiently(lambda: not unfinished(redis, EVENTS, "analytics"))

    assert rows(new) == {event.id for event in events}
    assert rows(old) == {event.id for event in events[:2]}


def rows(path: Path) -> set[str]:
    """The events of an analytics database."""
    if not path.exists():
        return set()
    with closing(sqlite3.connect(path)) as connection:
        try:
            return {event_id for (event_id,) in connection.execute("SELECT id FROM deskbell_events")}
        except sqlite3.OperationalError:  # the table is being made
            return set()


def test_an_app_is_moved_to_another_deployment(server: Server, tmp_path: Path) -> None:
    """What the old one accepted is done there, also after the new one has taken over; no answer is known to both."""
    old, new = tmp_path / "old", tmp_path / "new"
    with ExitStack() as stack:
        to = stack.enter_context(a_server())
        desks = {}
        for folder, theirs in ((old, server), (new, to)):
            (folder / "jobs").mkdir(parents=True)
            theirs.start()
            stack.enter_context(running_worker(folder / "jobs", JOBS, theirs.url, *NAMES))
            desks[folder] = stack.enter_context(running_api(theirs.url, folder, *ALONE, **PATIENT)).desk
        of_old, of_new = command(server.url, old), command(to.url, new)

        of_old("queues", "pause", "later")
        first = keep(desks[old], "first")
        patiently(lambda: runs(old / "jobs").total() == 1)
        of_new("queues", "pause", "later")
        repeated, second = keep(desks[new], "first"), keep(desks[new], "second")  # Desk has the new URL
        patiently(lambda: runs(new / "jobs").total() == 2)
        (old / "none").mkdir()
        no_app = stack.enter_context(
            running_api(server.url, old / "none", *ALONE, DESKBELL_APPS='{"1400000002": ["token"]}')
        )
        refused = no_app.desk.post(packet(Name="third"))
        of_old("queues", "resume", "later")
        patiently(lambda: runs(old / "jobs").total() == 2)
        of_new("queues", "resume", "later")
        patiently(lambda: runs(new / "jobs").total() == 4)

    assert runs(old / "jobs") == Counter({f"{job} first {first}": 1 for job in ("now", "later")})
    kept = [
        f"{job} {name} {id_}" for job in ("now", "later") for name, id_ in (("first", repeated), ("second", second))
    ]
    assert runs(new / "jobs") == Counter(kept)
    assert repeated != first
    assert refused.json()["ErrorCode"] == 1002

"""Shards on a cluster of masters: one that dies, slots that move, and a command on all of them."""

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis.crc import key_slot

from shared.keys import rq_prefix, shard_prefix
from tests.console.browsing import KEY, USERS, Browser
from tests.console.dead_pages import counted, fields
from tests.console.everything import HOSTILE
from tests.desk import APP, TOKEN
from tests.documented_users import users_of_a_cluster
from tests.processes import unmeasured
from tests.serving import Api, Load, running_api
from tests.sharded import Cluster, cluster
from tests.waiting import until

JOBS = """
import os
from deskbell import ApiCall, Jobs

jobs = Jobs()

@jobs.on(ApiCall, queue="together", ordered_by="session")
async def together(event: ApiCall) -> None:
    with open(os.environ["DESKBELL_APP_DIR"] + "/ran", "a") as ran:
        ran.write(event.id + "\\n")

@jobs.on(ApiCall, when={"Fails": "1"}, attempts=1)
async def refused(event: ApiCall) -> None:
    raise ValueError
"""
FENCED = """
from redis.exceptions import RedisError

from shared.keys import DESKBELL, prefixed
from shared.redis.connections import connect
from shared.settings.config import load_settings

with connect(load_settings()) as redis:
    script = redis.register_script(
        prefixed("redis.call('RPUSH', 'deskbell:tried', 1) return redis.call('GET', 'deskbell:missing')")
    )
    try:
        script()
    except RedisError as error:
        print(type(error).__name__)
"""
CACHED = """
from deskbell.cache import Cache
from deskbell.cache.store import caches_on
from deskbell.testing import api_call
from shared.redis.connections import connect
from shared.settings.config import load_settings

numbers = Cache("numbers", int, ttl=60)
with caches_on(connect(load_settings())):
    print(numbers.claim(api_call(), 1), numbers.put(api_call(), 1, 1), numbers.get(api_call(), 1) is not None)
"""
SHARDS = 3
API, WORKER = "deskbell-api:api-password", "deskbell-worker:worker-password"
OK, AWAY = 200, 503
ROOT = Path(__file__).parent.parent.parent
PATIENCE_SECONDS = 150

# All of them share a cluster of six servers, which a machine may be too busy for to have twice.
pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("cluster")]


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three masters, each with a replica."""
    folder = tmp_path_factory.mktemp("cluster")
    with cluster(folder, SHARDS, users_of_a_cluster(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where api, workers and commands run."""
    return tmp_path_factory.mktemp("sharded")


@pytest.fixture(scope="module")
def api(servers: Cluster, folder: Path) -> Iterator[Api]:
    """Api and workers, started as a person starts them: what RQ's keys begin with is read at the start of each."""
    (folder / "acme_jobs.py").write_text(JOBS)
    with (
        running_api(servers.url(API), folder, FILES="4096", DESKBELL_MIN_REPLICAS="1") as running,
        command(servers, folder, "worker", "--shards", f"0-{SHARDS - 1}", DESKBELL_ABANDONED_SECONDS="30") as workers,
    ):
        (folder / "supervisor").write_text(str(workers.pid))
        yield running


@contextmanager
def command(servers: Cluster, folder: Path, *words: str, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a command."""
    ours = {
        "DESKBELL_REDIS_URL": servers.url(WORKER),
        "DESKBELL_APPS": json.dumps({APP: [TOKEN]}),
        "DESKBELL_JOBS": "acme_jobs:jobs",
        "DESKBELL_APP_DIR": str(folder),
    }
    run = ("-c", words[1]) if words[0] == "python" else ("-m", "deskbell", *words)
    env = unmeasured(**ours | settings)
    with (folder / f"{words[0]}.out").open("w") as out, (folder / f"{words[0]}.err").open("w") as err:
        process = subprocess.Popen([sys.executable, "-P", *run], env=env, cwd=folder, stdout=out, stderr=err)
        try:
            yield process
        finally:
            process.terminate()
            process.wait(PATIENCE_SECONDS)


def told(servers: Cluster, folder: Path, *words: str, **settings: str) -> tuple[int, str, str]:
    """The status of a command, and what it has written."""
    with command(servers, folder, *words, **settings) as process:
        status = process.wait(PATIENCE_SECONDS)
    out, err = ((folder / f"{words[0]}.{stream}").read_text() for stream in ("out", "err"))
    return status, out, err


@pytest.fixture(scope="module")
def console(servers: Cluster, folder: Path, api: Api) -> Iterator[str]:
    """The URL of a console of all shards, which are there."""
    users = {name: {"role": each.role, "password": each.password.get_secret_value()} for name, each in USERS.items()}
    signs = {"DESKBELL_CONSOLE_USERS": json.dumps(users), "DESKBELL_CONSOLE_KEY": KEY}
    api.desk.call()
    with command(servers, folder, "console", "--port", "0", **signs) as process:
        out = folder / "console.out"
        until(lambda: '"listening"' in out.read_text().rpartition("\n")[0], PATIENCE_SECONDS)
        yield f"http://127.0.0.1:{json.loads(out.read_text().splitlines()[0])['port']}"
    assert process.returncode == 0


def workers_of(servers: Cluster, shard: int) -> set[bytes]:
    """The workers of a shard, as RQ knows them."""
    return set(servers.ask(servers.master_of(shard), "SMEMBERS", f"{rq_prefix(shard)}:workers"))


def ran(folder: Path) -> Counter[str]:
    """How often the job of each event was run."""
    path = folder / "ran"
    return Counter(path.read_text().split() if path.exists() else ())


def sign_in(browser: Browser, name: str, to: str = "/") -> None:
    """Sign in; the shard of the sessions may have moved a moment ago, so that the first connection ends."""
    until(lambda: browser.sign_in(name, to=to).headers.get("location") == to, PATIENCE_SECONDS)


def moved_key_by_key(servers: Cluster, shard: int, to: int) -> None:
    """Move a shard's slot as `redis-cli --cluster reshard` does."""
    slot, source = key_slot(shard_prefix(shard).encode()), servers.master_of(shard)
    servers.ask(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", servers.id_of(source))
    servers.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", servers.id_of(to))
    while keys := servers.ask(source, "CLUSTER", "GETKEYSINSLOT", slot, 10):
        servers.ask(source, "MIGRATE", "127.0.0.1", to, "", 0, 5000, "KEYS", *keys)
    for port in (to, source):
        servers.ask(port, "CLUSTER", "SETSLOT", slot, "NODE", servers.id_of(to))


def moved_at_once(servers: Cluster, shard: int, to: int) -> None:
    """Move a shard's slot as Valkey 9 does by itself."""
    slot, source = key_slot(shard_prefix(shard).encode()), servers.master_of(shard)
    servers.ask(source, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", servers.id_of(to))
    until(lambda: servers.master_of(shard) == to, PATIENCE_SECONDS)


@pytest.mark.parametrize("move", [moved_key_by_key, moved_at_once])
def test_a_slot_moves_under_load_and_every_event_is_done_once(
    servers: Cluster, folder: Path, api: Api, move: Callable[[Cluster, int, int], None]
) -> None:
    """Its shard is away for as long, and events are spooled; no script is run on half of its keys."""
    source = servers.master_of(0)
    to = servers.another_master(source)
    with Load(api.desk.url) as load:
        until(lambda: len(load.kept) >= 100, PATIENCE_SECONDS)
        move(servers, 0, to)
        moved = len(load.kept)
        until(lambda: len(load.kept) >= moved + 100, PATIENCE_SECONDS)

    until(lambda: set(load.kept) <= ran(folder).keys(), PATIENCE_SECONDS)
    assert servers.master_of(0) == to
    assert set(load.answers) <= {(200, 0), (503, 1010)}
    assert {count for event, count in ran(folder).items() if event in load.kept} == {1}


def test_no_script_begins_while_its_slot_moves(servers: Cluster, folder: Path) -> None:
    """Else it would stop at the first key that is not there, and what it has written would stay."""
    slot, source = key_slot(shard_prefix(2).encode()), servers.master_of(2)
    to = servers.another_master(source)
    tried = f"{shard_prefix(2)}deskbell:tried"
    servers.ask(source, "RPUSH", tried, 0)
    servers.ask(to, "CLUSTER", "SETSLOT", slot, "IMPORTING", servers.id_of(source))
    servers.ask(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", servers.id_of(to))

    found = told(servers, folder, "python", FENCED, RQ_KEY_PREFIX=rq_prefix(2), PYTHONPATH=str(ROOT))

    for port in (to, source):
        servers.ask(port, "CLUSTER", "SETSLOT", slot, "STABLE")
    assert found == (0, "ConnectionError\n", "")
    assert servers.ask(source, "LRANGE", tried, 0, -1) == [b"0"]


@pytest.mark.usefixtures("api")
def test_workers_that_are_replaced_are_of_the_same_shards(servers: Cluster, folder: Path) -> None:
    """One for each, before and after SIGHUP."""
    until(lambda: all(len(workers_of(servers, shard)) == 1 for shard in range(SHARDS)), PATIENCE_SECONDS)
    before = set[bytes]().union(*(workers_of(servers, shard) for shard in range(SHARDS)))

    os.kill(int((folder / "supervisor").read_text()), signal.SIGHUP)
    until(lambda: '"replaced"' in (folder / "worker.out").read_text(), PATIENCE_SECONDS)

    after = [workers_of(servers, shard) for shard in range(SHARDS)]
    assert [len(each) for each in after] == [1] * SHARDS
    assert not before & set[bytes]().union(*after)


def test_a_command_works_on_all_shards_one_after_the_other(servers: Cluster, folder: Path, api: Api) -> None:
    """What belongs to a session is in one of them."""
    answer = api.desk.call(SystemSessionID="s-1")
    event = answer.headers["x-deskbell-event"]
    until(lambda: event in ran(folder), PATIENCE_SECONDS)

    every = told(servers, folder, "events", "--session", "s-1", "--shard=all")
    exported = told(servers, folder, "export", "--user", "u-1", "--shard", "0,1")
    ready = api.desk.http.get("/readyz").json()
    assert [line for line in every[1].splitlines() if line.startswith("shard ")] == [
        f"shard {n}:" for n in range(SHARDS)
    ]
    assert every[1].count(event) == 1
    assert exported[1].startswith("{")
    assert exported[2].splitlines() == ["shard 0:", "shard 1:"]
    assert list(ready["shards"]) == ["0", "1", "2"]


def test_processes_with_another_number_of_shards_are_a_problem(servers: Cluster, folder: Path, api: Api) -> None:
    """Each shard would look well where fewer are asked for than the api writes to."""
    api.desk.call()
    more = servers.url(WORKER).replace(f"shards={SHARDS}", "shards=5")

    def found() -> list[str]:
        out = told(servers, folder, "doctor", "--shard", "0", DESKBELL_REDIS_URL=more)[1]
        return [line.partition(":")[0] for line in out.splitlines() if f"has {SHARDS} shards in" in line]

    until(lambda: found() == ["problem"], PATIENCE_SECONDS)


@pytest.mark.usefixtures("api")
def test_top_has_a_line_for_each_shard(servers: Cluster, folder: Path) -> None:
    """And their sums; a machine that is busy may keep it from an answer, of which it says so."""

    def workers() -> list[tuple[str, str]]:
        lines = told(servers, folder, "top")[1].partition("SHARD")[2].splitlines()[1:]
        return [(words[0], words[-1]) for line in lines[: SHARDS + 1] if (words := line.split())]

    until(lambda: workers() == [("all", "3"), ("0", "1"), ("1", "1"), ("2", "1")], PATIENCE_SECONDS)


def test_one_console_shows_all_shards_and_acts_on_each(console: str, folder: Path, api: Api) -> None:
    """One sign-in holds for all; what is done on one is done nowhere else; an event is found wherever it is."""
    event = api.desk.call(SystemSessionID="s-1", Fails="1").headers["x-deskbell-event"]
    until(lambda: event in ran(folder), PATIENCE_SECONDS)
    with Browser(console) as viewer, Browser(console) as browser:
        assert viewer.get("/shard/1/queues").headers["location"] == "/sign-in?next=%2Fshard%2F1%2Fqueues"
        sign_in(viewer, "viewer")
        sign_in(browser, "operator", to="/shard/1/queues")

        searched = {"event": event}
        # a shard of a busy machine may take longer than a page waits for it
        found = until(lambda: browser.get("/shards/event", params=searched).headers.get("location"), PATIENCE_SECONDS)
        shard = int(found.split("/")[2])
        letters = [f'href="/shard/{shard}/dead"', f'href="/shard/{(shard + 1) % SHARDS}/dead"']
        until(lambda: letters[0] in browser.get("/").text, PATIENCE_SECONDS)
        every = browser.get("/").text
        call = browser.get(found)
        elsewhere = browser.get(f"/shard/{(shard + 1) % SHARDS}/call?id={event}")
        nowhere = browser.get("/shards/event", params={"event": HOSTILE})
        refused = viewer.post(f"/shard/{shard}/queues/pause", data={"queue": "together"})
        paused = browser.post(f"/shard/{shard}/queues/pause", data={"queue": "together"})
        badges = ["Resume" in browser.get(f"/shard/{each}/queues").text for each in range(SHARDS)]
        browser.post(f"/shard/{shard}/queues/resume", data={"queue": "together"})
        plan = counted(browser, f"/shard/{shard}/dead/plan?action=replay")
        replay = browser.post(f"/shard/{shard}/dead/runs", data=fields(plan, "start") | {"rate": ""})
        run = replay.headers["location"]
        until(lambda: ">done<" in browser.get(run).text, PATIENCE_SECONDS)
        until(lambda: letters[0] in browser.get("/").text, PATIENCE_SECONDS)  # it has failed again
        audits = [browser.get(f"/shard/{each}/audit").text for each in range(SHARDS)]
        switched = browser.get("/shards/go", params={"shard": shard, "to": "/calls?session=s-1"})
        browser.post("/sign-out")
        out = browser.get(f"/shard/{shard}/")

    assert letters[1] not in every
    assert (call.status_code, elsewhere.status_code) == (200, 404)
    assert f'href="/shards/event?event={event}"' in elsewhere.text
    assert nowhere.status_code == 400
    assert HOSTILE not in nowhere.text
    assert (refused.status_code, paused.status_code) == (403, 303)
    assert badges == [each == shard for each in range(SHARDS)]
    assert ["replay" in each.partition("<table")[2] for each in audits] == badges
    assert switched.headers["location"] == f"/shard/{shard}/calls?session=s-1"
    assert out.headers["location"].startswith("/sign-in")


@pytest.mark.usefixtures("console")
def test_nothing_is_denied_to_the_documented_users(servers: Cluster, folder: Path) -> None:
    """Of what api, workers, console and commands have done so far, and of what doctor looks at as both users.

    Handlers, too, have caches, which lie on shard 0.
    """
    found = told(servers, folder, "doctor", "--shard", "1", API_REDIS_URL=servers.url(API))
    as_api = {"DESKBELL_REDIS_URL": servers.url(API), "RQ_KEY_PREFIX": rq_prefix(0), "PYTHONPATH": str(ROOT)}
    cached = told(servers, folder, "python", CACHED, **as_api)
    denied = [line for port in servers.ports for line in servers.ask(port, "ACL", "LOG")]

    assert "Redis answers" in found[1]
    assert "Redis takes no events" not in found[1]
    assert cached == (0, "True True True\n", "")
    assert denied == []


def test_a_master_dies_under_load_and_nothing_acknowledged_is_lost(
    servers: Cluster, folder: Path, api: Api, console: str
) -> None:
    """Its replica takes over, and has none itself until the dead one is back: its events stay in the spool so long.

    Meanwhile the console says so, and goes on showing the other shards.
    """
    dead = servers.another_master(servers.master_of(1))
    if servers.master_of(0) != dead:
        moved_at_once(servers, 0, dead)
    others = [shard for shard in range(SHARDS) if servers.master_of(shard) != dead]
    with Load(api.desk.url) as load, Browser(console) as browser:
        sign_in(browser, "viewer")
        until(lambda: len(load.kept) >= 100, PATIENCE_SECONDS)
        servers.configure("cluster-require-full-coverage", "no")
        servers.configure("cluster-replica-no-failover", "yes")
        servers.kill(dead)
        until(lambda: "Shard 0 does not answer" in browser.get("/").text, PATIENCE_SECONDS)
        until(lambda: all(browser.get(f"/shard/{n}/").status_code == OK for n in others), PATIENCE_SECONDS)
        assert browser.get("/shard/0/").status_code == AWAY
        servers.configure("cluster-replica-no-failover", "no")
        until(lambda: servers.master_of(0) != dead, PATIENCE_SECONDS)
        elected = len(load.kept)
        servers.start_again(dead)
        until(lambda: len(load.kept) >= elected + 100, PATIENCE_SECONDS)

    until(lambda: set(load.kept) <= ran(folder).keys(), PATIENCE_SECONDS)
    assert set(load.answers) <= {(200, 0), (503, 1010)}
    strays = [key for port in servers.ports for key in servers.ask(port, "KEYS", "*") if b"{deskbell-" not in key[:10]]
    assert strays == []

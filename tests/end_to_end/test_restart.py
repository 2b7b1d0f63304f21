"""How api processes begin and end: no callback is lost or refused meanwhile."""

import os
import signal
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from redis import Redis
from starlette.applications import Starlette

from api.server.server import Server, connections_of
from shared.redis.api_hosts import read_hosts
from shared.redis.queues import EVENTS, queue
from shared.runtime.loop_lag import STUCK_STATUS
from tests.conftest import SettingsFactory
from tests.desk import APP, TOKEN, Desk
from tests.processes import ALONE, PATIENT, is_alive
from tests.serving import Api, Load, running_api
from tests.waiting import until

SOURCE = """
import asyncio
import os
import time
from redis import Redis
from deskbell import Callbacks

callbacks = Callbacks()
redis = Redis.from_url(os.environ["DESKBELL_REDIS_URL"], socket_timeout=None)

@callbacks.api_call("version")
async def version() -> dict[str, str]:
    return {"Version": "VERSION", "Pid": str(os.getpid())}

@callbacks.api_call("waits")
def waits() -> dict[str, str]:
    redis.rpush("begun", "1")
    redis.blpop(["go"], 30)
    return {"Waited": "yes"}
"""

STUCK = """
import shared.runtime.loop_lag

shared.runtime.loop_lag.STUCK_SECONDS = 0.5

@callbacks.api_call("spins")
async def spins() -> dict[str, str]:
    while True:
        pass
"""

SETTINGS = {"DESKBELL_CALLBACKS": "acme_calls:callbacks", "DESKBELL_APP_DIR": ".", **PATIENT}


def write(folder: Path, version: str, more: str = "") -> None:
    """Write the integrator's module; nothing compiled of an earlier one is left."""
    (folder / "acme_calls.py").write_text(SOURCE.replace("VERSION", version) + more)
    for compiled in folder.glob("__pycache__/acme_calls*"):
        compiled.unlink()


def in_thread(call: Callable[[], httpx.Response], stack: ExitStack) -> "Callable[[], httpx.Response]":
    """Call in a thread; what gives the result."""
    return stack.enter_context(ThreadPoolExecutor(1)).submit(call).result


def call_on_new_connection(api: Api, node: str) -> httpx.Response:
    """Call a node on a connection of its own."""
    desk = Desk(api.desk.url)
    with desk.http:
        return desk.call(node)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The integrator's folder."""
    write(tmp_path, "first")
    return tmp_path


@pytest.mark.parametrize("processes", [1, 2])
def test_a_rolling_restart_under_load_loses_and_refuses_nobody(
    processes: int, redis: Redis, valkey_url: str, folder: Path
) -> None:
    """SIGHUP, twice: every process is another, the code is new, and no sender has seen anything but answers."""
    with running_api(valkey_url, folder, "--processes", str(processes), **SETTINGS) as api, ExitStack() as stack:
        until(lambda: api.lines("ready"))
        kept_alive = stack.enter_context(Load(api.desk.url, 1))
        closed = stack.enter_context(Load(api.desk.url, 2, keep_alive=False))
        until(lambda: min(len(kept_alive.kept), len(closed.kept)) >= 50)
        for times in (1, 2):
            write(folder, f"after {times}")
            api.process.send_signal(signal.SIGHUP)
            until(lambda: len(api.lines("replaced")) == times)  # noqa: B023 - called within this turn
            told = {call_on_new_connection(api, "version").json()["Body"]["Version"] for _ in range(10)}
            assert told == {f"after {times}"}
        kept_alive.__exit__()
        closed.__exit__()
        alive = [pid for pid in api.pids() if is_alive(pid)]

    assert set(kept_alive.answers) == set(closed.answers) == {(200, 0)}
    assert len(api.pids()) == 3 * processes
    assert alive == api.pids()[2 * processes :]
    assert api.process.returncode == 0
    assert {*kept_alive.kept, *closed.kept} <= set(queue(EVENTS, redis).job_ids)


def test_a_token_is_rotated_under_load_and_nobody_is_refused(redis: Redis, valkey_url: str, folder: Path) -> None:
    """The file that DESKBELL_ENV_FILE names is read anew at SIGHUP: first both tokens, then the new one alone."""
    assert redis.ping()
    file = folder / "deskbell.env"
    file.write_text(f'DESKBELL_APPS=\'{{"{APP}": ["{TOKEN}"]}}\'\nACME_VERSION=one\n')
    more = "\n@callbacks.api_call\nasync def own() -> dict[str, str]: return {'Own': os.environ['ACME_VERSION']}\n"
    write(folder, "first", more)
    settings = {**SETTINGS, "DESKBELL_ENV_FILE": "deskbell.env", "DESKBELL_APPS": ""}

    with running_api(valkey_url, folder, **settings) as api, ExitStack() as stack:
        load = stack.enter_context(Load(api.desk.url, 2, keep_alive=False))
        until(lambda: len(load.kept) >= 20)
        own = [call_on_new_connection(api, "own").json()["Body"]["Own"]]
        file.write_text(f'DESKBELL_APPS=\'{{"{APP}": ["{TOKEN}", "new-token"]}}\'\nACME_VERSION=two\n')
        api.process.send_signal(signal.SIGHUP)
        until(lambda: api.lines("replaced"))
        own.append(call_on_new_connection(api, "own").json()["Body"]["Own"])
        load.__exit__()
        file.write_text(f'DESKBELL_APPS=\'{{"{APP}": ["new-token"]}}\'\n')
        api.process.send_signal(signal.SIGHUP)
        until(lambda: len(api.lines("replaced")) == 2)
        refused = call_on_new_connection(api, "version")

    assert set(load.answers) == {(200, 0)}
    assert own == ["one", "two"]
    assert refused.json()["ErrorCode"] == 1003


def test_a_process_that_dies_during_a_replacement_is_started_again(redis: Redis, valkey_url: str, folder: Path) -> None:
    """The successor takes its place at once, if it is not meant for the other: nobody waits for a slow start."""
    slow = "\nredis.rpush('loading', os.getpid())\nredis.blpop(['load'], 30)\n"
    with running_api(valkey_url, folder, "--processes", "2", **SETTINGS) as api:
        until(lambda: api.lines("ready"))
        old = api.pids()
        write(folder, "second", slow)
        api.process.send_signal(signal.SIGHUP)
        until(lambda: redis.llen("loading") == 1)
        os.kill(old[1], signal.SIGKILL)
        until(lambda: redis.llen("loading") == 2)
        died = [line["pid"] for line in api.lines("process_died")]
        redis.rpush("load", *["1"] * 4)
        until(lambda: api.lines("replaced"))
        told = {call_on_new_connection(api, "version").json()["Body"]["Version"] for _ in range(10)}
        alive = [pid for pid in api.pids() if is_alive(pid)]

    assert died == [old[1]]
    assert told == {"second"}
    assert len(alive) == 2
    assert not set(alive) & set(old)


def test_a_sighup_that_was_ignored_at_the_start_stays_ignored(redis: Redis, valkey_url: str, folder: Path) -> None:
    """As `nohup` asks for; the supervisor goes on with its work and replaces nothing."""
    assert redis.ping()
    with running_api(valkey_url, folder, HUP="ignored", **SETTINGS) as api:
        until(lambda: api.lines("ready"))
        api.process.send_signal(signal.SIGHUP)
        os.kill(api.pids()[0], signal.SIGKILL)
        until(lambda: len(api.pids()) == 2)
        answer = call_on_new_connection(api, "version")
        api.process.terminate()
        status = api.process.wait(20)

    assert answer.status_code == 200
    assert status == 0
    assert api.lines("replaced") == []


def test_sigterm_and_sigint_are_one_request_to_end(make_settings: SettingsFactory) -> None:
    """A service manager sends the one to every process, and the supervisor the other: nothing is cut short."""
    server = Server(Starlette, connections_of(make_settings()))

    for number in (signal.SIGTERM, signal.SIGINT):
        server.handle_exit(number, None)

    assert (server.should_exit, server.force_exit) == (True, False)


def test_sigterm_answers_what_is_in_flight(redis: Redis, valkey_url: str, folder: Path) -> None:
    """No connection is taken any more; the answer says that this one closes; the status is 0."""
    with running_api(valkey_url, folder, **SETTINGS) as api, ExitStack() as stack:
        answer = in_thread(lambda: call_on_new_connection(api, "waits"), stack)
        until(lambda: redis.llen("begun") == 1)
        api.process.terminate()
        until(lambda: api.lines("stopping"))
        with pytest.raises(httpx.ConnectError):
            call_on_new_connection(api, "version")
        redis.rpush("go", "1")
        waited = answer()
        status = api.process.wait(10)

    assert waited.json()["Body"] == {"Waited": "yes"}
    assert waited.headers["connection"] == "close"
    assert waited.headers["x-deskbell-event"] in queue(EVENTS, redis).job_ids
    assert status == 0


def test_a_connection_that_is_kept_alive_gets_one_more_answer(valkey_url: str, redis: Redis, folder: Path) -> None:
    """A sender who is just writing is not cut off: the answer says that the connection closes."""
    assert redis.ping()
    with running_api(valkey_url, folder, *ALONE, **SETTINGS) as api:
        before = api.desk.call("version")
        api.process.terminate()
        until(lambda: api.lines("stopping"))
        after = api.desk.call("version")
        status = api.process.wait(10)

    assert "connection" not in before.headers
    assert after.json()["Body"]["Pid"] == before.json()["Body"]["Pid"]
    assert after.headers["connection"] == "close"
    assert status == 0


def test_an_idle_connection_holds_up_the_end_for_a_moment_only(valkey_url: str, redis: Redis, folder: Path) -> None:
    """Shorter than the grace period."""
    assert redis.ping()
    with running_api(valkey_url, folder, *ALONE, DESKBELL_GRACE_SECONDS="25", **SETTINGS) as api:
        api.desk.call("version")
        with socket.create_connection(("127.0.0.1", int(api.desk.url.rsplit(":", 1)[1]))):
            api.process.terminate()
            status = api.process.wait(15)

    assert status == 0


@pytest.mark.parametrize("processes", [1, 2])
def test_what_does_not_end_is_given_up_when_the_grace_period_is_over(
    processes: int, redis: Redis, valkey_url: str, folder: Path
) -> None:
    """A handler that hangs holds up no restart; its callback is answered that nothing was kept."""
    words, settings = ("--processes", str(processes)), {"DESKBELL_GRACE_SECONDS": "1", **SETTINGS}
    with running_api(valkey_url, folder, *words, **settings) as api, ExitStack() as stack:
        answer = in_thread(lambda: call_on_new_connection(api, "waits"), stack)
        until(lambda: redis.llen("begun") == 1)
        api.process.terminate()
        said = answer()
        status = api.process.wait(10)

    assert (said.status_code, said.json()["ErrorCode"]) == (503, 1010)
    assert not redis.exists(queue(EVENTS, redis).key)
    assert status == 0
    assert not [pid for pid in api.pids() if is_alive(pid)]


@pytest.mark.parametrize("processes", [1, 2])
def test_a_second_sigterm_ends_at_once(processes: int, redis: Redis, valkey_url: str, folder: Path) -> None:
    """Whatever is in flight."""
    words, settings = ("--processes", str(processes)), {"DESKBELL_GRACE_SECONDS": "60", **SETTINGS}
    with running_api(valkey_url, folder, *words, **settings) as api, ExitStack() as stack:
        answer = in_thread(lambda: call_on_new_connection(api, "waits"), stack)
        until(lambda: redis.llen("begun") == 1)
        api.process.terminate()
        until(lambda: api.lines("stopping"))
        api.process.terminate()
        api.process.wait(30)
        said = answer()

    assert (said.status_code, said.json()["ErrorCode"]) == (503, 1010)
    assert not [pid for pid in api.pids() if is_alive(pid)]


def test_a_process_whose_loop_stands_still_is_replaced(redis: Redis, valkey_url: str, folder: Path) -> None:
    """It would answer no request, and handle no signal."""
    assert redis.ping()
    write(folder, "stuck", STUCK)
    with running_api(valkey_url, folder, "--processes", "2", **SETTINGS) as api:
        until(lambda: api.lines("ready"))
        with pytest.raises(httpx.RemoteProtocolError):
            call_on_new_connection(api, "spins")
        [died] = until(lambda: api.lines("process_died"))
        until(lambda: len(api.pids()) == 3)
        answer = call_on_new_connection(api, "version")

    assert died["status"] == STUCK_STATUS
    assert api.lines("loop_stuck")[0]["where"][-1].endswith(" spins")
    assert answer.json()["Body"]["Version"] == "stuck"


def test_processes_whose_parent_was_killed_end(redis: Redis, valkey_url: str, folder: Path) -> None:
    """Or they would hold the port against its successor."""
    assert redis.ping()
    with running_api(valkey_url, folder, "--processes", "2", **SETTINGS) as api:
        until(lambda: api.lines("ready"))
        api.process.kill()

        until(lambda: not [pid for pid in api.pids() if is_alive(pid)])


def test_code_that_does_not_start_replaces_nothing(redis: Redis, valkey_url: str, folder: Path) -> None:
    """The old processes go on, and tell so on Redis; once it is fixed, new ones replace them."""
    assert redis.ping()
    with running_api(valkey_url, folder, "--processes", "2", **SETTINGS) as api:
        until(lambda: api.lines("ready"))
        old = api.pids()
        write(folder, "broken", "\nthis is no Python\n")
        api.process.send_signal(signal.SIGHUP)
        until(lambda: api.lines("not_replaced"))
        until(lambda: [each for each in read_hosts(redis) if each.kept_at])
        meanwhile = call_on_new_connection(api, "version").json()["Body"]["Version"]
        write(folder, "fixed")
        api.process.send_signal(signal.SIGHUP)
        until(lambda: api.lines("replaced"))
        fixed = call_on_new_connection(api, "version").json()["Body"]["Version"]

    assert (meanwhile, fixed) == ("first", "fixed")
    assert not [pid for pid in old if is_alive(pid)]


def test_processes_that_never_start_end_the_command(redis: Redis, valkey_url: str, folder: Path) -> None:
    """With a status that says so, not in a circle."""
    assert redis.ping()
    write(folder, "first", "\nimport sys\nif '--parent-fd' in sys.argv:\n    raise SystemExit(5)\n")
    with running_api(valkey_url, folder, "--processes", "2", **SETTINGS) as api:
        status = api.process.wait(30)

    assert status == 2
    assert api.pids() == []


def test_a_stop_during_a_replacement_is_heeded(redis: Redis, valkey_url: str, folder: Path) -> None:
    """Neither the old nor the new process is left."""
    assert redis.ping()
    with running_api(valkey_url, folder, "--processes", "2", **SETTINGS) as api:
        until(lambda: api.lines("ready"))
        api.process.send_signal(signal.SIGHUP)
        until(lambda: len(api.pids()) == 3)
        api.process.terminate()
        status = api.process.wait(30)

    assert status == 0
    assert not [pid for pid in api.pids() if is_alive(pid)]


def test_more_connections_than_files_may_be_open_stop_nobody(redis: Redis, valkey_url: str, folder: Path) -> None:
    """The oldest idle ones make room; callbacks are answered, and the process ends as ever."""
    assert redis.ping()
    with running_api(valkey_url, folder, *ALONE, FILES="300", **SETTINGS) as api, ExitStack() as stack:
        address = ("127.0.0.1", int(api.desk.url.rsplit(":", 1)[1]))
        for _ in range(1000):
            stack.enter_context(socket.create_connection(address))
        answers = [call_on_new_connection(api, "version").json()["ErrorCode"] for _ in range(20)]
        api.process.terminate()
        status = api.process.wait(20)

    assert answers == [0] * 20
    assert status == 0

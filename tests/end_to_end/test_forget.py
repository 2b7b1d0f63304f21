"""A user is forgotten while callbacks come and jobs run: each event is forgotten whole, or left whole."""

import json
import threading
from pathlib import Path
from typing import Any, Self

from redis import Redis

from shared.records.query import read_story
from shared.records.users import FORGOTTEN_USERS_KEY, User, milliseconds_of
from shared.redis.queues import EVENTS, REPLY_KEY
from tests import forked
from tests.desk import APP, TOKEN, Desk
from tests.processes import ALONE, PATIENT, environment
from tests.serving import running_api
from tests.waiting import until
from tests.workers.running import running_worker, unfinished

USERS = ("user517", "user1")
QUEUES = (EVENTS, "crm", "ordered")
JOBS = """
from deskbell import ApiCall, Jobs, Retry

jobs = Jobs()

@jobs.on(ApiCall, queue="crm")
async def record(event: ApiCall) -> None: ...

@jobs.on(ApiCall, queue="ordered", ordered_by="Number")
async def in_order(event: ApiCall) -> None: ...
"""


class Sender:
    """Posts callbacks of both users in turn, until it is told to stop.

    Attributes:
        kept: the events that were acknowledged, by user.
    """

    def __init__(self, url: str) -> None:
        self.kept: dict[str, list[str]] = {user: [] for user in USERS}
        self._url = url
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End the sending."""
        self._stop.set()
        self._thread.join()

    def _send(self) -> None:
        desk, number = Desk(self._url), 0
        with desk.http:
            while not self._stop.wait(0.002):
                number += 1
                for user in USERS:
                    answer = desk.call("order", SystemClientUserID=user, Number=str(number % 7))
                    self.kept[user].append(answer.headers["x-deskbell-event"])


def traces_of(redis: Redis, event_id: str) -> tuple[bool, set[str]]:
    """Whether an event's callback is on record, and the ids of its jobs."""
    found: Any = redis.keys(f"rq:job:{event_id}*")
    keys = [key.decode().removeprefix("rq:job:") for key in found]
    return read_story(redis, event_id).call is not None, {key.partition(":")[0] for key in keys}


def test_under_way_each_event_of_the_user_is_forgotten_whole_or_left_whole(
    redis: Redis, valkey_url: str, tmp_path: Path
) -> None:
    """By the moment at which the command began; nothing of anybody else is touched, and every job of theirs ends."""
    settings = environment(DESKBELL_REDIS_URL=valkey_url, DESKBELL_APPS=json.dumps({APP: [TOKEN]}))
    with (
        running_api(valkey_url, tmp_path, *ALONE, **PATIENT) as api,
        running_worker(tmp_path, JOBS, valkey_url, *QUEUES),
        Sender(api.desk.url) as sender,
    ):
        until(lambda: len(sender.kept["user517"]) > 50)
        forgotten = forked.run("forget", "--user", "user517", "--yes", env=settings, cwd=tmp_path)
        count = len(sender.kept["user517"])
        until(lambda: len(sender.kept["user517"]) > count + 20)
        sender.stop()
        until(lambda: not unfinished(redis, *QUEUES))
        moment = int(redis.zscore(FORGOTTEN_USERS_KEY, str(User("user517"))) or 0)

    assert forgotten.returncode == 0, forgotten.stderr
    ours = sender.kept["user517"]
    before = [event_id for event_id in ours if milliseconds_of(event_id) <= moment]
    assert 50 <= len(before) < len(ours)
    kept: Any = [redis.get(key) for key in redis.scan_iter(f"{REPLY_KEY}*")]
    for event_id in before:
        assert traces_of(redis, event_id) == (False, set())
    for event_id in sender.kept["user1"] + ours[len(before) :]:
        assert traces_of(redis, event_id) == (True, {event_id, f"{event_id}-record", f"{event_id}-in_order"})
    assert {each[:32].decode() for each in kept} == {*sender.kept["user1"], *ours[len(before) :]}

"""`deskbell top` of all shards; tests/end_to_end/test_sharded.py runs the command on a cluster."""

from io import StringIO
from typing import Any

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from rich.console import Console

from deskbell.cli.top.shards import shards_data, shards_page
from deskbell.queues.now import Now, read_now
from deskbell.queues.shards import Together
from shared.redis.queues import queue
from tests.conftest import SettingsFactory
from tests.waiting import DEADLINE_SECONDS


def test_a_shard_that_is_away_is_named_and_the_others_are_shown(redis: Redis, make_settings: SettingsFactory) -> None:
    """What stands still on several of them is said once."""
    queue("crm", redis).enqueue("workers.perform.perform")
    together, written = Together(3, DEADLINE_SECONDS), StringIO()

    def look(shard: int) -> Now:
        if shard == 1:
            raise RedisConnectionError
        return read_now(redis, make_settings())

    parts = together.once(look)
    Console(file=written, width=200).print(shards_page(parts))
    data: Any = shards_data(parts)

    together.close()
    lines = [line.split() for line in written.getvalue().splitlines() if line]
    assert [line[:2] for line in lines if line[0] in {"all", "0", "1", "2"}] == [
        ["all", "2"],
        ["0", "1"],
        ["1", "-"],
        ["2", "1"],
    ]
    assert "!! shard 1: DESKBELL_REDIS_URL: expected a server that answers, got ConnectionError" in written.getvalue()
    assert "!! shard 0, 2: crm: no living worker reads the queue crm" in written.getvalue()
    assert [bool(each["problem"]) for each in data["shards"]] == [False, True, False]
    assert data["shards"][1]["queues"] is None

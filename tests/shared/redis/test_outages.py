"""What the log says of an outage, and which errors no waiting ends."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry

from shared.redis.outages import CLUSTER, Outage, check_redis, refusal
from tests.logged import capture_logs
from tests.redis_outages import a_server, clustered
from tests.tls import tls

NEVER = Retry(NoBackoff(), 0)


class Clock:
    """Seconds, as a test sets them."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_outage_is_a_line_when_it_begins_and_one_when_it_is_over() -> None:
    """However many calls fail meanwhile; the last line has the length and the last cause."""
    clock = Clock()
    outage = Outage(clock)
    with capture_logs() as logs:
        for error in (RedisConnectionError(), RedisTimeoutError(), RedisTimeoutError()):
            clock.now += 10
            outage.record_error(error)
        clock.now += 5
        ended = outage.record_success(), outage.record_success()

    assert [line["event"] for line in logs] == ["redis_away", "redis_back"]
    assert (logs[0]["error"], logs[1]["cause"], logs[1]["away_seconds"]) == ("ConnectionError", "TimeoutError", 25)
    assert ended == (True, False)


def test_an_outage_is_over_when_all_who_were_refused_have_been_heard() -> None:
    """Redis may take reads and refuse writes: that one is answered is not the end."""
    outage = Outage()
    with capture_logs() as logs:
        outage.record_error(RedisConnectionError(), "claims")
        outage.record_error(RedisConnectionError(), "outcomes")
        ended = outage.record_success("claims"), outage.record_success("claims"), outage.record_success("outcomes")

    assert ended == (False, False, True)
    assert [line["event"] for line in logs] == ["redis_away", "redis_back"]


def test_a_refusal_that_only_a_person_can_end_is_logged_each_minute() -> None:
    """From the moment it is known, also when Redis was only away before."""
    clock = Clock()
    outage = Outage(clock)
    with locked() as redis, pytest.raises(RedisError) as wrong:
        redis.ping()
    with capture_logs() as logs:
        outage.record_error(RedisConnectionError())
        seconds = [outage.refused_seconds]
        for _ in range(121):
            clock.now += 1
            outage.record_error(wrong.value)
        seconds.append(outage.refused_seconds)
        outage.record_success()
        seconds.append(outage.refused_seconds)

    assert [line["event"] for line in logs] == ["redis_away", *["redis_refuses"] * 3, "redis_back"]
    assert {line["log_level"] for line in logs[:-1]} == {"error"}
    assert "password" in logs[1]["problem"]
    assert seconds == [0, 120, 0]


@contextmanager
def served(**config: str) -> Iterator[Redis]:
    """A connection to a server of its own."""
    with a_server() as server:
        server.start(**config)
        with server.connect() as redis:
            yield redis


@contextmanager
def locked() -> Iterator[Redis]:
    """A connection without a password to a server that asks for one."""
    with served() as redis:
        redis.config_set("requirepass", "secret")
        redis.connection_pool.disconnect()
        yield redis


async def ping(path: str) -> None:
    """Go to a server on an event loop, as somebody it does not know."""
    async with AsyncRedis(
        unix_socket_path=path, username="nobody", password="x", retry=AsyncRetry(NoBackoff(), 0)
    ) as redis:
        await redis.ping()


def error_of(call: Callable[[], Any]) -> RedisError:
    """What a call of Redis raises."""
    with pytest.raises(RedisError) as raised:
        call()
    return raised.value


def test_what_no_waiting_ends_is_told_from_what_passes_by_itself(redis: Redis) -> None:
    """By what a real server answers; each says what to do, and quotes nothing of what was sent."""
    planted = "planted-secret"
    with ExitStack() as stack:
        barred = stack.enter_context(locked())
        cluster = stack.enter_context(served(**clustered()))
        stack.callback(redis.acl_deluser, "little")
        redis.acl_setuser("little", enabled=True, nopass=True, keys=["a"], commands=["+@all", "-set", "-hello"])
        path = redis.connection_pool.connection_kwargs["path"]
        little = stack.enter_context(Redis(unix_socket_path=path, username="little", password="x", protocol=2))
        port = stack.enter_context(tls(path))
        calls: dict[str, list[Callable[[], Any]]] = {
            "refuses the user or the password": [barred.ping, lambda: asyncio.run(ping(path))],
            CLUSTER: [
                lambda: check_redis(cluster),
                lambda: cluster.eval("return 1", 2, "a", planted),
                lambda: cluster.eval(f"return redis.call('GET', '{planted}')", 0),
            ],
            "does not let this user run set": [
                lambda: little.set("a", planted),
                lambda: little.eval("return redis.call('SET', 'a', 'x')", 1, "a"),
            ],
            "does not let this user reach a key": [lambda: little.get(planted)],
            "does not know a command": [lambda: redis.execute_command("NOSUCH", planted)],
            "no database of the number": [Redis(unix_socket_path=path, db=99).ping],
            "certificate is not trusted": [Redis(host="localhost", port=port, ssl=True, retry=NEVER).ping],
        }
        found = {expected: [refusal(error_of(call)) for call in called] for expected, called in calls.items()}

    for expected, sentences in found.items():
        for sentence in sentences:
            assert expected in sentence
            assert planted not in sentence


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The user executing the script can't run this command or subcommand script: 2f, on @user_script:1.", "run a"),
        ("The user executing the script can't access at least one of the keys mentioned in the command", "reach a key"),
    ],
)
def test_what_a_script_may_not_do_is_no_other_error_on_redis_7_0(text: str, expected: str) -> None:
    """The oldest that we promise to run on calls it ERR, not NOPERM."""
    assert refusal(ResponseError(text)).startswith(f"Redis does not let this user {expected}")


@pytest.mark.parametrize(
    "error", [RedisConnectionError("refused"), RedisTimeoutError(), OSError("no route"), ValueError()]
)
def test_what_may_pass_by_itself_is_no_refusal(error: Exception) -> None:
    """It is waited for."""
    assert refusal(error) == ""


def test_a_server_that_keeps_its_information_to_itself_is_taken_for_no_cluster(redis: Redis) -> None:
    """A managed Redis may forbid INFO."""
    redis.acl_setuser("silent", enabled=True, nopass=True, keys=["*"], commands=["+@all", "-info"])
    path = redis.connection_pool.connection_kwargs["path"]
    try:
        with Redis(unix_socket_path=path, username="silent", password="x") as silent:
            check_redis(silent)
    finally:
        redis.acl_deluser("silent")

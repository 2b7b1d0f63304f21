"""Late values on Redis: handed out once, and why there is none."""

import time

import pytest
from redis import Redis

from shared.late.policy import State
from shared.late.values import VALUES_KEY, keep, take
from shared.wire.events import Reply, new_event_id

EVENT, JOB = "e" * 32, "job"


def answered(quote: str) -> Reply:
    """What a handler answers."""
    return Reply(variables={"Quote": quote}, outcome="answered")


def test_a_repeated_delivery_gets_values_whose_answer_was_not_kept(redis: Redis) -> None:
    """The api took them and died: what it took is the delivery's."""
    keep(redis, EVENT, answered("1"), 60)
    keep(redis, EVENT, answered("2"), 60)

    given = [take(redis, EVENT, JOB, delivery, 60, patience=60) for delivery in ("one", "two", "one")]

    first = ("ready", answered("1"))  # a second run changes nothing
    assert given == [first, ("used", None), first]
    assert 0 < redis.ttl(VALUES_KEY + EVENT) <= 60


def test_redis_hands_out_nothing_when_nobody_waits_any_more(redis: Redis) -> None:
    """It hung, and comes to the script after the api has answered: the values are there for the next call."""
    keep(redis, EVENT, answered("1"), 60)

    given = [
        take(redis, EVENT, JOB, delivery, 60, patience=patience) for delivery, patience in (("one", -1), ("two", 60))
    ]

    assert given == [("not_yet", None), ("ready", answered("1"))]


@pytest.mark.parametrize(
    ("job", "event", "age", "state"),
    [
        ("", "", 0, "not_yet"),  # the event may be in a spool
        ("", "", 120, "expired"),
        ("", "queued", 120, "not_yet"),
        ("", "scheduled", 120, "not_yet"),
        ("", "failed", 0, "failed"),  # it was not fanned out
        ("", "finished", 0, "expired"),  # its job was discarded, or is forgotten
        ("queued", "finished", 120, "not_yet"),
        ("started", "finished", 120, "not_yet"),
        ("scheduled", "", 120, "not_yet"),  # for its next attempt
        ("failed", "", 120, "failed"),
        ("stopped", "finished", 0, "failed"),
        ("finished", "finished", 0, "expired"),
    ],
)
def test_rqs_statuses_say_why_there_are_no_values(redis: Redis, job: str, event: str, age: int, state: State) -> None:
    """Those of the job, and of its event's own job where there is none yet."""
    event_id = new_event_id(time.time() - age)
    for name, status in ((JOB, job), (event_id, event)):
        if status:
            redis.hset(f"rq:job:{name}", "status", status)

    assert take(redis, event_id, JOB, "delivery", 60, patience=60) == (state, None)

"""Keys that somebody has written over."""

from redis import Redis

from deskbell.cli.doctor.findings import Checked
from deskbell.cli.doctor.keys import key_types
from shared.settings.config import Settings


def mismatches(redis: Redis) -> list[str]:
    """What is found, without the advice."""
    return [finding.text.split(": what")[0] for finding in key_types(Checked(Settings(), redis=redis))]


def test_keys_of_another_type_are_named_with_both_types(redis: Redis) -> None:
    """Ours, and those of each queue that RQ knows; those that are right, or not there, are no problem."""
    redis.sadd("rq:queues", "rq:queue:crm", "rq:queue:events")
    redis.rpush("rq:queue:events", "x")
    redis.set("rq:wip:crm", "x")
    redis.hset("deskbell:paused", "x", "y")
    redis.hset("deskbell:orders", "x", "y")
    redis.set("deskbell:paused:queues", "x")
    redis.set("deskbell:declared:crm", "x")

    assert mismatches(redis) == [
        "deskbell:paused:queues: expected a hash, got a string",
        "deskbell:orders: expected a set, got a hash",
        "rq:wip:crm: expected a zset, got a string",
        "deskbell:declared:crm: expected a zset, got a string",
    ]


def test_keys_of_a_queue_that_has_never_held_a_job_are_looked_at(redis: Redis) -> None:
    """RQ does not list it: a job could not even be put there."""
    redis.set("rq:queue:crm", "x")

    (found,) = key_types(Checked(Settings(), redis=redis), queue="crm")

    assert found.text.startswith("rq:queue:crm: expected a list, got a string")


def test_a_list_of_queues_that_is_none_is_named_alone(redis: Redis) -> None:
    """Without it nobody knows the queues."""
    redis.set("rq:queues", "x")

    assert mismatches(redis) == ["rq:queues: expected a set, got a string"]

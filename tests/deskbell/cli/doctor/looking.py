"""What the tests of `deskbell doctor` have in common."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from redis import Redis
from rq import Worker

from shared.redis.queues import EVENTS, queue
from tests.desk import APP, TOKEN

APPS = f'{{"{APP}": ["{TOKEN}"]}}'

Look = Callable[..., tuple[int, list[str]]]
"""Runs it, for a queue or for all, with settings; gives its status and its lines."""


@contextmanager
def worker(redis: Redis, *names: str) -> Iterator[Worker]:
    """A worker that is there, as far as Redis knows."""
    here = Worker([queue(name, redis) for name in names or (EVENTS,)], connection=redis)
    here.register_birth()
    try:
        yield here
    finally:
        here.register_death()


def problems(lines: list[str]) -> list[str]:
    """What is wrong."""
    return [line.removeprefix("problem: ") for line in lines if line.startswith("problem: ")]

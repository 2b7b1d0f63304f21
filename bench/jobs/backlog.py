"""What a worker does while its queue is kept at a thousand, to compare with a million."""

import time

from redis import Redis

from bench.jobs.contenders.contender import Contender
from bench.jobs.testbed import Testbed

THOUSAND, MILLION = 1_000, 1_000_000
_RESERVE = "bench:reserve"
_LOOK_SECONDS = 0.02
_TOP_UP = """
for _ = redis.call('LLEN', KEYS[1]) + 1, tonumber(ARGV[1]) do
  redis.call('LMOVE', KEYS[2], KEYS[1], 'LEFT', 'RIGHT')
end
"""


def keep_at_a_thousand(redis: Redis, key: str) -> None:
    """From now on `work_for` keeps a queue's list at a thousand, from a list beside it that has the others."""
    redis.rename(key, _RESERVE)


def work_for(testbed: Testbed, contender: Contender, slots: int, key: str, seconds: float) -> float:
    """Jobs that begin in a second, for some seconds.

    Args:
        testbed: whose queue has been filled.
        contender: whose worker works.
        slots: how many jobs it performs at once.
        key: the queue's list.
        seconds: from the first job.
    """
    top_up = testbed.redis.register_script(_TOP_UP)
    top_up(keys=[key, _RESERVE], args=[THOUSAND])
    testbed.forget_starts()
    with testbed.worker(contender, slots) as worker:
        worker.wait_for(1, 0)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            top_up(keys=[key, _RESERVE], args=[THOUSAND])
            time.sleep(_LOOK_SECONDS)
        return worker.rate()

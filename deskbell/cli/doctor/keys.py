"""The types of RQ's and Deskbell's keys: whatever reads a key of a foreign type fails."""

from collections.abc import Iterator
from typing import Any

from rq.queue import Queue

from deskbell.cli.doctor.findings import Checked, Finding, problem
from shared.redis.breakers import PAUSED_KEY
from shared.redis.queues import LOG_KEY, RUNS_KEY, TOKENS_KEY

_TYPES = {
    LOG_KEY: "stream",
    PAUSED_KEY: "hash",
    RUNS_KEY: "zset",
    TOKENS_KEY: "hash",
    "deskbell:orders": "set",
    "rq:workers": "set",
}
_OF_A_QUEUE = {"queue": "list"} | dict.fromkeys(("wip", "finished", "failed", "deferred", "scheduled"), "zset")


def key_types(checked: Checked) -> Iterator[Finding]:
    """Whether each key has its type."""
    redis = checked.connection
    if (found := redis.type(Queue.redis_queues_keys)) not in (b"set", b"none"):
        yield _mismatch(Queue.redis_queues_keys, "set", found)
        return
    queues: Any = redis.smembers(Queue.redis_queues_keys)
    names = [key.decode(errors="replace").removeprefix(Queue.redis_queue_namespace_prefix) for key in queues]
    expected = _TYPES | {f"rq:{part}:{name}": kind for name in sorted(names) for part, kind in _OF_A_QUEUE.items()}
    with redis.pipeline(transaction=False) as pipeline:
        for key in expected:
            pipeline.type(key)
        types = pipeline.execute()
    for (key, kind), found in zip(expected.items(), types, strict=True):
        if found not in (kind.encode(), b"none"):
            yield _mismatch(key, kind, found)


def _mismatch(key: str, kind: str, found: Any) -> Finding:
    return problem(
        f"{key}: expected a {kind}, got a {found.decode()}: what reads it stands still; delete it, or restore it"
    )

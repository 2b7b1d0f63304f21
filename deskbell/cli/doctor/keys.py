"""Keys of RQ and of Deskbell: their types, since whatever reads a key of a foreign type fails, and what caches hold."""

from collections.abc import Iterator
from typing import Any

from rq.queue import Queue

from deskbell.cache.cache import Cache, declared
from deskbell.cli.doctor.findings import Checked
from deskbell.queues.findings import Finding, problem, said
from deskbell.queues.state import KnownWorker
from shared.keys import DESKBELL, RQ
from shared.records.segments import CALLS_KEY
from shared.redis.api_hosts import API_HOSTS_KEY
from shared.redis.breakers import PAUSED_KEY
from shared.redis.pauses import PAUSED_QUEUES_KEY
from shared.redis.queues import RUNS_KEY, TOKENS_KEY
from shared.redis.releases import FAN_OUT_KEY, INTRODUCED_KEY, LEFT_KEY, declared_key
from shared.sentences import sentence

_TYPES = {
    CALLS_KEY: "hash",
    API_HOSTS_KEY: "hash",
    PAUSED_KEY: "hash",
    PAUSED_QUEUES_KEY: "hash",
    INTRODUCED_KEY: "hash",
    FAN_OUT_KEY: "zset",
    LEFT_KEY: "set",
    RUNS_KEY: "zset",
    TOKENS_KEY: "hash",
    f"{DESKBELL}orders": "set",
    f"{RQ}workers": "set",
}
_OF_A_QUEUE = {"queue": "list"} | dict.fromkeys(("wip", "finished", "failed", "deferred", "scheduled"), "zset")


def key_types(checked: Checked, queue: str | None = None) -> Iterator[Finding]:
    """Whether each key has its type; of the keys of queues, those of all, or of those that the workers of one read."""
    redis = checked.connection
    if (found := redis.type(Queue.redis_queues_keys)) not in (b"set", b"none"):
        yield _mismatch(Queue.redis_queues_keys, "set", found)
        return
    read = [each.queue_names() for each in KnownWorker.all(redis)]
    if queue is None:
        queues: Any = redis.smembers(Queue.redis_queues_keys)
        held = {key.decode(errors="replace").removeprefix(Queue.redis_queue_namespace_prefix) for key in queues}
        names = held.union(*read)
    else:  # a worker that cannot read one of its queues claims from none
        names = {queue}.union(*(those for those in read if queue in those))
    of_caches = {each.index: "zset" for each in _caches()} | {each.sizes: "hash" for each in _caches()}
    of_queues = {f"{RQ}{part}:{name}": kind for name in sorted(names) for part, kind in _OF_A_QUEUE.items()}
    expected = _TYPES | of_caches | of_queues | {declared_key(name): "zset" for name in sorted(names)}
    with redis.pipeline(transaction=False) as pipeline:
        for key in expected:
            pipeline.type(key)
        types = pipeline.execute()
    for (key, kind), found in zip(expected.items(), types, strict=True):
        if found not in (kind.encode(), b"none"):
            yield _mismatch(key, kind, found)


def caches(checked: Checked) -> Iterator[Finding]:
    """How much the caches hold that handlers and job types declare here."""
    for cache in _caches():
        count: Any = checked.connection.zcard(cache.index)
        size: Any = checked.connection.hget(cache.sizes, "total")
        yield said(
            sentence(
                "the cache {name} holds {count} of {most} values, {size:.1f} of {megabytes} MB",
                name=cache.name,
                count=count,
                most=cache.entries,
                size=int(size or 0) / 1_000_000,
                megabytes=cache.megabytes,
            )
        )


def _caches() -> list[Cache[Any]]:
    return sorted(declared, key=lambda cache: cache.name)


def _mismatch(key: str, kind: str, found: Any) -> Finding:
    return problem(
        sentence(
            "{key}: expected a {kind}, got a {found}: what reads it stands still",
            key=key,
            kind=kind,
            found=found.decode(),
        ),
        sentence("delete it, or restore it"),
        "key_damaged",
    )

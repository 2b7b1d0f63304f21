"""What Redis keeps of a user beside jobs and records: answers, late values, values of caches, records of contacts."""

import json
import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

from deskbell.adapters.contacts import contact_key
from shared.keys import DESKBELL
from shared.late.values import VALUES_KEY
from shared.records.users import User, milliseconds_of
from shared.redis.queues import REPLY_KEY
from shared.redis.scripts import script_text
from shared.settings.config import Settings
from workers.dead_letters.registry import batched

_CACHE_KEY = f"{DESKBELL}cache:"
_PAGE = 500
_SCANNED_AT_ONCE = 2000
_ID_LENGTH = 32
_DIGEST_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is remembered: its key, the event's id, and the envelope."""

    key: str
    event_id: str
    envelope: bytes


@dataclass(frozen=True, slots=True)
class CacheValue:
    """A value of a cache that names the user: the cache's name, the entry's digest, and its JSON."""

    cache: str
    digest: str
    text: bytes


def answers(redis: Redis, event_ids: Collection[str], settings: Settings) -> Iterator[Answer]:
    """The answers that are remembered of some events; only young events have any, and else nothing is looked at."""
    oldest = (time.time() - settings.dedup_seconds) * 1000
    if not any(milliseconds_of(each) >= oldest for each in event_ids):
        return
    for keys in _pages(redis, f"{REPLY_KEY}*"):
        for key, kept in zip(keys, _values(redis, keys), strict=True):
            event_id = kept[:_ID_LENGTH].decode(errors="replace")
            if event_id in event_ids:
                yield Answer(key, event_id, kept[_ID_LENGTH:])


def late_values(redis: Redis, event_ids: Iterable[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """The late values of some events, by the event's id."""
    for some in batched(event_ids, _PAGE):
        with redis.pipeline(transaction=False) as pipeline:
            for event_id in some:
                pipeline.hgetall(VALUES_KEY + event_id)
            found = pipeline.execute()
        for event_id, value in zip(some, found, strict=True):
            if value:
                yield event_id, {name.decode(): text.decode(errors="replace") for name, text in value.items()}


def cache_values(redis: Redis, user: User) -> Iterator[CacheValue]:
    """The values of caches in which the user's id stands as a text of its own; an app's cannot be told apart."""
    texts = {json.dumps(user.id, ensure_ascii=ascii_).encode(errors="replace") for ascii_ in (True, False)}
    for keys in _pages(redis, f"{_CACHE_KEY}*"):
        entries = [key for key in keys if len(key.rpartition(":")[2]) == _DIGEST_LENGTH and key.count(":") == _COLONS]
        for key, kept in zip(entries, _values(redis, entries), strict=True):
            _, _, text = kept.partition(b" ")
            if any(each in text for each in texts):
                _, _, cache, digest = key.split(":")
                yield CacheValue(cache, digest, text)


_COLONS = _CACHE_KEY.count(":") + 1


def drop_cache_values(redis: Redis, values: Sequence[CacheValue]) -> None:
    """Delete values of caches; a job puts them again when they are wanted."""
    drop = redis.register_script(script_text("deskbell.cache", "drop"))
    for each in values:
        index = _CACHE_KEY + each.cache
        entry = f"{index}:{each.digest}"
        drop(keys=[index, entry, f"{entry}:claim", f"{index}:sizes"], args=[each.digest])


def contact_keys(settings: Settings, user: User) -> list[str]:
    """The keys of the records of the user's contact, in the CRMs of the settings; apps share a contact."""
    urls = {settings.crm_url, settings.hubspot_url} - {""}
    return [] if user.app else sorted(contact_key(url, user.id) for url in urls)


def _pages(redis: Redis, pattern: str) -> Iterator[list[str]]:
    found = (key.decode(errors="replace") for key in redis.scan_iter(pattern, count=_SCANNED_AT_ONCE))
    return batched(found, _PAGE)


def _values(redis: Redis, keys: Sequence[str]) -> list[bytes]:
    """The texts under keys; b"" where there is none, or something else."""
    with redis.pipeline(transaction=False) as pipeline:
        for key in keys:
            pipeline.get(key)
        found: list[Any] = pipeline.execute(raise_on_error=False)
    return [each if isinstance(each, bytes) else b"" for each in found]

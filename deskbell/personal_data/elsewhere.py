"""What of a user no command of Deskbell's removes, and how it ends: said by `deskbell forget` and `deskbell export`."""

from collections.abc import Iterator

from redis import Redis
from redis.exceptions import ResponseError

from api.acceptance.spool import survey, waiting_data
from shared.records.users import User, event_of_job
from shared.redis.api_hosts import API_HOSTS_KEY, read_api_hosts
from shared.settings.config import Settings
from shared.wire.events import Event


def sentences(redis: Redis, settings: Settings, user: User) -> Iterator[str]:
    """A sentence for each place."""
    yield from _spools(redis, settings, user)
    yield from _files(redis)
    yield "What your handlers and jobs wrote elsewhere, and logged: a job for UserForgotten can delete it."
    yield "Logs of Deskbell hold no user; those of the proxy hold addresses, URLs and signatures."


def spooled(settings: Settings, user: User) -> Iterator[Event]:
    """The user's events that wait on this host's disk."""
    for data in waiting_data(settings.spool_dir):
        try:
            event = event_of_job(data)
        except Exception:  # noqa: BLE001, S112 - it is damaged: whose it is cannot be known
            continue
        if user.has(event):
            yield event


def rewrite_file(redis: Redis) -> str:
    """Have Redis write its append-only file anew; a sentence about it."""
    try:
        redis.bgrewriteaof()
    except ResponseError as error:
        return f"The append-only file is not being rewritten: {error}. Run BGREWRITEAOF as an administrator of Redis."
    return "Redis rewrites its append-only file now; INFO persistence has aof_rewrite_in_progress:0 when that is done."


def _spools(redis: Redis, settings: Settings, user: User) -> Iterator[str]:
    if count := sum(1 for _ in spooled(settings, user)):
        yield f"{count:,} events in the spool of this host, {settings.spool_dir}: the api drops them when it drains it."
    for path in survey(settings.spool_dir).damaged:
        yield f"The damaged file {path}, in which nothing was looked for: delete it when it is of no use any more."
    for host in read_api_hosts(redis.hgetall(API_HOSTS_KEY)):
        if host.events:
            yield (
                f"{host.events:,} events of anybody in a spool of {host.host}, {host.folder}: the api there drops this "
                "user's when it drains it."
            )


def _files(redis: Redis) -> Iterator[str]:
    persistence, replication = redis.info("persistence"), redis.info("replication")
    if persistence.get("aof_enabled"):
        yield (
            "Redis' append-only file has what was removed until it is rewritten: deskbell forget --rewrite-aof, or "
            "BGREWRITEAOF."
        )
    yield "Snapshots and backups of Redis have it until they are replaced; after a restore, forget the user again."
    if replicas := replication.get("connected_slaves"):
        yield f"{replicas} replicas of Redis follow by themselves; their own files have it as long as those of Redis."

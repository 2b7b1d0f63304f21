"""`deskbell doctor`: diagnostics, a check for each thing that can keep events or jobs from moving.

Read its modules in this order:

1. `findings`: what the checks look at.
2. `here`: the settings, the handlers, the job types and the disk of this host.
3. `server`: the Redis server, and whether it takes events from the api.
4. `queues`: how the queues stand, and why they do not move (`deskbell.queues`).
5. `orphans`: jobs that are in no queue and no registry (`deskbell.queues`).
6. `performance`: how soon Redis answers, what made it late, and its memory.
7. `clocks`: the clock of each host, compared with that of Redis.
8. `hosts`: the hosts of the api, and which callbacks they refuse.
9. `keys`: whether a key has a foreign type, and how much caches hold.
10. `tokens`: the apps, and when each token was last used.
11. `public_url`: whether the URL that Desk calls leads here.
"""

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict
from functools import partial
from typing import Any

from redis.exceptions import RedisError
from rich.console import Console

from deskbell.cli.doctor.clocks import other_clocks, own_clock
from deskbell.cli.doctor.findings import Check, Checked, could_not_read
from deskbell.cli.doctor.here import agreement, handlers, job_types, locks, spool_folder, spooled, traces
from deskbell.cli.doctor.hosts import no_api, not_replaced, numbers_of_shards, other_hosts, refused
from deskbell.cli.doctor.keys import caches, key_types
from deskbell.cli.doctor.orphans import orphans
from deskbell.cli.doctor.performance import answer_time, late_moments, memory, slow_commands
from deskbell.cli.doctor.public_url import public_url
from deskbell.cli.doctor.queues import (
    blocks,
    dead_letters,
    pauses,
    queue_table,
    standing_still,
    suspended,
    unneeded_workers,
    unread_queues,
    why_it_stands_still,
)
from deskbell.cli.doctor.server import accepting, durability, forgotten, version
from deskbell.cli.doctor.tokens import token_table, token_uses, unused_tokens
from deskbell.cli.exit import stop
from deskbell.cli.settings.redis_here import redis_here
from deskbell.cli.settings.running import load_settings_here, no_redis
from deskbell.queues.findings import Finding, problem
from shared.redaction import terminal_text
from shared.redis.connections import connect
from shared.redis.queues import EVENTS, FORGOTTEN_KEY
from shared.settings.config import Settings
from shared.settings.redis_url import RedisUrl
from workers.audit import AuditLog, user_name

_HERE = (locks, handlers, job_types, agreement, spool_folder, traces)
_OF_THE_SERVER = (
    version,
    accepting,
    durability,
    forgotten,
    answer_time,
    slow_commands,
    late_moments,
    memory,
    own_clock,
)
_OF_THE_QUEUES = (
    no_api,
    refused,
    suspended,
    pauses,
    blocks,
    queue_table,
    dead_letters,
    unread_queues,
    standing_still,
    unneeded_workers,
)
_OF_OTHERS = (
    orphans,
    other_clocks,
    other_hosts,
    not_replaced,
    numbers_of_shards,
    key_types,
    caches,
    unused_tokens,
)
_ON_REDIS = (*_OF_THE_SERVER, *_OF_THE_QUEUES, *_OF_OTHERS)

BESIDE_QUEUES = (*_OF_THE_SERVER, *_OF_OTHERS)
"""What the console looks at, too, the server oftener: what they find are sentences, which it can say in Chinese."""


def doctor(
    queue: str | None = None,
    api_redis_url: str | None = None,
    url: str | None = None,
    *,
    as_json: bool = False,
    ack_lost_writes: bool = False,
) -> None:
    """Print what was found; exit with 1 if anything keeps events or jobs from moving, or may lose them.

    Args:
        queue: the queue that does not move; everything else is left out.
        api_redis_url: Redis as the api's user, where this command goes as another.
        url: where Desk reaches the api, such as https://your.host.
        as_json: print one JSON object.
        ack_lost_writes: look for nothing, and say no more of what Redis has lost.
    """
    if ack_lost_writes:
        _acknowledge_lost_writes()
        return
    if api_redis_url is not None:
        try:
            RedisUrl.parse(api_redis_url)
        except ValueError as error:
            stop(f"API_REDIS_URL: {error}, got a value not shown here")
    if url is not None and not url.startswith(("http://", "https://")):
        stop(f"--url: expected https:// and the host where Desk reaches the api, got {url!r}")
    checked = Checked(load_settings_here(for_redis=True), api_redis_url)
    found = _on_queue(checked, queue) if queue is not None else _on_all(checked)
    found += list(public_url(url, checked)) if url is not None else []
    kinds = {finding.kind for finding in found}
    if as_json:
        print(json.dumps(_document(checked, found, queue), ensure_ascii=False))  # noqa: T201
    else:
        (_print_all if queue is None else _print_in_order)(checked, found)
    if "problem" in kinds:
        sys.exit(1)


def beside_queues(settings: Settings, shard: int | None, *, of_the_server: bool) -> list[Finding]:
    """What `BESIDE_QUEUES` find that may be wrong, those of the server or the others, which take some seconds."""
    checks = _OF_THE_SERVER if of_the_server else _OF_OTHERS
    checked = Checked(settings, shard=shard, looks_here=False)
    try:
        return [finding for finding in _on_redis(checked, checks) if finding.kind != "said"]
    finally:
        if checked.redis:
            checked.redis.close()  # who asks is a process that lives on, the console


def _acknowledge_lost_writes() -> None:
    """Say no more of what Redis had lost, and record who dealt with it."""
    with redis_here() as (redis, _):
        if was_reported := redis.delete(FORGOTTEN_KEY):
            AuditLog(redis).note("acknowledge", "lost writes", user_name(), "done")
    print("the lost writes are acknowledged" if was_reported else "no lost writes are reported")  # noqa: T201


def _document(checked: Checked, found: list[Finding], queue: str | None) -> dict[str, Any]:
    """What `--json` prints."""
    tokens = {"tokens": [asdict(each) for each in token_uses(checked)]} if queue is None else {}
    is_ok = not any(finding.kind == "problem" for finding in found)
    return {"ok": is_ok, "findings": [asdict(finding) for finding in found], **tokens}


def _print_all(checked: Checked, found: list[Finding]) -> None:
    console = _console()
    for finding in found:
        if finding.kind == "said":
            console.print(terminal_text(str(finding)), markup=False)
    if checked.settings.apps:
        console.print(token_table(token_uses(checked)))
    for kind in ("warning", "unknown", "problem"):
        for finding in found:
            if finding.kind == kind:
                console.print(f"{kind}: {terminal_text(str(finding))}", markup=False)
    kinds = {finding.kind for finding in found}
    if "problem" not in kinds:
        console.print("no problem found" + (", as far as could be checked" if "unknown" in kinds else ""))


def _print_in_order(_: Checked, found: list[Finding]) -> None:
    console = _console()
    for finding in found:
        kind = "" if finding.kind == "said" else f"{finding.kind}: "
        console.print(kind + terminal_text(str(finding)), markup=False)


def _console() -> Console:
    return Console(soft_wrap=True, highlight=False)


def _on_all(checked: Checked) -> list[Finding]:
    found = [finding for check in _HERE for finding in check(checked)]
    return found + _on_redis(checked, _ON_REDIS) + list(spooled(checked))


def _on_queue(checked: Checked, name: str) -> list[Finding]:
    """Why one queue does not move: how it stands, then each reason, the one to act on first."""
    list(job_types(checked))
    elsewhere = (other_hosts,) if name == EVENTS else ()
    of_it = (partial(key_types, queue=name), partial(why_it_stands_still, name), blocks, partial(orphans, queue=name))
    return _on_redis(checked, (accepting, *of_it, *elsewhere)) + (list(spooled(checked)) if name == EVENTS else [])


def _on_redis(checked: Checked, checks: Iterable[Check]) -> list[Finding]:
    """What the checks of Redis find; nothing but one problem while it is away."""
    connection = connect(checked.settings, shard=checked.shard)
    try:
        connection.ping()
    except (RedisError, OSError) as error:
        return [problem(no_redis(error, checked.settings))]
    checked.redis = connection
    found: list[Finding] = []
    for check in checks:
        try:
            found += check(checked)
        except Exception as error:  # noqa: BLE001 - a key may hold no value of RQ's or ours: the rest is told
            found.append(could_not_read(check, error))
    return found

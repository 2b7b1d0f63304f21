"""`deskbell top`: the page, renewed until it is ended; or once, for a script; of one shard or of all."""

import json
import sys
import time
from contextlib import suppress

from redis.exceptions import RedisError
from rich.console import Console
from rich.live import Live

from deskbell.cli.exit import stop
from deskbell.cli.settings.running import load_settings_here, no_redis
from deskbell.cli.shards import is_of_all_shards
from deskbell.cli.top.page import as_data, page, problem_page
from deskbell.cli.top.shards import shards_data, shards_page
from deskbell.queues.now import Now, read_now
from deskbell.queues.shards import Part, Together
from shared.redis.connections import connect
from shared.settings.config import Settings

_FAILED = 1
_PIPED_WIDTH = 200
_SHARD_SECONDS = 2.0


def top(interval: float, *, once: bool, as_json: bool) -> None:
    """Show what goes on; every `interval` seconds until it is interrupted, or once.

    The page goes on while Redis is away, and says so. Where the output is no terminal it is shown once.
    """
    settings = load_settings_here(for_redis=True)
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    once = once or not sys.stdout.isatty()
    if is_of_all_shards():
        _top_of_shards(settings, console, interval, once=once, as_json=as_json)
        return
    redis = connect(settings)
    if once or as_json:
        try:
            now = read_now(redis, settings)
        except (RedisError, OSError) as error:
            stop(no_redis(error, settings), _FAILED)
        if as_json:
            print(json.dumps(as_data(now), ensure_ascii=False))  # noqa: T201 - what a command line is for
        else:
            console.print(page(now))
        return
    last: Now | None = None
    with suppress(KeyboardInterrupt), Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            try:
                last = read_now(redis, settings)
                shown = page(last)
            except (RedisError, OSError) as error:
                shown = problem_page(no_redis(error, settings), last)
            live.update(shown, refresh=True)
            time.sleep(interval)


def _top_of_shards(settings: Settings, console: Console, interval: float, *, once: bool, as_json: bool) -> None:
    clients = [connect(settings, _SHARD_SECONDS, shard) for shard in range(settings.shards)]
    together = Together(settings.shards)

    def look() -> list[Part[Now]]:
        return together.latest(lambda shard: read_now(clients[shard], settings))

    if once or as_json:
        parts = look()
        if as_json:
            print(json.dumps(shards_data(parts), ensure_ascii=False))  # noqa: T201 - what a command line is for
        else:
            console.print(shards_page(parts))
        sys.exit(_FAILED if any(part.is_away for part in parts) else 0)
    with suppress(KeyboardInterrupt), Live(console=console, screen=True, auto_refresh=False) as live:
        while True:
            live.update(shards_page(look()), refresh=True)
            time.sleep(interval)

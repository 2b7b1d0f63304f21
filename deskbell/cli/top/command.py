"""`deskbell top`: the page, renewed until it is ended; or once, for a script."""

import json
import sys
import time
from contextlib import suppress

from redis.exceptions import RedisError
from rich.console import Console
from rich.live import Live

from deskbell.cli.exit import stop
from deskbell.cli.settings.running import load_settings_here, no_redis
from deskbell.cli.top.page import as_data, page, problem_page
from deskbell.queues.now import Now, read_now
from shared.redis.connections import connect

_FAILED = 1
_PIPED_WIDTH = 200


def top(interval: float, *, once: bool, as_json: bool) -> None:
    """Show what goes on; every `interval` seconds until it is interrupted, or once.

    The page goes on while Redis is away, and says so. Where the output is no terminal it is shown once.
    """
    settings = load_settings_here(for_redis=True)
    redis = connect(settings)
    console = Console(width=None if sys.stdout.isatty() else _PIPED_WIDTH)
    if once or as_json or not sys.stdout.isatty():
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

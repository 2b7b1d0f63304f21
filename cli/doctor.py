"""`deskbell doctor`: what an operator asks first."""

import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import SecretStr
from redis import Redis
from redis.exceptions import RedisError
from rich.console import Console
from rich.table import Table

from api.durability import read_durability
from api.spool import survey
from cli.agreement import disagreements_of
from shared.config import Settings, load_settings
from shared.errors import ConfigError
from shared.key_types import mismatched_keys
from shared.loading import load_callbacks
from shared.pauses import Pause, paused_queues
from shared.protocol import fingerprint
from shared.queues import EVENTS, TOKENS_KEY, connect, queue_key

_OLDEST_REDIS = 7


def doctor() -> None:
    """Print the apps, their locks and tokens, and what is wrong; exit with 1 if anything is."""
    settings = load_settings()
    console = Console(soft_wrap=True, highlight=False)
    problems = list(_setting_problems(settings))
    warnings = list(disagreements_of(settings))
    try:
        connection = connect(settings)
        problems += [*_redis_problems(connection), *mismatched_keys(connection)]
        problems += map(_paused, paused_queues(connection))
        console.print(f"Redis answers; {connection.llen(queue_key(EVENTS))} events wait to be fanned out")
        durability = read_durability(connection, settings.min_replicas)
        console.print(durability.worth, markup=False)
        problems += durability.problems
        warnings += durability.warnings
        uses = _uses(connection)
    except (RedisError, OSError) as error:
        problems.append(f"DESKBELL_REDIS_URL: expected a server that answers, got {type(error).__name__}")
        uses = None
    problems += _spool_problems(console, settings)
    console.print(_token_table(settings, uses))
    for warning in warnings:
        console.print(f"warning: {warning}", markup=False)
    for problem in problems:
        console.print(f"problem: {problem}", markup=False)
    if problems:
        sys.exit(1)
    console.print("no problem found")


def _setting_problems(settings: Settings) -> Iterator[str]:
    try:
        settings.check_doors()
    except ConfigError as error:
        yield f"the api does not start: {error}"
    for app_id, tokens in settings.apps.items():
        if settings.insecure and not settings.path_secret and not (tokens and settings.needs_sign(app_id)):
            yield f"anybody may call as the app {app_id}: DESKBELL_INSECURE is set"
    for handler in load_callbacks(settings).handlers:
        for app_id in sorted(handler.apps - settings.apps.keys()):
            yield f"the handler {handler.name} is limited to {app_id}, which is no app of DESKBELL_APPS"


def _redis_problems(connection: Redis) -> Iterator[str]:
    version = str(connection.info("server")["redis_version"])
    if int(version.partition(".")[0]) < _OLDEST_REDIS:
        yield f"expected Redis {_OLDEST_REDIS} or later, or Valkey, got {version}"


def _spool_problems(console: Console, settings: Settings) -> Iterator[str]:
    """Print what waits on this disk, of an api that runs or not; then what is wrong there."""
    folder = settings.spool_dir
    found = survey(folder)
    waits = found.level.events
    if waits:
        age = round(time.time() - (found.level.oldest or 0))
        console.print(f"{waits} events wait on this disk, in {folder}, the first for {age} s", markup=False)
    for path in found.damaged:
        yield f"{path} was set aside, or cannot be read, and may hold accepted events: see `sqlite3 {path} .recover`"


def _paused(pause: Pause) -> str:
    return (
        f"the queue {pause.queue} is paused since {pause.since:%H:%M:%S} UTC, because jobs of {pause.job_type} keep "
        f"failing ({pause.cause}); one is tried at {pause.until:%H:%M:%S}"
    )


def _uses(connection: Redis) -> dict[str, int]:
    found: dict[bytes, bytes] = connection.hgetall(TOKENS_KEY)  # type: ignore[assignment]  # typed for async too
    return {key.decode(): int(value) for key, value in found.items()}


def _token_table(settings: Settings, uses: dict[str, int] | None) -> Table:
    """Each app's locks, each of its tokens by fingerprint, and when that last signed a callback."""
    table = Table("app", "Sign", "path secret", "token", "last use", box=None, padding=(0, 2, 0, 0))
    secret = "yes" if settings.path_secret else "no"
    for app_id, tokens in settings.apps.items():
        sign = ("required" if settings.needs_sign(app_id) else "when present") if tokens else "not checked"
        shown: list[SecretStr | None] = [*tokens] or [None]
        for token in shown:
            table.add_row(app_id, sign, secret, *_token_cells(app_id, token, uses))
    return table


def _token_cells(app_id: str, token: SecretStr | None, uses: dict[str, int] | None) -> tuple[str, str]:
    if token is None:
        return "none", ""
    mark = fingerprint(token.get_secret_value())
    if uses is None:
        return mark, "unknown"
    last = uses.get(f"{app_id}:{mark}")
    return mark, datetime.fromtimestamp(last, UTC).isoformat(" ", "seconds") if last else "never"
